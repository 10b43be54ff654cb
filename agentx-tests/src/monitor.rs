//! When addresses came and went, by `ip monitor`.

use std::time::Duration;

use crate::net::Node;
use crate::process::Process;
use crate::wait;

/// Writes down every change of addresses on one node.
#[derive(Debug)]
pub struct AddressMonitor {
    process: Process,
}

/// One address came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Nanoseconds since 1970, when the change was reported.
    pub at: u64,
    pub added: bool,
    pub interface: String,
    /// Without prefix length.
    pub address: String,
}

impl AddressMonitor {
    /// Listens before it returns: adds an address to the loopback interface until it sees it.
    #[track_caller]
    pub fn start(node: &Node) -> AddressMonitor {
        let mut command = std::process::Command::new("ip");
        command.args(["-n", node.namespace(), "-o", "-ts", "monitor", "address"]).env("TZ", "UTC");
        let monitor = AddressMonitor { process: node.spawn("ip-monitor", command) };
        let seen = || monitor.process.log().contains(" 127.0.0.99").then_some(());
        wait::until("ip monitor to listen", Duration::from_secs(20), || {
            node.ip(&["address", "add", "127.0.0.99/32", "dev", "lo"]);
            let seen = wait::within(Duration::from_millis(200), seen);
            node.ip(&["address", "del", "127.0.0.99/32", "dev", "lo"]);
            seen
        });
        monitor
    }

    /// Changes so far, oldest first, loopback left out.
    pub fn changes(&self) -> Vec<Change> {
        self.process.log().lines().filter_map(parse).filter(|change| change.interface != "lo").collect()
    }

    /// When `address` was here: from, to (`None`: still). A refresh of an address already here changes nothing.
    pub fn spans(&self, address: &str) -> Vec<(u64, Option<u64>)> {
        let mut spans: Vec<(u64, Option<u64>)> = Vec::new();
        for change in self.changes().into_iter().filter(|change| change.address == address) {
            match (change.added, spans.last_mut()) {
                (true, Some((_, None))) => {}
                (true, _) => spans.push((change.at, None)),
                (false, Some((_, end @ None))) => *end = Some(change.at),
                (false, _) => {}
            }
        }
        spans
    }
}

/// `[2026-11-21T02:51:00.123456] Deleted 3: eth0    inet 10.0.0.1/24 ...`
fn parse(line: &str) -> Option<Change> {
    let (stamp, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (rest, added) = match rest.strip_prefix("Deleted ") {
        Some(rest) => (rest, false),
        None => (rest, true),
    };
    let mut words = rest.split_whitespace().skip(1);
    let interface = words.next()?.to_owned();
    let mut words = words.skip_while(|word| *word != "inet" && *word != "inet6").skip(1);
    let address = words.next()?.split('/').next()?.to_owned();
    Some(Change { at: nanoseconds(stamp)?, added, interface, address })
}

/// A UTC time as iproute2 prints it.
fn nanoseconds(stamp: &str) -> Option<u64> {
    let (date, time) = stamp.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.')?;
    let mut time = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // Days since 1970 in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let micros: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    Some(u64::try_from(seconds).ok()? * 1_000_000_000 + micros * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ip_monitor_becomes_a_change() {
        let line = "[2026-11-21T02:51:00.123456] Deleted 10: eth0    inet 1.1.1.15/24 scope global eth0\\       valid_lft forever";
        let change = parse(line).unwrap();
        assert_eq!(change.at, 1_795_229_460_123_456_000);
        assert_eq!((change.added, change.interface.as_str(), change.address.as_str()), (false, "eth0", "1.1.1.15"));
        assert_eq!(parse("nonsense"), None);
    }
}
