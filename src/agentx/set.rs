//! SET transactions: test, commit, undo, clean up (RFC 2741 section 7.2.4).
//!
//! A transaction collects commands at TestSet, sends them to their owner one after another at CommitSet, and answers
//! when the owner has done all of them *and* readers can see it. Several may be under way at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::bus::msg::{Command, Generation, Reply, Source};
use crate::clock::Instant;
use crate::mib::table::SetError;
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

/// All transactions of one session.
#[derive(Debug, Clone, Default)]
pub struct Sets {
    transactions: BTreeMap<u32, Transaction>,
    last_token: u64,
    /// The generations that readers see.
    store_at: BTreeMap<Source, Generation>,
}

#[derive(Debug, Clone)]
struct Transaction {
    /// Commands not yet sent, with the positions of their variables.
    waiting: VecDeque<(Command, u16)>,
    /// Inverses of what was done, in the order it was done.
    inverses: Vec<Command>,
    /// How many of them are still to be sent, the last one first.
    to_undo: usize,
    in_flight: Option<InFlight>,
    /// A command whose answer did not come in time; it may have been carried out all the same.
    late: Option<Token>,
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

#[derive(Debug, Clone, Copy)]
struct InFlight {
    token: Token,
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
        let mut waiting = VecDeque::new();
        for (index, varbind) in (1..=u16::MAX).zip(varbinds) {
            waiting.push_back((view.test_set(varbind).map_err(|error| (status(error), index))?, index));
        }
        if !self.transactions.contains_key(&id) && self.transactions.len() >= Self::MAX {
            return Err((ErrorStatus::RESOURCE_UNAVAILABLE, 0));
        }
        let transaction = self.transactions.entry(id).or_insert_with(|| Transaction {
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

    pub fn commit(&mut self, asked: Asked, now: Instant) -> Vec<Step> {
        let id = asked.transaction;
        match self.transactions.get_mut(&id) {
            Some(transaction) if transaction.phase == Phase::Tested => {
                transaction.phase = Phase::Committing;
                transaction.deadline = now + Self::COMMIT_DEADLINE;
                transaction.asked = Some(asked);
                self.advance(id, now)
            }
            _ => vec![Step::Answer { to: asked, error: ErrorStatus::PROCESSING_ERROR, index: 0 }],
        }
    }

    pub fn undo(&mut self, asked: Asked, now: Instant) -> Vec<Step> {
        let id = asked.transaction;
        let Some(transaction) = self.transactions.get_mut(&id) else {
            return vec![Step::Answer { to: asked, error: ErrorStatus::PROCESSING_ERROR, index: 0 }];
        };
        if !matches!(transaction.phase, Phase::Undoing { .. } | Phase::Undone { .. }) {
            transaction.begin_undo();
        }
        transaction.deadline = now + Self::UNDO_DEADLINE;
        transaction.asked = Some(asked);
        self.advance(id, now)
    }

    /// CleanupSet: forgets the transaction, once nothing of it is under way. It gets no answer (RFC 2741 section
    /// 7.2.4.4).
    pub fn clean_up(&mut self, id: u32) {
        let Some(transaction) = self.transactions.get_mut(&id) else { return };
        match transaction.phase {
            Phase::Tested | Phase::Committed | Phase::Undone { .. } => {
                self.transactions.remove(&id);
            }
            Phase::Committing | Phase::Undoing { .. } => {
                transaction.asked = None;
                transaction.forget = true;
            }
        }
    }

    /// The owner answered.
    pub fn reply(&mut self, token: Token, reply: Reply, now: Instant) -> Vec<Step> {
        let mine = |transaction: &Transaction| {
            transaction.in_flight.is_some_and(|flight| flight.token == token) || transaction.late == Some(token)
        };
        let Some((id, transaction)) = self.transactions.iter_mut().find(|(_, transaction)| mine(transaction)) else {
            return vec![];
        };
        let id = *id;
        if transaction.late == Some(token) {
            transaction.late = None;
            if let Reply::Done { undo, visible_at } = reply {
                // It came after inverses that were sent meanwhile: all of them go once more. They name values, not
                // differences, so that does no harm.
                transaction.visible_at.insert(undo.owner(), visible_at);
                transaction.inverses.push(undo);
                transaction.to_undo = transaction.inverses.len();
            }
            return self.advance(id, now);
        }
        let index = transaction.in_flight.take().and_then(|flight| flight.index);
        match (reply, index) {
            (Reply::Done { undo, visible_at }, Some(_)) => {
                transaction.visible_at.insert(undo.owner(), visible_at);
                transaction.inverses.push(undo);
            }
            (Reply::Done { undo, visible_at }, None) => {
                transaction.visible_at.insert(undo.owner(), visible_at);
            }
            (Reply::Refused(_), Some(index)) => {
                if transaction.phase == Phase::Committing {
                    let mut steps = transaction.fail(index, now);
                    steps.extend(self.advance(id, now));
                    return steps;
                }
            }
            (Reply::Refused(_), None) => transaction.phase = Phase::Undoing { failed: true },
        }
        self.advance(id, now)
    }

    /// Readers now see `generation` of what `source` says.
    pub fn store_at(&mut self, source: Source, generation: Generation, now: Instant) -> Vec<Step> {
        self.store_at.insert(source, generation);
        let ids: Vec<u32> = self.transactions.keys().copied().collect();
        ids.into_iter().flat_map(|id| self.advance(id, now)).collect()
    }

    /// Gives up what has come to its deadline.
    pub fn wake(&mut self, now: Instant) -> Vec<Step> {
        let due = |(id, transaction): (&u32, &Transaction)| (transaction.deadline <= now).then_some(*id);
        let ids: Vec<u32> = self.transactions.iter().filter_map(due).collect();
        let mut steps = vec![];
        for id in ids {
            let Some(transaction) = self.transactions.get_mut(&id) else { continue };
            match (transaction.phase, transaction.asked.take()) {
                (Phase::Committing, asked) => {
                    transaction.asked = asked;
                    let index = transaction.in_flight.and_then(|flight| flight.index).unwrap_or(1);
                    steps.extend(transaction.fail(index, now));
                    steps.extend(self.advance(id, now));
                }
                (Phase::Undoing { .. }, Some(to)) => {
                    transaction.phase = Phase::Undoing { failed: true };
                    transaction.deadline = now + Self::IDLE;
                    steps.push(Step::Answer { to, error: ErrorStatus::UNDO_FAILED, index: 1 });
                }
                (Phase::Tested | Phase::Committed | Phase::Undoing { .. } | Phase::Undone { .. }, _) => {
                    self.transactions.remove(&id);
                }
            }
        }
        steps
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.transactions.values().map(|transaction| transaction.deadline).min()
    }

    /// The session is over; nobody waits for answers any more. What was committed stays.
    pub fn clear(&mut self) {
        self.transactions.clear();
    }

    /// Goes as far as can be gone now: the next command, or the answer.
    fn advance(&mut self, id: u32, now: Instant) -> Vec<Step> {
        let Some(transaction) = self.transactions.get_mut(&id) else { return vec![] };
        if transaction.in_flight.is_some() {
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
            transaction.in_flight = Some(InFlight { token, index });
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
            self.transactions.remove(&id);
        }
        answer.into_iter().collect()
    }
}

impl Transaction {
    fn begin_undo(&mut self) {
        self.phase = Phase::Undoing { failed: false };
        self.waiting.clear();
        self.to_undo = self.inverses.len();
        self.late = self.in_flight.take().map(|flight| flight.token);
    }

    fn next_inverse(&mut self) -> Option<Command> {
        self.to_undo = self.to_undo.checked_sub(1)?;
        self.inverses.get(self.to_undo).cloned()
    }

    /// The commit failed at this variable: says so and begins to take back what was done before it. The master's
    /// UndoSet will find that under way or finished.
    fn fail(&mut self, index: u16, now: Instant) -> Vec<Step> {
        self.begin_undo();
        self.deadline = now + Sets::IDLE;
        let answer = |to| Step::Answer { to, error: ErrorStatus::COMMIT_FAILED, index };
        self.asked.take().map(answer).into_iter().collect()
    }
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
