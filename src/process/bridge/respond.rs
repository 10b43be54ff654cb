//! The side of the SNMP responder: what managers ask over UDP, and the commands that their SETs become.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::Bridge;
use crate::agentx::Token;
use crate::agentx::set::SetCounts;
use crate::bus::msg::{Generation, Reply, Source};
use crate::clock::{self, Instant};
use crate::conf::model::{self, UsmUser};
use crate::mib::table::{Look, Moment};
use crate::mib::view::Pinned;
use crate::snmp::own::System;
use crate::snmp::responder::{Action, Origin, Responder};
use crate::snmp::stats::Stats;
use crate::snmp::usm::LocalEngine;
use crate::sys::udp::{self, Local};

/// The responder, if there is one, with what it was made from.
#[derive(Default)]
pub(super) struct Agent {
    running: Option<Running>,
    /// Addresses of ours that SETs under way were sent to: their answers come from there.
    asked_at: VecDeque<(Origin, Local)>,
}

struct Running {
    responder: Responder,
    settings: model::Responder,
    users: Vec<UsmUser>,
    engine: LocalEngine,
    /// Without this it only ends what it has begun.
    serves: bool,
}

/// SETs under way whose answers leave from the right address; the kernel picks one for others.
const ASKED_AT_MAX: usize = 256;

impl Agent {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.as_ref().and_then(|running| running.responder.deadline())
    }

    pub(super) fn stats(&self) -> Option<&Stats> {
        self.running.as_ref().filter(|running| running.serves).map(|running| running.responder.stats())
    }

    /// What became of SETs, also of those before it ended.
    pub(super) fn sets(&self) -> Option<&SetCounts> {
        self.running.as_ref().map(|running| running.responder.sets())
    }
}

impl Bridge {
    /// Starts, changes or ends the responder, as settings and engine say. One that stays the same keeps its counters.
    pub(super) fn configure_agent(&mut self) {
        let settings = self.direct.settings();
        let wanted = settings.responder.clone().zip(self.direct.engine().cloned());
        let users = settings.users.clone();
        let Some((settings, engine)) = wanted else {
            if let Some(running) = &mut self.agent.running {
                running.serves = false;
                let actions = running.responder.abandon(clock::now());
                self.carry_out_agent(actions, None);
            }
            return;
        };
        let same =
            |running: &Running| running.settings == settings && running.users == users && running.engine == engine;
        let mut actions = vec![];
        let responder = match self.agent.running.take() {
            Some(running) if same(&running) => running.responder,
            Some(Running { mut responder, .. }) => {
                actions = responder.configure(&settings, &users, engine.clone(), clock::now());
                responder
            }
            None => Responder::new(&settings, &users, engine.clone()),
        };
        self.agent.running = Some(Running { responder, settings, users, engine, serves: true });
        self.carry_out_agent(actions, None);
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let system = System {
            description: format!("keepwatch {} on {host}", env!("CARGO_PKG_VERSION")),
            contact: String::new(),
            name: host,
            location: String::new(),
            capabilities: self.tree.capabilities(),
        };
        if let Some(running) = &mut self.agent.running {
            running.responder.describe(system);
        }
    }

    /// A datagram at the responder's socket of that number.
    pub(super) fn asked_over_udp(&mut self, socket: usize, datagram: &[u8], from: SocketAddr, at: Local) {
        let Some(running) = self.agent.running.as_mut().filter(|running| running.serves) else { return };
        let now = clock::now();
        let snapshot = self.store.snapshot();
        let moment = Moment { now, epoch: running.responder.epoch() };
        let view = Pinned { tree: &self.tree, look: Look { snapshot: &snapshot, moment } };
        let origin = Origin { socket, from };
        let actions = running.responder.handle(datagram, origin, &view, now);
        if actions.iter().any(|action| matches!(action, Action::Command { .. })) {
            if self.agent.asked_at.len() >= ASKED_AT_MAX {
                self.agent.asked_at.pop_front();
            }
            self.agent.asked_at.push_back((origin, at));
        }
        self.carry_out_agent(actions, Some(at));
    }

    /// The owner of something answered a command that a SET became.
    pub(super) fn tell_agent(&mut self, token: Token, reply: Reply) {
        let now = clock::now();
        let Some(running) = &mut self.agent.running else { return };
        let actions = running.responder.reply(token, reply, now);
        self.carry_out_agent(actions, None);
    }

    /// Readers see this generation now.
    pub(super) fn show_agent(&mut self, source: Source, generation: Generation) {
        let now = clock::now();
        let Some(running) = &mut self.agent.running else { return };
        let actions = running.responder.store_at(source, generation, now);
        self.carry_out_agent(actions, None);
    }

    /// Does what time asks for.
    pub(super) fn wake_agent(&mut self, now: Instant) {
        let Some(running) = &mut self.agent.running else { return };
        if running.responder.deadline().is_some_and(|at| at <= now) {
            let actions = running.responder.wake(now);
            self.carry_out_agent(actions, None);
        }
    }

    /// `at`: the address that a request at hand was sent to.
    fn carry_out_agent(&mut self, actions: Vec<Action>, at: Option<Local>) {
        for action in actions {
            match action {
                Action::Send { to, datagram } => {
                    let earlier = self.agent.asked_at.iter().position(|(origin, _)| *origin == to);
                    let at = at.or_else(|| self.agent.asked_at.remove(earlier?).map(|(_, at)| at)).unwrap_or_default();
                    let listening = self.direct.listening.iter().find(|listening| listening.number == to.socket);
                    if let Some(socket) = listening.and_then(|listening| listening.socket.as_ref()) {
                        // A manager who gets no answer asks again.
                        let _ = udp::send(socket.get_ref(), &datagram, to.from, at);
                    }
                }
                Action::Command { token, command } => self.command(token, command),
            }
        }
    }
}
