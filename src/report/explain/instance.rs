//! Why a VRRP instance is what it is.

use std::net::IpAddr;
use std::time::Duration;

use super::super::vrrp::{
    awaited, group_named, master_down, missing, missing_lines, other_master, routes, rules, tracked, tracker,
};
use super::super::{Explanation, TrackedReport, reason, words};
use super::{ExplainError, bfd, recent};
use crate::bus::msg::Edge;
use crate::bus::rows::{Counters, InstanceRow, Reason, State, TrackerConfig};
use crate::clock::WallTime;
use crate::conf::model::{Instance, Preempt, TrackerKind, Transport, Version};
use crate::export::Look;
use crate::vrrp::machine::{OWNER, Settings};

/// Why `vrrp_instance` `name` is in its state.
pub fn instance(look: &Look, name: &str) -> Result<Explanation, ExplainError> {
    let rows = &look.snapshot.vrrp.instances;
    let Some(row) = rows.iter().map(|(_, row)| row).find(|row| row.config.name.0 == name) else {
        return Err(match look.snapshot.generations.vrrp.generation {
            0 => ExplainError::Unavailable("there is no word from the vrrp process: no instances, or not yet".into()),
            _ => ExplainError::NotFound(format!("no VRRP instance {name}")),
        });
    };
    let case = Case { look, row, config: &row.config, tracked: tracked(look, row) };
    let (because, hints) = match row.state {
        State::Master => case.master(),
        State::Backup => case.backup(),
        State::Fault => case.fault(),
        State::Init | State::Shutdown | State::Deleted => case.init(),
    };
    Ok(Explanation {
        subject: format!("vrrp {name}"),
        state: words::state(row.state).to_owned(),
        since: words::unix(row.since),
        because,
        evidence: case.evidence(),
        hints,
        events: recent(look, |edge| case.concerns(edge)),
    })
}

/// The answer in a sentence, and what would change it.
type Answer = (String, Vec<String>);

struct Case<'a> {
    look: &'a Look,
    row: &'a InstanceRow,
    config: &'a Instance,
    tracked: Vec<TrackedReport>,
}

impl Case<'_> {
    fn master(&self) -> Answer {
        let (row, own) = (self.row, self.own());
        let why = reason::of(self.look, row);
        if let Some(other) = other_master(self.look, row) {
            let because = format!(
                "Two routers are master: {} advertised priority {} {} ago, while this one is master with {own} because {why}.",
                other.address,
                other.priority,
                self.ago(other.at)
            );
            return (because, self.two_masters(other.address, other.priority));
        }
        let missing = missing(self.look, row);
        if !missing.is_empty() {
            let lines: Vec<_> = missing.iter().map(|it| format!("{} on {}", it.address, it.interface)).collect();
            let verb = if lines.len() == 1 { "is" } else { "are" };
            let because = format!("It is master because {why}, but {} {verb} missing.", words::and(&lines));
            let interface = missing.first().map(|it| it.interface.clone()).unwrap_or_default();
            let hints = vec![
                format!("`ip address show dev {interface}` shows what the kernel has"),
                "the log of the vrrp process says what the kernel answered, and whether somebody else removed it"
                    .to_owned(),
                format!("`keepwatch failover {}` lets another router serve meanwhile", self.config.name),
            ];
            return (because, hints);
        }
        let lines = missing_lines(&routes(self.look, row.index, true), &rules(self.look, row.index, true));
        if !lines.is_empty() {
            let verb = if lines.len() == 1 { "is" } else { "are" };
            let because = format!("It is master because {why}, but {} {verb} missing.", words::and(&lines));
            let hints = vec![
                "`ip route show table all proto keepalived` and `ip rule` show what the kernel has".to_owned(),
                "the log of the vrrp process says what the kernel answered; it is asked again and again".to_owned(),
            ];
            return (because, hints);
        }
        let mut hints = vec![match own {
            OWNER => "it stays master whatever others advertise: priority 255 owns the addresses".to_owned(),
            _ => format!("a router that advertises more than priority {own} takes over, unless it has nopreempt"),
        }];
        if let Some(since) = row.stood_down {
            let because = format!(
                "It is master although an operator stood it down {} ago: no other router took over ({why}).",
                self.ago(since)
            );
            hints.insert(0, "start another router of this virtual router, or let this one serve as usual".to_owned());
            return (because, hints);
        }
        if let Transport::Unicast { peers, .. } = &self.config.transport
            && peers.is_empty()
        {
            let because =
                format!("It is master because it has no unicast peers: it hears nobody, and nobody hears it ({why}).");
            return (because, vec!["list the other routers in unicast_peer".to_owned()]);
        }
        if row.reason == Reason::Preempted && own != OWNER {
            hints.push("nopreempt, or preempt_delay, would have left the weaker master alone".to_owned());
        }
        (format!("It is master because {why}."), hints)
    }

    fn two_masters(&self, address: IpAddr, priority: u8) -> Vec<String> {
        let own = self.own();
        let mut hints = match priority.cmp(&own) {
            std::cmp::Ordering::Less => vec![format!(
                "{address} gives way as soon as it hears this router: its adverts do not get there, or are refused there"
            )],
            _ => vec![format!(
                "this router hears {address} and does not give way: is it the owner of the addresses, with owner_ignore_adverts?"
            )],
        };
        hints.push(match &self.config.transport {
            Transport::Unicast { .. } => {
                format!("look whether {address} lists this router in unicast_peer, and lets protocol 112 pass")
            }
            Transport::Multicast { group } => {
                format!("look whether switches and firewalls let protocol 112 to {group} pass from here to {address}")
            }
        });
        hints.push(format!(
            "look in the log of {address} for adverts that it refuses: version, interval, password, addresses"
        ));
        hints
    }

    fn backup(&self) -> Answer {
        let (row, own) = (self.row, self.own());
        let silence = words::duration(master_down(row));
        let takes_over =
            format!("it takes over when nothing is heard of the master for {silence}, or the master resigns");
        if let Some(since) = row.stood_down {
            let master = match row.master {
                Some((address, priority)) => format!("; {address} is master with priority {priority}"),
                None => "; no other master was heard yet".to_owned(),
            };
            let because = format!("It is backup because an operator stood it down {} ago{master}.", self.ago(since));
            let hints = vec![
                "it takes over only when no other router does, until that is taken back".to_owned(),
                format!("`keepwatch failover {} --back` takes that back", self.config.name),
            ];
            return (because, hints);
        }
        if row.wanted == State::Master {
            let group = self.config.sync_group.as_deref().unwrap_or_default();
            let because = format!(
                "It is backup because its sync group {group} waits: its own master is silent, but {}.",
                self.other_members(
                    |other| other.state == State::Backup && other.wanted != State::Master,
                    |other| {
                        match other.master {
                            Some((address, priority)) => format!("hears {address} with priority {priority}"),
                            None => "still waits for its own".to_owned(),
                        }
                    }
                )
            );
            return (
                because,
                vec!["the group takes over when the masters of all of its members are silent".to_owned()],
            );
        }
        let Some((address, priority)) = row.master else {
            let because = match row.reason {
                Reason::Startup => format!(
                    "It is backup because it was started {} ago and no master was heard yet.",
                    self.ago(row.since)
                ),
                _ => format!("It is backup because {}; no master was heard since.", reason::of(self.look, row)),
            };
            return (because, vec![format!("it becomes master when no other router is heard for {silence}")]);
        };
        match priority.cmp(&own) {
            std::cmp::Ordering::Less => self.backup_of_weaker(address, priority),
            std::cmp::Ordering::Equal => {
                let because = format!(
                    "It is backup because {address} is master with the same priority {own}, and among equals the master stays."
                );
                (because, vec![takes_over, format!("a priority above {priority} preempts it, unless nopreempt is set")])
            }
            std::cmp::Ordering::Greater => {
                let base = row.base_priority.get();
                let lowered = base > priority || (base > own && !self.takers().is_empty());
                let because = match lowered {
                    true => format!(
                        "It is backup because its priority is lowered from {base} to {own}: {}; {address} is master with priority {priority}.",
                        words::and(&self.takers())
                    ),
                    false => format!(
                        "It is backup because a better master is heard: {address} has priority {priority}, this router has {own}."
                    ),
                };
                let mut hints = vec![takes_over];
                if base > priority {
                    hints.insert(
                        0,
                        format!("with nothing taken from it, its priority {base} would be more than {priority}"),
                    );
                } else {
                    hints.push(format!("a priority above {priority} preempts it, unless nopreempt is set"));
                }
                (because, hints)
            }
        }
    }

    /// The master is heard, and this router is better.
    fn backup_of_weaker(&self, address: IpAddr, priority: u8) -> Answer {
        let (row, own) = (self.row, self.own());
        let weaker = format!("{address} is master with priority {priority}, less than the {own} of this router");
        if !row.preempt {
            let (by, hint) = match self.config.preempt {
                Preempt::Never => ("nopreempt is configured", "without nopreempt it would take over at once"),
                Preempt::After(_) => {
                    ("preemption was switched off by a SET", "vrrpInstancePreempt of the MIB switches it on")
                }
            };
            let because = format!("It is backup because {by}: {weaker}, and keeps its place.");
            let silence = words::duration(master_down(row));
            let hints = vec![
                format!("it takes over when nothing is heard of {address} for {silence}, or when that one resigns"),
                hint.to_owned(),
                format!("`keepwatch failover {}` on {address} moves the addresses here", self.config.name),
            ];
            return (because, hints);
        }
        match self.config.preempt {
            Preempt::After(delay) if !delay.is_zero() => {
                let because = format!(
                    "It is backup because it waits for preempt_delay, {}: {weaker}, and is preempted after that.",
                    words::duration(delay)
                );
                let hints = vec![
                    // When that was, only the engine knows.
                    "it takes over when the delay has passed since the first advert of a weaker master".to_owned(),
                    "a shorter preempt_delay would end that earlier".to_owned(),
                ];
                (because, hints)
            }
            _ => {
                let because = format!("It is backup, and about to preempt: {weaker}.");
                (because, vec![format!("it takes over within {}", words::duration(master_down(row)))])
            }
        }
    }

    fn fault(&self) -> Answer {
        let row = self.row;
        let mut hints = Vec::new();
        if row.faults.is_empty() {
            let group = self.config.sync_group.as_deref().unwrap_or_default();
            let others = self.other_members(
                |other| !other.faults.is_empty(),
                |other| format!("is in fault, {}", words::and(&other.faults)),
            );
            let because = match (row.reason, others.is_empty()) {
                (Reason::SyncGroup, false) => {
                    format!("It is in fault because another member of its sync group {group} is: {others}.")
                }
                _ => format!("It is in fault because {}.", reason::of(self.look, row)),
            };
            return (because, vec![format!("it comes back when no member of {group} has a fault")]);
        }
        let mut lines: Vec<String> = Vec::new();
        for fault in &row.faults {
            let tracker = self.tracked.iter().find(|it| it.faults && is_about(fault, it));
            lines.push(match tracker {
                Some(it) if it.kind == "interface" => self.tracker_fault(it),
                Some(it) => {
                    let of = if it.from_group { "its sync group tracks it" } else { "tracked" };
                    format!("{} ({of} with weight {})", clause(fault), it.weight)
                }
                None => clause(fault),
            });
            hints.extend(self.fault_hint(fault, tracker));
        }
        hints.push("it comes back as backup by itself when that is over".to_owned());
        (format!("It is in fault because {}.", words::and(&lines)), hints)
    }

    fn tracker_fault(&self, it: &TrackedReport) -> String {
        let of = if it.from_group { "tracked by its sync group" } else { "which it tracks" };
        match (it.up, it.reverse) {
            (Some(true), true) => format!("{} {}, {of} with reverse and weight 0, is up", it.kind, it.name),
            _ if !self.exists(&it.name) => {
                format!("interface {}, {of} with weight 0, is down or does not exist", it.name)
            }
            _ => format!("{} {}, {of} with weight 0, is down", it.kind, it.name),
        }
    }

    fn fault_hint(&self, fault: &str, tracker: Option<&TrackedReport>) -> Option<String> {
        if let Some(it) = tracker {
            let hint = match self.looked_at(it) {
                Some(line) => line,
                None => format!("`ip link show {}` shows what is wrong", it.name),
            };
            let weight = match it.weight {
                0 => "; with a weight other than 0 it would only change the priority",
                _ => "",
            };
            return Some(hint + weight);
        }
        let own = self.config.vmacs.own.as_ref().filter(|own| fault.contains(&format!("interface {} ", own.name)));
        if let Some(own) = own {
            return Some(if fault.ends_with("does not exist") {
                format!("keepwatchd makes it on {} and again when it was removed; its log says why it cannot", own.base)
            } else if fault.ends_with("is down") {
                format!("somebody else took it down: `ip link set {} up`", own.name)
            } else {
                format!("`ip -d link show {}` shows what it is; keepwatchd makes its own when that is gone", own.name)
            });
        }
        let interface = self.config.interface.as_deref().unwrap_or("the interface");
        let family = match self.config.family {
            crate::conf::model::Family::V4 => "IPv4",
            crate::conf::model::Family::V6 => "IPv6 link-local",
        };
        let hint = if fault.starts_with("static ") {
            "the log says why the kernel does not take it back; no_track, or another track_group, would leave this instance alone"
                .to_owned()
        } else if fault.contains("its track group needs") {
            "no_track at the end of the static lines of its track_group lets their interface be down".to_owned()
        } else if fault.contains("addresses, routes or rules") {
            "no_track at the end of those lines lets their interface be down".to_owned()
        } else if fault.ends_with("is down") {
            format!("`ip link set {interface} up`, or look at the cable and the switch; dont_track_primary ignores it")
        } else if fault.ends_with("does not exist") {
            format!("create {interface}, or name another interface in the configuration")
        } else if fault.contains("source address") {
            format!("give {interface} an {family} address, or set mcast_src_ip or unicast_src_ip to one that is there")
        } else if fault.contains("peers") {
            "list the other routers in unicast_peer, or drop unicast_fault_no_peer".to_owned()
        } else if fault.contains("multicast") {
            format!("use unicast_peer, or another interface: {interface} has no multicast")
        } else if fault.contains("AH") {
            "use auth_type PASS, or none".to_owned()
        } else {
            return None;
        };
        Some(hint)
    }

    fn init(&self) -> Answer {
        let because = format!("It takes no part yet because {}.", reason::of(self.look, self.row));
        let mut hints = vec!["it becomes backup first, and listens".to_owned()];
        if !awaited(self.look, self.row).is_empty() {
            hints.push("with a weight other than 0 it would not be waited for".to_owned());
        }
        (because, hints)
    }

    /// What the runner or the BFD engine looks at; `None` of an interface.
    fn looked_at(&self, it: &TrackedReport) -> Option<String> {
        let kinds = [TrackerKind::Script, TrackerKind::File, TrackerKind::Process, TrackerKind::Bfd];
        let kind = kinds.into_iter().find(|kind| words::tracker_kind(*kind) == it.kind)?;
        Some(match &tracker(self.look, kind, &it.name)?.config {
            TrackerConfig::Script(script) => format!("run {} and look at its exit status", script.command.text()),
            TrackerConfig::File(file) => format!("`cat {}` shows the number", file.path),
            TrackerConfig::Process(process) => format!("look whether {} runs, and how often", process.path),
            TrackerConfig::Bfd(_) => "look at the session on the other router".to_owned(),
        })
    }

    /// Figures that the answer follows from.
    fn evidence(&self) -> Vec<String> {
        let (row, config) = (self.row, self.config);
        let mut lines = vec![format!(
            "{} since {} ({}): {}",
            words::state(row.state),
            words::utc(words::unix(row.since)),
            self.ago(row.since),
            reason::of(self.look, row)
        )];
        lines.push(self.priority());
        for it in &self.tracked {
            lines.push(tracker_line(it));
            if it.kind == words::tracker_kind(TrackerKind::Bfd) {
                lines.extend(bfd::lines(self.look, &it.name, |session| self.ago(session.since)));
            }
        }
        match (row.last_advert, row.master) {
            (Some(at), Some((address, priority))) => {
                lines.push(format!("last advert heard {} ago, from {address} with priority {priority}", self.ago(at)))
            }
            (Some(at), None) => lines.push(format!("last advert of another router accepted {} ago", self.ago(at))),
            (None, _) => lines.push("no advert of another router was accepted yet".to_owned()),
        }
        lines.push(self.timing());
        let addresses: Vec<_> = super::super::vrrp::addresses(self.look, row).collect();
        if !addresses.is_empty() {
            let present = addresses.iter().filter(|address| address.installed).count();
            lines.push(format!(
                "{present} of {} on the interface",
                words::count(addresses.len() as u64, "address").replace("addresss", "addresses")
            ));
        }
        let is_master = row.state == State::Master;
        let routes: Vec<_> = routes(self.look, row.index, is_master).iter().map(|it| it.present).collect();
        let rules: Vec<_> = rules(self.look, row.index, is_master).iter().map(|it| it.present).collect();
        for (present, noun) in [(routes, "route"), (rules, "rule")] {
            if !present.is_empty() {
                let there = present.iter().filter(|present| **present).count();
                lines.push(format!("{there} of {} in the kernel", words::count(present.len() as u64, noun)));
            }
        }
        if let Some(group) = config.sync_group.as_deref().and_then(|name| group_named(self.look, name)) {
            lines.push(format!("sync group {} is {}", group.config.name, words::state(group.state)));
        }
        lines.extend(refused(&self.look.instance_counters(row)));
        lines
    }

    fn priority(&self) -> String {
        let row = self.row;
        let base = row.base_priority.get();
        let mut line = format!("priority {}: base {base}", row.effective_priority);
        if row.priority_overridden {
            line.push_str(&format!(" by an operator or a SET (configured {})", self.config.priority));
        }
        for it in self.tracked.iter().filter(|it| it.adds != 0) {
            line.push_str(&format!(", {} {} {}", it.kind, it.name, words::signed(it.adds)));
        }
        line
    }

    fn timing(&self) -> String {
        let row = self.row;
        let settings = Settings::from(self.config);
        let interval = match row.master_interval_ns {
            0 => self.config.advert_interval,
            ns => Duration::from_nanos(ns),
        };
        format!(
            "master down interval {}: {} of {} and a skew of {}",
            words::duration(master_down(row)),
            words::count(settings.down_timer_adverts.into(), "missed advert"),
            words::duration(interval),
            words::duration(settings.skew(self.own(), interval))
        ) + match self.config.version {
            Version::V2 => " (VRRPv2)",
            Version::V3 => " (VRRPv3)",
        }
    }

    /// What takes from the priority now, `interface eth1 is down and takes 60`.
    fn takers(&self) -> Vec<String> {
        let takers = self
            .tracked
            .iter()
            .filter(|it| it.adds < 0)
            .map(|it| format!("{} {} {} and takes {}", it.kind, it.name, is(it), it.adds.unsigned_abs()));
        // A positive weight takes nothing, but is missing.
        let adds = |it: &&TrackedReport| it.weight > 0 && !it.reverse && it.kind != "file";
        let missing = self.tracked.iter().filter(adds).filter(|it| it.adds == 0 && it.up.is_some());
        let missing =
            missing.map(|it| format!("{} {} {} and does not add its {}", it.kind, it.name, is(it), it.weight));
        let takers: Vec<_> = takers.chain(missing).collect();
        match takers.is_empty() && self.row.effective_priority < self.row.base_priority {
            true => vec!["an operator stood it down, or a change is under way".to_owned()],
            false => takers,
        }
    }

    /// Members of the sync group that `wanted` picks, with a word of each.
    fn other_members(&self, wanted: impl Fn(&InstanceRow) -> bool, word: impl Fn(&InstanceRow) -> String) -> String {
        let group = self.config.sync_group.as_deref();
        let rows = self.look.snapshot.vrrp.instances.iter().map(|(_, row)| row);
        let others = rows.filter(|other| {
            group.is_some() && other.config.sync_group.as_deref() == group && other.config.name != self.config.name
        });
        let lines: Vec<_> = others
            .filter(|other| wanted(other))
            .map(|other| format!("{} {}", other.config.name, word(other)))
            .collect();
        words::and(&lines)
    }

    fn exists(&self, interface: &str) -> bool {
        let rows = &self.look.snapshot.vrrp;
        let own = rows.tracked_interfaces.iter().chain(rows.sync_tracked_interfaces.iter());
        own.map(|(_, row)| row).any(|row| row.interface == interface)
    }

    fn concerns(&self, edge: &Edge) -> bool {
        match edge {
            Edge::Transition { instance, .. } | Edge::BadPacket { instance, .. } => *instance == self.config.name,
            Edge::SyncGroup { group, .. } => Some(group) == self.config.sync_group.as_ref(),
            Edge::Tracker { kind, name, .. } => {
                let kind = words::tracker_kind(*kind);
                self.tracked.iter().any(|it| it.kind == kind && it.name == *name)
            }
            Edge::Server { .. } | Edge::Quorum { .. } => false,
        }
    }

    fn own(&self) -> u8 {
        self.row.effective_priority.get()
    }

    fn ago(&self, at: WallTime) -> String {
        words::age(words::between(at, self.look.at))
    }
}

/// Whether the engine's words about a fault are about this tracker.
fn is_about(fault: &str, it: &TrackedReport) -> bool {
    let name = match it.kind.as_str() {
        "interface" => return fault.contains(&format!("tracked interface {} ", it.name)),
        "bfd" => format!("session {}", it.name),
        kind => format!("{kind} {}", it.name),
    };
    let mut rests = fault.split(&name).skip(1);
    rests.any(|rest| rest.starts_with([' ', ',']))
}

/// `is down`, `fails`.
fn is(it: &TrackedReport) -> &'static str {
    match (it.kind.as_str(), it.up) {
        (_, None) => "is not known",
        ("file", _) => "says so",
        ("script", Some(true)) => "succeeds",
        ("script", Some(false)) => "fails",
        ("process", Some(true)) => "has its quorum",
        ("process", Some(false)) => "misses its quorum",
        (_, Some(true)) => "is up",
        (_, Some(false)) => "is down",
    }
}

/// What the engine calls a fault, as a clause.
fn clause(fault: &str) -> String {
    match fault {
        "no source address for adverts" => "there is no source address for adverts".to_owned(),
        "no unicast peers" => "there are no unicast peers, and unicast_fault_no_peer is set".to_owned(),
        other => other.to_owned(),
    }
}

fn tracker_line(it: &TrackedReport) -> String {
    let is = match it.up {
        Some(true) => "up",
        Some(false) => "down",
        None => "not known yet",
    };
    let (reverse, group) =
        (if it.reverse { ", reverse" } else { "" }, if it.from_group { ", of its sync group" } else { "" });
    let does = match (it.faults, it.adds) {
        (true, _) => "a fault".to_owned(),
        (false, 0) => "nothing".to_owned(),
        (false, adds) => format!("{} to the priority", words::signed(adds)),
    };
    format!("tracks {} {}: {is}, weight {}{reverse}{group}: {does}", it.kind, it.name, it.weight)
}

/// Packets that were refused, by cause.
fn refused(counters: &Counters) -> Option<String> {
    let causes = [
        (counters.packet_length_errors, "length"),
        (counters.checksum_errors, "checksum"),
        (counters.version_errors, "version"),
        (counters.advert_interval_errors, "advert interval"),
        (counters.ttl_errors, "TTL"),
        (counters.invalid_type, "type"),
        (counters.address_list_errors, "addresses"),
        (counters.invalid_auth_type + counters.auth_type_mismatch, "authentication type"),
        (counters.auth_failures, "password"),
        (counters.unknown_source, "source"),
    ];
    let lines: Vec<_> =
        causes.iter().filter(|(count, _)| *count > 0).map(|(count, cause)| format!("{count} for {cause}")).collect();
    (!lines.is_empty()).then(|| format!("adverts refused since the instance exists: {}", words::and(&lines)))
}
