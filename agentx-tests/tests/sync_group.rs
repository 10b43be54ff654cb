//! A sync group on two links, keepwatchd beside Debian's keepalived, each way round: when one link of the master goes
//! down, the addresses of both links move together, and they come back together.

use std::time::Duration;

use agentx_tests::capture::Witness;
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::monitor::AddressMonitor;
use agentx_tests::net::{Lab, Nic, Node, Port};
use agentx_tests::snmp::{Manager, Snmpd, Trap, TrapCollector};
use agentx_tests::wait;

use Program::{Keepalived, Keepwatch};

/// One on each link.
const ADDRESSES: [&str; 2] = ["10.0.0.100", "10.0.1.100"];

/// A takeover: three intervals and a skew; the rest is for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// vrrpSyncGroupState of the first group.
const GROUP_STATE: &str = ".1.3.6.1.4.1.9586.100.5.2.1.1.3.1";

/// Two routers on two switches.
struct Links {
    nodes: [Node; 2],
    /// By router and link.
    ports: [[Port; 2]; 2],
    monitors: [AddressMonitor; 2],
    witness: Witness,
    /// Last, as it removes the namespaces of the others.
    lab: Lab,
}

impl Links {
    fn new() -> Links {
        let lab = Lab::new();
        let switches = [lab.switch(), lab.switch()];
        let nodes = ["R1", "R2"].map(|name| lab.node(name));
        let ports = [0, 1].map(|router| {
            [0, 1].map(|link| {
                let address = format!("10.0.{link}.{}/24", router + 1);
                let name = format!("eth{link}");
                let nic = Nic { name: &name, addresses: &[&address], ..Nic::default() };
                lab.connect(&nodes[router], &switches[link], nic)
            })
        });
        let monitors = nodes.each_ref().map(AddressMonitor::start);
        let witness = Witness::start(&lab);
        Links { nodes, ports, monitors, witness, lab }
    }

    /// Which of the addresses are on a router.
    fn held(&self, router: usize) -> Vec<&'static str> {
        let there = self.nodes[router].addresses();
        let held = |address: &&&str| there.iter().any(|line| line.contains(&format!(" {address}/")));
        ADDRESSES.iter().filter(held).copied().collect()
    }

    #[track_caller]
    fn wait_until_all_are_on(&self, router: usize, daemons: [&Daemon; 2]) {
        let there = || (self.held(router) == ADDRESSES && self.held(1 - router).is_empty()).then_some(());
        let reached = wait::within(PATIENCE, there);
        assert!(
            reached.is_some(),
            "R{} should have {ADDRESSES:?}; R1 has {:?}, R2 {:?}\n--- R1 said:\n{}\n--- R2 said:\n{}",
            router + 1,
            self.held(0),
            self.held(1),
            daemons[0].log(),
            daemons[1].log()
        );
    }

    /// Addresses of one router changed sides within so much of each other, each time.
    #[track_caller]
    fn moved_together(&self, router: usize, times: usize) {
        let spans = ADDRESSES.map(|address| self.monitors[router].spans(address));
        assert_eq!(spans.each_ref().map(Vec::len), [times; 2], "R{}: {spans:?}", router + 1);
        for ((from, to), (other_from, other_to)) in spans[0].iter().zip(&spans[1]) {
            let apart = |a: u64, b: u64| Duration::from_nanos(a.abs_diff(b));
            let came = apart(*from, *other_from);
            let left = to.zip(*other_to).map_or(Duration::ZERO, |(to, other)| apart(to, other));
            assert_eq!(to.is_some(), other_to.is_some(), "R{}: {spans:?}", router + 1);
            // Apart they would move seconds from each other.
            let limit = Duration::from_millis(500);
            assert!(came < limit && left < limit, "R{}: {came:?} and {left:?} apart: {spans:?}", router + 1);
        }
    }
}

fn configuration(router: u8, state: &str, priority: u8) -> String {
    let instance = |number: u8| {
        format!(
            "vrrp_instance VI_{} {{\n state {state}\n interface eth{number}\n virtual_router_id {}\n priority {priority}\n \
             advert_int 1\n virtual_ipaddress {{\n 10.0.{number}.100/24\n }}\n}}\n",
            number + 1,
            number + 51
        )
    };
    format!(
        "global_defs {{\n router_id R{router}\n enable_traps\n}}\nvrrp_sync_group G {{\n group {{\n VI_1\n VI_2\n }}\n}}\n{}{}",
        instance(0),
        instance(1)
    )
}

/// R1 is master of both; it loses `lost`, gets it back, and is stopped in the end.
fn both_move_together(programs: [Program; 2], lost: usize) {
    let links = Links::new();
    let mut first = Daemon::start(&links.nodes[0], programs[0], &configuration(1, "MASTER", 150), Options::default());
    let alone = wait::within(PATIENCE, || (links.held(0) == ADDRESSES).then_some(()));
    assert!(alone.is_some(), "R1 did not become master of both; it said:\n{}", first.log());
    let second = Daemon::start(&links.nodes[1], programs[1], &configuration(2, "BACKUP", 100), Options::default());
    second.wait_until_it_listens();
    // Both hear each other on both links before anything happens.
    let heard = wait::now_ns();
    let adverts = || {
        let after = |port: Port| links.witness.adverts_from(port).iter().filter(|(at, _)| *at > heard).count();
        links.ports[0].iter().all(|port| after(*port) >= 2).then_some(())
    };
    wait::until("R1 to advertise on both links", PATIENCE, adverts);
    links.wait_until_all_are_on(0, [&first, &second]);

    links.lab.unplug(links.ports[0][lost]);
    links.wait_until_all_are_on(1, [&first, &second]);
    let kept = links.ports[0][1 - lost];
    let last = links.witness.adverts_from(kept).last().map(|(_, advert)| advert.priority);
    assert_eq!(last, Some(0), "R1 resigns on the link that it still has");

    links.lab.plug(links.ports[0][lost]);
    links.wait_until_all_are_on(0, [&first, &second]);

    assert_eq!(first.stop(), 0, "R1 said:\n{}", first.log());
    links.wait_until_all_are_on(1, [&first, &second]);
    links.moved_together(0, 2);
    links.moved_together(1, 2);
}

#[test]
fn a_group_of_keepwatchd_fails_over_to_keepalived_and_comes_back() {
    both_move_together([Keepwatch, Keepalived], 1);
}

#[test]
fn a_group_of_keepalived_fails_over_to_keepwatchd_and_comes_back() {
    both_move_together([Keepalived, Keepwatch], 0);
}

#[test]
fn two_groups_of_keepwatchd_fail_over_and_come_back() {
    both_move_together([Keepwatch; 2], 1);
}

/// The link breaks behind the switch: each has its carrier, and one member of the backup hears nobody. Its group stays
/// backup, as Keepalived's does, instead of taking an address that the other half of the pair has.
fn a_deaf_member_waits(programs: [Program; 2]) {
    let links = Links::new();
    let first = Daemon::start(&links.nodes[0], programs[0], &configuration(1, "MASTER", 150), Options::default());
    let alone = wait::within(PATIENCE, || (links.held(0) == ADDRESSES).then_some(()));
    assert!(alone.is_some(), "R1 did not become master of both; it said:\n{}", first.log());
    let second = Daemon::start(&links.nodes[1], programs[1], &configuration(2, "BACKUP", 100), Options::default());
    second.wait_until_it_listens();
    let last = links.switch_port_off(1, 1);
    let waited = || second.log().contains("(VI_2) Receive advertisement timeout").then_some(());
    let reached = wait::within(PATIENCE, waited);
    assert!(reached.is_some(), "R2 missed nobody; it said:\n{}", second.log());
    // Two more master down intervals: what would be taken is taken by then.
    let later = || {
        let adverts = links.witness.adverts_from(links.ports[0][0]);
        (adverts.iter().filter(|(at, _)| *at > last).count() >= 12).then_some(())
    };
    wait::until("R1 to go on advertising", Duration::from_secs(20), later);
    links.wait_until_all_are_on(0, [&first, &second]);
    assert_eq!(links.monitors[1].spans(ADDRESSES[0]), []);
    assert_eq!(links.monitors[1].spans(ADDRESSES[1]), []);
}

impl Links {
    /// Takes a cable out of its bridge: both ends keep their carrier. Gives the time.
    fn switch_port_off(&self, router: usize, link: usize) -> u64 {
        self.lab.switches().ip(&["link", "set", &format!("p{}", self.ports[router][link]), "nomaster"]);
        wait::now_ns()
    }
}

#[test]
fn a_deaf_member_of_keepwatchd_waits_for_its_group() {
    a_deaf_member_waits([Keepalived, Keepwatch]);
}

#[test]
fn a_deaf_member_of_keepalived_waits_for_its_group() {
    a_deaf_member_waits([Keepwatch, Keepalived]);
}

#[test]
fn a_group_sends_a_trap_of_its_own_and_shows_its_state() {
    let links = Links::new();
    let traps = TrapCollector::start(&links.nodes[0]);
    let snmpd = Snmpd::start(&links.nodes[0], Some("127.0.0.1:162"));
    let agentx = snmpd.agentx();
    let options = Options { agentx: Some(&agentx), ..Options::default() };
    let mut first = Daemon::start(&links.nodes[0], Keepwatch, &configuration(1, "MASTER", 150), options);
    let arrived = |wanted: &[(&str, u32)]| {
        let wanted: Vec<(String, u32)> = wanted.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect();
        let all = wait::within(PATIENCE, || (told(&traps) == wanted).then_some(()));
        assert!(all.is_some(), "expected {wanted:?}\narrived {:?}\n{}", told(&traps), first.log());
    };
    let mut expected = vec![("G", 1), ("VI_1", 1), ("VI_2", 1), ("VI_1", 2), ("VI_2", 2), ("G", 2)];
    arrived(&expected);
    links.lab.unplug(links.ports[0][1]);
    expected.extend([("VI_2", 3), ("VI_1", 3), ("G", 3)]);
    arrived(&expected);
    let manager = Manager::on(&links.nodes[0], "127.0.0.1");
    let state = wait::within(PATIENCE, || manager.number(GROUP_STATE).filter(|state| *state == 3));
    assert_eq!(state, Some(3), "vrrpSyncGroupState is fault(3)");
    assert_eq!(first.stop(), 0);
}

/// Name and state of each trap so far.
fn told(traps: &TrapCollector) -> Vec<(String, u32)> {
    let state_change = |trap: Trap| {
        let [name, state, ..] = &trap.varbinds[..] else { return None };
        Some((name.rsplit('"').nth(1)?.to_owned(), state.rsplit(' ').next()?.parse().ok()?))
    };
    traps.traps().into_iter().filter_map(state_change).collect()
}
