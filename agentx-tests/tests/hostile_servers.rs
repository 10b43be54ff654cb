//! A real server may answer anything: each way ends as a failed check with its reason and in its time, in bounded memory,
//! and neither the checks of a good server nor VRRP wait for it. Needs no IPVS; where there is none, this goes on alike.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use agentx_tests::capture::{Witness, longest_gap};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic, Node};
use agentx_tests::process::command_line;
use agentx_tests::snmp::{KEEPALIVED, Manager, Snmpd};
use agentx_tests::web::Web;
use agentx_tests::{usage, wait};

/// What a server does with a connection, in a thread of its own.
type Manners = fn(TcpStream);

/// Manners, the checker that meets them, and what the log says of it.
const CASES: &[(Manners, &str, &str)] = &[
    (silent, HTTP, "timed out after 3s"),
    (one_octet_a_second, HTTP, "timed out after 3s"),
    (endless_headers, HTTP, "header too long"),
    (gigabytes_of_body, DIGEST, "timed out after 3s reading the body"),
    (gigabytes_of_body, REGEX, "match limit exceeded"),
    (reset, HTTP, "reset"),
    (hang_up, HTTP, "closed"),
    (garbage, HTTP, ""),
    (error_503, HTTP, "HTTP status 503"),
    (silent, TLS, "timed out after 3s"),
    (garbage, TLS, "TLS"),
    (hang_up, TLS, "TLS"),
    (silent, SMTP, "timed out after 3s"),
    (endless_greeting, SMTP, "reply too long"),
    (garbage, SMTP, "not a reply of SMTP"),
    (gigabytes_at_once, SMTP, "reply too long"),
];

const HTTP: &str = "HTTP_GET {\n url {\n path /\n }\n connect_timeout 3\n retry 0\n }";
const DIGEST: &str =
    "HTTP_GET {\n url {\n path /\n digest 00112233445566778899aabbccddeeff\n }\n connect_timeout 3\n retry 0\n }";
const REGEX: &str = "HTTP_GET {\n url {\n path /\n regex \"(x+x+)+[yz]\"\n }\n connect_timeout 3\n retry 0\n }";
const TLS: &str = "SSL_GET {\n url {\n path /\n }\n connect_timeout 3\n retry 0\n }";
const SMTP: &str = "SMTP_CHECK {\n connect_timeout 3\n retry 0\n }";
const DNS: &str = "DNS_CHECK {\n type A\n name example.org\n connect_timeout 3\n retry 0\n }";
const UDP: &str = "UDP_CHECK {\n require_reply\n connect_timeout 3\n retry 0\n }";
const TCP: &str = "TCP_CHECK {\n connect_timeout 3\n retry 0\n }";

const GOOD: u16 = 8000;
/// The cases follow each other from here; then come UDP servers and ports where nobody is.
const FIRST: u16 = 8001;

#[test]
fn hostile_servers_fail_in_time_and_hold_up_nothing_else() {
    let lab = Lab::new();
    let (node, switch) = (lab.node("L1"), lab.switch());
    lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.70.0.1/24"], ..Nic::default() });
    let localhost = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let good = Web::start(&node, localhost(GOOD), "good");

    let mut text = String::from(
        "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 150\n version 3\n advert_int 0.1\n \
         virtual_ipaddress {\n 10.70.0.10/24\n }\n}\nvirtual_server 10.70.0.10 80 {\n delay_loop 1\n lvs_sched rr\n lvs_method \
         NAT\n protocol TCP\n",
    );
    let mut server = |port: u16, checker: &str| {
        let _ = writeln!(text, "real_server 127.0.0.1 {port} {{\n {checker}\n }}");
    };
    server(GOOD, TCP);
    for (port, (manners, checker, _)) in (FIRST..).zip(CASES) {
        serve(&node, localhost(port), *manners);
        server(port, checker);
    }
    let udp = FIRST + CASES.len() as u16;
    udp_garbage(&node, localhost(udp));
    let others = [(DNS, "timed out after 3s"), (DNS, "unreachable"), (UDP, "unreachable"), (TCP, "refused")];
    for (port, (checker, _)) in (udp..).zip(&others) {
        server(port, checker);
    }
    text += "}\n";

    let snmpd = Snmpd::start(&node, None);
    let agentx = snmpd.agentx();
    let witness = Witness::start(&lab);
    let begun = Instant::now();
    let mut daemon =
        Daemon::start(&node, Program::Keepwatch, &text, Options { agentx: Some(&agentx), ..Options::default() });
    daemon.wait_for_address("10.70.0.10", true, Duration::from_secs(30));
    let manager = Manager::on(&node, "127.0.0.1");
    let bad = CASES.len() + others.len();
    let mut last = Vec::new();
    let dead = wait::within(Duration::from_secs(60), || {
        last = manager.walk(&format!("{KEEPALIVED}.3.4.1.6"));
        let states: Vec<bool> = last.iter().map(|line| line.ends_with(" 1")).collect();
        (states.len() == bad + 1 && states[0] && !states[1..].contains(&true)).then(|| begun.elapsed())
    });
    let Some(took) = dead else { panic!("{last:#?}\nthe daemon said:\n{}", daemon.log()) };
    println!("all {bad} dead after {took:.1?}");

    // Each says why. A time-out of 3 s, a first delay of 1 s; the rest is this machine's.
    let log = daemon.log();
    let reasons = CASES.iter().map(|(_, _, reason)| *reason).chain(others.map(|(_, reason)| reason));
    for (port, reason) in (FIRST..).zip(reasons) {
        let said =
            log.lines().find(|line| line.contains(&format!("[127.0.0.1]:tcp:{port} ")) && line.contains("failed"));
        println!("{}", said.unwrap_or_default());
        assert!(said.is_some_and(|line| line.contains(reason)), "{port} `{reason}`: {said:?}\n{log}");
    }

    // Meanwhile, and while all of that goes on: the good one is checked each second, adverts go out.
    let from_here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let (mut seen, mut at, mut longest) = (good.connections_from(from_here), Instant::now(), Duration::ZERO);
    let from = wait::now_ns();
    for _ in 0..10 {
        wait::until("the good server's check", Duration::from_secs(20), || {
            (good.connections_from(from_here) > seen).then_some(())
        });
        longest = longest.max(at.elapsed());
        (seen, at) = (seen + 1, Instant::now());
    }
    println!("the good server's checks: at most {longest:.1?} apart");
    assert!(longest < Duration::from_secs(3), "a check was {longest:.1?} after the one before");
    let adverts: Vec<_> = witness.adverts_from(lab.ports(&node)[0]).into_iter().filter(|(at, _)| *at >= from).collect();
    let (gap, _) = longest_gap(&adverts).unwrap_or_else(|| panic!("no adverts: {log}"));
    println!("adverts: at most {:.3} s apart", wait::seconds(gap));
    assert!(gap < 300_000_000, "a gap of {} s", wait::seconds(gap));
    let checks = daemon.wait_for_child("checks", Duration::from_secs(1));
    let memory = usage::memory(daemon.process.pid()).into_iter().find(|one| one.pid == checks);
    let memory = memory.map_or(u64::MAX, |one| one.rss);
    println!("the checks process: {memory} KiB");
    // Half a megabyte for each check, and what the process has anyway.
    assert!(memory < 64 << 10, "{memory} KiB");
    assert_eq!(daemon.stop(), 0);
}

/// The seeds' only bug in two years of Keepalived: a MISC_CHECK that outlived its time left a process that kept a processor
/// busy.
#[test]
fn a_script_that_outlives_its_time_fails_dies_and_leaves_nothing_that_runs() {
    let lab = Lab::new();
    let node = lab.node("L1");
    let script = node.directory().join("stubborn.sh");
    std::fs::write(&script, "#!/bin/sh\ntrap '' TERM\nsetsid sleep 4321 &\nwhile :; do sleep 0.1; done\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = format!(
        "global_defs {{\n script_user root\n}}\nvirtual_server 10.70.0.10 80 {{\n delay_loop 600\n lvs_sched rr\n lvs_method \
         NAT\n protocol TCP\n real_server 10.71.0.11 80 {{\n MISC_CHECK {{\n misc_path {}\n misc_timeout 2\n retry 0\n \
         warmup 0\n }}\n }}\n}}\n",
        script.display()
    );
    let daemon = Daemon::start(&node, Program::Keepwatch, &text, Options::default());
    let ours = |pid: &nix::unistd::Pid| {
        let line = command_line(*pid);
        line.contains("stubborn.sh") || line == "sleep 4321"
    };
    let run = || node.pids().iter().filter(|pid| ours(pid)).count();
    wait::until("the script and what it started to run", Duration::from_secs(20), || (run() >= 2).then_some(()));
    daemon
        .process
        .wait_for_log("MISC_CHECK of [10.71.0.11]:tcp:80 for VS [10.70.0.10]:tcp:80 failed", Duration::from_secs(20));
    wait::until("all of them to be gone", Duration::from_secs(20), || (run() == 0).then_some(()));
    let before = usage::cpu(daemon.process.pid());
    wait::observe(Duration::from_secs(3));
    let spent = usage::cpu(daemon.process.pid()).saturating_sub(before);
    assert!(spent < Duration::from_millis(500), "{spent:?} of CPU in 3 s of doing nothing");
    let children: Vec<String> = daemon.children().into_iter().map(|(_, line)| line).collect();
    assert!(children.iter().all(|line| line.starts_with("keepwatchd: ")), "{children:#?}");
}

/// Threads end when the namespace's programs have hung up, or with the test.
fn serve(node: &Node, address: SocketAddr, manners: Manners) {
    let listener = node.enter(move || std::net::TcpListener::bind(address));
    let listener = listener.unwrap_or_else(|error| panic!("{address}: {error}"));
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let _ = connection.set_write_timeout(Some(Duration::from_secs(20)));
            std::thread::spawn(move || manners(connection));
        }
    });
}

fn udp_garbage(node: &Node, address: SocketAddr) {
    let socket = node.enter(move || UdpSocket::bind(address));
    let socket = socket.unwrap_or_else(|error| panic!("{address}: {error}"));
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&[0xff; 1500], from);
        }
    });
}

fn silent(mut connection: TcpStream) {
    let _ = connection.read_to_end(&mut Vec::new());
}

fn one_octet_a_second(mut connection: TcpStream) {
    let _ = connection.read(&mut [0; 4096]);
    for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
        if connection.write_all(&[*octet]).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn endless_headers(mut connection: TcpStream) {
    let _ = connection.read(&mut [0; 4096]);
    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\n");
    while connection.write_all(b"X-Header: and another one of them\r\n").is_ok() {}
}

fn gigabytes_of_body(mut connection: TcpStream) {
    let _ = connection.read(&mut [0; 4096]);
    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
    while connection.write_all(&[b'x'; 16_384]).is_ok() {}
}

fn gigabytes_at_once(mut connection: TcpStream) {
    while connection.write_all(&[b'x'; 16_384]).is_ok() {}
}

fn reset(connection: TcpStream) {
    let _ = socket2::SockRef::from(&connection).set_linger(Some(Duration::ZERO));
    // The request first, so that the check is past its connect.
    let _ = (&connection).read(&mut [0; 64]);
}

fn hang_up(mut connection: TcpStream) {
    let _ = connection.read(&mut [0; 4096]);
}

fn garbage(mut connection: TcpStream) {
    let _ = connection.write_all(&[0x80, 0xff, b'\r', b'\n', 0, b'\n'].repeat(50));
    let _ = connection.read_to_end(&mut Vec::new());
}

fn error_503(mut connection: TcpStream) {
    let _ = connection.read(&mut [0; 4096]);
    let _ = connection.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
}

fn endless_greeting(mut connection: TcpStream) {
    while connection.write_all(b"220-another line of greeting\r\n").is_ok() {}
}
