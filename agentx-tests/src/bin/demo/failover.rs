//! The first part: two routers fail over, snmpwalk shows it, and a stopped snmpd hurts nobody.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use nix::sys::signal::Signal;

use agentx_tests::capture::{Content, Witness, longest_gap};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Node, Port};
use agentx_tests::process::{Process, run};
use agentx_tests::seed::{self, SeedLab};
use agentx_tests::snmp::{Manager, STATE_CHANGE, Snmpd, Trap, TrapCollector};
use agentx_tests::wait::{now_ns, observe, seconds, within};

use super::Story;

/// VI_1's advert_int.
const INTERVAL: Duration = Duration::from_secs(2);
/// What a loaded machine may add to a deadline.
const SLACK: Duration = Duration::from_millis(250);
/// How long snmpd stands still.
const STOPPED: Duration = Duration::from_secs(17);

pub fn tell(story: &mut Story, with_ipv6: bool) {
    println!(
        "keepwatch demo, first part: two routers, a client and a server, in network namespaces that are gone afterwards."
    );
    println!(
        r#"
      client 1.1.1.100, 2001:db8::100               server 192.168.1.10, fd00::10
         |                                             |
    eth0 +---------+-----------------+            eth1 +---------+-----------------+
                   |                 |                           |                 |
                  L1 priority 150   L2 priority 100             (L1)              (L2)
                   |                 |
    eth2           +-----------------+  adverts every 2 s, VRRPv2, PASS
"#
    );
    let lab = SeedLab::new();
    let witness = Witness::start(&lab.lab);
    let program = Program::Keepwatch;

    story.chapter("Starting snmpd and keepwatchd on both routers, with the configuration of the seed post");
    for line in seed::FIRST.lines().skip_while(|line| !line.starts_with("vrrp_instance")) {
        println!("    {line}");
    }
    let traps = TrapCollector::start(&lab.client);
    let first_snmpd = Snmpd::start(&lab.first, Some("1.1.1.100:162"));
    let second_snmpd = Snmpd::start(&lab.second, Some("1.1.1.100:162"));
    let (first_agentx, second_agentx) = (first_snmpd.agentx(), second_snmpd.agentx());
    let options = |agentx| Options { agentx: Some(agentx), ..Options::default() };
    let mut first = Daemon::start(&lab.first, program, seed::FIRST, options(&first_agentx));
    let second = Daemon::start(&lab.second, program, &seed::second(), options(&second_agentx));

    let wanted: Vec<String> = seed::ADDRESSES
        .iter()
        .filter(|(_, address)| with_ipv6 || !address.contains(':'))
        .map(|(interface, address)| format!("{interface} {address}"))
        .collect();
    let all_on = |node: &Node| {
        let there = node.addresses();
        wanted.iter().all(|address| there.contains(address))
    };
    let up = within(3 * INTERVAL + Duration::from_secs(3), || all_on(&lab.first).then_some(()));
    story.check(up.is_some(), &format!("L1 is master and has {}", wanted.join(", ")));
    if up.is_none() {
        println!("  L1 has {:?}; its log:\n{}", lab.first.addresses(), first.log());
        return;
    }
    story.check(
        !wanted.iter().any(|address| lab.second.addresses().contains(address)),
        "L2 is backup and has none of them",
    );

    story.chapter("snmpwalk -v2c -c public 1.1.1.11 KEEPALIVED-MIB::vrrpInstanceTable (from the client)");
    let manager = Manager::on(&lab.client, "1.1.1.11");
    within(Duration::from_secs(5), || (manager.number(STATE) == Some(2)).then_some(()));
    let walk = manager.walk_by_name("KEEPALIVED-MIB::vrrpInstanceTable");
    for line in &walk {
        println!("    {line}");
    }
    let said = |line: &str| walk.iter().any(|walked| walked == line);
    story.check(
        said("vrrpInstanceName.1 = VI_1") && said("vrrpInstanceState.1 = master"),
        "SNMP says that VI_1 is master",
    );

    story.chapter("The client pings the server through the virtual addresses; then L1 loses its power");
    let pings = Pings::start(&lab.client, with_ipv6);
    let before =
        within(Duration::from_secs(5), || pings.replies().iter().all(|replies| replies.len() > 5).then_some(()));
    story.check(before.is_some(), "the server answers through L1");
    first.kill();
    let killed = now_ns();
    for port in lab.first_ports {
        lab.lab.unplug(port);
    }
    println!("  L1: all processes killed with SIGKILL, cables pulled");

    let port = lab.second_ports[2];
    let down_interval = 3 * INTERVAL + Duration::from_millis(1000 * (256 - 100) / 256);
    let from_second = || witness.adverts_from(port).into_iter().find(|(at, _)| *at > killed);
    let Some((taken_over, _)) = within(down_interval + Duration::from_secs(3), from_second) else {
        story.check(false, "L2 takes over");
        println!("  its log:\n{}", second.log());
        return;
    };
    let last_heard = witness.adverts_from(lab.first_ports[2]).last().map_or(0, |(at, _)| *at);
    let silence = Duration::from_nanos(taken_over.saturating_sub(last_heard));
    println!("  L2's first advert came {:.3} s after the kill,", seconds(taken_over - killed));
    println!(
        "  {:.3} s after L1's last one; the RFC's interval is {:.3} s",
        silence.as_secs_f64(),
        down_interval.as_secs_f64()
    );
    let on_time = silence + Duration::from_millis(1) >= down_interval && silence <= down_interval + SLACK;
    story.check(
        on_time,
        &format!("takeover {:+.1} ms from that", (silence.as_secs_f64() - down_interval.as_secs_f64()) * 1e3),
    );
    let up = within(Duration::from_secs(3), || all_on(&lab.second).then_some(()));
    story.check(up.is_some(), "L2 has all the addresses");
    let announced =
        within(Duration::from_secs(3), || announcements(&witness, lab.second_ports, killed, with_ipv6).then_some(()));
    let how = if with_ipv6 { "gratuitous ARP and neighbour advertisements" } else { "gratuitous ARP" };
    story.check(announced.is_some(), &format!("L2 told the neighbours by {how}"));

    let master_on_second = |trap: &Trap| {
        let says = |varbind: usize, end: &str| trap.varbinds.get(varbind).is_some_and(|varbind| varbind.ends_with(end));
        trap.oid == STATE_CHANGE && says(1, ": 2") && says(3, "\"L2\"")
    };
    let trap = within(Duration::from_secs(5), || traps.traps().into_iter().find(master_on_second));
    story.check(trap.is_some(), "the client received vrrpInstanceStateChange from L2, state master");
    for varbind in trap.iter().flat_map(|trap| &trap.varbinds) {
        let (oid, value) = varbind.split_once(" = ").unwrap_or((varbind, ""));
        println!("    {} = {value}", manager.name_of(oid));
    }
    for (family, outage) in pings.outages(killed) {
        let answered = outage.is_some_and(|outage| outage < down_interval + Duration::from_secs(2));
        let lasted = outage
            .map_or("still unanswered".to_owned(), |outage| format!("{:.1} s without answers", outage.as_secs_f64()));
        story.check(answered, &format!("{family} pings are answered again, {lasted}"));
    }
    drop(pings);

    story.chapter(&format!("L2's snmpd is stopped with SIGSTOP for {} s", STOPPED.as_secs()));
    let manager = Manager::on(&lab.client, "1.1.1.12");
    let answers = within(Duration::from_secs(10), || (manager.number(STATE) == Some(2)).then_some(()));
    story.check(answers.is_some(), "snmpget before: L2 is master");
    let stopped = now_ns();
    second_snmpd.process.signal(Signal::SIGSTOP);
    observe(STOPPED);
    second_snmpd.process.signal(Signal::SIGCONT);
    let resumed = now_ns();
    let mut adverts = witness.adverts_from(port);
    adverts.retain(|(at, _)| *at > stopped - INTERVAL.as_nanos() as u64 && *at < resumed);
    let gap = longest_gap(&adverts).map_or(0.0, |(gap, _)| seconds(gap));
    println!("  {} adverts while it stood still, at most {gap:.3} s apart", adverts.len());
    let enough = adverts.len() as u64 >= STOPPED.as_secs() / INTERVAL.as_secs();
    story.check(enough && gap < INTERVAL.as_secs_f64() * 1.1, "adverts went on");
    let answers = within(Duration::from_secs(5), || manager.number(STATE));
    story.check(answers == Some(2), "snmpget answers within 5 s of SIGCONT");
}

/// vrrpInstanceState.1
const STATE: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.4.1";

/// Whether every virtual address was announced from the right cable.
fn announcements(witness: &Witness, ports: [Port; 3], after: u64, with_ipv6: bool) -> bool {
    let frames = witness.frames();
    seed::ADDRESSES.iter().filter(|(_, address)| with_ipv6 || !address.contains(':')).all(|(interface, address)| {
        let port = if *interface == "eth0" { ports[0] } else { ports[1] };
        let address: IpAddr =
            address.split('/').next().and_then(|text| text.parse().ok()).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        frames.iter().any(|frame| {
            frame.port == port
                && frame.at > after
                && match frame.content {
                    Content::Arp { sender, target, .. } => sender == address && target == address,
                    Content::Neighbour { target, unsolicited, .. } => unsolicited && target == address,
                    Content::Advert(_) => false,
                }
        })
    })
}

/// The client's `ping` processes, one for each family.
struct Pings {
    processes: Vec<(&'static str, Process)>,
}

impl Pings {
    fn start(client: &Node, with_ipv6: bool) -> Pings {
        let targets = [("IPv4", "192.168.1.10"), ("IPv6", "fd00::10")];
        let processes =
            targets.into_iter().filter(|(family, _)| with_ipv6 || *family == "IPv4").map(|(family, target)| {
                run(client.command(&["ping", "-c", "1", "-W", "2", target])); // neighbours learn each other
                let command = client.command(&["ping", "-D", "-n", "-i", "0.1", target]);
                (family, client.spawn(&format!("ping-{family}"), command))
            });
        Pings { processes: processes.collect() }
    }

    /// Times of the replies so far, ns.
    fn replies(&self) -> Vec<Vec<u64>> {
        let times = |process: &Process| {
            let log = process.log();
            let replies = log.lines().filter(|line| line.contains("bytes from"));
            replies
                .filter_map(|line| line.strip_prefix('[')?.split(']').next()?.parse::<f64>().ok())
                .map(|s| (s * 1e9) as u64)
                .collect()
        };
        self.processes.iter().map(|(_, process)| times(process)).collect()
    }

    /// For each family the time without replies after `from`; waits a little for the first reply.
    fn outages(&self, from: u64) -> Vec<(&'static str, Option<Duration>)> {
        let first_after = |family: usize| {
            within(Duration::from_secs(3), || self.replies()[family].iter().copied().find(|at| *at > from))
        };
        let outage = |family: usize| first_after(family).map(|at| Duration::from_nanos(at - from));
        self.processes.iter().enumerate().map(|(number, (family, _))| (*family, outage(number))).collect()
    }
}
