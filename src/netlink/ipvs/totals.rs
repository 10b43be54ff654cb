//! What all services together have carried since the kernel's module was loaded: a file, because netlink does not tell.

use std::fs::File;
use std::io::Read;

use crate::check::table::Stats;

/// Of the network namespace that the calling thread is in. The process's own link would name that of its first thread.
const PATH: &str = "/proc/thread-self/net/ip_vs_stats";

/// The file has six lines.
const LENGTH_MAX: u64 = 4096;

/// `None`: this kernel does not tell.
pub fn read() -> Option<Stats> {
    let mut text = String::new();
    File::open(PATH).ok()?.take(LENGTH_MAX).read_to_string(&mut text).ok()?;
    parse(&text)
}

/// Two lines of five hexadecimal numbers, each below two lines of headings: counters, and what they grow by in a second.
fn parse(text: &str) -> Option<Stats> {
    let mut lines = text.lines().filter_map(numbers);
    let [connections, packets_in, packets_out, bytes_in, bytes_out] = lines.next()?;
    let [connection_rate, packet_rate_in, packet_rate_out, byte_rate_in, byte_rate_out] = lines.next()?;
    Some(Stats {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
        connection_rate,
        packet_rate_in,
        packet_rate_out,
        byte_rate_in,
        byte_rate_out,
    })
}

/// The numbers of a line that has exactly five words, each of them one.
fn numbers(line: &str) -> Option<[u64; 5]> {
    let mut numbers = [0; 5];
    let mut words = line.split_ascii_whitespace();
    for number in &mut numbers {
        *number = u64::from_str_radix(words.next()?, 16).ok()?;
    }
    words.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(counters: [u64; 5], rates: [u64; 5]) -> String {
        let line = |[a, b, c, d, e]: [u64; 5]| format!("{a:8X} {b:8X} {c:8X} {d:16X} {e:16X}\n\n");
        let headings = [
            "   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            Bytes\n",
            " Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n",
        ];
        format!("{}{}{}{}", headings[0], line(counters), headings[1], line(rates))
    }

    #[test]
    fn counters_and_rates_are_read_as_hexadecimal_numbers() {
        let text = file([0x1f, 0x10, 2, 0x00de_adbe_ef00, 5], [6, 7, 8, 0xa, 10]);
        let stats = parse(&text).unwrap();
        assert_eq!((stats.connections, stats.packets_in, stats.packets_out), (31, 16, 2));
        assert_eq!((stats.bytes_in, stats.bytes_out), (0x00de_adbe_ef00, 5));
        assert_eq!((stats.connection_rate, stats.packet_rate_in, stats.packet_rate_out), (6, 7, 8));
        assert_eq!((stats.byte_rate_in, stats.byte_rate_out), (10, 10));
    }

    #[test]
    fn a_file_without_one_of_the_lines_tells_nothing() {
        let text = file([1; 5], [2; 5]);
        let counters_only: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
        assert_eq!(parse(&counters_only), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("1 2 3 4\n1 2 3 4 5\n"), None, "a number is missing");
        assert_eq!(parse("1 2 3 4 5 6\n1 2 3 4 5\n"), None, "there is one too many");
        assert_eq!(parse("1 2 3 4 10000000000000000\n1 2 3 4 5\n"), None, "it does not fit");
    }

    proptest! {
        #[test]
        fn what_the_kernel_prints_is_what_is_read(counters: [u64; 5], rates: [u64; 5]) {
            let stats = parse(&file(counters, rates)).unwrap();
            prop_assert_eq!([stats.connections, stats.packets_in, stats.packets_out, stats.bytes_in, stats.bytes_out], counters);
            let read = [stats.connection_rate, stats.packet_rate_in, stats.packet_rate_out, stats.byte_rate_in, stats.byte_rate_out];
            prop_assert_eq!(read, rates);
        }

        #[test]
        fn no_text_is_too_strange(text: String) {
            let _ = parse(&text);
        }
    }
}
