//! The connection to the system bus: opened by the supervisor, whom the bus knows as root, and served here. A bus that is not
//! there, or does not want us, is asked again; nothing else waits for it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::Bridge;
use crate::bus::msg::{Command, Edge, Source, ToEngine};
use crate::clock::{self, Instant};
use crate::conf::model::{Dbus, Global};
use crate::dbus::{Ask, Service, Settings};
use crate::process::lifecycle::{ToSupervisor, UserSignal};
use crate::process::link::{Link, Read};

/// A bus that was not there is looked for again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// Reads in one go; a bus that never stops talking must not keep us from anything else.
const READS_PER_TURN: usize = 16;

#[derive(Default)]
pub(super) struct Bus {
    wanted: Option<Dbus>,
    connection: Option<(Link, Service)>,
    /// The number of the connection that the supervisor is to open.
    awaited: Option<u64>,
    attempts: u64,
    try_at: Option<Instant>,
    /// The log has heard that there is none.
    complained: bool,
    /// Listeners have heard that VRRP was started.
    announced: bool,
}

impl Bus {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stall = self.connection.as_ref().and_then(|(link, _)| link.stall_deadline());
        [self.try_at, stall].into_iter().flatten().min()
    }

    pub(super) async fn readable(&self) {
        match &self.connection {
            Some((link, _)) => link.readable().await,
            None => std::future::pending().await,
        }
    }

    pub(super) async fn writable(&self) {
        match &self.connection {
            Some((link, _)) => link.writable().await,
            None => std::future::pending().await,
        }
    }

    fn drop_connection(&mut self, again: Option<Instant>) {
        self.connection = None;
        self.awaited = None;
        self.try_at = again;
    }

    /// Says something to listeners, if there is a bus.
    fn say(&mut self, what: impl FnOnce(&mut Service)) {
        if let Some((link, service)) = &mut self.connection {
            what(service);
            link.send(&service.take_output(), clock::now());
        }
    }
}

impl Bridge {
    pub(super) fn configure_bus(&mut self, global: &Global) {
        let wanted = &global.process.dbus;
        if *wanted != self.bus.wanted {
            self.bus.wanted = wanted.clone();
            self.bus.drop_connection(wanted.is_some().then(clock::now));
        }
    }

    pub(super) fn wake_bus(&mut self, now: Instant) {
        if self.bus.connection.as_ref().is_some_and(|(link, _)| link.stalled(now)) {
            warn!("the D-Bus does not read: parting with it");
            self.bus.drop_connection(Some(now + AGAIN));
        }
        if self.bus.try_at.is_some_and(|at| at <= now) && self.leaving.is_none() {
            self.bus.attempts += 1;
            self.bus.awaited = Some(self.bus.attempts);
            // Until the answer says better.
            self.bus.try_at = Some(now + AGAIN);
            let _ = self.channel.send(&ToSupervisor::ConnectBus { attempt: self.bus.attempts }, None);
        }
    }

    pub(super) fn bus_opened(&mut self, attempt: u64, opened: std::io::Result<OwnedFd>) {
        if self.bus.awaited.take_if(|awaited| *awaited == attempt).is_none() {
            return;
        }
        let Some(wanted) = self.bus.wanted.clone() else { return };
        match opened.and_then(Link::new) {
            Ok(mut link) => {
                let Dbus { name, no_interface } = wanted;
                let mut service = Service::new(Settings { name, no_interface, user: self.user });
                link.send(&service.take_output(), clock::now());
                self.bus.connection = Some((link, service));
                self.bus.try_at = None;
            }
            Err(error) => self.no_bus(&error.to_string()),
        }
    }

    fn no_bus(&mut self, why: &str) {
        self.bus.drop_connection(Some(clock::now() + AGAIN));
        if std::mem::replace(&mut self.bus.complained, true) {
            debug!("no D-Bus: {why}");
        } else {
            warn!("no D-Bus, trying again each {} s: {why}", AGAIN.as_secs());
        }
    }

    pub(super) fn flush_bus(&mut self) {
        if let Some((link, _)) = &mut self.bus.connection {
            link.flush(clock::now());
        }
    }

    pub(super) fn read_bus(&mut self) {
        let mut buffer = [0; 16 * 1024];
        for _ in 0..READS_PER_TURN {
            let snapshot = self.store.snapshot();
            let Some((link, service)) = &mut self.bus.connection else { return };
            // One that asks and does not take the answers is not asked what else it wants.
            if link.is_full() {
                return;
            }
            match link.read(&mut buffer) {
                Read::Nothing => return,
                Read::Closed => return self.no_bus("the bus has closed the connection"),
                Read::Bytes(count) => {
                    let was_up = service.is_up();
                    service.bytes(buffer.get(..count).unwrap_or_default(), &snapshot);
                    if service.is_up() && !was_up {
                        info!("D-Bus: the name is ours");
                        self.bus.complained = false;
                        if !std::mem::replace(&mut self.bus.announced, true) {
                            service.happened("VrrpStarted");
                            // What they were until then, nobody has heard.
                            for (_, row) in snapshot.vrrp.instances.iter() {
                                service.changed(row, row.state);
                            }
                        }
                    }
                    link.send(&service.take_output(), clock::now());
                    let asks = service.take_asks();
                    let trouble = service.trouble().map(str::to_owned);
                    asks.into_iter().for_each(|ask| self.asked_by_bus(ask));
                    if let Some(why) = trouble {
                        return self.no_bus(&why);
                    }
                }
            }
        }
    }

    fn asked_by_bus(&mut self, ask: Ask) {
        let signal = match ask {
            Ask::PrintData => UserSignal::Data,
            Ask::PrintStats => UserSignal::Stats,
            Ask::PrintStatsClear => UserSignal::StatsClear,
            Ask::Reload => {
                let (tell, _) = oneshot::channel();
                return self.reload(tell);
            }
            Ask::SendGarp(instance) => {
                // Nobody waits for the reply, and a number of no request is nobody's.
                let command = Command::Announce { instance };
                self.engines.say(Source::Vrrp, &ToEngine::Command { request: 0, command });
                return;
            }
        };
        let _ = self.channel.send(&ToSupervisor::Signal(signal), None);
    }

    pub(super) fn tell_bus(&mut self, edge: &Edge) {
        let Edge::Transition { instance, to, .. } = edge else { return };
        let snapshot = self.store.snapshot();
        let row = snapshot.vrrp.instances.iter().map(|(_, row)| row).find(|row| row.config.name == *instance);
        if let Some(row) = row {
            self.bus.say(|service| service.changed(row, *to));
        }
    }

    pub(super) fn tell_bus_that(&mut self, what: &str) {
        self.bus.say(|service| service.happened(what));
    }
}
