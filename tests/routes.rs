//! Routes and rules against the running kernel: what we install is what `ip` would have, and what is removed is told.
//!
//! Needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN). Every test works in network namespaces of its own threads, which vanish
//! with them.
#![cfg(feature = "daemon")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepwatch::conf::model::Config;
use keepwatch::conf::{self, Disk, LocalHost, Options};
use keepwatch::netlink::lines::{Interest, LineMonitor};
use keepwatch::netlink::route::{Addresses, Change, LineAnswer, Monitor, Status};
use keepwatch::vrrp::io::{KernelLine, KernelRoute, LineChange, LineKey, LineNews};
use nix::sched::{CloneFlags, unshare};

const PATIENCE: Duration = Duration::from_secs(10);

/// Lines of `static_routes`, and the words of `ip route` that mean the same; these get `proto keepalived scope global`.
const ROUTES: &[(&str, &str)] = &[
    ("10.1.0.0/24 via 10.0.0.254 dev a0", "10.1.0.0/24 via 10.0.0.254 dev a0"),
    ("10.1.0.77/24 dev a0", "10.1.0.0/24 dev a0"),
    ("default via 10.0.0.254 dev a0", "default via 10.0.0.254 dev a0"),
    ("10.1.0.1 via 10.0.0.254", "10.1.0.1 via 10.0.0.254"),
    ("src 10.0.0.1 10.1.0.0/24 via 10.0.0.254 dev a0", "10.1.0.0/24 via 10.0.0.254 dev a0 src 10.0.0.1"),
    ("10.1.0.0/24 dev a0 table 100 metric 44 tos 0x10", "10.1.0.0/24 dev a0 table 100 metric 44 tos 0x10"),
    ("10.1.0.0/24 dev a0 table 70000", "10.1.0.0/24 dev a0 table 70000"),
    ("10.1.0.0/24 dev a0 scope link", "10.1.0.0/24 dev a0 scope link"),
    ("10.1.0.0/24 via 192.0.2.1 dev a0 onlink", "10.1.0.0/24 via 192.0.2.1 dev a0 onlink"),
    (
        "10.1.0.0/24 dev a0 mtu lock 1400 advmss lock 1360 rtt 2s rttvar lock 3s reordering 9 cwnd lock 10 ssthresh lock 107 \
         rto_min lock 300ms hoplimit 33 window 105 initcwnd 109 initrwnd 110 quickack 1 features ecn congctl lock cubic \
         fastopen_no_cookie 1",
        "10.1.0.0/24 dev a0 mtu lock 1400 advmss lock 1360 rtt 2s rttvar lock 3s reordering 9 cwnd lock 10 \
         ssthresh lock 107 rto_min 300ms hoplimit 33 window 105 initcwnd 109 initrwnd 110 quickack 1 features ecn \
         congctl lock cubic fastopen_no_cookie 1",
    ),
    ("10.1.0.0/24 dev a0 realms 5/6", "10.1.0.0/24 dev a0 realms 5/6"),
    ("blackhole 10.1.0.0/24", "blackhole 10.1.0.0/24"),
    ("unreachable 10.1.0.0/24", "unreachable 10.1.0.0/24"),
    ("prohibit 10.1.0.0/24", "prohibit 10.1.0.0/24"),
    ("throw 10.1.0.0/24", "throw 10.1.0.0/24"),
    ("local 10.1.0.0/24 dev lo", "local 10.1.0.0/24 dev lo table main scope host"),
    (
        "10.1.0.0/24 nexthop via 10.0.0.7 dev a0 weight 3 nexthop via 10.0.0.8 dev a0 weight 256 realms 3/4",
        "10.1.0.0/24 nexthop via 10.0.0.7 dev a0 weight 3 nexthop via 10.0.0.8 dev a0 weight 256 realms 3/4",
    ),
    ("10.1.0.0/24 via 10.0.0.7 or 10.0.0.8", "10.1.0.0/24 nexthop via 10.0.0.7 nexthop via 10.0.0.8"),
    ("10.1.0.0/24 dev a0 append", "10.1.0.0/24 dev a0"),
    ("10.1.0.0/24 dev a0 add", "10.1.0.0/24 dev a0"),
    ("10.1.0.0/24 dev a0 no_track", "10.1.0.0/24 dev a0"),
    (
        "10.1.0.0/24 encap ip id 4294967301 dst 10.0.0.9 src 10.0.0.1 tos 16 ttl 64 via 10.0.0.254 dev a0",
        "10.1.0.0/24 encap ip id 4294967301 dst 10.0.0.9 src 10.0.0.1 tos 10 ttl 64 via 10.0.0.254 dev a0",
    ),
    (
        "10.1.0.0/24 encap ip6 id 6 dst 2001:db8::9 src 2001:db8::1 tc 8 hoplimit 63 via 10.0.0.254 dev a0",
        "10.1.0.0/24 encap ip6 id 6 dst 2001:db8::9 src 2001:db8::1 tc 8 hoplimit 63 via 10.0.0.254 dev a0",
    ),
    ("2001:db8:1::/64 via 2001:db8::fe dev a0", "2001:db8:1::/64 via 2001:db8::fe dev a0"),
    ("default6 via fe80::1 dev a0", "default via fe80::1 dev a0"),
    (
        "2001:db8:1::/64 dev a0 metric 12 mtu 1300 hoplimit 90 pref low table 6909",
        "2001:db8:1::/64 dev a0 metric 12 mtu 1300 hoplimit 90 pref low table 6909",
    ),
    ("2001:db8:1::/64 dev a0 src 2001:db8::1", "2001:db8:1::/64 dev a0 src 2001:db8::1"),
    ("2001:db8:1::/64 from 2001:db8:2::/48 dev a0", "2001:db8:1::/64 from 2001:db8:2::/48 dev a0"),
    ("blackhole 2001:db8:1::/64", "blackhole 2001:db8:1::/64"),
    (
        "2001:db8:1::/64 nexthop via fe80::7 dev a0 weight 3 nexthop via 2001:db8::8 dev a0",
        "2001:db8:1::/64 nexthop via fe80::7 dev a0 weight 3 nexthop via 2001:db8::8 dev a0",
    ),
];

/// Lines of `static_rules`, and the words of `ip rule` that mean the same; these get `proto keepalived`.
const RULES: &[(&str, &str)] = &[
    ("from 10.1.0.0/24 table 100 preference 500", "from 10.1.0.0/24 table 100 preference 500"),
    ("to 10.1.0.0/24 table 70000 priority 500", "to 10.1.0.0/24 table 70000 preference 500"),
    (
        "from 10.1.0.0/24 to 10.2.0.0/26 table 100 iif a0 oif a1 tos 0x10 fwmark 24/12 preference 39 realms 30/20",
        "from 10.1.0.0/24 to 10.2.0.0/26 table 100 iif a0 oif a1 tos 0x10 fwmark 24/12 preference 39 realms 30/20",
    ),
    ("not from 10.1.0.0/24 blackhole preference 500", "not from 10.1.0.0/24 blackhole preference 500"),
    ("from 10.1.0.0/24 unreachable preference 500", "from 10.1.0.0/24 unreachable preference 500"),
    ("from 10.1.0.0/24 type prohibit preference 500", "from 10.1.0.0/24 prohibit preference 500"),
    ("to 10.1.0.0/24 nop preference 500", "to 10.1.0.0/24 nop preference 500"),
    ("from 10.1.0.0/24 goto 1500 preference 500", "from 10.1.0.0/24 goto 1500 preference 500"),
    (
        "to 10.1.0.0/24 table 200 suppress_prefixlength 24 suppress_ifgroup 1 preference 500",
        "to 10.1.0.0/24 table 200 suppress_prefixlength 24 suppress_ifgroup 1 preference 500",
    ),
    (
        "from 2001:db8:1::/64 table 100 ipproto udp sport 10-20 dport 20-30 uidrange 10-20 preference 500",
        "from 2001:db8:1::/64 table 100 ipproto udp sport 10-20 dport 20-30 uidrange 10-20 preference 500",
    ),
    (
        "from 10.1.0.0/24 table 100 tunnel-id 4294967303 preference 77",
        "from 10.1.0.0/24 table 100 tun_id 4294967303 preference 77",
    ),
    ("from 10.1.0.0/24 l3mdev preference 500", "from 10.1.0.0/24 l3mdev preference 500"),
    ("table 100 preference 500 fwmark 5", "table 100 preference 500 fwmark 5"),
];

#[test]
fn a_route_is_what_ip_would_make_of_its_words() {
    in_namespace(|| {
        interfaces();
        for (line, words) in ROUTES {
            let six = !words.contains("10.1.0.0") && (words.contains("2001:") || words.contains("default via fe80"));
            let family = if six { "-6" } else { "-4" };
            let list = || run(&format!("ip -d {family} route show table all proto keepalived"));
            let scope = if words.contains("scope") || six { "" } else { "scope global" };
            let (start, hops) = match words.find("nexthop") {
                Some(at) => words.split_at(at),
                None => (*words, ""),
            };
            run(&format!("ip {family} route prepend {start} proto keepalived {scope} {hops}"));
            let theirs = list();
            run(&format!("ip {family} route flush table all proto keepalived"));
            assert_eq!(list(), "", "ip takes away what it put there");

            let config = load(&format!("static_routes {{\n{line}\n}}\n"));
            assert_eq!(change(&config, true), [None], "{line}");
            assert_eq!(list(), theirs, "{line}");
            let again = change(&config, true);
            assert_eq!(again, [Some(libc::EEXIST)], "{line}: asking twice does no harm");
            assert_eq!(list(), theirs, "{line}: asked for twice");
            assert_eq!(change(&config, false), [None], "{line}");
            assert_eq!(list(), "", "{line} stays");
            assert_eq!(change(&config, false), [None], "{line}: removing what is gone succeeds");
        }
    });
}

#[test]
fn a_rule_is_what_ip_would_make_of_its_words() {
    in_namespace(|| {
        interfaces();
        for (line, words) in RULES {
            let family = if words.contains("2001:") { "-6" } else { "-4" };
            let list = || {
                let all = run(&format!("ip -d {family} rule show"));
                all.lines().filter(|line| line.contains("proto keepalived")).collect::<Vec<_>>().join("\n")
            };
            run(&format!("ip {family} rule add {words} protocol keepalived"));
            let theirs = list();
            run(&format!("ip {family} rule del {words} protocol keepalived"));
            assert_eq!((list().as_str(), theirs.is_empty()), ("", false));

            let config = load(&format!("static_rules {{\n{line}\n}}\n"));
            assert_eq!(change(&config, true), [None], "{line}");
            assert_eq!(list(), theirs, "{line}");
            assert_eq!(change(&config, true), [Some(libc::EEXIST)], "{line}: it is there once");
            assert_eq!(list(), theirs, "{line}: asked for twice");
            assert_eq!(change(&config, false), [None], "{line}");
            assert_eq!(list(), "", "{line} stays");
            assert_eq!(change(&config, false), [None], "{line}: removing what is gone succeeds");
        }
    });
}

#[test]
fn a_refusal_says_why() {
    in_namespace(|| {
        interfaces();
        let config = load("static_routes {\n10.1.0.0/24 via 192.0.2.1 dev a0\n}\n");
        let [answer] = &answers(&config, true)[..] else { panic!("one question, one answer") };
        assert_eq!(answer.error, Some(libc::ENETUNREACH));
        assert_eq!(answer.text, "Nexthop has invalid gateway");
    });
}

#[test]
fn removals_are_told_whoever_removed_and_nothing_else_is() {
    in_namespace(|| {
        interfaces();
        let config = load(
            "static_routes {\n10.1.0.0/24 via 10.0.0.254 dev a0\n2001:db8:1::/64 dev a0 metric 7\n}\n\
             static_rules {\nfrom 10.1.0.0/24 table 100 preference 500\n}\n",
        );
        let mut monitor = LineMonitor::open(Interest::of(&config), None).unwrap();
        assert_eq!(change(&config, true), [None; 3]);
        run("ip route add 10.9.0.0/24 dev a0 proto bird");
        run("ip route del 10.9.0.0/24 dev a0 proto bird");
        run("ip route del 10.1.0.0/24");
        run("ip -6 route del 2001:db8:1::/64");
        run("ip rule del preference 500");
        let told = read_all(&mut monitor);
        let ours: Vec<LineNews> = kernel_lines(&config).iter().map(KernelLine::news).collect();
        assert_eq!(told.len(), 3, "{told:#?}");
        for (told, ours) in told.iter().zip(&ours) {
            match (told, ours) {
                (LineNews::Route(told), LineNews::Route(ours)) => assert!(ours.may_be(told), "{told:?} {ours:?}"),
                _ => assert_eq!(told, ours),
            }
        }
    });
}

#[test]
fn a_flood_of_other_routes_is_no_news() {
    in_namespace(|| {
        interfaces();
        let config = load("static_routes {\n10.1.0.0/24 via 10.0.0.254 dev a0\n}\n");
        let mut monitor = LineMonitor::open(Interest::of(&config), Some(1)).unwrap();
        let batch: String =
            (0..2000).map(|n| format!("route add 10.9.{}.{} dev a0 proto bird\n", n / 250, n % 250)).collect();
        feed("ip -batch -", &batch);
        let mut news = Vec::new();
        assert_eq!(monitor.read(&mut news).unwrap(), Status::Overrun, "a small buffer loses some");
        while monitor.read(&mut news).unwrap() != Status::Drained {}
        assert_eq!(news, []);
    });
}

// ---- tools

fn read_all(monitor: &mut LineMonitor) -> Vec<LineNews> {
    let mut news = Vec::new();
    while monitor.read(&mut news).unwrap() != Status::Drained {}
    news
}

fn kernel_lines(config: &Config) -> Vec<KernelLine> {
    let mut monitor = Monitor::open(None).unwrap();
    monitor.dump(&mut Vec::new()).unwrap();
    let links: Vec<_> = monitor.links().cloned().collect();
    let named = |name: &str| links.iter().find(|link| link.name == name);
    let routes =
        config.static_routes.iter().map(|route| KernelRoute::resolve(&Arc::new(route.clone()), named).unwrap());
    let routes = routes.map(KernelLine::Route);
    routes.chain(config.static_rules.iter().map(|rule| KernelLine::Rule(Arc::new(rule.clone())))).collect()
}

fn answers(config: &Config, install: bool) -> Vec<LineAnswer> {
    let lines = kernel_lines(config).into_iter().zip(1..);
    let changes: Vec<Change> = lines
        .map(|(line, position)| {
            let key = LineKey { owner: None, kind: line.kind(), position, question: 1 };
            Change::Line(LineChange { key, line, install, afresh: false })
        })
        .collect();
    let mut addresses = Addresses::open(None).unwrap();
    addresses.submit_all(&changes).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while addresses.waiting() > 0 {
        assert!(Instant::now() < deadline, "answers are missing");
        addresses.read_answers(&mut Vec::new()).unwrap();
    }
    addresses.take_line_answers()
}

fn change(config: &Config, install: bool) -> Vec<Option<i32>> {
    answers(config, install).into_iter().map(|answer| answer.error).collect()
}

/// A configuration for the interfaces of this namespace.
fn load(text: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keepalived.conf");
    std::fs::write(&path, text).unwrap();
    let loaded = conf::load(path.to_str().unwrap(), &Options::default(), &Disk, &LocalHost);
    let (config, told) = (loaded.config.clone(), loaded.render());
    assert_eq!(
        config.static_routes.len() + config.static_rules.len(),
        text.matches("\n").count() - 2 * text.matches('{').count(),
        "{told}"
    );
    config
}

/// a0 and a1, connected and up, with addresses.
fn interfaces() {
    run("ip link add a0 type veth peer name a1");
    for name in ["a0", "a1"] {
        run(&format!("ip link set {name} addrgenmode none up"));
    }
    let deadline = Instant::now() + PATIENCE;
    while !run("ip -o link show a0").contains(" state UP ") {
        assert!(Instant::now() < deadline, "a0 never comes up");
    }
    run("ip address add 10.0.0.1/24 dev a0");
    run("ip address add 2001:db8::1/64 dev a0 nodad");
    run("ip address add fe80::1:1/64 dev a0 nodad");
}

fn in_namespace<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .expect("these tests make network namespaces: run them as root (CAP_SYS_ADMIN)");
            run("ip link set lo up");
            body()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn command(words: &str) -> Command {
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

fn told(words: &str, output: &Output) -> String {
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn run(words: &str) -> String {
    told(words, &command(words).output().unwrap())
}

fn feed(words: &str, input: &str) {
    use std::io::Write;
    let mut child = command(words).stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
