//! A recorded scenario with keepwatchd in Keepalived's place: namespaces as in its `setup.sh`, then its walk, events and
//! SETs. Everything that differs is told at the end, at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::sets::{self, Rewrite};
use super::traps::{self, Chapter, Fewer, Streams};
use super::{Difference, MODULES, NotYet, mismatches_of};
use crate::daemon::{Daemon, Options, Program};
use crate::net::{Lab, Node};
use crate::snmp::{Manager, Snmpd, TrapCollector};
use crate::wait;

/// A scenario's folder, and where keepwatch differs from it.
#[derive(Debug)]
pub struct Scenario {
    pub configuration: &'static str,
    /// Of a second node, Debian's keepalived.
    pub peer: Option<&'static str>,
    pub arguments: &'static [&'static str],
    pub links: &'static [Link],
    pub walk: &'static str,
    pub differences: &'static [&'static [Difference]],
    pub sets: &'static str,
    pub sets_script: &'static str,
    pub rewrites: &'static [Rewrite],
    pub traps: &'static str,
    pub fewer: &'static [Fewer],
    pub streams: &'static Streams,
    pub sysor: &'static str,
    pub not_yet: &'static [NotYet],
}

/// A veth pair: `name` on the node, `pNAME` on its peer.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub name: &'static str,
    pub index: u32,
    pub mac: &'static str,
    pub addresses: &'static [&'static str],
    pub peers: &'static [&'static str],
}

/// The directory of the recorded runs, which configurations and answers name.
const PLACE: &str = "/run/kwsnmp";

/// As long as the slowest scenario took to settle.
const SETTLE: Duration = Duration::from_secs(25);
/// As long as the slowest event had, and more.
const EVENT: Duration = Duration::from_secs(15);
/// After the last trap of an event; one that comes then is one too many.
const QUIET: Duration = Duration::from_millis(700);

/// A scenario being played.
pub struct Stage {
    scenario: &'static Scenario,
    place: String,
    /// Event and number of traps before it.
    events: RefCell<Vec<(String, usize)>>,
    /// Rows by names in quotes.
    rows: RefCell<BTreeMap<String, u32>>,
    want: RefCell<Vec<Chapter>>,
    wrong: RefCell<Vec<String>>,
    stopped: Cell<bool>,
    pub daemon: RefCell<Daemon>,
    _peer_daemon: Option<Daemon>,
    pub manager: Manager,
    traps: TrapCollector,
    _snmpd: Snmpd,
    pub node: Node,
    pub peer: Node,
    lab: Lab,
}

impl Stage {
    /// Everything is up; the daemon has been started a moment ago. `rows` are the numbers of instances and groups.
    #[track_caller]
    pub fn set(scenario: &'static Scenario, rows: &[(&str, u32)]) -> Stage {
        let lab = Lab::new();
        let (node, peer) = (lab.node("L"), lab.node("P"));
        for link in scenario.links {
            link.lay(&node, &peer);
        }
        let place = lab.directory().to_string_lossy().into_owned();
        let traps = TrapCollector::start(&node);
        let snmpd = Snmpd::start(&node, Some("127.0.0.1:162"));
        let configuration = scenario.configuration.replace(PLACE, &place);
        let peer_daemon = scenario.peer.map(|text| Daemon::start(&peer, Program::Keepalived, text, Options::default()));
        let agentx = snmpd.agentx();
        let mut more = vec!["-A", agentx.as_str()];
        more.extend(scenario.arguments);
        let options = Options { more: &more, ..Options::default() };
        let daemon = Daemon::start(&node, Program::Keepwatch, &configuration, options);
        let stage = Stage {
            scenario,
            place,
            events: RefCell::default(),
            rows: RefCell::default(),
            want: RefCell::default(),
            wrong: RefCell::default(),
            stopped: Cell::new(false),
            daemon: RefCell::new(daemon),
            _peer_daemon: peer_daemon,
            manager: Manager::on(&node, "127.0.0.1"),
            traps,
            _snmpd: snmpd,
            node,
            peer,
            lab,
        };
        stage.events.borrow_mut().push(("start".to_owned(), 0));
        let (recorded, complaints) = traps::without(traps::chapters(scenario.traps), scenario.fewer);
        *stage.want.borrow_mut() = recorded;
        stage.wrong.borrow_mut().extend(complaints);
        stage.rows_are(rows);
        stage.number_from(0);
        stage
    }

    /// Where files of the scenario are.
    pub fn place(&self) -> &std::path::Path {
        self.lab.directory()
    }

    /// The walk of all modules, once it has settled, and what sysORTable says.
    pub fn walk(&self) {
        let recorded = self.scenario.walk.replace(PLACE, &self.place);
        let mut last = Vec::new();
        let walked = wait::within(SETTLE, || {
            let walked: Vec<String> = MODULES.iter().flat_map(|root| self.manager.walk(root)).collect();
            last = mismatches_of(&recorded, self.scenario.differences, self.scenario.not_yet, &walked);
            last.is_empty().then_some(())
        });
        if walked.is_none() {
            self.wrong.borrow_mut().push(super::report(&last));
        }
        let (want, have) = (parts(self.scenario.sysor.lines()), parts(self.manager.walk(SYS_OR_DESCR).iter()));
        if want != have {
            self.wrong.borrow_mut().push(format!("sysORDescr\n  want {want:?}\n  have {have:?}"));
        }
        self.until_all_came();
    }

    /// Plays an event of the recording and waits for its notifications.
    #[track_caller]
    pub fn event(&self, title: &str, happens: impl FnOnce()) {
        let known = self.want.borrow().iter().any(|chapter| chapter.event == title);
        assert!(known, "no such event is recorded: {title}");
        self.events.borrow_mut().push((title.to_owned(), self.traps.traps().len()));
        happens();
        self.until_all_came();
    }

    /// Every request of `sets.sh`; a recorded reload comes later.
    pub fn sets(&self) {
        let recorded = self.scenario.sets.split("## reload").next().unwrap_or_default();
        self.requests(recorded, self.scenario.sets_script, self.scenario.rewrites, self.scenario.not_yet);
    }

    /// Requests of a part of the recording.
    pub fn requests(&self, recorded: &str, script: &str, rewrites: &[Rewrite], not_yet: &[NotYet]) {
        let recorded = sets::exchanges(recorded);
        let played = sets::exchanges(&sets::replay(script, &self.manager));
        self.wrong.borrow_mut().extend(sets::differing(&recorded, rewrites, not_yet, &played));
    }

    /// Reloads, and says what the numbers of rows are from here on.
    #[track_caller]
    pub fn reload(&self, title: &str, configuration: &str, rows: &[(&str, u32)]) {
        let configuration = configuration.replace(PLACE, &self.place);
        self.event(title, || self.daemon.borrow().reload(&configuration));
        self.rows_are(rows);
        let after = self.want.borrow().iter().position(|chapter| chapter.event == title).map_or(0, |at| at + 1);
        self.number_from(after);
    }

    /// Stops the daemon and compares what has been sent since the start.
    #[track_caller]
    pub fn finish(self) {
        self.event("stop (SIGTERM)", || {
            self.daemon.borrow_mut().stop();
        });
        self.stopped.set(true);
        let sent = self.traps.traps();
        let events = self.events.borrow();
        let have: Vec<Chapter> = events
            .iter()
            .enumerate()
            .map(|(number, (event, from))| {
                let to = events.get(number + 1).map_or(sent.len(), |(_, to)| *to);
                Chapter { event: event.clone(), traps: sent.get(*from..to).unwrap_or_default().to_vec() }
            })
            .collect();
        let mut want = self.want.borrow_mut();
        want.retain(|chapter| !matches!(chapter.event.as_str(), "events" | "sets" | "end"));
        let mut wrong = self.wrong.borrow_mut();
        wrong.extend(traps::differing(&want, &have, self.scenario.streams, self.scenario.not_yet));
        let log = self.daemon.borrow().log();
        assert!(wrong.is_empty(), "{}\n\nthe daemon said:\n{log}", wrong.join("\n"));
    }

    fn rows_are(&self, rows: &[(&str, u32)]) {
        *self.rows.borrow_mut() = rows.iter().map(|(name, row)| (format!("\"{name}\""), *row)).collect();
    }

    /// Puts row numbers into what is wanted from this chapter on.
    fn number_from(&self, first: usize) {
        let rows = self.rows.borrow();
        let (recorded, _) = traps::without(traps::chapters(self.scenario.traps), self.scenario.fewer);
        for (chapter, recorded) in self.want.borrow_mut().iter_mut().zip(&recorded).skip(first) {
            chapter.traps = recorded.traps.iter().map(|trap| traps::with_rows(trap, &rows)).collect();
        }
    }

    /// Waits for as many traps as are recorded for the last event, and then until none comes.
    fn until_all_came(&self) {
        let (title, before) = self.events.borrow().last().cloned().unwrap_or_default();
        let due = self.want.borrow().iter().find(|it| it.event == title).map_or(0, |it| it.traps.len());
        let waits =
            |it: &&NotYet| matches!(it.at, super::At::Event(event) | super::At::Stream(event, _) if event == title);
        let limit = if self.scenario.not_yet.iter().any(|it| waits(&it)) { EVENT / 2 } else { EVENT };
        let arrived = || self.traps.traps().len().saturating_sub(before);
        wait::within(limit, || (arrived() >= due).then_some(()));
        let mut last = (arrived(), Instant::now());
        wait::within(EVENT, || {
            let now = arrived();
            if now != last.0 {
                last = (now, Instant::now());
            }
            (last.1.elapsed() >= QUIET).then_some(())
        });
    }
}

impl Drop for Stage {
    /// A test that fails in the middle still tells what was wrong before.
    fn drop(&mut self) {
        if std::thread::panicking() && !self.stopped.get() {
            eprintln!("{}\n\nthe daemon said:\n{}", self.wrong.borrow().join("\n"), self.daemon.borrow().log());
        }
    }
}

/// sysORDescr
const SYS_OR_DESCR: &str = ".1.3.6.1.2.1.1.9.1.3";

/// What of `sysORTable` is of the daemon, sorted: the order of registering is nobody's concern.
pub fn parts(lines: impl Iterator<Item = impl AsRef<str>>) -> Vec<String> {
    let value = |line: &str| Some(line.split_once(" = ")?.1.trim().to_owned());
    let mut parts: Vec<String> = lines.filter_map(|line| value(line.as_ref())).collect();
    let ours = ["Keepalived", "Healthchecker", "KEEPALIVED-VRRP", "VRRP", "VRRPV3"];
    parts.retain(|part| ours.iter().any(|name| *part == format!("STRING: \"The MIB module for {name}\"")));
    parts.sort();
    parts
}

impl Link {
    #[track_caller]
    fn lay(&self, node: &Node, peer: &Node) {
        let (end, index) = (format!("p{}", self.name), self.index.to_string());
        let mut add = vec!["link", "add", self.name, "index", &index, "address", self.mac, "type", "veth"];
        add.extend(["peer", "name", &end, "netns", peer.namespace()]);
        node.ip(&add);
        let ends = [(node, self.name, self.addresses), (peer, end.as_str(), self.peers)];
        for (at, name, addresses) in ends {
            for address in addresses {
                let nodad = address.contains(':').then_some("nodad");
                let words: Vec<&str> = ["address", "add", address, "dev", name].into_iter().chain(nodad).collect();
                at.ip(&words);
            }
        }
        for (at, name, _) in [ends[1], ends[0]] {
            at.ip(&["link", "set", name, "up"]);
        }
    }
}
