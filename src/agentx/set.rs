//! SET transactions: test, commit, undo, clean up (RFC 2741 section 7.2.4).
//!
//! A transaction collects commands at TestSet, sends them to their owner one after another at CommitSet, and answers
//! when the owner has done all of them *and* readers can see it. Several may be under way at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::bus::msg::{Command, Generation, Reply, Source};
use crate::clock::Instant;
use crate::mib::table::SetError;
use crate::mib::tree;
use crate::mib::view::View;
use crate::wire::agentx::{ByteOrder, ErrorStatus, VarBind};

/// Names one command under way to its owner; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// The header of a request, which its response repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub order: ByteOrder,
    pub transaction: u32,
    pub packet: u32,
    pub context: Option<Vec<u8>>,
}

/// What a transaction wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Command { token: Token, command: Command },
    Answer { to: Asked, error: ErrorStatus, index: u16 },
}

/// All transactions of one session, and what is left to take back of those of earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Sets {
    transactions: BTreeMap<Key, Transaction>,
    /// Sessions that are over: a master that comes back may use its numbers again.
    over: u64,
    last_token: u64,
    /// The generations that readers see.
    store_at: BTreeMap<Source, Generation>,
    counts: SetCounts,
}

/// What became of SETs, by the object that was to be set.
pub type SetCounts = BTreeMap<&'static str, SetCount>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetCount {
    /// Carried out by the owner.
    pub committed: u64,
    /// By the test or by the owner.
    pub refused: u64,
    /// Taken back after it was committed.
    pub undone: u64,
}

/// How many sessions were over when it began, and its number there.
type Key = (u64, u32);

#[derive(Debug, Clone)]
struct Transaction {
    /// Commands not yet sent, with the positions of their variables.
    waiting: VecDeque<(Command, u16)>,
    /// Inverses of what was done, in the order it was done.
    inverses: Vec<Command>,
    /// How many of them are still to be sent, the last one first.
    to_undo: usize,
    in_flight: Option<InFlight>,
    /// A command whose answer was not waited for; it may have been carried out all the same.
    late: Option<InFlight>,
    /// When readers see everything that was done or undone, by each owner's count.
    visible_at: BTreeMap<Source, Generation>,
    /// The request that has no answer yet.
    asked: Option<Asked>,
    phase: Phase,
    /// When the phase is given up.
    deadline: Instant,
    /// CleanupSet came while something was still under way.
    forget: bool,
}

#[derive(Debug, Clone)]
struct InFlight {
    token: Token,
    command: Command,
    /// Position of the variable; `None` for an inverse.
    index: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Tested,
    Committing,
    Committed,
    Undoing { failed: bool },
    Undone { failed: bool },
}

impl Sets {
    /// Net-snmp's tools wait one second by default, and its master as long for us.
    pub const COMMIT_DEADLINE: Duration = Duration::from_millis(500);
    /// What is left of that second, should a commit that failed be undone.
    pub const UNDO_DEADLINE: Duration = Duration::from_millis(300);
    /// A master that tests and never goes on is forgotten after this.
    const IDLE: Duration = Duration::from_secs(60);
    /// A master works on a few requests at once; more come from one that never cleans up.
    pub const MAX: usize = 64;
    /// Variables of one transaction. An SNMP message has no room for more that can be set.
    pub const VARIABLES_MAX: usize = 4096;

    /// With tokens behind this number, for those who share an owner of commands with others.
    pub fn with_tokens_from(first: u64) -> Self {
        Sets { last_token: first, ..Sets::default() }
    }

    /// TestSet: every variable, or the error and the position (from 1) of the first that cannot be set.
    pub fn test(
        &mut self,
        id: u32,
        varbinds: &[VarBind],
        view: &dyn View,
        now: Instant,
    ) -> Result<(), (ErrorStatus, u16)> {
        let key = (self.over, id);
        let tested = self.add(key, varbinds, view, now);
        // What was refused in part is not committed in part, even by a master that goes on all the same.
        if tested.is_err() && self.transactions.get(&key).is_some_and(|known| known.phase == Phase::Tested) {
            self.transactions.remove(&key);
        }
        tested
    }

    fn add(&mut self, key: Key, varbinds: &[VarBind], view: &dyn View, now: Instant) -> Result<(), (ErrorStatus, u16)> {
        let known = self.transactions.get(&key).map_or(0, |known| known.waiting.len());
        if known + varbinds.len() > Self::VARIABLES_MAX {
            return Err((ErrorStatus::RESOURCE_UNAVAILABLE, 0));
        }
        let mut waiting = VecDeque::new();
        for (index, varbind) in (1..=u16::MAX).zip(varbinds) {
            let tested = view.test_set(varbind).map_err(|error| {
                if let Some(object) = tree::writable(&varbind.name) {
                    self.counts.entry(object).or_default().refused += 1;
                }
                (status(error), index)
            });
            waiting.push_back((tested?, index));
        }
        if !self.transactions.contains_key(&key) && self.transactions.len() >= Self::MAX {
            return Err((ErrorStatus::RESOURCE_UNAVAILABLE, 0));
        }
        let transaction = self.transactions.entry(key).or_insert_with(|| Transaction {
            waiting: VecDeque::new(),
            inverses: vec![],
            to_undo: 0,
            in_flight: None,
            late: None,
            visible_at: BTreeMap::new(),
            asked: None,
            phase: Phase::Tested,
            deadline: now + Self::IDLE,
            forget: false,
        });
        if transaction.phase != Phase::Tested {
            return Err((ErrorStatus::PROCESSING_ERROR, 0));
        }
        transaction.waiting.append(&mut waiting);
        Ok(())
    }

    /// For metrics.
    pub fn counts(&self) -> &SetCounts {
        &self.counts
    }

    pub fn commit(&mut self, asked: Asked, now: Instant) -> Vec<Step> {
        let key = (self.over, asked.transaction);
        match self.transactions.get_mut(&key) {
            Some(transaction) if transaction.phase == Phase::Tested => {
                transaction.phase = Phase::Committing;
                transaction.deadline = now + Self::COMMIT_DEADLINE;
                transaction.asked = Some(asked);
                self.advance(key, now)
            }
            _ => vec![Step::Answer { to: asked, error: ErrorStatus::PROCESSING_ERROR, index: 0 }],
        }
    }

    pub fn undo(&mut self, asked: Asked, now: Instant) -> Vec<Step> {
        let key = (self.over, asked.transaction);
        let mut steps = vec![];
        match self.transactions.get_mut(&key) {
            // It did not wait for the commit's answer: that comes first, and once.
            Some(transaction) if transaction.phase == Phase::Committing => steps = transaction.fail(now),
            Some(transaction) if matches!(transaction.phase, Phase::Undoing { .. }) && transaction.asked.is_none() => {}
            Some(transaction) if matches!(transaction.phase, Phase::Undone { .. }) => {}
            Some(transaction) if matches!(transaction.phase, Phase::Tested | Phase::Committed) => {
                transaction.begin_undo();
            }
            _ => return vec![Step::Answer { to: asked, error: ErrorStatus::PROCESSING_ERROR, index: 0 }],
        }
        if let Some(transaction) = self.transactions.get_mut(&key) {
            transaction.deadline = now + Self::UNDO_DEADLINE;
            transaction.asked = Some(asked);
        }
        steps.extend(self.advance(key, now));
        steps
    }

    /// CleanupSet: forgets the transaction, once nothing of it is under way. It gets no answer (RFC 2741 section
    /// 7.2.4.4); what was asked before keeps its own.
    pub fn clean_up(&mut self, id: u32) {
        let key = (self.over, id);
        let Some(transaction) = self.transactions.get_mut(&key) else { return };
        match transaction.phase {
            Phase::Tested | Phase::Committed | Phase::Undone { .. } => {
                self.transactions.remove(&key);
            }
            Phase::Committing | Phase::Undoing { .. } => transaction.forget = true,
        }
    }

    /// The owner answered.
    pub fn reply(&mut self, token: Token, reply: Reply, now: Instant) -> Vec<Step> {
        let is = |flight: &InFlight| flight.token == token;
        let of = |transaction: &Transaction| {
            transaction.in_flight.as_ref().is_some_and(is) || transaction.late.as_ref().is_some_and(is)
        };
        let Some(key) = self.transactions.iter().find(|(_, transaction)| of(transaction)).map(|(key, _)| *key) else {
            return vec![];
        };
        let mut steps = self.reply_to(key, token, reply, now);
        steps.extend(self.advance_all(now));
        steps
    }

    fn reply_to(&mut self, key: Key, token: Token, reply: Reply, now: Instant) -> Vec<Step> {
        let Some(transaction) = self.transactions.get_mut(&key) else { return vec![] };
        if transaction.late.take_if(|late| late.token == token).is_some() {
            if let Reply::Done { undo, visible_at } = reply {
                if let Some(count) = count(&mut self.counts, &undo) {
                    count.committed += 1;
                }
                transaction.visible_at.insert(undo.owner(), visible_at);
                // Owners work in order: an inverse for the same thing was, or will be, carried out behind the late
                // command, and puts back what was there before both.
                if !transaction.inverses.iter().any(|inverse| inverse.same_thing(&undo)) {
                    transaction.inverses.insert(transaction.to_undo, undo);
                    transaction.to_undo += 1;
                }
            }
            return self.advance(key, now);
        }
        let Some(InFlight { command, index, .. }) = transaction.in_flight.take() else { return vec![] };
        match (reply, index) {
            (Reply::Done { undo, visible_at }, Some(_)) => {
                if let Some(count) = count(&mut self.counts, &undo) {
                    count.committed += 1;
                }
                transaction.visible_at.insert(undo.owner(), visible_at);
                transaction.inverses.push(undo);
            }
            (Reply::Done { undo, visible_at }, None) => {
                if let Some(count) = count(&mut self.counts, &undo) {
                    count.undone += 1;
                }
                transaction.visible_at.insert(undo.owner(), visible_at);
            }
            (Reply::Refused(_), Some(index)) => {
                if let Some(count) = count(&mut self.counts, &command) {
                    count.refused += 1;
                }
                if transaction.phase == Phase::Committing {
                    let mut steps = transaction.fail_at(index, now);
                    steps.extend(self.advance(key, now));
                    return steps;
                }
            }
            (Reply::Refused(_), None) => transaction.phase = Phase::Undoing { failed: true },
        }
        self.advance(key, now)
    }

    /// Readers now see `generation` of what `source` says.
    pub fn store_at(&mut self, source: Source, generation: Generation, now: Instant) -> Vec<Step> {
        self.store_at.insert(source, generation);
        self.advance_all(now)
    }

    /// Gives up what has come to its deadline.
    pub fn wake(&mut self, now: Instant) -> Vec<Step> {
        let due = |(key, transaction): (&Key, &Transaction)| (transaction.deadline <= now).then_some(*key);
        let keys: Vec<Key> = self.transactions.iter().filter_map(due).collect();
        let mut steps = vec![];
        for key in keys {
            let Some(transaction) = self.transactions.get_mut(&key) else { continue };
            match (transaction.phase, transaction.asked.take()) {
                (Phase::Committing, asked) => {
                    transaction.asked = asked;
                    steps.extend(transaction.fail(now));
                    steps.extend(self.advance(key, now));
                }
                (Phase::Undoing { .. }, Some(to)) => {
                    transaction.phase = Phase::Undoing { failed: true };
                    transaction.deadline = now + Self::IDLE;
                    steps.push(Step::Answer { to, error: ErrorStatus::UNDO_FAILED, index: 1 });
                }
                (Phase::Tested | Phase::Committed | Phase::Undoing { .. } | Phase::Undone { .. }, _) => {
                    self.transactions.remove(&key);
                }
            }
        }
        steps.extend(self.advance_all(now));
        steps
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.transactions.values().map(|transaction| transaction.deadline).min()
    }

    /// The session is over; nobody waits for answers any more. What was tested is forgotten, and what was answered as
    /// committed stays. A commit without an answer is taken back: who asked for it is told by the master that it failed.
    pub fn clear(&mut self, now: Instant) -> Vec<Step> {
        let session = self.over;
        self.over += 1;
        let keys: Vec<Key> = self.transactions.keys().copied().filter(|(of, _)| *of == session).collect();
        let mut steps = vec![];
        for key in keys {
            let Some(transaction) = self.transactions.get_mut(&key) else { continue };
            match transaction.phase {
                Phase::Tested | Phase::Committed | Phase::Undone { .. } => {
                    self.transactions.remove(&key);
                    continue;
                }
                Phase::Committing => transaction.begin_undo(),
                Phase::Undoing { .. } => {}
            }
            transaction.asked = None;
            transaction.forget = true;
            transaction.deadline = now + Self::IDLE;
            steps.extend(self.advance(key, now));
        }
        steps
    }

    fn advance_all(&mut self, now: Instant) -> Vec<Step> {
        let mut all = vec![];
        loop {
            let keys: Vec<Key> = self.transactions.keys().copied().collect();
            let steps: Vec<Step> = keys.into_iter().flat_map(|key| self.advance(key, now)).collect();
            // One that settles may be what another waits for.
            if steps.is_empty() {
                return all;
            }
            all.extend(steps);
        }
    }

    /// Whether another transaction may yet take back what it did to the same thing. Overtaking it would lose one of both.
    fn is_held(&self, key: Key) -> bool {
        let Some((command, _)) = self.transactions.get(&key).and_then(|transaction| transaction.waiting.front()) else {
            return false;
        };
        self.transactions.iter().any(|(other, transaction)| *other != key && transaction.holds(command))
    }

    /// Goes as far as can be gone now: the next command, or the answer.
    fn advance(&mut self, key: Key, now: Instant) -> Vec<Step> {
        let held = self.is_held(key);
        let Some(transaction) = self.transactions.get_mut(&key) else { return vec![] };
        if transaction.in_flight.is_some() || held && transaction.phase == Phase::Committing {
            return vec![];
        }
        let next = match transaction.phase {
            Phase::Committing => transaction.waiting.pop_front().map(|(command, index)| (command, Some(index))),
            Phase::Undoing { .. } => transaction.next_inverse().map(|command| (command, None)),
            Phase::Tested | Phase::Committed | Phase::Undone { .. } => None,
        };
        if let Some((command, index)) = next {
            self.last_token += 1;
            let token = Token(self.last_token);
            transaction.in_flight = Some(InFlight { token, command: command.clone(), index });
            return vec![Step::Command { token, command }];
        }
        let shown = |(source, at): (&Source, &Generation)| self.store_at.get(source).copied().unwrap_or(0) >= *at;
        if transaction.late.is_some() || !transaction.visible_at.iter().all(shown) {
            return vec![];
        }
        let (phase, error) = match transaction.phase {
            Phase::Committing => (Phase::Committed, ErrorStatus::NO_ERROR),
            Phase::Undoing { failed } | Phase::Undone { failed } => {
                let error = if failed { ErrorStatus::UNDO_FAILED } else { ErrorStatus::NO_ERROR };
                (Phase::Undone { failed }, error)
            }
            Phase::Tested | Phase::Committed => return vec![],
        };
        if transaction.phase != phase {
            transaction.phase = phase;
            transaction.deadline = now + Self::IDLE;
        }
        let answer = transaction.asked.take().map(|to| {
            let index = u16::from(error != ErrorStatus::NO_ERROR);
            Step::Answer { to, error, index }
        });
        if transaction.forget {
            self.transactions.remove(&key);
        }
        answer.into_iter().collect()
    }
}

impl Transaction {
    fn begin_undo(&mut self) {
        self.phase = Phase::Undoing { failed: false };
        self.waiting.clear();
        self.to_undo = self.inverses.len();
        self.late = self.in_flight.take();
    }

    /// Whether this thing is being changed, or will be changed back.
    fn holds(&self, command: &Command) -> bool {
        let to_undo = match self.phase {
            Phase::Committing => self.inverses.as_slice(),
            Phase::Undoing { .. } => self.inverses.get(..self.to_undo).unwrap_or_default(),
            Phase::Tested | Phase::Committed | Phase::Undone { .. } => return false,
        };
        let flights = self.in_flight.iter().chain(&self.late).map(|flight| &flight.command);
        flights.chain(to_undo).any(|held| held.same_thing(command))
    }

    fn next_inverse(&mut self) -> Option<Command> {
        self.to_undo = self.to_undo.checked_sub(1)?;
        self.inverses.get(self.to_undo).cloned()
    }

    /// The commit failed at the variable whose turn it was.
    fn fail(&mut self, now: Instant) -> Vec<Step> {
        let in_flight = self.in_flight.as_ref().and_then(|flight| flight.index);
        let index = in_flight.or_else(|| self.waiting.front().map(|(_, index)| *index)).unwrap_or(1);
        self.fail_at(index, now)
    }

    /// The commit failed at this variable: says so and begins to take back what was done before it. The master's
    /// UndoSet will find that under way or finished.
    fn fail_at(&mut self, index: u16, now: Instant) -> Vec<Step> {
        self.begin_undo();
        self.deadline = now + Sets::IDLE;
        let answer = |to| Step::Answer { to, error: ErrorStatus::COMMIT_FAILED, index };
        self.asked.take().map(answer).into_iter().collect()
    }
}

/// `None`: no object stands for it.
fn count<'a>(counts: &'a mut SetCounts, command: &Command) -> Option<&'a mut SetCount> {
    let object = match command {
        Command::SetPriority { .. } => "vrrpInstanceBasePriority",
        Command::SetPreempt { .. } => "vrrpInstancePreempt",
        Command::SetWeight { .. } | Command::ResetWeight { .. } => "realServerWeight",
        Command::StandDown { .. } | Command::Announce { .. } => return None,
    };
    Some(counts.entry(object).or_default())
}

fn status(error: SetError) -> ErrorStatus {
    match error {
        SetError::NoAccess => ErrorStatus::NO_ACCESS,
        SetError::WrongType => ErrorStatus::WRONG_TYPE,
        SetError::WrongValue => ErrorStatus::WRONG_VALUE,
        SetError::NotWritable => ErrorStatus::NOT_WRITABLE,
    }
}

#[cfg(test)]
mod tests;
