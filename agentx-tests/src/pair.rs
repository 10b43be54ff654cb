//! Two routers on one link, and the story that every pair must survive: start, power failure, return, resignation.

use std::time::Duration;

use crate::capture::{Advert, Content, Frame, Witness};
use crate::daemon::{Daemon, Options, Program};
use crate::monitor::AddressMonitor;
use crate::net::{Lab, Nic, Node, Port, Switch};
use crate::wait;

/// How the two talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flavour {
    pub version: u8,
    pub ipv6: bool,
    pub unicast: bool,
    /// `auth_type`; version 2 only.
    pub authentication: Option<&'static str>,
    pub interval: Duration,
    pub vmac: VirtualMac,
}

/// Which routers use the virtual MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VirtualMac {
    Nobody,
    Both,
    /// R1 does, R2 has its addresses on eth0.
    First,
    /// Both, and adverts leave by the interface below.
    BothOnBase,
}

impl Flavour {
    pub const V2: Flavour = Flavour {
        version: 2,
        ipv6: false,
        unicast: false,
        authentication: Some("PASS"),
        interval: Duration::from_secs(1),
        vmac: VirtualMac::Nobody,
    };
    pub const V3: Flavour = Flavour {
        version: 3,
        ipv6: false,
        unicast: false,
        authentication: None,
        interval: Duration::from_millis(100),
        vmac: VirtualMac::Nobody,
    };
    pub const IPV6: Flavour = Flavour { ipv6: true, ..Flavour::V3 };
    pub const VMAC_V2: Flavour = Flavour { vmac: VirtualMac::Both, ..Flavour::V2 };
    pub const VMAC: Flavour = Flavour { vmac: VirtualMac::Both, ..Flavour::V3 };
    pub const VMAC_IPV6: Flavour = Flavour { vmac: VirtualMac::Both, ..Flavour::IPV6 };
    pub const UNICAST: Flavour = Flavour { unicast: true, ..Flavour::V2 };
    pub const AH: Flavour = Flavour { authentication: Some("AH"), ..Flavour::V2 };
    pub const UNICAST_AH: Flavour = Flavour { unicast: true, ..Flavour::AH };
    pub const UNICAST_V3: Flavour = Flavour { unicast: true, ..Flavour::V3 };
    pub const UNICAST_IPV6: Flavour = Flavour { unicast: true, ..Flavour::IPV6 };

    /// Virtual addresses, without prefix length.
    pub fn addresses(self) -> [&'static str; 2] {
        if self.ipv6 { ["fe80::100", "fd00:1::100"] } else { ["10.0.0.100", "10.0.0.101"] }
    }

    /// `(256 - priority) / 256` of a second in version 2, of the interval in version 3 (RFC 3768 and 9568, 6.1).
    pub fn skew(self, priority: u8) -> Duration {
        let of = if self.version == 2 { Duration::from_secs(1) } else { self.interval };
        of * (256 - u32::from(priority)) / 256
    }

    /// Silence after which a backup of `priority` takes over.
    pub fn master_down_interval(self, priority: u8) -> Duration {
        3 * self.interval + self.skew(priority)
    }

    /// A configuration file with one instance, VI_1, for router `number` (1 or 2).
    pub fn configuration(self, number: u8, state: &str, priority: u8) -> String {
        let peer = 3 - number;
        let version = format!("version {}", self.version);
        let interval = format!("advert_int {}", self.interval.as_secs_f64());
        let authentication = self
            .authentication
            .map(|kind| format!("authentication {{\n auth_type {kind}\n auth_pass s3cret\n }}"))
            .unwrap_or_default();
        let network = if self.ipv6 { "fd00:1::" } else { "10.0.0." };
        let unicast = format!("unicast_src_ip {network}{number}\n unicast_peer {{\n {network}{peer}\n }}");
        let unicast = if self.unicast { unicast.as_str() } else { "" };
        let vmac = match self.vmac {
            VirtualMac::Nobody => "",
            VirtualMac::First if number == 2 => "",
            VirtualMac::First | VirtualMac::Both => "use_vmac",
            VirtualMac::BothOnBase => "use_vmac\n vmac_xmit_base",
        };
        let length = if self.ipv6 { 64 } else { 24 };
        let addresses = self.addresses().map(|address| format!("{address}/{length}")).join("\n ");
        format!(
            "global_defs {{\n router_id R{number}\n enable_traps\n}}\nvrrp_instance VI_1 {{\n state {state}\n interface eth0\n \
             virtual_router_id 51\n priority {priority}\n {version}\n {interval}\n {authentication}\n {unicast}\n {vmac}\n \
             virtual_ipaddress {{\n {addresses}\n }}\n}}\n"
        )
    }
}

/// Two nodes on one switch, R1 (10.0.0.1, fd00:1::1) and R2, watched.
#[derive(Debug)]
pub struct Link {
    pub nodes: [Node; 2],
    pub ports: [Port; 2],
    pub switch: Switch,
    pub monitors: [AddressMonitor; 2],
    pub witness: Witness,
    /// Last, as it removes the namespaces of the others.
    pub lab: Lab,
}

impl Link {
    #[track_caller]
    pub fn new() -> Link {
        let lab = Lab::new();
        let switch = lab.switch();
        let nodes = ["R1", "R2"].map(|name| lab.node(name));
        let mut number = 0;
        let ports = nodes.each_ref().map(|node| {
            number += 1;
            let addresses = [format!("10.0.0.{number}/24"), format!("fd00:1::{number}/64")];
            let addresses = addresses.each_ref().map(String::as_str);
            lab.connect(node, &switch, Nic { name: "eth0", addresses: &addresses, ..Nic::default() })
        });
        let monitors = nodes.each_ref().map(AddressMonitor::start);
        let witness = Witness::start(&lab);
        Link { nodes, ports, switch, monitors, witness, lab }
    }

    /// Who advertised when: one entry for each change of the sender, with its first and last advert and their number.
    pub fn turns(&self) -> Vec<Turn> {
        turns(&self.witness.frames())
    }

    /// The MAC that the router's addresses are to be found at; `None` is that of its card.
    fn mac(&self, router: usize, flavour: Flavour) -> Option<[u8; 6]> {
        let uses = match flavour.vmac {
            VirtualMac::Nobody => false,
            VirtualMac::Both | VirtualMac::BothOnBase => true,
            VirtualMac::First => router == 0,
        };
        uses.then_some([0, 0, 0x5e, 0, if flavour.ipv6 { 2 } else { 1 }, 51])
    }

    pub fn has_all(&self, router: usize, flavour: Flavour) -> bool {
        flavour.addresses().iter().all(|address| self.has(router, address))
    }

    pub fn has_none(&self, router: usize, flavour: Flavour) -> bool {
        !flavour.addresses().iter().any(|address| self.has(router, address))
    }

    /// Also for link-local addresses, which [`Node::addresses`] leaves out.
    fn has(&self, router: usize, address: &str) -> bool {
        let shown = self.nodes[router].ip(&["-o", "address", "show"]);
        shown.contains(&format!(" {address}/"))
    }
}

impl Default for Link {
    fn default() -> Self {
        Link::new()
    }
}

/// Adverts of one router that no other's adverts interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    pub port: Port,
    pub first: u64,
    pub last: u64,
    pub count: usize,
    /// Priority of the last one.
    pub priority: u8,
}

/// An advert may be on its way when the other router's first one is sent; later than this it is a second master.
const CROSSING: u64 = 15_000_000;

/// See [`Link::turns`]. One advert that crosses the first of a new master is not counted as a turn.
pub fn turns(frames: &[Frame]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for frame in frames {
        let Content::Advert(Advert { priority, .. }) = frame.content else { continue };
        let new = Turn { port: frame.port, first: frame.at, last: frame.at, count: 1, priority };
        let before = turns.len().checked_sub(2).and_then(|at| turns.get(at)).map(|turn| turn.port);
        match turns.last_mut() {
            Some(turn) if turn.port == frame.port => {
                *turn = Turn { last: frame.at, count: turn.count + 1, priority, ..*turn };
            }
            Some(turn) if before == Some(frame.port) && frame.at - turn.first < CROSSING => {}
            _ => turns.push(new),
        }
    }
    turns
}

/// What a loaded machine may add to a deadline before a test calls it late.
pub const SLACK: Duration = Duration::from_millis(150);

/// The whole story: R1 (150) becomes master; it is killed and R2 (100) takes over; it comes back and R2 gives way;
/// it is stopped and R2 follows at once. Checks times, addresses, announcements and that nobody doubles.
#[track_caller]
pub fn survive(programs: [Program; 2], flavour: Flavour) {
    wait::unless_stalled(|| story(programs, flavour));
}

#[track_caller]
fn story(programs: [Program; 2], flavour: Flavour) {
    let link = Link::new();
    let first_file = flavour.configuration(1, "MASTER", 150);
    let second_file = flavour.configuration(2, "BACKUP", 100);
    let mut first = Daemon::start(&link.nodes[0], programs[0], &first_file, Options::default());
    let alone = wait::within(Duration::from_secs(10), || link.has_all(0, flavour).then_some(()));
    assert!(alone.is_some(), "R1 did not become master; it said:\n{}", first.log());
    let second = Daemon::start(&link.nodes[1], programs[1], &second_file, Options::default());
    second.wait_until_it_listens();
    let listening = wait::now_ns();
    let patience = flavour.master_down_interval(100) + Duration::from_secs(5);
    let explain = |what: &str, first: &Daemon| {
        let turns = link.turns();
        format!("{what}\nturns: {turns:#?}\n--- R1 said:\n{}\n--- R2 said:\n{}", first.log(), second.log())
    };

    let master = |router: usize, other: usize| {
        let turn = link.turns().last().copied();
        let some = 2 * flavour.interval.as_nanos() as u64;
        turn.is_some_and(|turn| turn.port == link.ports[router] && turn.last > listening.max(turn.first) + some)
            && link.has_all(router, flavour)
            && (link.has_none(other, flavour))
    };
    let begun = wait::within(patience, || master(0, 1).then_some(()));
    assert!(begun.is_some(), "{}", explain("R1 did not become the only master", &first));
    first_adverts_fit(&link, flavour, 0, 150);

    // Power failure.
    first.kill();
    let taken = wait::within(patience, || link.turns().get(1).filter(|turn| turn.count >= 2).copied());
    let Some(taken) = taken else { panic!("{}", explain("R2 did not take over from a killed R1", &first)) };
    let silence = Duration::from_nanos(taken.first - link.turns()[0].last);
    let due = flavour.master_down_interval(100);
    let in_time = silence + Duration::from_millis(2) >= due && silence <= due + SLACK;
    assert!(in_time, "{}", explain(&format!("took over after {silence:?}, due after {due:?}"), &first));
    let there = wait::within(Duration::from_secs(2), || link.has_all(1, flavour).then_some(()));
    assert!(there.is_some(), "{}", explain("R2 lacks addresses", &first));
    announced(&link, flavour, 1, taken.first);
    first_adverts_fit(&link, flavour, 1, 100);

    // Return: the addresses that the killed process left behind must not be there while R2 is master.
    let mut first = Daemon::start(&link.nodes[0], programs[0], &first_file, Options::default());
    let back = wait::within(patience, || master(0, 1).then_some(()));
    assert!(back.is_some(), "{}", explain("R1 did not come back", &first));
    let preempted = link.turns()[2];
    announced(&link, flavour, 0, preempted.first);

    // Resignation.
    let stopped = wait::now_ns();
    let code = first.stop();
    assert_eq!(code, 0, "{}", explain("exit code of a stop", &first));
    assert!(link.has_none(0, flavour), "{}", explain("R1 has stopped and still has addresses", &first));
    let followed = wait::within(patience, || link.turns().get(3).filter(|turn| turn.count >= 2).copied());
    let Some(followed) = followed else { panic!("{}", explain("R2 did not take over from a stopped R1", &first)) };
    let resigned = link.turns()[2];
    assert_eq!(resigned.priority, 0, "{}", explain("R1's last advert does not resign", &first));
    let wait = Duration::from_nanos(followed.first - resigned.last);
    let due = flavour.skew(100);
    let in_time = wait + Duration::from_millis(2) >= due && wait <= due + SLACK;
    assert!(in_time, "{}", explain(&format!("followed a priority 0 after {wait:?}, due after {due:?}"), &first));
    let there = wait::within(Duration::from_secs(2), || link.has_all(1, flavour).then_some(()));
    assert!(there.is_some(), "{}", explain("R2 lacks addresses", &first));

    let turns = link.turns();
    let senders: Vec<Port> = turns.iter().map(|turn| turn.port).collect();
    let alternating = [link.ports[0], link.ports[1], link.ports[0], link.ports[1]];
    assert_eq!(senders, alternating, "{}", explain("adverts of two masters interleave", &first));
    for address in flavour.addresses() {
        shared_only_briefly(&link, address, preempted.first, stopped);
    }
    for (daemon, router) in [(&first, "R1"), (&second, "R2")] {
        if daemon.program() == Program::Keepalived {
            nothing_wrong_heard(router, &daemon.log());
        }
    }
    let counters = second.statistics().remove("VI_1").unwrap_or_default();
    let errors: Vec<_> = counters.iter().filter(|(name, value)| name.contains("Error") && **value != 0).collect();
    assert!(errors.is_empty(), "R2 ({}) counted {errors:?}", programs[1].name());
    assert!(counters.get(RECEIVED).is_some_and(|received| *received > 3), "R2 counted {counters:?}");
}

/// A counter of [`Daemon::statistics`].
pub const RECEIVED: &str = "Advertisements / Received";

/// Every advert of a router so far says what its configuration says, at the configured pace.
#[track_caller]
fn first_adverts_fit(link: &Link, flavour: Flavour, router: usize, priority: u8) {
    if let Some(mac) = link.mac(router, flavour).filter(|_| flavour.vmac != VirtualMac::BothOnBase) {
        let is_advert = |frame: &Frame| frame.port == link.ports[router] && matches!(frame.content, Content::Advert(_));
        let frames: Vec<Frame> = link.witness.frames().into_iter().filter(is_advert).collect();
        assert!(frames.iter().all(|frame| frame.mac == mac), "adverts from another MAC than {mac:?}: {frames:?}");
    }
    let adverts = link.witness.adverts_from(link.ports[router]);
    for (_, advert) in &adverts {
        let said = (advert.version, advert.vrid, advert.priority, usize::from(advert.count));
        assert_eq!(said, (flavour.version, 51, priority, flavour.addresses().len()), "{advert:?}");
        // Keepalived leaves the hop limit of unicast IPv6 to the kernel.
        assert_eq!(advert.ttl, if flavour.ipv6 && flavour.unicast { 64 } else { 255 }, "{advert:?}");
        let unit = if flavour.version == 2 { 1000 } else { 10 };
        assert_eq!(u128::from(advert.interval) * unit, flavour.interval.as_millis(), "{advert:?}");
        assert_eq!(advert.destination.is_multicast(), !flavour.unicast, "{advert:?}");
        assert_eq!(advert.source.is_ipv6(), flavour.ipv6, "{advert:?}");
    }
}

/// Neighbours were told of every address, from the right cable, within a second.
#[track_caller]
pub fn announced(link: &Link, flavour: Flavour, router: usize, after: u64) {
    for address in flavour.addresses() {
        let told = |frame: &Frame| {
            frame.port == link.ports[router]
                && frame.at + 5_000_000 > after
                && link.mac(router, flavour).is_none_or(|mac| frame.mac == mac)
                && match &frame.content {
                    Content::Arp { sender, target, .. } => sender == target && sender.to_string() == address,
                    Content::Neighbour { target, unsolicited, overrides, .. } => {
                        *unsolicited && *overrides && target.to_string() == address
                    }
                    Content::Advert(_) => false,
                }
        };
        let seen = wait::within(Duration::from_secs(1), || link.witness.frames().iter().any(told).then_some(()));
        assert!(seen.is_some(), "nobody was told that {address} is on R{}", router + 1);
    }
}

/// After `from` no address is on both routers for longer than it takes to hear an advert and act on it.
#[track_caller]
fn shared_only_briefly(link: &Link, address: &str, from: u64, until: u64) {
    let spans = link.monitors.each_ref().map(|monitor| monitor.spans(address));
    for (begin, end) in &spans[0] {
        for (other_begin, other_end) in &spans[1] {
            let begin = (*begin).max(*other_begin).max(from);
            let end = end.unwrap_or(u64::MAX).min(other_end.unwrap_or(u64::MAX)).min(until);
            let both = end.saturating_sub(begin);
            assert!(both < 200_000_000, "{address} was on both routers for {} s: {spans:?}", wait::seconds(both));
        }
    }
}

/// Keepalived's log has no complaint about a packet.
#[track_caller]
fn nothing_wrong_heard(router: &str, log: &str) {
    let complaints =
        ["invalid", "mismatch", "bogus", "not present", "checksum", "bad ", "unexpected", "wrong", "discard"];
    let complained = log.lines().filter(|line| {
        let line = line.to_lowercase().replace("- discarding", ""); // a weaker router's advert is not a complaint
        complaints.iter().any(|complaint| line.contains(complaint))
    });
    let complained: Vec<&str> = complained.collect();
    assert!(complained.is_empty(), "keepalived on {router} complained: {complained:#?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advert(at_ms: u64, port: Port) -> Frame {
        let address = "10.0.0.1".parse().unwrap();
        let advert = Advert {
            source: address,
            destination: address,
            ttl: 255,
            version: 3,
            vrid: 51,
            priority: 100,
            count: 0,
            interval: 10,
            bytes: vec![],
        };
        Frame { at: at_ms * 1_000_000, port, mac: [0; 6], content: Content::Advert(advert) }
    }

    #[test]
    fn turns_tell_a_crossing_advert_from_a_second_master() {
        let ports = |frames: &[Frame]| turns(frames).iter().map(|turn| (turn.port, turn.count)).collect::<Vec<_>>();
        let handover = [advert(0, 1), advert(100, 1), advert(200, 2), advert(205, 1), advert(300, 2)];
        assert_eq!(ports(&handover), [(1, 2), (2, 2)]);
        let doubled = [advert(0, 1), advert(100, 1), advert(150, 2), advert(200, 1), advert(250, 2)];
        assert_eq!(ports(&doubled), [(1, 2), (2, 1), (1, 1), (2, 1)]);
    }

    #[test]
    fn master_down_intervals_are_those_of_the_rfcs() {
        assert_eq!(Flavour::V2.master_down_interval(100), Duration::from_micros(3_609_375));
        assert_eq!(Flavour::V3.master_down_interval(100), Duration::from_nanos(360_937_500));
    }
}
