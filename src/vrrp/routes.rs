//! Routes and rules: onto the host behind the addresses of their owner, off it before them, and put back when somebody else,
//! or the kernel, has removed them.
//!
//! Asking the kernel for what is there already does no harm (EEXIST), and asking is all that is done: nothing is ever listed,
//! so that a host with a full routing table of the Internet is as good as any.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::carry::{RESTORE_PAUSE, pause};
use super::engine::{Asked, Engine, ORPHANS, Phase, STATIC_LINES, Slot};
use super::host::Host;
use super::io::{HostAddress, IfIndex, Level, Log, Output};
use super::line::{self, KernelLine, KernelRoute, LineChange, LineKey, LineKind, LineNews};
use crate::bus::rows::RowKey;
use crate::clock::Instant;
use crate::conf::model::{Family, InstanceName, Placement, Route, Rule};

/// After an address came, refused routes are tried again this soon: it may be what they lacked.
const HURRY: Duration = Duration::from_millis(100);

const EEXIST: i32 = 17;

/// The routes and rules of one owner.
#[derive(Debug, Default)]
pub struct Lines {
    pub routes: Vec<Line>,
    pub rules: Vec<Line>,
    /// When to ask the kernel again for what it refused.
    pub retry_at: Option<Instant>,
    refusals: u32,
}

/// A route or a rule that is, or is not, to be on the host.
#[derive(Debug, Clone)]
pub struct Line {
    config: Config,
    wanted: bool,
    /// The kernel said that it is there, since it was wanted.
    pub installed: bool,
    /// What was asked for while wanted.
    at: Option<KernelLine>,
    /// What the kernel was told to take away, until it says that it did.
    leaving: Option<KernelLine>,
    /// The last question to the kernel; an answer to another is of yesterday. 0 if nothing is asked.
    question: u64,
    /// It was there, since it was wanted.
    seen: bool,
    /// It is thought to be gone, or may be.
    doubted: bool,
    restored_at: Option<Instant>,
    /// The errno of the last refusal, since it was there.
    refused: Option<i32>,
}

#[derive(Debug, Clone)]
enum Config {
    Route(Arc<Route>),
    Rule(Arc<Rule>),
}

impl Config {
    fn kind(&self) -> LineKind {
        match self {
            Config::Route(_) => LineKind::Route,
            Config::Rule(_) => LineKind::Rule,
        }
    }

    /// Whether both put the same thing on the host: where they stand and whether they are watched aside.
    fn same(&self, other: &Config) -> bool {
        self.place() == other.place()
            && match (self, other) {
                (Config::Route(a), Config::Route(b)) => {
                    **a == Route { location: a.location.clone(), no_track: a.no_track, ..Route::clone(b) }
                }
                (Config::Rule(a), Config::Rule(b)) => {
                    **a == Rule { location: a.location.clone(), no_track: a.no_track, ..Rule::clone(b) }
                }
                _ => false,
            }
    }

    /// Whether it is put back. One that expires is not: nobody can tell that from its being removed.
    fn tracked(&self) -> bool {
        match self {
            Config::Route(route) => !route.no_track && route.expires.is_none(),
            Config::Rule(rule) => !rule.no_track,
        }
    }

    /// Interfaces that are to be up for an instance that follows it.
    fn watched(&self) -> impl Iterator<Item = &String> {
        let (no_track, names) = match self {
            Config::Route(route) => (route.no_track, [&route.interface, &None]),
            Config::Rule(rule) => (rule.no_track, [&rule.input, &rule.output]),
        };
        names.into_iter().flatten().filter(move |_| !no_track)
    }

    /// Interfaces that must exist before the kernel can be asked.
    fn needed(&self) -> impl Iterator<Item = &String> {
        let route = match self {
            Config::Route(route) => Some(route),
            Config::Rule(_) => None,
        };
        let hops = route.into_iter().flat_map(|route| &route.hops).filter_map(|hop| hop.interface.as_ref());
        let own = route.into_iter().flat_map(|route| [&route.interface, &route.vrf]).flatten();
        own.chain(hops)
    }

    fn source(&self) -> Option<IpAddr> {
        match self {
            Config::Route(route) => route.source,
            Config::Rule(_) => None,
        }
    }

    /// What the kernel is to be asked for; `None` while it would refuse it for want of an interface.
    fn resolve(&self, host: &Host) -> Option<KernelLine> {
        match self {
            Config::Route(route) => {
                let route = KernelRoute::resolve(route, |name| host.named(name))?;
                line::ready(&route, host).then_some(KernelLine::Route(route))
            }
            Config::Rule(rule) => Some(KernelLine::Rule(rule.clone())),
        }
    }

    /// Where news of it are looked for.
    fn place(&self) -> Place {
        match self {
            Config::Route(route) => Place::Route(route.destination.masked().address, route.destination.length),
            Config::Rule(rule) => Place::Rule(rule.family, rule.preference),
        }
    }

    fn describe(&self) -> String {
        match self {
            Config::Route(route) => line::describe_route(route),
            Config::Rule(rule) => line::describe_rule(rule),
        }
    }
}

/// What news of the kernel is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Route(IpAddr, u8),
    Rule(Family, u32),
}

impl Place {
    fn of(news: &LineNews) -> Place {
        match news {
            LineNews::Route(route) => Place::Route(route.destination.address, route.destination.length),
            LineNews::Rule(rule) => Place::Rule(rule.family, rule.preference),
        }
    }
}

/// One line among all: of whom, and which.
pub(super) type Which = (Slot, LineKind, u32);

impl Line {
    fn new(config: Config) -> Line {
        Line {
            config,
            wanted: false,
            installed: false,
            at: None,
            leaving: None,
            question: 0,
            seen: false,
            doubted: false,
            restored_at: None,
            refused: None,
        }
    }

    pub fn route(&self) -> Option<&Route> {
        match &self.config {
            Config::Route(route) => Some(route),
            Config::Rule(_) => None,
        }
    }

    pub fn rule(&self) -> Option<&Rule> {
        match &self.config {
            Config::Rule(rule) => Some(rule),
            Config::Route(_) => None,
        }
    }

    /// It was there, it ought to be, and the kernel does not take it back.
    fn lost(&self) -> bool {
        self.wanted && self.seen && !self.installed && self.refused.is_some() && self.config.tracked()
    }

    fn is(&self, news: &LineNews) -> bool {
        match (self.at.as_ref().map(KernelLine::news), news) {
            (Some(LineNews::Route(mine)), LineNews::Route(theirs)) => mine.may_be(theirs),
            (Some(mine), theirs) => mine == *theirs,
            (None, _) => false,
        }
    }

    fn uses(&self, interface: IfIndex) -> bool {
        matches!(&self.at, Some(KernelLine::Route(route)) if route.uses(interface))
    }

    /// It is not there any more. Whether it is to be asked for again.
    fn flushed(&mut self) -> bool {
        self.installed = false;
        self.doubted = true;
        if self.wanted && self.config.tracked() {
            self.at = None;
            self.question = 0;
            return true;
        }
        false
    }
}

impl Lines {
    pub fn new(routes: &[Route], rules: &[Rule]) -> Lines {
        Lines {
            routes: routes.iter().map(|it| Line::new(Config::Route(Arc::new(it.clone())))).collect(),
            rules: rules.iter().map(|it| Line::new(Config::Rule(Arc::new(it.clone())))).collect(),
            ..Lines::default()
        }
    }

    /// Positions count from 1.
    pub fn at(&self, kind: LineKind, position: u32) -> Option<&Line> {
        self.of(kind).get(usize::try_from(position).ok()?.checked_sub(1)?)
    }

    fn of(&self, kind: LineKind) -> &Vec<Line> {
        match kind {
            LineKind::Route => &self.routes,
            LineKind::Rule => &self.rules,
        }
    }

    fn at_mut(&mut self, kind: LineKind, position: u32) -> Option<&mut Line> {
        let all = match kind {
            LineKind::Route => &mut self.routes,
            LineKind::Rule => &mut self.rules,
        };
        all.get_mut(usize::try_from(position).ok()?.checked_sub(1)?)
    }

    fn all(&self) -> impl Iterator<Item = &Line> {
        self.routes.iter().chain(&self.rules)
    }

    /// In the order in which they are installed.
    fn all_mut(&mut self) -> impl Iterator<Item = (u32, &mut Line)> {
        (1..).zip(&mut self.routes).chain((1..).zip(&mut self.rules))
    }

    fn needed(&self) -> impl Iterator<Item = &String> {
        self.all().flat_map(|line| line.config.needed())
    }

    /// Asks for each line that is wanted and neither there nor asked for.
    fn install_missing(&mut self, owner: Option<&InstanceName>, host: &Host, asked: &mut Asked, out: &mut Vec<Output>) {
        for (position, line) in self.all_mut() {
            if line.wanted && !line.installed && line.at.is_none() {
                install(line, owner, position, host, asked, out);
            }
        }
    }

    /// Asks again for the lines that ought to have left.
    fn remove_remaining(&mut self, owner: Option<&InstanceName>, asked: &mut Asked, out: &mut Vec<Output>) {
        let rules_first = (1..).zip(&mut self.rules).chain((1..).zip(&mut self.routes));
        for (position, line) in rules_first {
            if let Some(leaving) = line.leaving.clone().filter(|_| !line.wanted) {
                ask(line, owner, position, leaving, false, false, asked, out);
            }
        }
    }

    fn remove(&mut self, owner: Option<&InstanceName>, host: &Host, asked: &mut Asked, out: &mut Vec<Output>) {
        self.retry_at = None;
        self.refusals = 0;
        let rules_first = (1..).zip(&mut self.rules).chain((1..).zip(&mut self.routes));
        for (position, line) in rules_first {
            remove(line, owner, position, host, asked, out);
        }
    }

    /// Puts others in their place, keeping what is known of those that stay. Returns the others, rules first.
    fn replace(&mut self, routes: &[Route], rules: &[Rule]) -> Vec<Line> {
        let new = Lines::new(routes, rules);
        let mut leaving = Vec::new();
        for (old, new) in [(&mut self.rules, new.rules), (&mut self.routes, new.routes)] {
            let mut before: Vec<Option<Line>> = std::mem::take(old).into_iter().map(Some).collect();
            for line in new {
                let same = |it: &&mut Option<Line>| it.as_ref().is_some_and(|it| it.config.same(&line.config));
                let known = before.iter_mut().find(same).and_then(Option::take);
                old.push(known.map_or_else(|| line.clone(), |known| Line { config: line.config.clone(), ..known }));
            }
            leaving.extend(before.into_iter().flatten());
        }
        // Answers that are still on their way name places that may be others' now: ask again.
        for (_, line) in self.all_mut().filter(|(_, line)| !line.installed) {
            line.question = 0;
            line.leaving = line.at.take().or(line.leaving.take());
        }
        leaving
    }
}

impl Engine {
    pub(super) fn lines(&self, slot: Slot) -> Option<&Lines> {
        match slot {
            STATIC_LINES => Some(&self.static_lines),
            _ => self.router(slot).map(|router| &router.routing),
        }
    }

    /// The lines of an owner, and what it takes to ask the kernel for them.
    fn lines_mut(&mut self, slot: Slot) -> Option<(&mut Lines, Option<&InstanceName>, &Host, &mut Asked)> {
        match slot {
            STATIC_LINES => Some((&mut self.static_lines, None, &self.host, &mut self.asked)),
            _ => {
                let router = self.slots.get_mut(slot as usize)?.as_deref_mut()?;
                Some((&mut router.routing, Some(&router.config.name), &self.host, &mut self.asked))
            }
        }
    }

    fn owners(&self) -> Vec<Slot> {
        let mut all = self.each_slot();
        all.push(STATIC_LINES);
        all
    }

    /// Makes the part of the index again that is about lines, and tells routers what they follow.
    pub(super) fn reindex_lines(&mut self) {
        self.line_index.clear();
        self.line_sources.clear();
        self.line_users.clear();
        for slot in self.owners() {
            let Some(lines) = self.lines(slot) else { continue };
            let needed: BTreeSet<String> = lines.needed().cloned().collect();
            let mut found = Vec::new();
            for kind in [LineKind::Route, LineKind::Rule] {
                found.extend(
                    (1..)
                        .zip(lines.of(kind))
                        .map(|(position, line)| ((slot, kind, position), line.config.place(), line.config.source())),
                );
            }
            for name in needed {
                self.line_users.entry(name).or_default().push(slot);
            }
            for (which, place, source) in found {
                self.line_index.entry(place).or_default().push(which);
                if let Some(source) = source {
                    self.line_sources.entry(source).or_default().push(which);
                }
            }
        }
        for slot in self.each_slot() {
            let Some(router) = self.router(slot) else { continue };
            let name = &router.config.name;
            let mut watched: Vec<String> =
                self.followed(name).flat_map(|line| line.config.watched()).cloned().collect();
            for group in self.track_groups.iter().filter(|group| group.members.contains(name)) {
                let addresses =
                    group.addresses.iter().filter_map(|at| self.statics.get((*at as usize).checked_sub(1)?));
                watched.extend(addresses.map(|held| held.address.interface.clone()));
            }
            watched.retain(|name| Some(name) != router.config.interface.as_ref());
            watched.sort_unstable();
            watched.dedup();
            if let Some(router) = self.router_mut(slot) {
                router.group_interfaces = watched;
            }
        }
    }

    /// All lines of an instance are wanted on the host from now on.
    pub(super) fn install_lines(&mut self, slot: Slot, out: &mut Vec<Output>) {
        let Some((lines, owner, host, asked)) = self.lines_mut(slot) else { return };
        lines.refusals = 0;
        lines.retry_at = None;
        lines.all_mut().for_each(|(_, line)| line.wanted = true);
        lines.install_missing(owner, host, asked, out);
    }

    pub(super) fn remove_lines(&mut self, slot: Slot, out: &mut Vec<Output>) {
        if let Some((lines, owner, host, asked)) = self.lines_mut(slot) {
            lines.remove(owner, host, asked, out);
        }
    }

    /// What is wanted and not there, as far as nobody waits for another try.
    pub(super) fn complete_lines(&mut self, slot: Slot, out: &mut Vec<Output>) {
        if let Some((lines, owner, host, asked)) = self.lines_mut(slot) {
            lines.install_missing(owner, host, asked, out);
        }
    }

    pub(super) fn install_static_lines(&mut self, out: &mut Vec<Output>) {
        if self.phase == Phase::Running {
            self.static_lines.all_mut().for_each(|(_, line)| line.wanted = true);
            self.complete_lines(STATIC_LINES, out);
        }
    }

    /// A line left the configuration: it goes, however often that must be asked for.
    pub(super) fn orphan_line(&mut self, mut line: Line, out: &mut Vec<Output>) {
        let position = ORPHANS + self.orphans_made % ORPHANS;
        remove(&mut line, None, position, &self.host, &mut self.asked, out);
        if line.leaving.is_some() {
            self.orphans_made += 1;
            self.orphan_lines.insert(position, line);
        }
    }

    /// Everything that an instance has which leaves.
    pub(super) fn orphan_lines_of(&mut self, lines: Lines, out: &mut Vec<Output>) {
        for line in lines.rules.into_iter().chain(lines.routes) {
            self.orphan_line(line, out);
        }
    }

    /// The first pass over lines of a new configuration: those that leave go.
    pub(super) fn change_lines(&mut self, slot: Slot, routes: &[Route], rules: &[Rule], out: &mut Vec<Output>) {
        let master = match slot {
            STATIC_LINES => self.phase == Phase::Running,
            _ => self.router(slot).is_some_and(|router| router.machine.is_master()),
        };
        let Some((lines, ..)) = self.lines_mut(slot) else { return };
        let leaving = lines.replace(routes, rules);
        lines.all_mut().for_each(|(_, line)| line.wanted = master);
        for line in leaving {
            self.orphan_line(line, out);
        }
    }

    /// The second pass, behind the addresses.
    pub(super) fn follow_up_lines(&mut self, slot: Slot, out: &mut Vec<Output>) {
        if let Some((lines, owner, host, asked)) = self.lines_mut(slot) {
            lines.install_missing(owner, host, asked, out);
            lines.remove_remaining(owner, asked, out);
        }
    }

    /// The kernel answered.
    pub(super) fn line_answer(
        &mut self,
        key: &LineKey,
        install: bool,
        error: Option<i32>,
        text: &str,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        if key.owner.is_none() && key.position >= ORPHANS {
            return self.orphan_answer(key, error, text, now, out);
        }
        let slot = match &key.owner {
            None => STATIC_LINES,
            Some(name) => match self.names.get(name) {
                Some(slot) => *slot,
                None => return,
            },
        };
        let Some((lines, owner, ..)) = self.lines_mut(slot) else { return };
        let Some(line) = lines.at_mut(key.kind, key.position) else { return };
        if key.question == 0 || line.question != key.question || line.wanted != install {
            return;
        }
        let name = owner.cloned();
        let was_lost = line.lost();
        let refused = match (install, error) {
            (true, Some(EEXIST)) => !line.there_is_ours(),
            (true, error) => error.is_some(),
            // Turned into a success by the driver if it was gone already.
            (false, error) => error.is_some(),
        };
        if refused {
            let told = std::mem::replace(&mut line.refused, error) == error;
            if let Some(error) = error.filter(|_| !told) {
                out.push(refusal(name.as_ref(), &line.config, install, error, text));
            }
            if install {
                line.at = None;
                line.installed = false;
            }
        } else if install {
            // EEXIST: it was there all the time.
            if std::mem::take(&mut line.doubted) && line.seen && error.is_none() {
                out.push(back(name.as_ref(), &line.config));
            }
            (line.installed, line.seen, line.refused, line.leaving) = (true, true, None, None);
        } else {
            line.leaving = None;
            line.refused = None;
        }
        let lost_changed = line.lost() != was_lost;
        if refused && lines.retry_at.is_none() {
            lines.retry_at = Some(now + pause(lines.refusals));
            lines.refusals += 1;
        } else if !refused && lines.all().all(|line| line.refused.is_none()) {
            lines.refusals = 0;
        }
        out.push(Output::Changed(row_key(key.kind, name, key.position)));
        self.arm_lines(slot);
        if slot == STATIC_LINES && lost_changed {
            self.tell_lost(now, out);
        }
    }

    fn orphan_answer(&mut self, key: &LineKey, error: Option<i32>, text: &str, now: Instant, out: &mut Vec<Output>) {
        let Some(line) = self.orphan_lines.get(&key.position).filter(|line| line.question == key.question) else {
            return;
        };
        match error {
            None => drop(self.orphan_lines.remove(&key.position)),
            Some(error) => {
                out.push(refusal(None, &line.config, false, error, text));
                let lines = &mut self.static_lines;
                if lines.retry_at.is_none() {
                    lines.retry_at = Some(now + pause(lines.refusals));
                    lines.refusals += 1;
                }
                self.arm_lines(STATIC_LINES);
            }
        }
    }

    /// Keeps the timers true about retries.
    fn arm_lines(&mut self, slot: Slot) {
        let retry = self.lines(slot).and_then(|lines| lines.retry_at);
        match retry {
            Some(_) => self.lines_waiting.insert(slot),
            None => self.lines_waiting.remove(&slot),
        };
        if slot != STATIC_LINES {
            return self.arm(slot);
        }
        if self.static_lines_armed != retry {
            if let Some(old) = self.static_lines_armed {
                self.timers.remove(&(old, STATIC_LINES));
            }
            self.timers.extend(retry.map(|at| (at, STATIC_LINES)));
            self.static_lines_armed = retry;
        }
    }

    /// Lines that were refused are tried again when their time has come.
    pub(super) fn retry_lines_due(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        if slot != STATIC_LINES && !self.lines_waiting.contains(&slot) {
            return;
        }
        if slot == STATIC_LINES {
            // Its entry among the timers was taken out.
            self.static_lines_armed = None;
        }
        let Some((lines, owner, host, asked)) = self.lines_mut(slot) else { return };
        if lines.retry_at.is_some_and(|at| at <= now) {
            lines.retry_at = None;
            lines.install_missing(owner, host, asked, out);
            lines.remove_remaining(owner, asked, out);
            if slot == STATIC_LINES {
                self.remove_orphan_lines(out);
            }
        }
        self.arm_lines(slot);
    }

    /// Asks again, unless somebody else wants the line by now.
    fn remove_orphan_lines(&mut self, out: &mut Vec<Output>) {
        for (position, mut line) in std::mem::take(&mut self.orphan_lines) {
            let Some(leaving) = line.leaving.clone() else { continue };
            let news = leaving.news();
            let wanted = |slot| self.lines(slot).is_some_and(|lines| lines.all().any(|it| it.wanted && it.is(&news)));
            if !self.owners().into_iter().any(wanted) {
                ask(&mut line, None, position, leaving, false, false, &mut self.asked, out);
                self.orphan_lines.insert(position, line);
            }
        }
    }

    /// A line was removed from the host. If an owner of ours wants it there, it comes back; it may have been we who asked
    /// for that, for another owner, or before this one became master again.
    pub(super) fn line_gone(&mut self, news: &LineNews, now: Instant, out: &mut Vec<Output>) {
        if self.phase != Phase::Running {
            return;
        }
        for (slot, kind, position) in self.line_index.get(&Place::of(news)).cloned().unwrap_or_default() {
            let Some((lines, owner, host, asked)) = self.lines_mut(slot) else { continue };
            let Some(line) = lines.at_mut(kind, position).filter(|line| line.wanted && line.is(news)) else { continue };
            let was = line.installed;
            if line.flushed() {
                let again = line.restored_at.is_some_and(|before| now.since(before) < RESTORE_PAUSE);
                if again {
                    lines.retry_at = lines.retry_at.or(Some(now + RESTORE_PAUSE));
                } else {
                    line.restored_at = Some(now);
                    install(line, owner, position, host, asked, out);
                }
            }
            if was {
                let owner = owner.cloned();
                out.push(Output::Changed(row_key(kind, owner, position)));
            }
            self.arm_lines(slot);
        }
    }

    /// Nobody knows what is there: everything that ought to be is asked for again.
    pub(super) fn lines_uncertain(&mut self, out: &mut Vec<Output>) {
        if self.phase != Phase::Running {
            return;
        }
        for slot in self.owners() {
            let Some((lines, owner, _, asked)) = self.lines_mut(slot) else { continue };
            for (position, line) in lines.all_mut() {
                let Some(at) = line.at.clone().filter(|_| line.wanted && line.config.tracked()) else { continue };
                let afresh = in_pieces(&at);
                // Whether that one was there, the kernel does not say.
                line.doubted = !afresh;
                ask(line, owner, position, at, true, afresh, asked, out);
            }
        }
    }

    /// An interface is not there any more, and nothing leads through it.
    pub(super) fn lines_lost_link(&mut self, index: IfIndex, out: &mut Vec<Output>) {
        self.flush_lines(|line| line.uses(index), out);
        // The kernel has removed them, and there is nothing to ask it.
        self.orphan_lines.retain(|_, line| !leads_through(line.leaving.as_ref(), index));
        for slot in self.owners() {
            let Some((lines, ..)) = self.lines_mut(slot) else { continue };
            for (_, line) in lines.all_mut().filter(|(_, line)| leads_through(line.leaving.as_ref(), index)) {
                line.leaving = None;
            }
        }
    }

    /// An interface came, changed or went.
    pub(super) fn lines_link_changed(&mut self, name: &str, out: &mut Vec<Output>) {
        if let Some(link) = self.host.named(name)
            && !link.admin_up
        {
            // The kernel has removed what leads through it: routes of IPv4 without a word.
            let index = link.index;
            self.flush_lines(|line| line.uses(index), out);
        }
        for slot in self.line_users.get(name).cloned().unwrap_or_default() {
            self.complete_lines(slot, out);
        }
    }

    /// The kernel removes some routes of IPv4 with an address, without a word: those that have it as their source, and all that
    /// lead through an interface which has no other.
    pub(super) fn lines_lost_address(&mut self, gone: &HostAddress, out: &mut Vec<Output>) {
        if self.phase != Phase::Running || !gone.address.is_ipv4() {
            return;
        }
        let last = !self.host.has_family(gone.interface, Family::V4);
        let sources = self.line_sources.get(&gone.address).cloned().unwrap_or_default();
        for (slot, kind, position) in sources {
            let Some((lines, owner, host, asked)) = self.lines_mut(slot) else { continue };
            let Some(line) = lines.at_mut(kind, position).filter(|line| line.wanted && line.at.is_some()) else {
                continue;
            };
            let was = line.installed;
            if line.flushed() {
                install(line, owner, position, host, asked, out);
            }
            if was {
                out.push(Output::Changed(row_key(kind, owner.cloned(), position)));
            }
        }
        if last {
            let index = gone.interface;
            self.flush_lines(|line| line.uses(index) && line.config.place().is_v4(), out);
            for slot in self.owners() {
                self.complete_lines(slot, out);
            }
        }
    }

    /// What was refused for want of an address may be taken now.
    pub(super) fn lines_gained_address(&mut self, now: Instant) {
        for slot in self.lines_waiting.clone() {
            if let Some((lines, ..)) = self.lines_mut(slot) {
                lines.retry_at = lines.retry_at.map(|at| at.min(now + HURRY));
            }
            self.arm_lines(slot);
        }
    }

    fn flush_lines(&mut self, which: impl Fn(&Line) -> bool, out: &mut Vec<Output>) {
        for slot in self.owners() {
            let Some((lines, owner, ..)) = self.lines_mut(slot) else { continue };
            for (position, line) in lines.all_mut().filter(|(_, line)| which(line)) {
                let was = line.installed;
                line.flushed();
                if was {
                    out.push(Output::Changed(row_key(line.config.kind(), owner.cloned(), position)));
                }
            }
        }
    }

    /// Instances of a track group learn what the kernel does not take back.
    fn tell_lost(&mut self, now: Instant, out: &mut Vec<Output>) {
        for slot in self.lost_anew() {
            self.refresh(slot, now, out);
        }
    }

    /// Looks for lost static lines that instances follow. Returns the instances for which something changed.
    pub(super) fn lost_anew(&mut self) -> Vec<Slot> {
        let mut changed = Vec::new();
        for slot in self.each_slot() {
            let Some(name) = self.router(slot).map(|router| &router.config.name) else { continue };
            let followed = self.followed(name).filter(|line| line.lost());
            let lost: Vec<String> = followed.map(|line| line.config.describe()).collect();
            let Some(router) = self.router_mut(slot).filter(|router| router.lost != lost) else { continue };
            router.lost = lost;
            changed.push(slot);
        }
        changed
    }

    /// Static lines that an instance follows.
    fn followed(&self, name: &InstanceName) -> impl Iterator<Item = &Line> {
        let groups = self.track_groups.iter().filter(|group| group.members.contains(name));
        groups.flat_map(|group| {
            let routes = group.routes.iter().filter_map(|at| self.static_lines.at(LineKind::Route, *at));
            routes.chain(group.rules.iter().filter_map(|at| self.static_lines.at(LineKind::Rule, *at)))
        })
    }
}

impl Place {
    fn is_v4(self) -> bool {
        match self {
            Place::Route(address, _) => address.is_ipv4(),
            Place::Rule(family, _) => family == Family::V4,
        }
    }
}

impl Line {
    /// Whether what the kernel calls existing is this line and not another's: `add` wants to be alone.
    fn there_is_ours(&self) -> bool {
        match &self.config {
            Config::Route(route) => route.placement != Placement::Add || self.seen,
            Config::Rule(_) => true,
        }
    }
}

fn leads_through(line: Option<&KernelLine>, index: IfIndex) -> bool {
    matches!(line, Some(KernelLine::Route(route)) if route.uses(index))
}

/// Whether the kernel keeps each next hop as a route of its own, so that some may be gone.
fn in_pieces(line: &KernelLine) -> bool {
    matches!(line, KernelLine::Route(route) if route.config.family == Family::V6 && route.hops.len() > 1)
}

/// Says to the driver that a line is to come, if its interfaces exist.
fn install(
    line: &mut Line,
    owner: Option<&InstanceName>,
    position: u32,
    host: &Host,
    asked: &mut Asked,
    out: &mut Vec<Output>,
) {
    let Some(kernel) = line.config.resolve(host) else { return };
    line.at = Some(kernel.clone());
    let afresh = line.seen && in_pieces(&kernel);
    ask(line, owner, position, kernel, true, afresh, asked, out);
}

/// Says to the driver that a line is to go, if it may be there.
fn remove(
    line: &mut Line,
    owner: Option<&InstanceName>,
    position: u32,
    host: &Host,
    asked: &mut Asked,
    out: &mut Vec<Output>,
) {
    // Refused, it may have been there all the same.
    let seen = std::mem::take(&mut line.seen);
    let known = line.at.take().or(line.leaving.take());
    line.wanted = false;
    (line.doubted, line.refused) = (false, None);
    let Some(kernel) = known.or_else(|| line.config.resolve(host).filter(|_| seen)) else { return };
    line.leaving = Some(kernel.clone());
    line.installed = false;
    ask(line, owner, position, kernel, false, false, asked, out);
}

#[expect(clippy::too_many_arguments, reason = "the parts of an engine that is borrowed already")]
fn ask(
    line: &mut Line,
    owner: Option<&InstanceName>,
    position: u32,
    kernel: KernelLine,
    install: bool,
    afresh: bool,
    asked: &mut Asked,
    out: &mut Vec<Output>,
) {
    asked.questions += 1;
    line.question = asked.questions;
    let key = LineKey { owner: owner.cloned(), kind: kernel.kind(), position, question: line.question };
    out.push(Output::Line(LineChange { key, line: kernel, install, afresh }));
}

pub(super) fn row_key(kind: LineKind, owner: Option<InstanceName>, position: u32) -> RowKey {
    match kind {
        LineKind::Route => RowKey::Route { owner, position },
        LineKind::Rule => RowKey::Rule { owner, position },
    }
}

fn prefix(owner: Option<&InstanceName>) -> String {
    owner.map(|name| format!("({name}) ")).unwrap_or_default()
}

fn refusal(owner: Option<&InstanceName>, line: &Config, install: bool, error: i32, text: &str) -> Output {
    let verb = if install { "add" } else { "remove" };
    let reason = std::io::Error::from_raw_os_error(error);
    let detail = if text.is_empty() { String::new() } else { format!(": {text}") };
    let text = format!("{}cannot {verb} {}: {reason}{detail}", prefix(owner), line.describe());
    Output::Log(Log { level: Level::Error, instance: owner.cloned(), text })
}

fn back(owner: Option<&InstanceName>, line: &Config) -> Output {
    let text = format!("{}{} was removed by somebody else and is back", prefix(owner), line.describe());
    Output::Log(Log { level: Level::Warn, instance: owner.cloned(), text })
}
