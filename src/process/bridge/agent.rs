//! The side of the master agent: the session's wishes carried out, its bytes in and out.

use std::os::fd::OwnedFd;

use tracing::{debug, info, warn};

use super::Bridge;
use crate::agentx::{Action, Event, LogLevel};
use crate::clock;
use crate::mib::table::{Look, Moment};
use crate::mib::view::Pinned;
use crate::process::lifecycle::ToSupervisor;
use crate::process::link::{self, Address, Link, Read};

/// Reads from the master agent in one go; one that never stops talking must not keep us from anything else.
const READS_PER_TURN: usize = 16;

impl Bridge {
    pub(super) fn tell_session(&mut self, event: Event<'_>) {
        let snapshot = self.store.snapshot();
        let now = clock::now();
        let moment = Moment { now, epoch: self.session.epoch().unwrap_or(self.started) };
        let view = Pinned { tree: &self.tree, look: Look { snapshot: &snapshot, moment } };
        let actions = self.session.handle(event, &view, now);
        self.carry_out(actions);
    }

    pub(super) fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Connect => self.connect(),
                Action::Send(bytes) => {
                    if let Some(link) = &mut self.link {
                        link.send(&bytes, clock::now());
                    }
                }
                Action::Disconnect => {
                    self.link = None;
                    self.awaited = None;
                    if let Some(task) = self.connecting.take() {
                        task.abort();
                    }
                }
                Action::Command { token, command } => self.command(token, command),
                Action::Log(line) => match line.level {
                    LogLevel::Debug => debug!("{}", line.text),
                    LogLevel::Info => info!("{}", line.text),
                    LogLevel::Warn => warn!("{}", line.text),
                },
            }
        }
    }

    pub(super) fn connect(&mut self) {
        let text = self.options.snmp_agent_socket.as_deref().or(self.snmp.socket.as_deref());
        match text.map_or(Address::Unix, Address::parse) {
            Address::Unix => {
                self.attempts += 1;
                self.awaited = Some(self.attempts);
                let _ = self.channel.send(&ToSupervisor::ConnectAgentX { attempt: self.attempts }, None);
            }
            Address::Tcp(host) => self.connecting = Some(link::connect_tcp(host)),
            Address::Unsupported(kind) => {
                let reason = format!("AgentX over {kind} does not exist (RFC 2741 section 8); use unix: or tcp:");
                self.tell_session(Event::ConnectFailed(&reason));
            }
        }
    }

    pub(super) fn connected(&mut self, result: std::io::Result<OwnedFd>) {
        match result.and_then(Link::new) {
            Ok(link) => {
                self.link = Some(link);
                self.tell_session(Event::Connected);
            }
            Err(error) => self.tell_session(Event::ConnectFailed(&error.to_string())),
        }
    }

    pub(super) fn read_link(&mut self) {
        let mut buffer = [0; 16 * 1024];
        for _ in 0..READS_PER_TURN {
            let Some(link) = &self.link else { return };
            // One that asks and does not take the answers is not asked what else it wants.
            if link.is_full() {
                return;
            }
            match link.read(&mut buffer) {
                Read::Nothing => return,
                Read::Bytes(count) => {
                    let came = clock::now();
                    self.tell_session(Event::Bytes(buffer.get(..count).unwrap_or_default()));
                    self.session.observe(clock::now().since(came));
                }
                Read::Closed => {
                    self.link = None;
                    self.tell_session(Event::Closed("end of stream"));
                    return;
                }
            }
        }
    }
}
