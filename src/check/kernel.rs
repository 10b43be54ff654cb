//! What is wanted of the kernel's table, what it is known to hold, and what it was asked.
//!
//! Each kernel service has at most one batch of operations unanswered, so that nothing can overtake: what changes
//! meanwhile is planned when the answers are there. A refusal is tried again after 1 s, then 2, up to a minute, or when
//! something about that service changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::io::Output;
use super::plan::{self, Known, Wanted, errno};
use super::refusal;
use super::table::{Destination, DestinationId, Found, Op, ServiceId};
use crate::clock::Instant;

/// Number of a virtual server within the engine.
pub type Slot = u32;

/// Operations of one batch, so that dumps and edits of other services get their turn; one service is never split.
const BATCH: usize = 512;

const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Kernel {
    /// Whether there is a table to work on: `None` until it was heard of.
    pub available: Option<bool>,
    services: BTreeMap<ServiceId, Managed>,
    /// To be planned.
    dirty: BTreeSet<ServiceId>,
    retries: BTreeSet<(Instant, ServiceId)>,
    flights: BTreeMap<u64, Flight>,
    batches: u64,
    /// The whole table was asked for and has not come.
    pub auditing: bool,
}

#[derive(Debug, Default)]
struct Managed {
    owner: Option<Slot>,
    wanted: Option<Wanted>,
    known: Option<Known>,
    flight: Option<Round>,
    failures: u32,
    retry_at: Option<Instant>,
    /// Refusals that stand, by destination; `None` is the service itself.
    troubles: BTreeMap<Option<DestinationId>, String>,
    /// Destinations that are not ours, at the last audit.
    strangers: Vec<DestinationId>,
    /// Something was under way since the table was asked for: what that says of this service may be old.
    unsettled: bool,
    /// Something changed while a batch was under way.
    stale: bool,
}

/// A service's share of a batch.
#[derive(Debug, Default)]
struct Round {
    batch: u64,
    left: usize,
    failed: bool,
    no_service: bool,
}

#[derive(Debug)]
struct Flight {
    ops: Vec<Op>,
    answered: Vec<bool>,
    left: usize,
}

/// What an answer of the kernel means.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub op: Op,
    pub owner: Option<Slot>,
    pub verdict: Verdict,
    /// The last operation of this kernel service in this batch was answered.
    pub released: Option<ServiceId>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// The table was not as it was known; the next plan mends it, and this says what was found.
    Surprise(i32),
    /// Refused; `news` unless the same refusal stands already.
    Refused {
        errno: i32,
        news: bool,
    },
    /// A consequence of another refusal in the same batch.
    Consequence,
}

/// What a plan did.
#[derive(Debug, Default)]
pub struct Planned {
    /// Services with operations in a new batch.
    pub sent: Vec<(ServiceId, u64)>,
    /// Services that are as they should be.
    pub settled: Vec<ServiceId>,
}

/// What an audit found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drift {
    pub missing: u32,
    pub unexpected: u32,
    pub different: u32,
    /// In words, with the owner of the service.
    pub lines: Vec<String>,
    /// Owners of services whose known state changed.
    pub owners: BTreeSet<Slot>,
    /// Services of ours that were there already and equal, at adoption.
    pub kept: u32,
}

impl Kernel {
    /// Tells what a service shall be; `None`: it shall go.
    pub fn want(&mut self, id: ServiceId, owner: Option<Slot>, wanted: Option<Wanted>) {
        if wanted.is_none() && !self.services.contains_key(&id) {
            return;
        }
        let managed = self.services.entry(id).or_default();
        managed.owner = owner;
        if managed.wanted != wanted {
            managed.wanted = wanted;
            self.hurry(id);
        }
    }

    /// Plans this service at the next occasion, whatever it waits for.
    pub fn hurry(&mut self, id: ServiceId) {
        if let Some(managed) = self.services.get_mut(&id) {
            if let Some(at) = managed.retry_at.take() {
                self.retries.remove(&(at, id));
            }
            self.dirty.insert(id);
        }
    }

    /// When refusals are due for another try.
    pub fn deadline(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    pub fn wake(&mut self, now: Instant) {
        while let Some((at, id)) = self.retries.first().copied().filter(|(at, _)| *at <= now) {
            self.retries.remove(&(at, id));
            if let Some(managed) = self.services.get_mut(&id) {
                managed.retry_at = None;
                self.dirty.insert(id);
            }
        }
    }

    /// Whether nothing is unanswered.
    pub fn idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// The number of the last batch.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// Everything that is wanted was asked for and answered, or nobody can be asked.
    pub fn at_rest(&self) -> bool {
        self.available != Some(true) || (self.flights.is_empty() && self.dirty.is_empty())
    }

    /// Plans everything that changed and has nothing under way.
    pub fn plan(&mut self, out: &mut Vec<Output>) -> Planned {
        let mut planned = Planned::default();
        if self.available != Some(true) {
            return planned;
        }
        let mut batch = Vec::new();
        let mut done = Vec::new();
        for id in std::mem::take(&mut self.dirty) {
            let Some(managed) = self.services.get_mut(&id) else { continue };
            if managed.flight.is_some() {
                // Planned again when its answers are there.
                managed.stale = true;
                continue;
            }
            if managed.retry_at.is_some() {
                continue;
            }
            let ops = plan::operations(&id, managed.wanted.as_ref(), managed.known.as_ref());
            if ops.is_empty() {
                managed.troubles.clear();
                managed.failures = 0;
                planned.settled.push(id);
                if managed.wanted.is_none() {
                    done.push(id);
                }
                continue;
            }
            let number = self.batches + 1;
            managed.flight = Some(Round { batch: number, left: ops.len(), ..Round::default() });
            managed.unsettled |= self.auditing;
            planned.sent.push((id, number));
            batch.extend(ops);
            if batch.len() >= BATCH {
                Self::send(&mut self.batches, &mut self.flights, std::mem::take(&mut batch), out);
            }
        }
        if !batch.is_empty() {
            Self::send(&mut self.batches, &mut self.flights, batch, out);
        }
        for id in done {
            self.services.remove(&id);
        }
        planned
    }

    /// Sends operations that belong to no service.
    pub fn send_plain(&mut self, ops: Vec<Op>, out: &mut Vec<Output>) {
        Self::send(&mut self.batches, &mut self.flights, ops, out);
    }

    fn send(batches: &mut u64, flights: &mut BTreeMap<u64, Flight>, ops: Vec<Op>, out: &mut Vec<Output>) {
        *batches += 1;
        let flight = Flight { answered: vec![false; ops.len()], left: ops.len(), ops: ops.clone() };
        flights.insert(*batches, flight);
        out.push(Output::Kernel { batch: *batches, ops });
    }

    /// The kernel has answered one operation. `None`: it was not asked, or has answered before.
    pub fn answer(&mut self, batch: u64, index: usize, error: Option<i32>, now: Instant) -> Option<Answer> {
        let flight = self.flights.get_mut(&batch)?;
        let answered = flight.answered.get_mut(index)?;
        if std::mem::replace(answered, true) {
            return None;
        }
        flight.left -= 1;
        let op = flight.ops.get(index)?.clone();
        if flight.left == 0 {
            self.flights.remove(&batch);
        }
        let Some(id) = plan::subject(&op) else {
            let verdict = error.map_or(Verdict::Done, |errno| Verdict::Refused { errno, news: true });
            return Some(Answer { op, owner: None, verdict, released: None });
        };
        let auditing = self.auditing;
        let managed = self.services.get_mut(&id).filter(|it| it.flight.as_ref().is_some_and(|it| it.batch == batch));
        let Some(managed) = managed else {
            return Some(Answer { op, owner: None, verdict: Verdict::Done, released: None });
        };
        managed.unsettled |= auditing;
        let verdict = managed.take_answer(&op, error);
        let owner = managed.owner;
        let mut released = None;
        if let Some(round) = &mut managed.flight {
            round.failed |= !matches!(verdict, Verdict::Done);
            round.left -= 1;
            if round.left == 0 {
                let failed = round.failed;
                managed.flight = None;
                released = Some(id);
                self.release(id, failed, now);
            }
        }
        Some(Answer { op, owner, verdict, released })
    }

    /// A round has ended: what is left to do is planned, at once or after a pause.
    fn release(&mut self, id: ServiceId, failed: bool, now: Instant) {
        let Some(managed) = self.services.get_mut(&id) else { return };
        let stale = std::mem::take(&mut managed.stale);
        if !failed {
            managed.failures = 0;
            self.dirty.insert(id);
            return;
        }
        managed.failures = managed.failures.saturating_add(1);
        let pause = RETRY_FIRST.saturating_mul(1 << (managed.failures - 1).min(6)).min(RETRY_MAX);
        // At once if something changed meanwhile, and the first time that what is there was a surprise.
        if stale || (managed.failures == 1 && managed.troubles.is_empty()) {
            self.dirty.insert(id);
            return;
        }
        self.dirty.remove(&id);
        managed.retry_at = Some(now + pause);
        self.retries.insert((now + pause, id));
    }

    /// There is no table, or not any more. What is under way is still answered.
    pub fn lose(&mut self) {
        self.available = Some(false);
        self.auditing = false;
        self.retries.clear();
        for (id, managed) in &mut self.services {
            managed.retry_at = None;
            managed.known = None;
            managed.strangers.clear();
            self.dirty.insert(*id);
        }
    }

    /// The table was flushed.
    pub fn forget(&mut self) {
        for (id, managed) in &mut self.services {
            if managed.known.take().is_some() {
                self.dirty.insert(*id);
            }
        }
    }

    /// Compares the kernel's table with what it is known to hold. `named`: whether a destination is in the owner's
    /// configuration. `adopt`: nothing is known yet, and what is found is no drift. `ours`: the table is a
    /// predecessor's, and destinations that the configuration does not name go.
    pub fn absorb(
        &mut self,
        found: Vec<Found>,
        adopt: bool,
        ours: bool,
        named: impl Fn(Slot, &ServiceId, &DestinationId) -> bool,
    ) -> Drift {
        let mut drift = Drift::default();
        self.auditing = false;
        self.available = Some(true);
        let mut found: BTreeMap<ServiceId, Found> = found.into_iter().map(|it| (it.service.id, it)).collect();
        for (id, managed) in &mut self.services {
            let there = found.remove(id);
            if managed.flight.is_some() || std::mem::take(&mut managed.unsettled) {
                continue;
            }
            let (actual, strangers) = match there {
                None => (None, Vec::new()),
                Some(there) => managed.sort_out(id, there, ours, &named),
            };
            drift.unexpected += strangers.len() as u32;
            if !adopt {
                managed.compare(id, actual.as_ref(), &strangers, &mut drift);
            } else if actual.is_some() && plan::operations(id, managed.wanted.as_ref(), actual.as_ref()).is_empty() {
                drift.kept += 1;
            }
            if managed.known != actual || managed.strangers != strangers {
                drift.owners.extend(managed.owner);
            }
            managed.known = actual;
            managed.strangers = strangers;
            let settled = plan::operations(id, managed.wanted.as_ref(), managed.known.as_ref()).is_empty();
            if !settled && managed.retry_at.is_none() {
                self.dirty.insert(*id);
            }
        }
        drift.unexpected += found.len() as u32;
        drift
    }

    /// What [`Self::absorb`] would say, in words.
    pub fn inspect(&self, found: Vec<Found>, named: impl Fn(Slot, &ServiceId, &DestinationId) -> bool) -> Vec<String> {
        let mut drift = Drift::default();
        let mut found: BTreeMap<ServiceId, Found> = found.into_iter().map(|it| (it.service.id, it)).collect();
        for (id, managed) in &self.services {
            let there = found.remove(id);
            let (actual, strangers) = there.map_or_else(Default::default, |it| managed.sort_out(id, it, false, &named));
            managed.compare(id, actual.as_ref(), &strangers, &mut drift);
        }
        drift.lines
    }

    /// Services that are to be planned, and what is wanted of each.
    pub fn unplanned(&self) -> BTreeMap<ServiceId, Option<Wanted>> {
        let wanted = |id: &ServiceId| self.services.get(id).and_then(|it| it.wanted.clone());
        self.dirty.iter().map(|id| (*id, wanted(id))).collect()
    }

    pub fn wanted(&self, id: &ServiceId) -> Option<&Wanted> {
        self.services.get(id)?.wanted.as_ref()
    }

    /// Whether the service itself, or this destination of it, is not as wanted.
    pub fn lacks(&self, id: &ServiceId, destination: Option<DestinationId>) -> bool {
        if let Some(destination) = destination {
            return !self.settled(id, &destination);
        }
        let Some(managed) = self.services.get(id) else { return false };
        let wanted = managed.wanted.as_ref().map(|it| Some(&it.service));
        wanted != managed.known.as_ref().map(|it| it.service.as_ref())
    }

    pub fn owner(&self, id: &ServiceId) -> Option<Slot> {
        self.services.get(id)?.owner
    }

    /// Whether the service is in the kernel.
    pub fn installed(&self, id: &ServiceId) -> bool {
        self.services.get(id).is_some_and(|it| it.known.is_some())
    }

    pub fn holds(&self, id: &ServiceId, destination: &DestinationId) -> bool {
        let known = self.services.get(id).and_then(|it| it.known.as_ref());
        known.is_some_and(|known| known.destinations.contains_key(destination))
    }

    /// Services whose statistics are wanted; some may not be in the kernel now.
    pub fn polled(&self) -> impl Iterator<Item = &ServiceId> {
        self.services.iter().filter(|(_, it)| it.owner.is_some()).map(|(id, _)| id)
    }

    /// What stands between this service and what it should be, in words.
    pub fn troubles(&self, id: &ServiceId) -> Vec<String> {
        let Some(managed) = self.services.get(id) else { return Vec::new() };
        let strangers =
            managed.strangers.iter().map(|it| format!("{id}: {it} is in the kernel and not in the configuration"));
        managed.troubles.values().cloned().chain(strangers).collect()
    }

    /// Whether this destination is as wanted.
    pub fn settled(&self, id: &ServiceId, destination: &DestinationId) -> bool {
        let Some(managed) = self.services.get(id) else { return true };
        let wanted = managed.wanted.as_ref().and_then(|it| it.destinations.iter().find(|it| it.id == *destination));
        let known = managed.known.as_ref().and_then(|it| it.destinations.get(destination));
        managed.flight.is_none() && wanted.map(Some) == known.map(Option::as_ref)
    }

    /// Whether the kernel has refused this destination, or its whole service, and not yet taken it.
    pub fn refuses(&self, id: &ServiceId, destination: &DestinationId) -> bool {
        let troubles = self.services.get(id).map(|it| &it.troubles);
        troubles.is_some_and(|it| it.contains_key(&None) || it.contains_key(&Some(*destination)))
    }

    /// Everything goes: the deletions of all services that are, or may be, in the kernel.
    pub fn deletions(&mut self) -> Vec<Op> {
        let there = self.services.iter().filter(|(_, it)| it.known.is_some() || it.flight.is_some());
        let ops = there.map(|(id, _)| Op::DeleteService(*id)).collect();
        self.dirty.clear();
        self.retries.clear();
        self.services.clear();
        ops
    }
}

impl Managed {
    /// Takes an answer into what is known.
    fn take_answer(&mut self, op: &Op, error: Option<i32>) -> Verdict {
        let about = plan::destination(op);
        let Some(errno) = error else {
            self.troubles.remove(&about);
            self.apply(op);
            return Verdict::Done;
        };
        match (op, errno) {
            (Op::DeleteService(_) | Op::DeleteDestination(..), errno::ENOENT | errno::ESRCH) => {
                self.troubles.remove(&about);
                self.apply(op);
                return Verdict::Done;
            }
            (Op::AddService(_), errno::EEXIST) => {
                self.known = Some(Known { service: None, destinations: BTreeMap::new() });
                return Verdict::Surprise(errno);
            }
            (Op::AddDestination(_, destination), errno::EEXIST) => {
                if let Some(known) = &mut self.known {
                    known.destinations.insert(destination.id, None);
                }
                return Verdict::Surprise(errno);
            }
            (Op::EditDestination(_, destination), errno::ENOENT) => {
                if let Some(known) = &mut self.known {
                    known.destinations.remove(&destination.id);
                }
                return Verdict::Surprise(errno);
            }
            (Op::EditService(_) | Op::AddDestination(..) | Op::EditDestination(..), errno::ESRCH) => {
                if self.flight.as_ref().is_some_and(|it| it.no_service) {
                    return Verdict::Consequence;
                }
                self.known = None;
                if let Some(round) = &mut self.flight {
                    round.no_service = true;
                }
                return Verdict::Surprise(errno);
            }
            _ => {}
        }
        if about.is_some() && self.flight.as_ref().is_some_and(|it| it.no_service) {
            return Verdict::Consequence;
        }
        if let (Op::AddService(_), Some(round)) = (op, &mut self.flight) {
            round.no_service = true;
        }
        let text = refusal::explain(op, errno);
        let news = self.troubles.get(&about) != Some(&text);
        self.troubles.insert(about, text);
        Verdict::Refused { errno, news }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::AddService(service) => {
                self.known = Some(Known { service: Some(service.clone()), destinations: BTreeMap::new() });
            }
            Op::EditService(service) => {
                if let Some(known) = &mut self.known {
                    known.service = Some(service.clone());
                }
            }
            Op::DeleteService(_) => self.known = None,
            Op::AddDestination(_, destination) | Op::EditDestination(_, destination) => {
                if let Some(known) = &mut self.known {
                    known.destinations.insert(destination.id, Some(*destination));
                }
            }
            Op::DeleteDestination(_, id) => {
                if let Some(known) = &mut self.known {
                    known.destinations.remove(id);
                }
            }
            Op::Flush | Op::Timeouts { .. } | Op::StartDaemon(_) | Op::StopDaemon { .. } => {}
        }
    }

    /// Parts what was found into ours and strangers.
    fn sort_out(
        &self,
        id: &ServiceId,
        found: Found,
        ours: bool,
        named: impl Fn(Slot, &ServiceId, &DestinationId) -> bool,
    ) -> (Option<Known>, Vec<DestinationId>) {
        let mine = |it: &Destination| {
            ours || self.known.as_ref().is_some_and(|known| known.destinations.contains_key(&it.id))
                || self.owner.is_none_or(|owner| named(owner, id, &it.id))
        };
        let mut known = Known { service: Some(found.service), destinations: BTreeMap::new() };
        let mut strangers = Vec::new();
        for (mut destination, _) in found.destinations {
            let wanted = self.wanted.as_ref().and_then(|it| it.destinations.iter().find(|it| it.id == destination.id));
            if let Some(wanted) = wanted.filter(|_| std::mem::take(&mut destination.local)) {
                // Whatever method was asked for, this is what the kernel makes of it.
                destination.forwarding = wanted.forwarding;
            }
            if mine(&destination) {
                known.destinations.insert(destination.id, Some(destination));
            } else {
                strangers.push(destination.id);
            }
        }
        (Some(known), strangers)
    }

    fn compare(&self, id: &ServiceId, actual: Option<&Known>, strangers: &[DestinationId], drift: &mut Drift) {
        self.compare_ours(id, actual, drift);
        for stranger in strangers.iter().filter(|it| !self.strangers.contains(it)) {
            drift.lines.push(format!("{id}: {stranger} is not in the configuration, and stays"));
        }
    }

    fn compare_ours(&self, id: &ServiceId, actual: Option<&Known>, drift: &mut Drift) {
        let (known, actual) = match (&self.known, actual) {
            (None, None) => return,
            (None, Some(_)) if self.wanted.is_none() => return,
            (None, Some(_)) => {
                drift.unexpected += 1;
                return;
            }
            (Some(_), None) => {
                drift.missing += 1;
                drift.lines.push(format!("{id} was missing"));
                return;
            }
            (Some(known), Some(actual)) => (known, actual),
        };
        if known.service.is_some() && known.service != actual.service {
            drift.different += 1;
            drift.lines.push(format!("{id} had other settings"));
        }
        for (destination, there) in &known.destinations {
            match actual.destinations.get(destination) {
                None => {
                    drift.missing += 1;
                    drift.lines.push(format!("{id}: {destination} was missing"));
                }
                Some(found) if there.is_some() && found != there => {
                    drift.different += 1;
                    let weights = found.zip(*there).filter(|(found, there)| found.weight != there.weight);
                    drift.lines.push(match weights {
                        Some((found, there)) => {
                            format!("{id}: {destination} had weight {} instead of {}", found.weight, there.weight)
                        }
                        None => format!("{id}: {destination} had other settings"),
                    });
                }
                Some(_) => {}
            }
        }
        for destination in actual.destinations.keys().filter(|it| !known.destinations.contains_key(it)) {
            drift.unexpected += 1;
            drift.lines.push(format!("{id}: {destination} was there and should not be"));
        }
    }
}
