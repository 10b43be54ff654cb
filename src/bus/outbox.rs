//! The sender's side of an engine's feed to the bridge.
//!
//! It holds *keys* of rows that changed, not values: a value is asked of the engine when a batch is built, so the
//! latest wins by itself and memory is bounded by the rows of the configuration. At most one batch is in flight; the
//! next is built when the last was written whole, so every Commit is one consistent state. Edges keep their order in a
//! ring. Nothing here waits for anybody.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::frame::Packer;
use super::msg::{ConfigGeneration, Edge, Feed, Generation, Reply, ToBridge};
use super::rows::{Row, RowKey};
use crate::clock::Instant;

/// An hour of one instance flapping every second.
const EDGES_MAX: usize = 3600;

/// Rows in which only a counter moved are told this often.
const COUNTER_PERIOD: Duration = Duration::from_secs(1);

/// What the transport made of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Yes,
    /// No room now: [`Outbox::wants_write`] stays true.
    Full,
    /// Nobody there: what was in flight is kept for the next peer.
    Gone,
}

/// Where an outbox gets the values of its rows.
pub trait Rows {
    /// `None`: the row exists no more.
    fn row(&self, key: &RowKey) -> Option<Row>;
    fn keys(&self) -> Vec<RowKey>;
}

#[derive(Debug, Default)]
pub struct Outbox {
    config: ConfigGeneration,
    generation: Generation,
    changed: BTreeSet<RowKey>,
    counted: BTreeSet<RowKey>,
    counters_due: Option<Instant>,
    edges: VecDeque<Edge>,
    edges_dropped: u64,
    replies: VecDeque<(u64, Reply)>,
    /// The next batch starts from nothing.
    full: bool,
    in_flight: VecDeque<Vec<u8>>,
    /// Edges that were sent, with their batch, until the bridge says that it has seen them. What a bridge that died had
    /// in its socket is told to the next one.
    unseen: VecDeque<(Generation, Edge)>,
    connected: bool,
    /// Rows that are not sent, because one alone is larger than a frame.
    too_large: BTreeSet<RowKey>,
    /// Those of them that [`Self::next_too_large`] did not name yet.
    too_large_untold: BTreeSet<RowKey>,
}

impl Outbox {
    pub fn new(config: ConfigGeneration) -> Outbox {
        Outbox { config, ..Outbox::default() }
    }

    /// Readers should learn of this row now.
    pub fn changed(&mut self, key: RowKey) {
        self.counted.remove(&key);
        self.changed.insert(key);
    }

    /// Readers may learn of this row within a second.
    pub fn counted(&mut self, key: RowKey, now: Instant) {
        if !self.changed.contains(&key) {
            self.counted.insert(key);
            self.counters_due.get_or_insert(now + COUNTER_PERIOD);
        }
    }

    /// Queues a transition; when the ring is full the oldest goes and is counted.
    pub fn edge(&mut self, edge: Edge) {
        self.edges.push_back(edge);
        self.bound_edges();
    }

    /// The bridge has acted on the edges of this batch and all before.
    pub fn seen(&mut self, generation: Generation) {
        while self.unseen.front().is_some_and(|(sent, _)| *sent <= generation) {
            self.unseen.pop_front();
        }
    }

    fn bound_edges(&mut self) {
        while self.unseen.len() + self.edges.len() > EDGES_MAX {
            if self.unseen.pop_front().is_none() {
                self.edges.pop_front();
            }
            self.edges_dropped += 1;
        }
    }

    /// Answers a command. The asker reads what it set from the generation that the next batch makes.
    pub fn reply(&mut self, request: u64, mut reply: Reply) {
        if let Reply::Done { visible_at, .. } = &mut reply {
            *visible_at = self.generation + 1;
        }
        self.replies.push_back((request, reply));
    }

    pub fn configuration(&mut self, config: ConfigGeneration) {
        self.config = config;
        // A batch even if no row changed: readers see that this process has the configuration.
        self.full = true;
    }

    /// A new bridge is there and knows nothing.
    pub fn connected(&mut self) {
        self.in_flight.clear();
        for (_, edge) in self.unseen.drain(..).rev() {
            self.edges.push_front(edge);
        }
        self.replies.clear();
        self.full = true;
        self.connected = true;
    }

    /// Answers that the bridge has not taken.
    pub fn replies_waiting(&self) -> usize {
        self.replies.len()
    }

    pub fn disconnected(&mut self) {
        self.connected = false;
    }

    /// A row that readers do not get, for the log: each one once, until it fits again.
    pub fn next_too_large(&mut self) -> Option<RowKey> {
        self.too_large_untold.pop_first()
    }

    /// When to call [`Self::pump`] although nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        if self.connected && self.in_flight.is_empty() { self.counters_due } else { None }
    }

    /// Whether frames wait for room.
    pub fn wants_write(&self) -> bool {
        self.connected && !self.in_flight.is_empty()
    }

    /// Whether everything that was said has been written.
    pub fn is_empty(&self) -> bool {
        !self.connected || (self.in_flight.is_empty() && !self.due(None))
    }

    /// Writes what the transport takes.
    pub fn pump(&mut self, rows: &impl Rows, now: Instant, mut send: impl FnMut(&[u8]) -> Sent) {
        while self.connected {
            if self.in_flight.is_empty() {
                if !self.due(Some(now)) {
                    return;
                }
                self.build(rows);
            }
            while let Some(frame) = self.in_flight.front() {
                match send(frame) {
                    Sent::Yes => {
                        self.in_flight.pop_front();
                    }
                    Sent::Full => return,
                    Sent::Gone => {
                        self.connected = false;
                        return;
                    }
                }
            }
        }
    }

    fn due(&self, now: Option<Instant>) -> bool {
        let counters = match (self.counters_due, now) {
            (Some(due), Some(now)) => due <= now,
            (due, None) => due.is_some(),
            (None, _) => false,
        };
        self.full || !self.changed.is_empty() || !self.edges.is_empty() || !self.replies.is_empty() || counters
    }

    fn build(&mut self, rows: &impl Rows) {
        self.generation += 1;
        let mut keys = std::mem::take(&mut self.changed);
        // Counters that moved ride along: they cost nothing more now.
        keys.append(&mut self.counted);
        self.counters_due = None;
        if self.full {
            keys = rows.keys().into_iter().collect();
        }
        let mut packer = Packer::default();
        let mut say = |message: ToBridge| packer.push(&message).is_ok();
        say(ToBridge::Feed(Feed::Begin { generation: self.generation, config: self.config, full: self.full }));
        self.full = false;
        for key in keys {
            let fits = match rows.row(&key) {
                Some(row) => say(ToBridge::Feed(Feed::Row(key.clone(), row))),
                None => say(ToBridge::Feed(Feed::Gone(key.clone()))),
            };
            if fits {
                self.too_large.remove(&key);
                self.too_large_untold.remove(&key);
            } else if self.too_large.insert(key.clone()) {
                self.too_large_untold.insert(key);
            }
        }
        for edge in self.edges.drain(..) {
            say(ToBridge::Feed(Feed::Edge(edge.clone())));
            self.unseen.push_back((self.generation, edge));
        }
        say(ToBridge::Feed(Feed::Commit { edges_dropped: self.edges_dropped }));
        for (request, reply) in self.replies.drain(..) {
            say(ToBridge::Reply { request, reply });
        }
        self.in_flight = packer.into_frames().into();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::super::frame::decode;
    use super::super::msg::Command;
    use super::super::rows::{Reason, RouterCounters, State, SyncGroupRow};
    use super::*;
    use crate::clock::WallTime;
    use crate::conf::model::SyncGroup;

    /// Rows whose value is one counter.
    #[derive(Default)]
    struct Table(RefCell<BTreeMap<RowKey, u64>>);

    impl Rows for Table {
        fn row(&self, key: &RowKey) -> Option<Row> {
            let value = *self.0.borrow().get(key)?;
            Some(Row::Router(RouterCounters { checksum_errors: value, ..Default::default() }))
        }
        fn keys(&self) -> Vec<RowKey> {
            self.0.borrow().keys().cloned().collect()
        }
    }

    fn instance(name: &str) -> RowKey {
        RowKey::Instance(name.into())
    }

    fn edge(index: u32) -> Edge {
        Edge::Transition {
            instance: "VI_1".into(),
            index,
            from: State::Backup,
            to: State::Master,
            initial: State::Backup,
            reason: Reason::MasterNoResponse,
            new_master: None,
            at: WallTime(0),
        }
    }

    fn pumped(outbox: &mut Outbox, table: &Table, now: Instant) -> Vec<ToBridge> {
        let mut said = Vec::new();
        outbox.pump(table, now, |frame| {
            said.extend(decode::<ToBridge>(frame).unwrap());
            Sent::Yes
        });
        said
    }

    fn connected(table: &Table) -> Outbox {
        let mut outbox = Outbox::new(1);
        outbox.connected();
        pumped(&mut outbox, table, Instant::ZERO);
        outbox
    }

    #[test]
    fn a_row_that_changes_twice_while_the_reader_is_full_is_sent_once_with_its_last_value() {
        let table = Table::default();
        table.0.borrow_mut().insert(instance("A"), 1);
        let mut outbox = connected(&table);
        outbox.changed(instance("A"));
        outbox.pump(&table, Instant::ZERO, |_| Sent::Full);
        for value in 2..100 {
            table.0.borrow_mut().insert(instance("A"), value);
            outbox.changed(instance("A"));
            outbox.pump(&table, Instant::ZERO, |_| Sent::Full);
        }
        let said = pumped(&mut outbox, &table, Instant::ZERO);
        let values: Vec<u64> = said
            .iter()
            .filter_map(|message| match message {
                ToBridge::Feed(Feed::Row(_, Row::Router(row))) => Some(row.checksum_errors),
                _ => None,
            })
            .collect();
        assert_eq!(values, [1, 99], "the batch in flight, then one batch with the latest value");
    }

    #[test]
    fn a_new_bridge_gets_everything_first() {
        let table = Table::default();
        for name in ["A", "B", "C"] {
            table.0.borrow_mut().insert(instance(name), 7);
        }
        let mut outbox = connected(&table);
        outbox.connected();
        let said = pumped(&mut outbox, &table, Instant::ZERO);
        assert!(matches!(said.first(), Some(ToBridge::Feed(Feed::Begin { full: true, .. }))));
        assert_eq!(said.iter().filter(|m| matches!(m, ToBridge::Feed(Feed::Row(..)))).count(), 3);
        assert!(matches!(said.last(), Some(ToBridge::Feed(Feed::Commit { .. }))));
    }

    #[test]
    fn edges_that_a_bridge_took_and_never_acted_on_are_told_to_the_next_one_in_order() {
        let table = Table::default();
        let mut outbox = connected(&table);
        outbox.edge(edge(0));
        pumped(&mut outbox, &table, Instant::ZERO);
        outbox.seen(outbox.generation);
        outbox.edge(edge(1));
        // Into the socket of a bridge that is stopped, and is killed before it reads.
        pumped(&mut outbox, &table, Instant::ZERO);
        outbox.edge(edge(2));
        outbox.connected();
        let edges: Vec<Edge> = pumped(&mut outbox, &table, Instant::ZERO)
            .into_iter()
            .filter_map(|m| if let ToBridge::Feed(Feed::Edge(edge)) = m { Some(edge) } else { None })
            .collect();
        assert_eq!(edges, [edge(1), edge(2)]);
    }

    #[test]
    fn without_a_bridge_memory_is_bounded_and_lost_edges_are_counted() {
        let table = Table::default();
        let mut outbox = Outbox::new(1);
        for index in 0..EDGES_MAX as u32 + 5 {
            outbox.edge(edge(index));
            outbox.changed(instance("A"));
            outbox.pump(&table, Instant::ZERO, |_| unreachable!("nobody is there"));
        }
        assert_eq!((outbox.edges.len(), outbox.changed.len(), outbox.edges_dropped), (EDGES_MAX, 1, 5));
    }

    #[test]
    fn counters_wait_for_their_second() {
        let table = Table::default();
        table.0.borrow_mut().insert(instance("A"), 1);
        let mut outbox = connected(&table);
        outbox.counted(instance("A"), Instant::ZERO);
        assert_eq!(outbox.deadline(), Some(Instant::ZERO + COUNTER_PERIOD));
        assert_eq!(pumped(&mut outbox, &table, Instant::ZERO), []);
        let said = pumped(&mut outbox, &table, Instant::ZERO + COUNTER_PERIOD);
        assert!(said.iter().any(|m| matches!(m, ToBridge::Feed(Feed::Row(..)))));
        assert_eq!(outbox.deadline(), None);
    }

    /// A sync group with as many members as it says.
    struct Crowd(usize);

    impl Rows for Crowd {
        fn row(&self, key: &RowKey) -> Option<Row> {
            let RowKey::SyncGroup(name) = key else { return None };
            let config = SyncGroup {
                location: Default::default(),
                name: name.clone(),
                members: (0..self.0).map(|at| format!("instance_{at:08}").as_str().into()).collect(),
                tracking_weight: false,
                tracks: vec![],
                tracked_interfaces: vec![],
                notify: Default::default(),
                smtp_alert: false,
            };
            Some(Row::SyncGroup(Box::new(SyncGroupRow { index: 1, config, state: State::Backup, since: WallTime(0) })))
        }
        fn keys(&self) -> Vec<RowKey> {
            vec![RowKey::SyncGroup("G".to_owned())]
        }
    }

    #[test]
    fn a_row_that_fits_no_frame_is_named_once_until_it_fits_again() {
        let mut outbox = Outbox::new(1);
        outbox.connected();
        let mut named = |members| {
            outbox.changed(RowKey::SyncGroup("G".to_owned()));
            let mut rows = 0;
            outbox.pump(&Crowd(members), Instant::ZERO, |frame| {
                let said = decode::<ToBridge>(frame).unwrap();
                rows += said.iter().filter(|message| matches!(message, ToBridge::Feed(Feed::Row(..)))).count();
                Sent::Yes
            });
            (rows, std::iter::from_fn(|| outbox.next_too_large()).map(|key| key.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(named(100), (1, vec![]));
        assert_eq!(named(10_000), (0, vec!["vrrp_sync_group G".to_owned()]));
        assert_eq!(named(10_001), (0, vec![]), "told already");
        assert_eq!(named(100), (1, vec![]));
        assert_eq!(named(10_000), (0, vec!["vrrp_sync_group G".to_owned()]));
    }

    #[test]
    fn a_reply_names_the_generation_that_shows_the_change() {
        let table = Table::default();
        let mut outbox = connected(&table);
        let undo = Command::SetPreempt { instance: "VI_1".into(), preempt: true };
        outbox.reply(9, Reply::Done { undo, visible_at: 0 });
        outbox.changed(instance("A"));
        let said = pumped(&mut outbox, &table, Instant::ZERO);
        let Some(ToBridge::Feed(Feed::Begin { generation, .. })) = said.first().cloned() else { panic!("{said:?}") };
        assert!(matches!(
            said.last(),
            Some(ToBridge::Reply { request: 9, reply: Reply::Done { visible_at, .. } }) if *visible_at == generation
        ));
    }
}
