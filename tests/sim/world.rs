//! Hosts on one link, true time, and the laws that must hold whatever happens.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use keepwatch::bus::msg::Command;
use keepwatch::bus::rows::{Finding, InstanceRow, Row, RowKey, State};
use keepwatch::conf::model::{Instance, InstanceName, Preempt, Priority};
use keepwatch::vrrp::io::Input;

use crate::host::{ETH0, Host, Packet, Time};
use crate::random::Random;
use crate::setup;
use crate::trackers;

const MS: Time = 1_000_000;
const SECOND: Time = 1_000 * MS;

/// A datagram takes at most this long.
const DELAY_MAX: Time = 5 * MS;
/// A process that runs is at most this late.
const LATE_MAX: Time = 2 * MS;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrive { to: usize, packet: usize },
    Fault,
    Restart { host: usize },
    Wake { host: usize },
}

pub struct World {
    pub random: Random,
    pub hosts: Vec<Host>,
    time: Time,
    queue: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    count: u64,
    /// Packets under way, by number.
    packets: BTreeMap<usize, Packet>,
    packet_count: usize,
    /// The wake-up that stands in the queue for each host.
    planned: Vec<Option<Time>>,
    /// `heard[a][b]`: what a sends reaches b.
    heard: Vec<Vec<bool>>,
    loss: u64,
    duplication: u64,
    faults: bool,
    /// Since when two masters of one instance have had no excuse for not having agreed.
    rivals: BTreeMap<(InstanceName, usize, usize), Time>,
    /// Names and their advertisement intervals.
    instances: Vec<(InstanceName, Time)>,
    templates: Vec<Instance>,
    /// Members of the sync groups that all hosts agree on.
    groups: Vec<Vec<InstanceName>>,
    pub events: u64,
    /// Instances that were judged after healing.
    pub judged: u64,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let count = random.range(2, 6) as usize;
        let templates: Vec<Instance> =
            (0..random.range(1, 5)).map(|number| setup::template(number as u8, &mut random)).collect();
        let groups = setup::groups(&templates, &mut random);
        let mut hosts: Vec<Host> = (0..count)
            .map(|number| {
                let config = setup::configure(&templates, &groups, &mut random);
                Host::new(number, config, &mut random)
            })
            .collect();
        for host in &mut hosts {
            host.refusals = random.pick(&[0, 0, 20, 200]);
        }
        let instances = templates.iter().map(|it| (it.name.clone(), it.advert_interval.as_nanos() as Time)).collect();
        World {
            heard: vec![vec![true; count]; count],
            loss: random.pick(&[0, 0, 10, 100, 300]),
            duplication: random.pick(&[0, 0, 50]),
            random,
            hosts,
            time: SECOND,
            queue: BinaryHeap::new(),
            count: 0,
            packets: BTreeMap::new(),
            packet_count: 0,
            planned: vec![None; count],
            faults: true,
            rivals: BTreeMap::new(),
            instances,
            templates,
            groups,
            events: 0,
            judged: 0,
        }
    }

    /// Computes a digest of everything that engines say.
    pub fn trace(&mut self) {
        for host in &mut self.hosts {
            host.trace = true;
        }
    }

    /// Runs with faults for a while.
    pub fn trouble(&mut self, length: Duration) {
        for host in 0..self.hosts.len() {
            let start = self.time + self.random.range(0, SECOND);
            self.at(start, Happening::Restart { host });
        }
        self.at(self.time, Happening::Fault);
        self.run(length);
    }

    /// Ends every fault and waits until nothing is excused; then each instance must have one master, the right one.
    pub fn heal(&mut self) {
        self.faults = false;
        self.loss = 0;
        self.duplication = 0;
        self.rivals.clear();
        let count = self.hosts.len();
        self.heard = vec![vec![true; count]; count];
        let mut sent = Vec::new();
        for host in 0..count {
            self.hosts[host].refusals = 0;
            self.hosts[host].stalled_until = 0;
            if self.hosts[host].engine.is_none() {
                self.hosts[host].start(self.time, &mut self.random, &mut sent);
            }
            if self.hosts[host].eth1.is_none() {
                self.hosts[host].replug(self.time, &mut self.random, &mut sent);
            }
            for number in [0, 1] {
                self.hosts[host].set_up(number, true, self.time, &mut self.random, &mut sent);
            }
            self.hosts[host].all_well(self.time, &mut self.random, &mut sent);
            self.send(host, &mut sent);
            self.plan(host);
        }
        // The kernel is asked again after 30 seconds at most; elections are over long before, as `bound` says.
        self.run(self.bound().max(Duration::from_secs(33)));
        self.judge();
        if self.stand_up() {
            self.run(self.bound());
            self.judge();
        }
    }

    /// Ends all standing down; whether there was any.
    fn stand_up(&mut self) -> bool {
        let mut any = false;
        for host in 0..self.hosts.len() {
            for at in 0..self.instances.len() {
                let instance = self.instances[at].0.clone();
                let Some(row) = self.row(host, &instance).filter(|row| row.stood_down.is_some()) else { continue };
                assert_eq!(row.effective_priority, Priority::MIN, "{instance} stands down on host {host}");
                any = true;
                let command = Command::StandDown { instance, down: false };
                self.with(host, |host, time, random, sent| {
                    host.input(Input::Command { request: 1, command }, time, random, sent);
                });
            }
        }
        any
    }

    /// How long elections may take: the delay before preempting, and two silences, because the last advert of a weaker
    /// master may have started the first one anew.
    fn bound(&self) -> Duration {
        let mut bound = Duration::ZERO;
        for instance in self.hosts.iter().flat_map(|host| &host.config.instances) {
            let silence = instance.advert_interval * (instance.down_timer_adverts + 1) + Duration::from_secs(1);
            let delay = match instance.preempt {
                Preempt::Never => Duration::ZERO,
                Preempt::After(delay) => delay,
            };
            bound = bound.max(delay + silence * 2);
        }
        if !self.groups.is_empty() {
            // Groups that are better for different members give way to each other, and begin again.
            bound *= 3;
        }
        bound + Duration::from_millis(100)
    }

    fn at(&mut self, time: Time, what: Happening) {
        self.count += 1;
        self.queue.push(Reverse((time, self.count, what)));
    }

    fn run(&mut self, length: Duration) {
        let end = self.time + length.as_nanos() as Time;
        while self.queue.peek().is_some_and(|Reverse((time, ..))| *time <= end) {
            let Some(Reverse((time, _, what))) = self.queue.pop() else { break };
            self.time = time;
            self.events += 1;
            match what {
                Happening::Arrive { to, packet } => self.arrive(to, packet),
                Happening::Fault if self.faults => self.fault(),
                Happening::Fault => {}
                Happening::Restart { host } => {
                    if self.hosts[host].engine.is_none() {
                        self.with(host, Host::start);
                    }
                }
                Happening::Wake { host } => {
                    if self.planned[host] == Some(time) {
                        self.planned[host] = None;
                    }
                    if self.hosts[host].wakes_at().is_some_and(|at| at <= self.time) {
                        self.with(host, Host::wake);
                    } else {
                        self.plan(host);
                    }
                }
            }
        }
        self.time = end;
    }

    /// Lets one host do something, sends what it says and checks the laws.
    fn with(&mut self, host: usize, act: impl FnOnce(&mut Host, Time, &mut Random, &mut Vec<Packet>)) {
        let mut sent = Vec::new();
        act(&mut self.hosts[host], self.time, &mut self.random, &mut sent);
        self.send(host, &mut sent);
        self.plan(host);
        self.check_addresses(host);
        self.hosts[host].check_groups();
        self.hosts[host].check_trackers();
        self.check_rivals();
    }

    fn plan(&mut self, host: usize) {
        let Some(at) = self.hosts[host].wakes_at().map(|at| at.max(self.time)) else { return };
        if self.planned[host].is_some_and(|planned| planned >= self.time && planned <= at) {
            return;
        }
        let late = if self.random.permille(100) { self.random.range(0, LATE_MAX) } else { 0 };
        self.planned[host] = Some(at + late);
        self.at(at + late, Happening::Wake { host });
    }

    fn send(&mut self, from: usize, sent: &mut Vec<Packet>) {
        for packet in sent.drain(..) {
            for to in 0..self.hosts.len() {
                if to == from || !self.heard[from][to] {
                    continue;
                }
                if self.random.permille(self.loss) {
                    self.excuse(from, to);
                    continue;
                }
                let copies = if self.random.permille(self.duplication) { 2 } else { 1 };
                for _ in 0..copies {
                    let at = self.time + self.random.range(MS / 20, DELAY_MAX);
                    self.packet_count += 1;
                    let number = self.packet_count;
                    self.packets.insert(number, packet.clone());
                    self.at(at, Happening::Arrive { to, packet: number });
                }
            }
        }
    }

    fn arrive(&mut self, to: usize, number: usize) {
        let Some(packet) = self.packets.remove(&number) else { return };
        let host = &mut self.hosts[to];
        if host.engine.is_none() || !host.up[0] {
            return;
        }
        host.inbox.push_back(packet);
        if host.stalled_until <= self.time {
            self.with(to, Host::wake);
        } else {
            self.plan(to);
        }
    }

    fn fault(&mut self) {
        let next = self.time + self.random.range(20 * MS, 3 * SECOND);
        self.at(next, Happening::Fault);
        let count = self.hosts.len();
        let host = self.random.below(count);
        let other = self.random.below(count);
        match self.random.below(24) {
            0 | 1 => self.heard[host][other] = !self.heard[host][other],
            2 => {
                let sides: Vec<bool> = (0..count).map(|_| self.random.permille(500)).collect();
                for from in 0..count {
                    for to in 0..count {
                        self.heard[from][to] = sides[from] == sides[to];
                    }
                }
            }
            3..=5 => self.heard = vec![vec![true; count]; count],
            6 | 7 => {
                let number = self.random.below(2);
                let up = self.random.permille(700);
                self.with(host, |host, time, random, sent| host.set_up(number, up, time, random, sent));
            }
            8 => {
                self.hosts[host].crash();
                let at = self.time + self.random.range(MS, 5 * SECOND);
                self.at(at, Happening::Restart { host });
            }
            9 => {
                self.with(host, |host, time, random, sent| {
                    host.input(Input::Shutdown { keep_addresses: false }, time, random, sent);
                    host.crash();
                });
                let at = self.time + self.random.range(MS, 5 * SECOND);
                self.at(at, Happening::Restart { host });
            }
            10 => {
                self.hosts[host].stalled_until = self.time + self.random.range(10 * MS, 10 * SECOND);
                self.planned[host] = None;
                self.plan(host);
            }
            // While the process is dead nobody could tell its successor what has left the file.
            11 if self.hosts[host].engine.is_some() => {
                let mut config = self.hosts[host].config.clone();
                setup::change(&mut config, &self.templates, &self.groups, &mut self.random);
                self.with(host, |host, time, random, sent| host.reload(config, time, random, sent));
            }
            12 | 13 => {
                let at = self.random.below(self.instances.len());
                let instance = self.instances[at].0.clone();
                let command = if self.random.permille(700) {
                    let priority = Priority::new(self.random.range(1, 255) as u8).expect("not zero");
                    Command::SetPriority { instance, priority }
                } else {
                    Command::SetPreempt { instance, preempt: self.random.permille(500) }
                };
                self.with(host, |host, time, random, sent| {
                    host.input(Input::Command { request: 1, command }, time, random, sent);
                });
            }
            14 | 15 => {
                let at = self.random.below(self.instances.len());
                let command =
                    Command::StandDown { instance: self.instances[at].0.clone(), down: self.random.permille(700) };
                self.with(host, |host, time, random, sent| {
                    host.input(Input::Command { request: 1, command }, time, random, sent);
                });
            }
            16 => {
                let it = &self.hosts[host];
                let moved: Vec<_> = it.addresses.iter().filter(|(_, address)| !it.is_own(*address)).copied().collect();
                if !moved.is_empty() {
                    let address = self.random.pick(&moved);
                    self.with(host, |host, time, random, sent| host.steal(address, time, random, sent));
                }
            }
            21 => {
                let lines: Vec<_> = self.hosts[host].lines.iter().cloned().collect();
                if !lines.is_empty() {
                    let line = lines[self.random.below(lines.len())].clone();
                    self.with(host, |host, time, random, sent| host.steal_line(&line, time, random, sent));
                }
            }
            22 => self.with(host, |host, time, random, sent| host.input(Input::LinesUncertain, time, random, sent)),
            17 => {
                let again = self.random.permille(500);
                self.with(host, |host, time, random, sent| {
                    host.replug(time, random, sent);
                    // Made again before the engine's questions about the old one are answered.
                    if again {
                        host.replug(time, random, sent);
                    }
                });
            }
            18..=20 => {
                let kind = self.random.pick(&trackers::KINDS);
                let again = self.random.permille(100);
                let finding = if again { Finding::Unknown } else { trackers::finding(kind, &mut self.random) };
                self.with(host, |host, time, random, sent| host.look(kind, finding, time, random, sent));
            }
            _ => self.loss = self.random.pick(&[0, 10, 100, 300]),
        }
        // Whatever it was, agreement may need another round.
        self.rivals.clear();
    }

    fn is_master(&self, host: usize, name: &InstanceName) -> bool {
        self.hosts[host].engine.is_some() && self.hosts[host].states.get(name) == Some(&State::Master)
    }

    fn excuse(&mut self, a: usize, b: usize) {
        let time = self.time;
        for ((_, low, high), since) in &mut self.rivals {
            if (*low, *high) == (a.min(b), a.max(b)) {
                *since = time;
            }
        }
    }

    /// Addresses are on a host while its machine is master, and only then.
    fn check_addresses(&mut self, number: usize) {
        let time = self.time;
        let host = &mut self.hosts[number];
        host.excused.retain(|_, until| *until > time);
        let host = &self.hosts[number];
        if host.engine.is_none() {
            return;
        }
        for instance in &host.config.instances {
            let master = self.is_master(number, &instance.name);
            for address in instance.addresses.iter().chain(&instance.excluded) {
                let index = if address.interface == "eth0" { Some(ETH0) } else { host.eth1 };
                let Some(index) = index else { continue };
                let there = host.addresses.contains(&(index, address.address));
                let lost = there && host.lost.contains(&address.address);
                if there != master && !lost && !host.excused.contains_key(&address.address) {
                    panic!(
                        "host {number}: {} is {} while {} is {:?}, at {time} ns",
                        address.address,
                        if there { "there" } else { "missing" },
                        instance.name,
                        host.states.get(&instance.name),
                    );
                }
                let blocked = host.blocked.contains(&address.address);
                assert_eq!(blocked, master && !instance.accept, "{} on host {number}", address.address);
            }
        }
        let ours = host.configured();
        for (_, address) in &host.addresses {
            let excused = host.excused.contains_key(address) || host.lost.contains(address);
            let known = host.is_own(*address) || ours.contains(address) || excused;
            assert!(known, "host {number}: {address} is no longer in the configuration");
        }
    }

    /// Two masters that hear each other must not stay.
    fn check_rivals(&mut self) {
        for (name, interval) in &self.instances {
            let masters: Vec<usize> = (0..self.hosts.len()).filter(|host| self.is_master(*host, name)).collect();
            self.rivals.retain(|(of, a, b), _| of != name || masters.contains(a) && masters.contains(b));
            for (at, a) in masters.iter().enumerate() {
                for b in &masters[at + 1..] {
                    let hear = self.heard[*a][*b] && self.heard[*b][*a];
                    let awake = [a, b].iter().all(|host| self.hosts[**host].stalled_until <= self.time);
                    let since = self.rivals.entry((name.clone(), *a, *b)).or_insert(self.time);
                    if !hear || !awake {
                        *since = self.time;
                        continue;
                    }
                    // The better one's next advert, on its way, read late, by a clock at most 500 ppm off.
                    let bound = interval + interval / 1000 + DELAY_MAX + 2 * LATE_MAX;
                    let passed = self.time - *since;
                    assert!(passed <= bound, "{name}: hosts {a} and {b} both master for {passed} ns, at {}", self.time);
                }
            }
        }
    }

    fn row(&self, host: usize, name: &InstanceName) -> Option<InstanceRow> {
        match self.hosts[host].engine.as_ref()?.row(&RowKey::Instance(name.clone()))? {
            Row::Instance(row) => Some(*row),
            _ => None,
        }
    }

    /// After healing.
    fn judge(&mut self) {
        for host in 0..self.hosts.len() {
            self.hosts[host].excused.clear();
            self.check_addresses(host);
            self.hosts[host].check_lines();
            let silent = self.hosts[host].unannounced();
            assert!(silent.is_empty(), "host {host} never announced {silent:?}");
        }
        for members in &self.groups {
            self.judged += u64::from(self.judge_group(members));
        }
        for (name, _) in &self.instances {
            let grouped = self
                .hosts
                .iter()
                .any(|host| host.config.instances.iter().any(|it| it.name == *name && it.sync_group.is_some()));
            if grouped {
                let masters = (0..self.hosts.len()).filter(|host| self.is_master(*host, name)).count();
                assert!(masters <= 1, "{name} has {masters} masters after healing");
                continue;
            }
            let rows: Vec<(usize, InstanceRow)> =
                (0..self.hosts.len()).filter_map(|host| Some((host, self.row(host, name)?))).collect();
            if rows.is_empty() {
                continue;
            }
            for (host, row) in &rows {
                assert_eq!(self.hosts[*host].states.get(name), Some(&row.state), "edges and rows of {name} agree");
                assert!(row.faults.is_empty(), "host {host} is healed: {:?}", row.faults);
                assert_eq!(row.addresses_set, row.state == State::Master, "{name} on host {host}");
            }
            let masters: Vec<&(usize, InstanceRow)> =
                rows.iter().filter(|(_, row)| row.state == State::Master).collect();
            let [(_, master)] = masters[..] else {
                panic!("{name} has {} masters after healing: {rows:#?}", masters.len())
            };
            for (host, row) in rows.iter().filter(|(_, row)| row.state == State::Backup) {
                let (own, best) = (row.effective_priority, master.effective_priority);
                assert!(!row.preempt || own <= best, "{name}: host {host} of priority {own} leaves it to {best}");
                let followed = row.master.map(|(address, _)| address);
                assert_eq!(followed, master.primary, "{name}: host {host} follows the master");
            }
            self.judged += 1;
        }
    }

    /// If all hosts have the whole group, one of them is master of all members, and nobody is better for every one.
    fn judge_group(&self, members: &[InstanceName]) -> bool {
        for host in &self.hosts {
            let there = host.config.sync_groups.iter().filter(|group| group.members == *members);
            // Another grouping, or none: each for itself may be in the way of another.
            if there.count() == 0 {
                return false;
            }
        }
        let rows: Vec<Vec<InstanceRow>> = (0..self.hosts.len())
            .map(|host| members.iter().map(|name| self.row(host, name).expect("it has the group")).collect())
            .collect();
        for (host, rows) in rows.iter().enumerate() {
            for row in rows {
                assert!(row.faults.is_empty(), "host {host} is healed: {:?}", row.faults);
                assert_eq!(row.addresses_set, row.state == State::Master, "{} on host {host}", row.config.name);
                assert_eq!(row.state, rows[0].state, "host {host}: members of {members:?} agree");
            }
        }
        let masters: Vec<usize> = (0..rows.len()).filter(|host| rows[*host][0].state == State::Master).collect();
        let [master] = masters[..] else { panic!("{members:?} have masters {masters:?} after healing: {rows:#?}") };
        for host in (0..rows.len()).filter(|host| *host != master) {
            let mut both = rows[host].iter().zip(&rows[master]);
            let better = |(own, best): (&InstanceRow, &InstanceRow)| {
                own.preempt && own.effective_priority > best.effective_priority
            };
            assert!(!both.clone().all(better), "{members:?}: host {host} leaves them to host {master}");
            for (own, best) in both.by_ref() {
                let followed = own.master.map(|(address, _)| address);
                assert_eq!(followed, best.primary, "{}: host {host} hears the master", own.config.name);
            }
        }
        true
    }
}
