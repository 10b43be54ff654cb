//! One virtual router: the election of RFC 3768 section 6.4 and RFC 9568 section 6.4, as a value without I/O.
//!
//! Start at [`Machine::handle`]. The machine hears adverts that were already found fit ([`super::admit`]), and knows
//! neither addresses nor interfaces: whatever keeps this router from taking part reaches it as [`Event::Fault`].

use std::net::IpAddr;
use std::time::Duration;

use smallvec::{SmallVec, smallvec};

use crate::bus::rows::{Reason, State as Shown};
use crate::clock::Instant;
use crate::conf::model::{Instance, Preempt, Priority, Version};

/// Priority of the address owner (RFC 9568 section 5.2.4).
pub const OWNER: u8 = 255;

/// What an owner has that heard of another one: there can be one only.
pub const DEMOTED: Priority = Priority::new(254).expect("not zero");

/// What the election depends on, as configured or set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub version: Version,
    /// Own advertisement interval.
    pub interval: Duration,
    pub down_timer_adverts: u32,
    pub preempt: Preempt,
    pub lower_prio_no_advert: bool,
    pub higher_prio_send_advert: bool,
    pub owner_ignore_adverts: bool,
    pub timer_expired_backup: Option<Priority>,
    /// Member of a sync group: an owner does not become master alone.
    pub grouped: bool,
}

impl From<&Instance> for Settings {
    fn from(instance: &Instance) -> Settings {
        Settings {
            version: instance.version,
            interval: instance.advert_interval,
            down_timer_adverts: instance.down_timer_adverts,
            preempt: instance.preempt,
            lower_prio_no_advert: instance.lower_prio_no_advert,
            higher_prio_send_advert: instance.higher_prio_send_advert,
            owner_ignore_adverts: instance.owner_ignore_adverts,
            timer_expired_backup: instance.timer_expired_backup,
            grouped: instance.sync_group.is_some(),
        }
    }
}

impl Settings {
    /// Silence after which a backup of `priority` takes over from a master that advertises every `interval`.
    ///
    /// RFC 9568 section 6.1: three intervals (`down_timer_adverts`) and the skew.
    pub fn master_down_interval(&self, priority: u8, interval: Duration) -> Duration {
        interval.saturating_mul(self.down_timer_adverts) + self.skew(priority, interval)
    }

    /// What makes the best backup move first: `(256 - priority) / 256` of the master's interval in version 3, of one
    /// second in version 2 (RFC 3768 section 6.1). Kept in nanoseconds, since rounding to the wire's centiseconds
    /// would let neighbouring priorities tie.
    pub fn skew(&self, priority: u8, interval: Duration) -> Duration {
        let whole = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => interval,
        };
        whole * (256 - u32::from(priority)) / 256
    }
}

/// Each state carries exactly what exists in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not started, or held back by `vrrp_startup_delay`.
    Init {
        start_at: Option<Instant>,
    },
    Fault,
    Backup(Backup),
    Master {
        next_advert_at: Instant,
        /// When the last advert left: what other routers measure their silence from.
        last_advert_at: Instant,
    },
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Backup {
    /// What the silence is measured from: entering the state, or the last advert that counted.
    silent_since: Instant,
    silence: Silence,
    master: Option<Master>,
    /// When a weaker master was heard first; `preempt_delay` counts from here.
    weaker_since: Option<Instant>,
    /// Silence beyond the usual one, until a master is heard.
    patience: Duration,
}

/// How long a silence must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    MasterDown,
    /// After a priority 0 advert only the skew is waited for.
    Skew,
    /// An owner's: it is only its sync group that it waits for.
    None,
}

/// The master that a backup follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Master {
    pub address: IpAddr,
    pub priority: u8,
}

/// An advert that passed every check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advert {
    pub source: IpAddr,
    pub priority: u8,
    pub interval: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Take part from `at` on; before that stay in init.
    Start {
        at: Instant,
    },
    Advert(Advert),
    Wake,
    /// Something keeps this router from taking part.
    Fault(Reason),
    /// Nothing does any more.
    Recovered(Reason),
    /// Its sync group becomes master.
    Lead,
    /// Its sync group gives way.
    Yield {
        patience: Duration,
    },
    /// Others are to go first: a master resigns, and a backup that was about to preempt does not. That it stays so is a
    /// matter of the priority, which is the lowest from now on.
    StandDown,
    /// The effective priority changed.
    Priority(Priority),
    /// The primary address, which breaks ties, changed.
    Primary(Option<IpAddr>),
    Shutdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Advertise this priority: the own one, or zero to resign.
    Send {
        priority: u8,
    },
    Install,
    Remove,
    Announce(Burst),
    Report(Transition),
    /// Master heard a weaker router's advert.
    HeardWeaker(Master),
    /// An owner heard that another router takes itself for one, too, and has [`DEMOTED`] from now on.
    SecondOwner(IpAddr),
    /// A backup will preempt, but not before its `preempt_delay` is over.
    PreemptDelayed(Duration),
}

/// Why addresses are announced; the numbers are configured apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burst {
    Master,
    LowerPriority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    pub from: Shown,
    pub to: Shown,
    pub reason: Reason,
}

pub type Actions = SmallVec<[Action; 4]>;

/// One virtual router: decides, and leaves the doing to the engine.
#[derive(Debug, Clone)]
pub struct Machine {
    pub settings: Settings,
    priority: Priority,
    primary: Option<IpAddr>,
    /// Interval of the current master: its own word in version 3, ours in version 2 and before anything was heard.
    master_interval: Duration,
    state: State,
    /// When its sync group refused it last: a silence that was over by then wakes nobody any more.
    held_at: Option<Instant>,
}

impl Machine {
    pub fn new(settings: Settings, priority: Priority) -> Machine {
        let master_interval = settings.interval;
        let state = State::Init { start_at: None };
        Machine { settings, priority, primary: None, master_interval, state, held_at: None }
    }

    /// Advances the machine and returns what must be done, in order.
    ///
    /// A [`Event::Wake`] before [`deadline`](Self::deadline) changes nothing. A driver that was held up must hand over
    /// the adverts that wait in its sockets before it says `Wake`: a backup that finds its deadline passed takes over,
    /// and cannot know that its master was heard by the kernel all the time.
    #[must_use = "an action that is not carried out leaves the host out of step with the machine"]
    pub fn handle(&mut self, event: Event, now: Instant) -> Actions {
        match event {
            Event::Primary(primary) => {
                self.primary = primary;
                return smallvec![];
            }
            Event::Priority(priority) => {
                self.priority = priority;
                return smallvec![];
            }
            _ => {}
        }
        match self.state {
            State::Init { start_at } => match event {
                Event::Start { at } if at > now => {
                    self.state = State::Init { start_at: Some(at) };
                    smallvec![]
                }
                Event::Start { .. } => self.start(now),
                Event::Wake if start_at.is_some_and(|at| now >= at) => self.start(now),
                Event::Fault(reason) => self.enter_fault(reason),
                Event::Shutdown => self.stop(),
                Event::Wake
                | Event::Advert(_)
                | Event::Recovered(_)
                | Event::Lead
                | Event::Yield { .. }
                | Event::StandDown
                | Event::Priority(_)
                | Event::Primary(_) => smallvec![],
            },
            State::Fault => match event {
                Event::Recovered(reason) => self.begin(reason, reason, now),
                Event::Shutdown => self.stop(),
                Event::Start { .. }
                | Event::Wake
                | Event::Advert(_)
                | Event::Fault(_)
                | Event::Lead
                | Event::Yield { .. }
                | Event::StandDown
                | Event::Priority(_)
                | Event::Primary(_) => smallvec![],
            },
            State::Backup(backup) => match event {
                Event::Advert(advert) => self.backup_hears(backup, advert, now),
                Event::Wake if self.deadline().is_some_and(|at| now >= at) => self.take_over(backup, now),
                Event::Lead => self.take_over(backup, now),
                Event::StandDown => self.give_up_preempting(backup, now),
                Event::Fault(reason) => self.enter_fault(reason),
                Event::Shutdown => self.stop(),
                Event::Wake
                | Event::Start { .. }
                | Event::Recovered(_)
                | Event::Yield { .. }
                | Event::Priority(_)
                | Event::Primary(_) => smallvec![],
            },
            State::Master { next_advert_at, last_advert_at } => match event {
                Event::Advert(advert) => self.master_hears(advert, now),
                Event::Wake if now >= next_advert_at => self.advertise(next_advert_at, last_advert_at, now),
                Event::Yield { patience } => {
                    let actions = self.become_backup(Reason::SyncGroup, now);
                    if let State::Backup(backup) = &mut self.state {
                        backup.patience = patience;
                    }
                    actions
                }
                Event::StandDown => self.resign(now),
                Event::Fault(reason) => self.enter_fault(reason),
                Event::Shutdown => self.stop(),
                Event::Wake
                | Event::Start { .. }
                | Event::Recovered(_)
                | Event::Lead
                | Event::Priority(_)
                | Event::Primary(_) => smallvec![],
            },
            State::Stopped => smallvec![],
        }
    }

    /// When to call `handle(Event::Wake, ..)` if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Init { start_at } => start_at,
            State::Fault | State::Stopped => None,
            State::Backup(backup) => {
                Some(self.takes_over_at(&backup)).filter(|at| self.held_at.is_none_or(|held| *at > held))
            }
            State::Master { next_advert_at, .. } => Some(next_advert_at),
        }
    }

    /// Whether it is a backup whose silence is over: it would be master if it were alone.
    pub fn wants(&self, now: Instant) -> bool {
        matches!(self.state, State::Backup(backup) if now >= self.takes_over_at(&backup))
    }

    /// Its sync group does not become master yet. The wish stays, and wakes nobody any more.
    pub fn hold(&mut self, now: Instant) {
        self.held_at = Some(now);
    }

    /// Whether it would be master if its group let it.
    pub fn held(&self) -> bool {
        matches!(self.state, State::Backup(backup) if self.held_at.is_some_and(|at| at >= self.takes_over_at(&backup)))
    }

    /// The group may have changed: what was refused is tried again.
    pub fn release(&mut self) {
        self.held_at = None;
    }

    /// Whether the last advert, heard just now, came from a master that this backup accepts.
    pub fn follows(&self, now: Instant) -> bool {
        matches!(self.state, State::Backup(Backup { silent_since, silence: Silence::MasterDown, master: Some(_), .. })
            if silent_since == now)
    }

    pub fn state(&self) -> Shown {
        match self.state {
            State::Init { .. } => Shown::Init,
            State::Fault => Shown::Fault,
            State::Backup(_) => Shown::Backup,
            State::Master { .. } => Shown::Master,
            State::Stopped => Shown::Shutdown,
        }
    }

    pub fn is_master(&self) -> bool {
        matches!(self.state, State::Master { .. })
    }

    pub fn priority(&self) -> u8 {
        self.priority.get()
    }

    /// The same, as a configured priority.
    pub fn effective(&self) -> Priority {
        self.priority
    }

    pub fn primary(&self) -> Option<IpAddr> {
        self.primary
    }

    /// The master that a backup heard last.
    pub fn master(&self) -> Option<Master> {
        match self.state {
            State::Backup(backup) => backup.master,
            State::Init { .. } | State::Fault | State::Master { .. } | State::Stopped => None,
        }
    }

    /// Silence after which a backup takes over, as it is in use; a master's own.
    pub fn master_down_interval(&self) -> Duration {
        self.settings.master_down_interval(self.priority.get(), self.master_interval())
    }

    /// Interval of whoever is master.
    pub fn master_interval(&self) -> Duration {
        if self.is_master() { self.settings.interval } else { self.master_interval }
    }

    /// Takes changed settings without leaving the state; deadlines follow from what was last heard or sent.
    pub fn configure(&mut self, settings: Settings) {
        let interval = settings.interval;
        let old = std::mem::replace(&mut self.settings, settings).interval;
        if interval == old {
            return;
        }
        if self.settings.version == Version::V2 || self.master().is_none() {
            self.master_interval = interval;
        }
        if let State::Master { next_advert_at, last_advert_at } = &mut self.state {
            *next_advert_at = *last_advert_at + interval;
        }
    }

    /// Not to start before it is told again.
    pub fn wait(&mut self) {
        if let State::Init { start_at } = &mut self.state {
            *start_at = None;
        }
    }

    /// Whether it was started; before, a fault is only a reason to wait.
    pub fn started(&self) -> bool {
        !matches!(self.state, State::Init { .. })
    }

    fn takes_over_at(&self, backup: &Backup) -> Instant {
        backup.silent_since
            + backup.patience
            + match backup.silence {
                Silence::MasterDown => self.settings.master_down_interval(self.priority.get(), self.master_interval),
                Silence::Skew => self.settings.skew(self.priority.get(), self.master_interval),
                Silence::None => Duration::ZERO,
            }
    }

    fn start(&mut self, now: Instant) -> Actions {
        self.begin(Reason::Preempted, Reason::Startup, now)
    }

    /// RFC 9568 section 6.4.1: the owner does not wait, but for its sync group.
    fn begin(&mut self, as_owner: Reason, otherwise: Reason, now: Instant) -> Actions {
        if self.priority.get() != OWNER {
            return self.become_backup(otherwise, now);
        }
        if !self.settings.grouped {
            return self.become_master(as_owner, now);
        }
        let actions = self.become_backup(otherwise, now);
        if let State::Backup(backup) = &mut self.state {
            backup.silence = Silence::None;
        }
        actions
    }

    fn take_over(&mut self, backup: Backup, now: Instant) -> Actions {
        let reason = match backup {
            Backup { silence: Silence::Skew, .. } => Reason::MasterResigned,
            Backup { silence: Silence::None, .. } | Backup { weaker_since: Some(_), .. } => Reason::Preempted,
            Backup { .. } => Reason::MasterNoResponse,
        };
        self.become_master(reason, now)
    }

    fn become_master(&mut self, reason: Reason, now: Instant) -> Actions {
        let report = self.report(Shown::Master, reason);
        self.master_interval = self.settings.interval;
        self.state = State::Master { next_advert_at: now + self.settings.interval, last_advert_at: now };
        let priority = self.priority.get();
        smallvec![Action::Send { priority }, report, Action::Install, Action::Announce(Burst::Master)]
    }

    /// From any state; a master's addresses go.
    fn become_backup(&mut self, reason: Reason, now: Instant) -> Actions {
        let mut actions = smallvec![self.report(Shown::Backup, reason)];
        if self.is_master() {
            actions.push(Action::Remove);
        }
        self.master_interval = self.settings.interval;
        self.state = State::Backup(Backup {
            silent_since: now,
            silence: Silence::MasterDown,
            master: None,
            weaker_since: None,
            patience: Duration::ZERO,
        });
        self.held_at = None;
        actions
    }

    fn enter_fault(&mut self, reason: Reason) -> Actions {
        let report = self.report(Shown::Fault, reason);
        let actions = if self.is_master() {
            // If the interface is down nobody hears this; if a tracker fell, the others need not wait.
            smallvec![Action::Send { priority: 0 }, report, Action::Remove]
        } else {
            smallvec![report]
        };
        self.state = State::Fault;
        actions
    }

    /// Whoever hears this takes over after its skew; if nobody does, this router comes back after its own silence.
    fn resign(&mut self, now: Instant) -> Actions {
        let mut actions = smallvec![Action::Send { priority: 0 }];
        actions.extend(self.become_backup(Reason::Commanded, now));
        actions
    }

    /// What was heard of a weaker master while it was to be preempted counts now.
    fn give_up_preempting(&mut self, mut backup: Backup, now: Instant) -> Actions {
        let preempting = backup.weaker_since.take().is_some();
        if backup.silence == Silence::None || preempting && backup.silence == Silence::MasterDown {
            backup.silent_since = now;
            backup.silence = Silence::MasterDown;
        }
        self.state = State::Backup(backup);
        smallvec![]
    }

    fn stop(&mut self) -> Actions {
        let report = self.report(Shown::Shutdown, Reason::Shutdown);
        let actions = if self.is_master() {
            smallvec![Action::Send { priority: 0 }, Action::Remove, report]
        } else {
            smallvec![report]
        };
        self.state = State::Stopped;
        actions
    }

    fn backup_hears(&mut self, mut backup: Backup, advert: Advert, now: Instant) -> Actions {
        let mut actions = smallvec![];
        if advert.priority == 0 {
            backup.silent_since = now;
            // RFC 9568 section 6.4.2: the skew is one of the interval known so far, not of one that resigns.
            backup.silence = Silence::Skew;
        } else if advert.priority >= self.priority.get() {
            backup.weaker_since = None;
            self.follow(&mut backup, advert, now);
        } else {
            backup.master = Some(Master { address: advert.source, priority: advert.priority });
            match self.settings.preempt {
                Preempt::Never => self.follow(&mut backup, advert, now),
                Preempt::After(delay) => {
                    let since = backup.weaker_since.unwrap_or(now);
                    if backup.weaker_since.is_none() && !delay.is_zero() {
                        actions.push(Action::PreemptDelayed(delay));
                    }
                    backup.weaker_since = Some(since);
                    if now < since + delay {
                        self.follow(&mut backup, advert, now);
                    }
                }
            }
        }
        self.state = State::Backup(backup);
        actions
    }

    /// The sender is as good a master as any: wait for its silence.
    fn follow(&mut self, backup: &mut Backup, advert: Advert, now: Instant) {
        backup.master = Some(Master { address: advert.source, priority: advert.priority });
        backup.silent_since = now;
        backup.silence = Silence::MasterDown;
        backup.patience = Duration::ZERO;
        self.learn_interval(advert);
    }

    /// RFC 9568 section 6.4.2. Version 2 only hears adverts of its own interval.
    fn learn_interval(&mut self, advert: Advert) {
        if self.settings.version == Version::V3 && !advert.interval.is_zero() {
            self.master_interval = advert.interval;
        }
    }

    fn master_hears(&mut self, advert: Advert, now: Instant) -> Actions {
        let mut own = self.priority.get();
        let mut actions: Actions = smallvec![];
        if own == OWNER && self.settings.owner_ignore_adverts {
            return actions;
        }
        if own == OWNER && advert.priority == OWNER {
            self.priority = DEMOTED;
            own = DEMOTED.get();
            actions.push(Action::SecondOwner(advert.source));
        }
        if advert.priority == 0 {
            self.sent_now(now);
            return smallvec![Action::Send { priority: own }];
        }
        // Without an own address there is nothing to break a tie with: give way.
        let tie_lost = advert.priority == own && self.primary.is_none_or(|primary| advert.source > primary);
        if advert.priority > own || tie_lost {
            if self.settings.higher_prio_send_advert {
                actions.push(Action::Send { priority: own });
            }
            actions.extend(self.become_backup(Reason::HigherPriorityHeard, now));
            if let State::Backup(mut backup) = self.state {
                self.follow(&mut backup, advert, now);
                self.state = State::Backup(backup);
            }
            return actions;
        }
        actions.push(Action::HeardWeaker(Master { address: advert.source, priority: advert.priority }));
        if !self.settings.lower_prio_no_advert {
            // RFC 9568 section 6.4.3: assert mastership at once, so that the other and the switches learn.
            self.sent_now(now);
            actions.push(Action::Send { priority: own });
        }
        actions.push(Action::Announce(Burst::LowerPriority));
        actions
    }

    fn advertise(&mut self, due: Instant, last_advert_at: Instant, now: Instant) -> Actions {
        if let Some(rival) = self.settings.timer_expired_backup {
            let rival_waits = self.settings.master_down_interval(rival.get(), self.settings.interval);
            if self.settings.preempt == Preempt::Never && now.since(last_advert_at) > rival_waits {
                return self.become_backup(Reason::LateTimer, now);
            }
        }
        self.sent_now(now);
        if let State::Master { next_advert_at, .. } = &mut self.state {
            // Keep the cadence when a little late, so that lateness does not add up; never catch up with a volley.
            let regular = due + self.settings.interval;
            if regular > now {
                *next_advert_at = regular;
            }
        }
        smallvec![Action::Send { priority: self.priority.get() }]
    }

    fn sent_now(&mut self, now: Instant) {
        if self.is_master() {
            self.state = State::Master { next_advert_at: now + self.settings.interval, last_advert_at: now };
        }
    }

    fn report(&self, to: Shown, reason: Reason) -> Action {
        Action::Report(Transition { from: self.state(), to, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));
    const LOWER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 4));
    const HIGHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 6));

    fn at_us(us: u64) -> Instant {
        Instant::from_nanos(us * 1000)
    }

    fn just_before(at: Instant) -> Instant {
        at - Duration::from_nanos(1)
    }

    fn settings(version: Version, interval_ms: u64) -> Settings {
        Settings {
            version,
            interval: Duration::from_millis(interval_ms),
            down_timer_adverts: 3,
            preempt: Preempt::After(Duration::ZERO),
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            owner_ignore_adverts: false,
            timer_expired_backup: None,
            grouped: false,
        }
    }

    fn v2() -> Settings {
        settings(Version::V2, 1000)
    }

    fn v3() -> Settings {
        settings(Version::V3, 1000)
    }

    /// A machine started at time zero.
    fn started(settings: Settings, priority: u8) -> Machine {
        let mut machine = Machine::new(settings, Priority::new(priority).expect("not zero"));
        assert!(machine.handle(Event::Primary(Some(OURS)), at_us(0)).is_empty());
        let _ = machine.handle(Event::Start { at: at_us(0) }, at_us(0));
        machine
    }

    /// One that heard nobody, and when it became master.
    fn master(settings: Settings, priority: u8) -> (Machine, Instant) {
        let mut machine = started(settings, priority);
        let at = machine.deadline().expect("a backup waits");
        let _ = machine.handle(Event::Wake, at);
        assert!(machine.is_master());
        (machine, at)
    }

    fn advert(source: IpAddr, priority: u8, interval_ms: u64) -> Event {
        Event::Advert(Advert { source, priority, interval: Duration::from_millis(interval_ms) })
    }

    fn report(from: Shown, to: Shown, reason: Reason) -> Action {
        Action::Report(Transition { from, to, reason })
    }

    #[test]
    fn a_version_2_backup_that_hears_nothing_takes_over_after_three_intervals_and_its_part_of_a_second() {
        let mut backup = started(v2(), 100);
        let due = at_us(3_609_375); // 3 s and 156/256 of a second
        assert_eq!(backup.deadline(), Some(due));
        assert!(backup.handle(Event::Wake, just_before(due)).is_empty());
        assert_eq!(
            backup.handle(Event::Wake, due)[..],
            [
                Action::Send { priority: 100 },
                report(Shown::Backup, Shown::Master, Reason::MasterNoResponse),
                Action::Install,
                Action::Announce(Burst::Master),
            ]
        );
        assert_eq!(backup.deadline(), Some(at_us(4_609_375)));
    }

    #[test]
    fn the_skew_of_version_2_does_not_depend_on_the_interval() {
        assert_eq!(started(settings(Version::V2, 10_000), 100).deadline(), Some(at_us(30_609_375)));
        assert_eq!(
            started(settings(Version::V2, 10_000), 254).deadline(),
            Some(at_us(30_007_812) + Duration::from_nanos(500))
        );
    }

    #[test]
    fn the_skew_of_version_3_is_a_part_of_the_masters_interval() {
        assert_eq!(
            started(settings(Version::V3, 100), 100).deadline(),
            Some(at_us(360_937) + Duration::from_nanos(500))
        );
        assert_eq!(started(settings(Version::V3, 10), 254).deadline(), Some(at_us(30_078) + Duration::from_nanos(125)));
    }

    #[test]
    fn a_version_3_backup_waits_by_the_interval_its_master_advertises() {
        let mut backup = started(v3(), 100);
        let _ = backup.handle(advert(LOWER, 150, 200), at_us(500_000));
        // 3 × 200 ms and 156/256 of 200 ms, from the advert on.
        assert_eq!(backup.deadline(), Some(at_us(500_000 + 600_000 + 121_875)));
        assert_eq!(backup.master_interval(), Duration::from_millis(200));
    }

    #[test]
    fn down_timer_adverts_replaces_the_three() {
        let backup = started(Settings { down_timer_adverts: 5, ..v2() }, 100);
        assert_eq!(backup.deadline(), Some(at_us(5_609_375)));
    }

    #[test]
    fn the_initial_state_is_backup_and_only_an_owner_is_master_at_once() {
        let mut owner = Machine::new(v3(), Priority::MAX);
        let actions = owner.handle(Event::Start { at: at_us(0) }, at_us(7));
        assert_eq!(actions[1], report(Shown::Init, Shown::Master, Reason::Preempted));
        let mut other = Machine::new(v3(), Priority::new(254).expect("not zero"));
        let actions = other.handle(Event::Start { at: at_us(0) }, at_us(7));
        assert_eq!(actions[..], [report(Shown::Init, Shown::Backup, Reason::Startup)]);
    }

    #[test]
    fn a_startup_delay_is_waited_for_in_init() {
        let mut machine = Machine::new(v3(), Priority::new(100).expect("not zero"));
        assert!(machine.handle(Event::Start { at: at_us(500) }, at_us(0)).is_empty());
        assert_eq!(machine.deadline(), Some(at_us(500)));
        assert_eq!(machine.handle(Event::Wake, at_us(500))[..], [report(Shown::Init, Shown::Backup, Reason::Startup)]);
    }

    #[test]
    fn a_resigning_master_is_followed_after_the_skew_alone() {
        let mut backup = started(v2(), 100);
        let _ = backup.handle(advert(LOWER, 150, 1000), at_us(1_000_000));
        assert!(backup.handle(advert(LOWER, 0, 1000), at_us(1_500_000)).is_empty());
        let due = at_us(1_500_000 + 609_375);
        assert_eq!(backup.deadline(), Some(due));
        let actions = backup.handle(Event::Wake, due);
        assert_eq!(actions[1], report(Shown::Backup, Shown::Master, Reason::MasterResigned));
    }

    #[test]
    fn a_resignation_does_not_teach_its_interval() {
        let mut backup = started(v3(), 100);
        let _ = backup.handle(advert(LOWER, 150, 200), at_us(1_000_000));
        let _ = backup.handle(advert(LOWER, 0, 40_950), at_us(1_100_000));
        // 156/256 of 200 ms.
        assert_eq!(backup.deadline(), Some(at_us(1_100_000 + 121_875)));
        assert_eq!(backup.master_interval(), Duration::from_millis(200));
    }

    #[test]
    fn a_backup_discards_weaker_adverts_and_preempts_when_its_own_silence_ends() {
        let mut backup = started(v2(), 100);
        let _ = backup.handle(advert(LOWER, 90, 1000), at_us(1_000_000));
        assert_eq!(backup.deadline(), Some(at_us(3_609_375)));
        let actions = backup.handle(Event::Wake, at_us(3_609_375));
        assert_eq!(actions[1], report(Shown::Backup, Shown::Master, Reason::Preempted));
    }

    #[test]
    fn with_nopreempt_a_weaker_master_is_followed() {
        let mut backup = started(Settings { preempt: Preempt::Never, ..v2() }, 100);
        let _ = backup.handle(advert(LOWER, 90, 1000), at_us(1_000_000));
        assert_eq!(backup.deadline(), Some(at_us(4_609_375)));
    }

    #[test]
    fn preempt_delay_runs_from_the_first_weaker_advert_and_the_silence_from_the_last_one_followed() {
        // As Keepalived 2.2.7 does: adverts are followed for the delay, then discarded until the timer ends.
        let mut backup = started(Settings { preempt: Preempt::After(Duration::from_secs(4)), ..v3() }, 150);
        let first = backup.handle(advert(LOWER, 100, 1000), at_us(500_000));
        assert_eq!(first[..], [Action::PreemptDelayed(Duration::from_secs(4))]);
        for second in 1..=6 {
            let actions = backup.handle(advert(LOWER, 100, 1000), at_us(500_000 + second * 1_000_000));
            assert!(actions.is_empty());
        }
        // Followed at 0.5, 1.5, 2.5 and 3.5 s; discarded from 4.5 s on.
        assert_eq!(backup.deadline(), Some(at_us(3_500_000 + 3_000_000 + 414_062) + Duration::from_nanos(500)));
    }

    #[test]
    fn a_master_advertises_every_interval_without_adding_up_lateness() {
        let (mut machine, at) = master(v3(), 100);
        let second = Duration::from_secs(1);
        let late = at + second + Duration::from_millis(30);
        assert_eq!(machine.handle(Event::Wake, late)[..], [Action::Send { priority: 100 }]);
        assert_eq!(machine.deadline(), Some(at + second * 2));
        let very_late = at + second * 5;
        assert_eq!(machine.handle(Event::Wake, very_late).len(), 1, "one advert, not a volley");
        assert_eq!(machine.deadline(), Some(very_late + second));
    }

    #[test]
    fn a_master_yields_to_a_stronger_one_and_waits_by_its_interval() {
        let (mut machine, at) = master(v3(), 100);
        let actions = machine.handle(advert(LOWER, 101, 100), at + Duration::from_millis(5));
        assert_eq!(actions[..], [report(Shown::Master, Shown::Backup, Reason::HigherPriorityHeard), Action::Remove]);
        assert_eq!(machine.master(), Some(Master { address: LOWER, priority: 101 }));
        let down = Duration::from_nanos(300_000_000 + 100_000_000 * 156 / 256);
        assert_eq!(machine.deadline(), Some(at + Duration::from_millis(5) + down));
    }

    #[test]
    fn higher_prio_send_advert_says_one_more_before_yielding() {
        let (mut machine, at) = master(Settings { higher_prio_send_advert: true, ..v3() }, 100);
        let actions = machine.handle(advert(LOWER, 101, 1000), at);
        assert_eq!(actions[0], Action::Send { priority: 100 });
        assert!(!machine.is_master());
    }

    #[test]
    fn equal_priorities_are_decided_by_the_greater_primary_address() {
        let (mut machine, at) = master(v3(), 100);
        let _ = machine.handle(advert(LOWER, 100, 1000), at);
        assert!(machine.is_master());
        let _ = machine.handle(advert(HIGHER, 100, 1000), at);
        assert!(!machine.is_master());
    }

    #[test]
    fn a_master_answers_a_weaker_one_at_once_unless_told_not_to() {
        let (mut machine, at) = master(v3(), 100);
        let actions = machine.handle(advert(HIGHER, 99, 1000), at);
        assert!(actions.contains(&Action::Send { priority: 100 }));
        assert!(actions.contains(&Action::Announce(Burst::LowerPriority)));
        let (mut silent, at) = master(Settings { lower_prio_no_advert: true, ..v3() }, 100);
        let actions = silent.handle(advert(HIGHER, 99, 1000), at);
        assert!(!actions.iter().any(|action| matches!(action, Action::Send { .. })));
        assert!(silent.is_master());
    }

    #[test]
    fn a_master_answers_a_resignation_at_once_and_starts_its_interval_anew() {
        let (mut machine, at) = master(v3(), 100);
        let now = at + Duration::from_millis(700);
        assert_eq!(machine.handle(advert(LOWER, 0, 1000), now)[..], [Action::Send { priority: 100 }]);
        assert_eq!(machine.deadline(), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn an_owner_may_ignore_what_it_hears() {
        let (mut owner, at) = {
            let machine = started(Settings { owner_ignore_adverts: true, ..v3() }, 255);
            (machine, at_us(0))
        };
        assert!(owner.is_master());
        assert!(owner.handle(advert(HIGHER, 255, 1000), at).is_empty());
        assert!(owner.is_master());
    }

    #[test]
    fn of_two_owners_each_that_hears_the_other_has_254_from_then_on_and_yields() {
        let mut owner = started(v3(), 255);
        for source in [LOWER, HIGHER] {
            let mut owner = owner.clone();
            let actions = owner.handle(advert(source, 255, 1000), at_us(10));
            let yielded = report(Shown::Master, Shown::Backup, Reason::HigherPriorityHeard);
            assert_eq!(actions[..], [Action::SecondOwner(source), yielded, Action::Remove]);
            assert_eq!(owner.priority(), 254);
        }
        assert!(owner.handle(advert(HIGHER, 254, 1000), at_us(20)).contains(&Action::Send { priority: 255 }));
    }

    #[test]
    fn a_fault_resigns_and_takes_the_addresses_away_and_recovery_starts_as_backup() {
        let (mut machine, at) = master(v2(), 100);
        let actions = machine.handle(Event::Fault(Reason::InterfaceDown), at);
        assert_eq!(
            actions[..],
            [Action::Send { priority: 0 }, report(Shown::Master, Shown::Fault, Reason::InterfaceDown), Action::Remove,]
        );
        assert_eq!(machine.deadline(), None);
        let now = at_us(20_000_000);
        let actions = machine.handle(Event::Recovered(Reason::InterfaceUp), now);
        assert_eq!(actions[..], [report(Shown::Fault, Shown::Backup, Reason::InterfaceUp)]);
        assert_eq!(machine.deadline(), Some(now + Duration::from_micros(3_609_375)));
    }

    #[test]
    fn a_master_that_stops_resigns_before_its_addresses_go_and_a_backup_says_nothing() {
        let (mut machine, at) = master(v2(), 100);
        assert_eq!(machine.handle(Event::Shutdown, at)[..2], [Action::Send { priority: 0 }, Action::Remove]);
        assert!(machine.handle(advert(LOWER, 1, 1000), at).is_empty());
        let mut backup = started(v2(), 100);
        assert_eq!(backup.handle(Event::Shutdown, at)[..], [report(Shown::Backup, Shown::Shutdown, Reason::Shutdown)]);
    }

    #[test]
    fn a_priority_change_moves_a_backups_deadline_and_not_its_silence() {
        let mut backup = started(v2(), 100);
        let _ = backup.handle(Event::Priority(Priority::new(200).expect("not zero")), at_us(1_000_000));
        assert_eq!(backup.deadline(), Some(at_us(3_218_750)));
    }

    #[test]
    fn timer_expired_backup_steps_down_when_a_rival_must_have_taken_over() {
        let rival = Priority::new(254);
        let config = Settings { preempt: Preempt::Never, timer_expired_backup: rival, ..v3() };
        let (mut machine, at) = master(config.clone(), 100);
        // The rival waits 3 s and 2/256 of a second after our last advert.
        let _ = machine.handle(Event::Wake, at + Duration::from_micros(3_007_812));
        assert!(machine.is_master());
        let (mut machine, at) = master(config, 100);
        let actions = machine.handle(Event::Wake, at + Duration::from_micros(3_007_813));
        assert_eq!(actions[0], report(Shown::Master, Shown::Backup, Reason::LateTimer));
    }
}
