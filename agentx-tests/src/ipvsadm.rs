//! The kernel's load balancer as `ipvsadm` shows it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::net::Node;
use crate::process::must;
use crate::wait;

/// `ipvsadm WORDS` on `node`, which must succeed; gives what it prints.
#[track_caller]
pub fn ipvsadm(node: &Node, words: &str) -> String {
    let mut all = vec!["ipvsadm"];
    all.extend(words.split_whitespace());
    must(node.command(&all))
}

/// What `ipvsadm-save -n` prints, sorted: the kernel keeps no order of its own.
#[track_caller]
pub fn saved(node: &Node) -> Vec<String> {
    let mut lines: Vec<String> = ipvsadm(node, "-Sn").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Of a service or a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub connections: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// `ipvsadm -Ln --stats --exact`.
#[track_caller]
pub fn statistics(node: &Node) -> Statistics {
    let counters = |words: &[&str]| {
        let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [.., connections, packets_in, packets_out, bytes_in, bytes_out] => {
                Counters { connections, packets_in, packets_out, bytes_in, bytes_out }
            }
            _ => panic!("no counters in {words:?}"),
        }
    };
    table(node, "-Ln --stats --exact").into_iter().map(|(key, words)| (key, counters(&strs(&words)))).collect()
}

/// [`statistics`] once they have caught up: the kernel adds up its processors' counters every two seconds only, so they
/// must have been the same for longer.
#[track_caller]
pub fn settled_statistics(node: &Node) -> Statistics {
    let mut last = (statistics(node), Instant::now());
    wait::until("the kernel's counters to stand still", Duration::from_secs(60), || {
        let now = statistics(node);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(4)).then(|| last.0.clone())
    })
}

/// By service as printed (`TCP 1.1.1.15:80`, `FWM 1`) and destination (`None` for the service itself).
pub type Statistics = BTreeMap<(String, Option<String>), Counters>;

/// A destination as `ipvsadm -Ln` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Real {
    /// `Masq`, `Route`, `Tunnel`, `Local`
    pub forwarding: String,
    pub weight: u32,
    pub active: u32,
    pub inactive: u32,
}

/// Destinations by address (`192.168.1.10:80`) of the service printed as `service` (`TCP 1.1.1.15:80`); `None` if there is
/// no such service.
#[track_caller]
pub fn destinations(node: &Node, service: &str) -> Option<BTreeMap<String, Real>> {
    let all = table(node, "-Ln");
    all.get(&(service.to_owned(), None))?;
    let number = |word: Option<&&str>| word.and_then(|word| word.parse().ok()).unwrap_or_default();
    let real = |words: &[&str]| Real {
        forwarding: words.first().map(|word| (*word).to_owned()).unwrap_or_default(),
        weight: number(words.get(1)),
        active: number(words.get(2)),
        inactive: number(words.get(3)),
    };
    let of_service = |((found, destination), words): ((String, Option<String>), Vec<String>)| {
        (found == service).then_some((destination?, real(&strs(&words))))
    };
    Some(all.into_iter().filter_map(of_service).collect())
}

/// Lines by service and destination, with the words behind the addresses.
#[track_caller]
fn table(node: &Node, words: &str) -> BTreeMap<(String, Option<String>), Vec<String>> {
    let mut all = BTreeMap::new();
    let mut service = String::new();
    // Three lines of heading.
    for line in ipvsadm(node, words).lines().skip(3) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["->", destination, ref rest @ ..] => {
                all.insert((service.clone(), Some(destination.to_owned())), owned(rest));
            }
            [protocol, address, ref rest @ ..] => {
                service = format!("{protocol} {address}");
                all.insert((service.clone(), None), owned(rest));
            }
            _ => {}
        }
    }
    all
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
