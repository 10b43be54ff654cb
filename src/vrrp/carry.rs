//! The second half of the engine: a machine's actions become outputs, and addresses get onto the host and off it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::announce::Lane;
use super::engine::{Asked, Engine, ORPHANS, Phase, STATIC_LINES, STATICS, Slot, info};
use super::host::Host;
use super::io::{AddressChange, AddressKey, Announce, Block, HostAddress, IfIndex, Level, Log, Output, Send};
use super::machine::{Action, Actions, Burst, DEMOTED, Event, Master, Transition};
use super::router::{Held, LOG_PAUSE, Takeover};
use crate::bus::msg::{Edge, NewMaster};
use crate::bus::rows::{MasterReason, Reason, RowKey, State};
use crate::clock::Instant;
use crate::conf::model::{Address, Auth, Family, InitialState, InstanceName};

/// Pause before the kernel is asked again; doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Somebody else removes an address again and again: do not put it back more often than this.
pub(super) const RESTORE_PAUSE: Duration = Duration::from_secs(1);

impl Engine {
    /// Hands an event to a machine and carries out what it says.
    pub(super) fn drive(&mut self, slot: Slot, event: Event, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.router_mut(slot) else { return };
        let actions = router.machine.handle(event, now);
        match router.group {
            None => self.carry_out(slot, actions, now, out),
            Some(group) => self.together(group, slot, actions, now, out),
        }
        self.arm(slot);
    }

    pub(super) fn carry_out(&mut self, slot: Slot, actions: Actions, now: Instant, out: &mut Vec<Output>) {
        for action in actions {
            match action {
                Action::Send { priority } => self.send(slot, priority, out),
                Action::Install => self.install(slot, now, out),
                Action::Remove => self.remove(slot, out),
                Action::Announce(burst) => self.start_burst(slot, burst, now, out),
                Action::Report(transition) => self.report(slot, transition, now, out),
                Action::HeardWeaker(other) => self.heard_weaker(slot, other, now, out),
                Action::SecondOwner(address) => self.second_owner(slot, address, out),
                Action::PreemptDelayed(delay) => self.preempt_delayed(slot, delay, now, out),
            }
        }
    }

    /// One that does not hear us goes on and on: it is not logged each time.
    fn heard_weaker(&mut self, slot: Slot, other: Master, now: Instant, out: &mut Vec<Output>) {
        self.tell_weaker(slot, now, out);
        let Some(router) = self.router_mut(slot) else { return };
        if now < router.weaker_quiet_until {
            return;
        }
        router.weaker_quiet_until = now + LOG_PAUSE;
        let (name, own) = (&router.config.name, router.machine.priority());
        let Master { address, priority } = other;
        let text = format!("({name}) Received advert from {address} with lower priority {priority}, ours {own}");
        out.push(info(name, text));
    }

    /// Two would push each other aside for ever. It is an owner again when the file is read anew, or a SET makes it one.
    fn second_owner(&mut self, slot: Slot, address: IpAddr, out: &mut Vec<Output>) {
        let Some(router) = self.router_mut(slot) else { return };
        router.demoted = true;
        router.stale();
        let name = router.config.name.clone();
        let text = format!(
            "({name}) CONFIGURATION ERROR: {address} has priority 255, too, and an address has one owner: going on with {DEMOTED}"
        );
        out.push(Output::Log(Log { level: Level::Error, instance: Some(name.clone()), text }));
        out.push(Output::Changed(RowKey::Instance(name)));
    }

    /// A stronger and a weaker master may take turns: likewise.
    fn preempt_delayed(&mut self, slot: Slot, delay: Duration, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.router_mut(slot) else { return };
        if now < router.delay_quiet_until {
            return;
        }
        router.delay_quiet_until = now + LOG_PAUSE;
        let name = &router.config.name;
        let text = format!("({name}) start preempt delay ({}.{:06})", delay.as_secs(), delay.subsec_micros());
        out.push(info(name, text));
    }

    fn send(&mut self, slot: Slot, priority: u8, out: &mut Vec<Output>) {
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        let Some(source) = router.machine.primary() else { return };
        let interface = router.port;
        // Without it, the kernel would choose another.
        if interface.is_none() && (router.config.vmacs.port().is_some() || router.config.vrf.is_some()) {
            return;
        }
        if interface.and_then(|index| self.host.link(index)).is_some_and(|link| !link.admin_up) {
            return;
        }
        let ttl = router.ttl();
        let key = match &router.config.auth {
            Some(Auth::Ah(key)) => Some(*key),
            Some(Auth::Pass(_)) | None => None,
        };
        let send = |(destination, payload): &(IpAddr, Arc<[u8]>)| {
            Output::Send(Send {
                interface,
                source,
                destination: *destination,
                ttl,
                payload: payload.clone(),
                whole: key.is_some(),
                due: None,
            })
        };
        let before = out.len();
        if let Some(key) = key {
            out.extend(router.protect(priority, &key).iter().map(send));
        } else if priority == 0 {
            out.extend(router.encode(0).iter().map(send));
        } else {
            out.extend(router.frames().iter().map(send));
        }
        if let Some(Output::Send(last)) = out.get_mut(before..).and_then(<[Output]>::last_mut) {
            last.due = Some(self.due);
        }
        if priority == 0 {
            router.counters.priority_zero_sent += 1;
            let name = &router.config.name;
            out.push(info(name, format!("({name}) sent 0 priority")));
        }
        router.counters.adverts_sent += 1;
        self.count(slot, out);
    }

    fn report(&mut self, slot: Slot, transition: Transition, now: Instant, out: &mut Vec<Output>) {
        let at = self.wall(now);
        self.count_masters(slot, transition);
        let Some(router) = self.router_mut(slot) else { return };
        let Transition { from, to, reason } = transition;
        match (from, to) {
            (_, State::Master) => router.counters.became_master += 1,
            (State::Master, _) => router.counters.released_master += 1,
            _ => {}
        }
        match to {
            State::Master => router.other_master = None,
            State::Backup => router.counters.entered_backup += 1,
            State::Fault => router.counters.entered_fault += 1,
            // Rows show what has stopped as init.
            State::Init | State::Shutdown | State::Deleted => router.counters.entered_init += 1,
        }
        router.started = match to {
            State::Init | State::Fault | State::Shutdown | State::Deleted => None,
            State::Backup | State::Master => router.started.or(Some(now)),
        };
        let new_master = (to == State::Master).then(|| {
            router.master_reason = master_reason(reason);
            let primary = router.machine.primary()?;
            Some(NewMaster { router: router.id(), primary, reason: router.master_reason })
        });
        router.since = at;
        router.reason = reason;
        let name = router.config.name.clone();
        if to == State::Master && matches!(reason, Reason::MasterNoResponse | Reason::Preempted) {
            out.push(info(&name, format!("({name}) Receive advertisement timeout")));
        }
        if to != State::Shutdown && to != State::Deleted {
            let first = if from == State::Init && to == State::Backup { " (init)" } else { "" };
            out.push(info(&name, format!("({name}) Entering {} STATE{first}", to.name())));
        }
        out.push(Output::Edge(Edge::Transition {
            instance: name.clone(),
            index: router.index,
            from,
            to,
            initial: match router.config.initial_state {
                InitialState::Backup => State::Backup,
                InitialState::Master => State::Master,
            },
            reason,
            new_master: new_master.flatten(),
            at,
        }));
        out.push(Output::Changed(RowKey::Instance(name)));
        self.tell_instance(slot, transition, out);
    }

    /// All addresses are wanted on the host from now on.
    fn install(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let due = self.due;
        let Some(router) = self.router_mut(slot) else { return };
        for held in &mut router.held {
            held.wanted = true;
        }
        router.refusals = 0;
        router.retry_at = None;
        if !router.config.garp.refresh.is_zero() {
            router.refresh_at = Some(now + router.config.garp.refresh);
        }
        router.extra_at = router.extra_interval().map(|interval| now + interval).or(router.extra_at);
        if router.blocks() {
            self.block(slot, true, out);
        }
        self.install_missing(slot, out);
        self.install_lines(slot, out);
        if let Some(router) = self.router_mut(slot) {
            let missing = router.held.iter().filter(|held| held.at.is_none()).count() as u32;
            // One without addresses has nothing to take over.
            let some = !router.held.is_empty();
            router.takeover = some.then_some(Takeover { due, missing, announced: false });
        }
    }

    /// Asks for each address that is wanted and neither there nor asked for. Returns their positions.
    fn install_missing(&mut self, slot: Slot, out: &mut Vec<Output>) -> Vec<u32> {
        let mut coming = Vec::new();
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return coming };
        let owner = Some(&router.config.name);
        let any = router.installed > 0;
        for (at, held) in router.held.iter_mut().enumerate() {
            if held.wanted && !held.installed && held.at.is_none() {
                ask_to_install(held, owner, at, &self.host, &mut self.asked, out);
                router.installed += u32::from(held.installed);
                coming.extend(held.at.map(|_| at as u32 + 1));
            }
        }
        if any != (router.installed > 0) {
            out.push(Output::Changed(RowKey::Instance(router.config.name.clone())));
        }
        coming
    }

    /// The same for a master that has been one for a while: what comes late is announced like what came at once.
    pub(super) fn complete(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let coming = self.install_missing(slot, out);
        let repeat = self.router(slot).map_or(0, |router| router.config.garp.repeat);
        for position in coming {
            self.enqueue(slot, position, repeat, now);
        }
    }

    /// An interface came up: nobody there heard what was said meanwhile.
    pub(super) fn announce_on(&mut self, slot: Slot, interface: IfIndex, now: Instant) {
        let Some(router) = self.router(slot) else { return };
        let repeat = router.config.garp.repeat;
        let there = (1..).zip(&router.held).filter(|(_, held)| held.wanted && held.at == Some(interface));
        let positions: Vec<u32> = there.map(|(position, _)| position).collect();
        for position in positions {
            self.enqueue(slot, position, repeat, now);
        }
    }

    /// All addresses are to leave, and nothing more is announced.
    fn remove(&mut self, slot: Slot, out: &mut Vec<Output>) {
        self.remove_lines(slot, out);
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        router.takeover = None;
        router.second_burst = None;
        router.refresh_at = None;
        router.extra_at = None;
        router.retry_at = None;
        router.refusals = 0;
        let owner = Some(&router.config.name);
        for (at, held) in router.held.iter_mut().enumerate() {
            held.wanted = false;
            self.announcer.cancel((slot, at as u32 + 1));
            ask_to_remove(held, owner, at, &mut self.asked, out);
        }
        router.installed = 0;
        self.block(slot, false, out);
    }

    fn wanted_by_any(&self, address: IpAddr) -> bool {
        let holders = self.index.holders.get(&address).into_iter().flatten();
        let held = |(slot, position): &(Slot, u32)| match *slot {
            STATICS => self.statics.get(*position as usize - 1),
            slot => self.router(slot)?.held.get(*position as usize - 1),
        };
        holders.filter_map(held).any(|held| held.wanted)
    }

    pub(super) fn install_statics(&mut self, out: &mut Vec<Output>) {
        if self.phase != Phase::Running {
            return;
        }
        for (at, held) in self.statics.iter_mut().enumerate() {
            held.wanted = true;
            if !held.installed && held.at.is_none() {
                ask_to_install(held, None, at, &self.host, &mut self.asked, out);
            }
        }
    }

    /// An address left the configuration: it goes, however often that must be asked for.
    pub(super) fn orphan(&mut self, mut held: Held, out: &mut Vec<Output>) {
        if held.native {
            return;
        }
        held.wanted = false;
        let position = ORPHANS + self.orphans_made % ORPHANS;
        ask_to_remove(&mut held, None, position as usize - 1, &mut self.asked, out);
        if held.leaving.is_some() {
            self.orphans_made += 1;
            self.orphans.insert(position, held);
        }
    }

    /// Asks again, unless somebody else wants the address by now.
    pub(super) fn remove_orphans(&mut self, out: &mut Vec<Output>) {
        for (position, mut held) in std::mem::take(&mut self.orphans) {
            if !self.wanted_by_any(held.address.address) {
                ask_to_remove(&mut held, None, position as usize - 1, &mut self.asked, out);
                self.orphans.insert(position, held);
            }
        }
    }

    /// The kernel answered.
    pub(super) fn address_answer(
        &mut self,
        key: &AddressKey,
        install: bool,
        error: Option<i32>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = usize::try_from(key.position).ok().and_then(|position| position.checked_sub(1)) else { return };
        let slot = match &key.owner {
            None => STATICS,
            Some(name) => match self.names.get(name) {
                Some(slot) => *slot,
                None => return,
            },
        };
        if slot == STATICS && key.position >= ORPHANS {
            let orphan = self.orphans.get(&key.position).filter(|held| held.question == key.question);
            match (error, orphan) {
                (_, None) => {}
                (None, _) => drop(self.orphans.remove(&key.position)),
                (Some(error), Some(held)) => {
                    out.push(refused(None, held, install, error));
                    self.after_answer(slot, false, false, true, now, out);
                }
            }
            return;
        }
        let held = match slot {
            STATICS => self.statics.get_mut(at),
            _ => self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut).and_then(|it| it.held.get_mut(at)),
        };
        // An answer to a question that was overtaken by another says nothing any more.
        let Some(held) = held.filter(|held| held.question == key.question && held.wanted == install) else { return };
        let was = held.installed;
        if let Some(error) = error {
            out.push(refused(key.owner.as_ref(), held, install, error));
            if install {
                held.at = None;
                held.installed = false;
            }
        } else {
            held.installed = install;
            held.leaving = None;
        }
        let is = held.installed;
        out.push(Output::Changed(RowKey::Address { owner: key.owner.clone(), position: key.position }));
        self.after_answer(slot, was, is, error.is_some(), now, out);
    }

    fn after_answer(&mut self, slot: Slot, was: bool, is: bool, refused: bool, now: Instant, out: &mut Vec<Output>) {
        if slot == STATICS {
            if refused {
                let at = now + pause(self.statics_refusals);
                self.statics_refusals += 1;
                if self.statics_retry.is_none() {
                    self.statics_retry = Some(at);
                    self.timers.insert((at, STATICS));
                }
            } else {
                self.statics_refusals = 0;
            }
            return;
        }
        let Some(router) = self.router_mut(slot) else { return };
        let any = router.installed > 0;
        router.installed = router.installed + u32::from(is) - u32::from(was);
        if any != (router.installed > 0) {
            out.push(Output::Changed(RowKey::Instance(router.config.name.clone())));
        }
        if let Some(due) = router.taken_over() {
            out.push(Output::TakenOver { due });
        }
        if refused && router.retry_at.is_none() {
            router.retry_at = Some(now + pause(router.refusals));
            router.refusals += 1;
            self.arm(slot);
        }
    }

    pub(super) fn retry_due(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        if router.retry_at.is_none_or(|at| now < at) {
            return;
        }
        router.retry_at = None;
        self.complete(slot, now, out);
        self.remove_remaining(slot, out);
    }

    /// Asks again for the addresses that ought to have left.
    pub(super) fn remove_remaining(&mut self, slot: Slot, out: &mut Vec<Output>) {
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        let owner = Some(&router.config.name);
        for (at, held) in router.held.iter_mut().enumerate() {
            if !held.wanted && held.leaving.is_some() {
                ask_to_remove(held, owner, at, &mut self.asked, out);
            }
        }
    }

    /// An address was removed. If a master of ours holds it, it comes back: it may have been we who asked for that, for
    /// another holder, or before this one became master again.
    pub(super) fn restore(&mut self, gone: &HostAddress, by_us: bool, now: Instant, out: &mut Vec<Output>) {
        if self.phase != Phase::Running {
            return;
        }
        // An interface on its way out takes its addresses along.
        let going = self.host.link(gone.interface).is_none_or(|link| !link.admin_up);
        for (slot, position) in self.index.holders.get(&gone.address).cloned().unwrap_or_default() {
            let at = position as usize - 1;
            let (owner, held) = match slot {
                STATICS => (None, self.statics.get_mut(at)),
                _ => match self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) {
                    Some(router) => (Some(&router.config.name), router.held.get_mut(at)),
                    None => continue,
                },
            };
            let here =
                |held: &&mut Held| held.at == Some(gone.interface) && held.address.prefix == gone.prefix && held.wanted;
            let Some(held) = held.filter(here) else { continue };
            held.native = false;
            let was = std::mem::take(&mut held.installed);
            if held.address.no_track {
                self.after_answer(slot, was, false, false, now, out);
                continue;
            }
            held.at = None;
            let again = !by_us && held.restored_at.is_some_and(|before| now.since(before) < RESTORE_PAUSE);
            let place = describe(&held.address);
            let owner = owner.cloned();
            if !again {
                if !by_us {
                    held.restored_at = Some(now);
                }
                ask_to_install(held, owner.as_ref(), at, &self.host, &mut self.asked, out);
                if was && !by_us && !going {
                    let name = owner.as_ref().map(|name| format!("({name}) ")).unwrap_or_default();
                    out.push(Output::Log(Log {
                        level: Level::Warn,
                        instance: owner.clone(),
                        text: format!("{name}{place} was removed by somebody else, putting it back"),
                    }));
                }
            }
            self.after_answer(slot, was, false, again, now, out);
            if was && !again && slot != STATICS {
                self.enqueue(slot, position, 1, now);
            }
        }
    }

    fn start_burst(&mut self, slot: Slot, burst: Burst, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.router_mut(slot) else { return };
        let garp = &router.config.garp;
        let (repeat, delay) = match burst {
            Burst::Master => (garp.repeat, garp.delay),
            Burst::LowerPriority => (garp.lower_prio_repeat, garp.lower_prio_delay),
        };
        if repeat > 0 && !delay.is_zero() {
            router.second_burst = Some((now + delay, repeat));
        }
        let any = self.enqueue_all(slot, repeat, now);
        self.announce(now, out);
        if !any
            && let Some(router) = self.router_mut(slot)
            && let Some(takeover) = &mut router.takeover
        {
            takeover.announced = true;
            out.extend(router.taken_over().map(|due| Output::TakenOver { due }));
        }
    }

    /// Bursts whose time has come.
    pub(super) fn announce_due(&mut self, slot: Slot, now: Instant) {
        let Some(router) = self.router_mut(slot) else { return };
        let garp = &router.config.garp;
        let (refresh, refresh_repeat, extra) = (garp.refresh, garp.refresh_repeat, garp.extra_interval);
        let mut repeat = 0;
        if let Some((_, second)) = router.second_burst.take_if(|(at, _)| now >= *at) {
            repeat = second;
        }
        if router.refresh_at.is_some_and(|at| now >= at) {
            router.refresh_at = Some(now + refresh);
            repeat = repeat.max(refresh_repeat);
        }
        let extra_due = router.extra_at.is_some_and(|at| now >= at);
        if extra_due {
            router.extra_at = Some(now + extra);
        }
        if repeat > 0 {
            self.enqueue_all(slot, repeat, now);
        } else if extra_due && let Some(router) = self.router(slot) {
            let extra = (1..).zip(&router.held).filter(|(_, held)| router.announced_extra(&held.address.interface));
            let positions: Vec<u32> = extra.map(|(position, _)| position).collect();
            for position in positions {
                self.enqueue(slot, position, 1, now);
            }
        }
    }

    /// Whether there is anything to announce.
    fn enqueue_all(&mut self, slot: Slot, repeat: u32, now: Instant) -> bool {
        let count = self.router(slot).map_or(0, |router| router.held.len() as u32);
        let mut any = false;
        for position in 1..=count {
            any |= self.enqueue(slot, position, repeat, now);
        }
        any && repeat > 0
    }

    /// Whether neighbours can be told of this address.
    pub(super) fn enqueue(&mut self, slot: Slot, position: u32, repeat: u32, now: Instant) -> bool {
        let Some(router) = self.router(slot) else { return false };
        let Some(held) = router.held.get(position as usize - 1).filter(|held| held.wanted) else { return false };
        let Some(link) = self.host.named(&held.address.interface) else { return false };
        if link.mac.is_none() || link.loopback {
            return false;
        }
        let family = held.address.family();
        let garp = &router.config.garp;
        let groups = &self.global.garp_groups;
        let group = groups.iter().position(|group| group.interfaces.contains(&link.name));
        let own_gap = match family {
            Family::V4 => garp.interval,
            Family::V6 => garp.gna_interval,
        };
        let (lane, gap) = match group.and_then(|at| groups.get(at).map(|group| (at, group))) {
            None => (Lane::Interface(link.index, family), own_gap),
            Some((at, group)) => {
                let gap = match family {
                    Family::V4 => group.garp_interval_ns,
                    Family::V6 => group.gna_interval_ns,
                };
                (Lane::Group(at, family), gap.map_or(own_gap, Duration::from_nanos))
            }
        };
        self.announcer.enqueue((slot, position), lane, gap, repeat, now);
        true
    }

    /// Sends the announcements that may leave now.
    pub(super) fn announce(&mut self, now: Instant, out: &mut Vec<Output>) {
        let (slots, host, announcer) = (&mut self.slots, &self.host, &mut self.announcer);
        announcer.take(now, |(slot, position)| {
            let Some(router) = slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
            let Some(held) = router.held.get(position as usize - 1).filter(|held| held.wanted) else { return };
            let Some(link) = host.named(&held.address.interface).filter(|link| link.admin_up) else { return };
            let Some(mac) = link.mac else { return };
            router.counters.announcements_sent += 1;
            let address = held.address.address;
            out.push(Output::Announce(Announce { interface: link.index, mac, address, router: false }));
            if !router.counted.replace(true) {
                out.push(Output::Counted(RowKey::Instance(router.config.name.clone())));
            }
            if let Some(takeover) = &mut router.takeover {
                takeover.announced = true;
                out.extend(router.taken_over().map(|due| Output::TakenOver { due }));
            }
        });
    }

    /// Adds or takes away an instance's blocked addresses. The complete set is said once, when the input is done:
    /// before the first address that needs blocking, after the last that no longer does.
    pub(super) fn block(&mut self, slot: Slot, on: bool, out: &[Output]) {
        let Some(router) = self.slots.get(slot as usize).and_then(Option::as_deref) else { return };
        if router.config.accept {
            return;
        }
        let mut changed = false;
        for held in &router.held {
            let address = held.address.address;
            let link_local = matches!(address, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local());
            let link = self.host.named(&held.address.interface).map(|link| link.index);
            let block = Block { address, interface: link.filter(|_| link_local) };
            changed |= if on {
                self.blocks.insert(block)
            } else {
                // The interface may be gone by now.
                let all = Block { address, interface: None }..=Block { address, interface: Some(u32::MAX) };
                let gone: Vec<Block> = self.blocks.range(all).copied().collect();
                gone.iter().any(|block| self.blocks.remove(block))
            };
        }
        if changed {
            let at = if on { self.block_at.map_or(out.len(), |at| at.min(out.len())) } else { usize::MAX };
            self.block_at = Some(match self.block_at {
                Some(before) if on => before.min(at),
                Some(before) => before,
                None => at,
            });
        }
    }

    /// Leaves in good order: every resignation first, so that others take over while addresses go.
    pub(super) fn shutdown(&mut self, keep_addresses: bool, now: Instant, out: &mut Vec<Output>) {
        let slots = self.each_slot();
        let mut rest: Vec<(Slot, Actions)> = Vec::with_capacity(slots.len());
        for slot in slots {
            let Some(router) = self.router_mut(slot) else { continue };
            let actions = router.machine.handle(Event::Shutdown, now);
            let (send, other): (Actions, Actions) =
                actions.into_iter().partition(|action| matches!(action, Action::Send { .. }));
            self.carry_out(slot, send, now, out);
            rest.push((slot, other));
        }
        for removing in [true, false] {
            for (slot, actions) in &rest {
                let mine = actions
                    .iter()
                    .copied()
                    .filter(|action| matches!(action, Action::Remove) == removing && !(removing && keep_addresses));
                self.carry_out(*slot, mine.collect(), now, out);
            }
        }
        self.stop_groups(now, out);
        if !keep_addresses {
            self.remove_lines(STATIC_LINES, out);
            for (at, held) in self.statics.iter_mut().enumerate() {
                held.wanted = false;
                ask_to_remove(held, None, at, &mut self.asked, out);
            }
        }
        self.timers.clear();
        self.phase = Phase::Stopped;
    }
}

/// As RFC 6527 tells reasons apart. An owner that starts or recovers takes its addresses from whoever has them.
fn master_reason(reason: Reason) -> MasterReason {
    match reason {
        Reason::MasterNoResponse => MasterReason::MasterNoResponse,
        Reason::MasterResigned => MasterReason::Priority,
        _ => MasterReason::Preempted,
    }
}

/// Says to the driver that an address is to come, if its interface exists.
fn ask_to_install(
    held: &mut Held,
    owner: Option<&InstanceName>,
    at: usize,
    host: &Host,
    asked: &mut Asked,
    out: &mut Vec<Output>,
) {
    let Some(link) = host.named(&held.address.interface) else { return };
    held.at = Some(link.index);
    // An owner's address is the host's own. What we asked to remove is only still there.
    let place = (link.index, held.address.address, held.address.prefix);
    held.native = held.leaving.is_none() && !asked.removals.contains(&place) && host.has(place.0, place.1, place.2);
    if held.native {
        held.installed = true;
        held.question = 0;
        out.push(Output::Changed(RowKey::Address { owner: owner.cloned(), position: at as u32 + 1 }));
        return;
    }
    ask(held, owner, at, link.index, true, asked, out);
}

/// Says to the driver that an address is to go, if it was asked for.
fn ask_to_remove(held: &mut Held, owner: Option<&InstanceName>, at: usize, asked: &mut Asked, out: &mut Vec<Output>) {
    if std::mem::take(&mut held.native) {
        held.at = None;
        held.installed = false;
        out.push(Output::Changed(RowKey::Address { owner: owner.cloned(), position: at as u32 + 1 }));
        return;
    }
    // It may be there without being asked for: not gone when it should, and refused when asked for again.
    let Some(interface) = held.at.take().or(held.leaving) else { return };
    held.leaving = Some(interface);
    held.installed = false;
    ask(held, owner, at, interface, false, asked, out);
}

fn ask(
    held: &mut Held,
    owner: Option<&InstanceName>,
    at: usize,
    interface: IfIndex,
    install: bool,
    asked: &mut Asked,
    out: &mut Vec<Output>,
) {
    asked.questions += 1;
    held.question = asked.questions;
    if !install {
        asked.removals.insert((interface, held.address.address, held.address.prefix));
    }
    let key = AddressKey { owner: owner.cloned(), position: at as u32 + 1, question: held.question };
    out.push(Output::Address(AddressChange { key, interface, address: held.address.clone(), install }));
}

fn refused(owner: Option<&InstanceName>, held: &Held, install: bool, error: i32) -> Output {
    let verb = if install { "add" } else { "remove" };
    let place = describe(&held.address);
    let reason = std::io::Error::from_raw_os_error(error);
    let name = owner.map(|name| format!("({name}) ")).unwrap_or_default();
    let text = format!("{name}cannot {verb} {place}: {reason}");
    Output::Log(Log { level: Level::Error, instance: owner.cloned(), text })
}

pub(super) fn pause(refusals: u32) -> Duration {
    RETRY.saturating_mul(1 << refusals.min(8)).min(RETRY_MAX)
}

fn describe(address: &Address) -> String {
    format!("{}/{} on {}", address.address, address.prefix, address.interface)
}
