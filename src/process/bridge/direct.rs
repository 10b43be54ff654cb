//! SNMP without a master agent: sockets of the sender of notifications and of the responder, and the engine on disk.
//!
//! The supervisor binds the responder's ports and opens the file; both come as descriptors. Datagrams are read in bounded
//! numbers, and what cannot be sent is dropped and counted: nobody waits for a manager.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::task::Poll;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tracing::{error, info, warn};

use super::Bridge;
use crate::clock::{self, Instant};
use crate::conf::model::{Security, SnmpSettings};
use crate::mib::trap::Trap;
use crate::process::lifecycle::{Channel, ToSupervisor};
use crate::snmp::engine::{self, Kept, STATE_MAX};
use crate::snmp::sender::{Action, Sender};
use crate::snmp::usm::LocalEngine;
use crate::sys::aio::{self, Owned};
use crate::sys::udp::{self, Local};

/// Datagrams of one socket taken in one go.
const DATAGRAMS_PER_TURN: usize = 32;

/// How often a port that is taken is tried again, and the log hears of it no second time.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);

pub(super) struct Direct {
    pub(super) sender: Sender,
    settings: SnmpSettings,
    /// The sender's, of each family: IPv4, IPv6.
    sending: [Option<AsyncFd<Owned>>; 2],
    engine: EngineState,
    pub(super) listening: Vec<Listening>,
    last_number: usize,
    buffer: Vec<u8>,
}

/// An address that the responder is to listen at.
pub(super) struct Listening {
    /// Never given twice: answers that come late find no other socket.
    pub(super) number: usize,
    pub(super) address: SocketAddr,
    pub(super) socket: Option<AsyncFd<Owned>>,
    pub(super) error: Option<String>,
    retry_at: Option<Instant>,
}

/// What is known of who we are.
enum EngineState {
    /// Nobody needs to know.
    Unknown,
    /// The supervisor was asked for the file.
    Asked,
    /// It is read and written, by a thread that may wait for a disk.
    Counting,
    Known(LocalEngine),
}

/// A start that was counted on disk.
pub(super) struct Counted {
    pub(super) kept: Kept,
    pub(super) notices: Vec<String>,
}

/// Which socket has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Place in `sending`.
    Sender(usize),
    /// Number of one in `listening`.
    Responder(usize),
}

impl Direct {
    pub(super) fn new(started: Instant, seed: u64) -> Direct {
        Direct {
            sender: Sender::new(started, seed),
            settings: SnmpSettings::default(),
            sending: [None, None],
            engine: EngineState::Unknown,
            listening: vec![],
            last_number: 0,
            buffer: vec![0; usize::from(u16::MAX)],
        }
    }

    pub(super) fn settings(&self) -> &SnmpSettings {
        &self.settings
    }

    pub(super) fn engine(&self) -> Option<&LocalEngine> {
        match &self.engine {
            EngineState::Known(engine) => Some(engine),
            EngineState::Unknown | EngineState::Asked | EngineState::Counting => None,
        }
    }

    /// Waits for datagrams; tells every socket that has some, so that none keeps another from its turn.
    pub(super) async fn readable(&self) -> Vec<Heard> {
        std::future::poll_fn(|context| {
            let sending = self.sending.iter().enumerate().map(|(at, fd)| (Heard::Sender(at), fd));
            let listening = self.listening.iter().map(|it| (Heard::Responder(it.number), &it.socket));
            let mut is_ready = |fd: &AsyncFd<Owned>| aio::poll_readable(fd, context).is_ready();
            let ready = sending.chain(listening).filter(|(_, fd)| fd.as_ref().is_some_and(&mut is_ready));
            let ready: Vec<Heard> = ready.map(|(heard, _)| heard).collect();
            if ready.is_empty() { Poll::Pending } else { Poll::Ready(ready) }
        })
        .await
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let retry = self.listening.iter().filter_map(|listening| listening.retry_at).min();
        self.sender.deadline().into_iter().chain(retry).min()
    }
}

impl Bridge {
    /// New settings; what is the same goes on as it is.
    pub(super) fn configure_direct(&mut self, settings: &SnmpSettings) {
        let now = clock::now();
        if *settings == self.direct.settings {
            return;
        }
        self.direct.settings = settings.clone();
        self.session.limit(settings.queue);
        for (at, v6) in [false, true].into_iter().enumerate() {
            let wanted = settings.receivers.iter().any(|receiver| receiver.address.is_ipv6() == v6);
            let Some(socket) = self.direct.sending.get_mut(at) else { continue };
            match (wanted, socket.is_some()) {
                (true, false) => match udp::unbound(v6).and_then(aio::register) {
                    Ok(opened) => *socket = Some(opened),
                    Err(error) => error!("notifications over IPv{} cannot be sent: {error}", if v6 { 6 } else { 4 }),
                },
                (false, true) => *socket = None,
                (true, true) | (false, false) => {}
            }
        }
        let actions = self.direct.sender.configure(settings, now);
        self.carry_out_direct(actions);
        self.listen();
        self.want_engine();
        self.configure_agent();
    }

    /// Asks for the file with our engine when somebody needs it.
    fn want_engine(&mut self) {
        let v3 = |security: &Security| matches!(security, Security::V3 { .. });
        let settings = &self.direct.settings;
        if let EngineState::Known(engine) = &self.direct.engine
            && settings.engine_id.as_ref().is_some_and(|id| *id != engine.id)
        {
            self.direct.engine = EngineState::Unknown;
        }
        let needed = settings.responder.is_some() || settings.receivers.iter().any(|it| v3(&it.security));
        if needed && matches!(self.direct.engine, EngineState::Unknown) {
            match self.channel.send(&ToSupervisor::OpenState, None) {
                Ok(()) => self.direct.engine = EngineState::Asked,
                Err(error) => error!("the SNMP engine cannot be asked for: {error}"),
            }
        }
    }

    /// The supervisor's answer.
    pub(super) fn state_opened(&mut self, file: io::Result<OwnedFd>) {
        if !matches!(self.direct.engine, EngineState::Asked) {
            return;
        }
        let configured = self.direct.settings.engine_id.clone();
        let mut notices = vec![];
        let file = file.map_err(|error| notices.push(format!("the SNMP engine is not kept: {error}"))).ok();
        let clock = clock::wall().0 / 1_000_000_000;
        let work = move || count(file.map(File::from), configured.as_deref(), clock, notices);
        self.direct.engine = EngineState::Counting;
        self.counting = Some(tokio::task::spawn_blocking(work));
    }

    pub(super) fn engine_counted(&mut self, counted: Result<Counted, tokio::task::JoinError>) {
        let Counted { kept, notices } = match counted {
            Ok(counted) => counted,
            // Cancelled with the runtime.
            Err(error) => return error!("the SNMP engine cannot be counted: {error}"),
        };
        notices.iter().for_each(|notice| warn!("{notice}"));
        let now = clock::now();
        let engine = LocalEngine { id: kept.id, boots: kept.boots, started: self.started };
        info!("SNMP engine {}, boots {}", engine::hex(&engine.id), engine.boots);
        self.direct.engine = EngineState::Known(engine.clone());
        let actions = self.direct.sender.set_engine(engine, now);
        self.carry_out_direct(actions);
        // The settings may name another one by now.
        self.want_engine();
        self.configure_agent();
    }

    /// Asks for the sockets that are to be there, and lets go of the others.
    fn listen(&mut self) {
        let wanted =
            self.direct.settings.responder.as_ref().map(|responder| responder.listen.clone()).unwrap_or_default();
        self.direct.listening.retain(|listening| wanted.contains(&listening.address));
        for address in wanted {
            if !self.direct.listening.iter().any(|listening| listening.address == address) {
                self.direct.last_number += 1;
                let number = self.direct.last_number;
                let retry_at = ask_for_socket(&mut self.channel, address, clock::now());
                self.direct.listening.push(Listening { number, address, socket: None, error: None, retry_at });
            }
        }
    }

    /// The supervisor's answer to [`Self::listen`].
    pub(super) fn listening(&mut self, address: SocketAddr, socket: io::Result<OwnedFd>) {
        let Some(listening) = self.direct.listening.iter_mut().find(|listening| listening.address == address) else {
            return;
        };
        match socket.and_then(aio::register) {
            Ok(socket) => {
                info!("the SNMP responder listens at {address}");
                (listening.socket, listening.error, listening.retry_at) = (Some(socket), None, None);
            }
            // An answer to an earlier question: what is open stays.
            Err(_) if listening.socket.is_some() => {}
            Err(error) => {
                let text = error.to_string();
                if listening.error.as_ref() != Some(&text) {
                    let again = LISTEN_AGAIN.as_secs();
                    warn!("the SNMP responder cannot listen at {address}: {text}; it is tried every {again} s");
                }
                (listening.socket, listening.error) = (None, Some(text));
                listening.retry_at = Some(clock::now() + LISTEN_AGAIN);
            }
        }
    }

    /// Does what time asks for.
    pub(super) fn wake_direct(&mut self, now: Instant) {
        if self.direct.sender.deadline().is_some_and(|at| at <= now) {
            let actions = self.direct.sender.wake(now);
            self.carry_out_direct(actions);
        }
        for listening in &mut self.direct.listening {
            if listening.retry_at.is_some_and(|at| at <= now) {
                listening.retry_at = ask_for_socket(&mut self.channel, listening.address, now);
            }
        }
    }

    pub(super) fn notify_direct(&mut self, trap: &Trap) {
        let now = clock::now();
        for (receiver, to) in self.direct.sender.wants_local() {
            if let Ok(address) = udp::local_address(to) {
                self.direct.sender.set_local(receiver, address);
            }
        }
        let actions = self.direct.sender.notify(trap, now);
        self.carry_out_direct(actions);
    }

    pub(super) fn read_datagrams(&mut self, heard: Heard) {
        for _ in 0..DATAGRAMS_PER_TURN {
            let Direct { sending, listening, buffer, .. } = &mut self.direct;
            let number = |number: &usize| listening.iter().find(|listening| listening.number == *number);
            let socket = match &heard {
                Heard::Sender(at) => sending.get(*at).and_then(Option::as_ref),
                Heard::Responder(at) => number(at).and_then(|listening| listening.socket.as_ref()),
            };
            let Some(socket) = socket else { return };
            match udp::receive(socket.get_ref(), buffer) {
                Ok(Some(received)) => {
                    let bytes = buffer.get(..received.length).unwrap_or_default().to_vec();
                    match heard {
                        Heard::Sender(_) => {
                            let actions = self.direct.sender.handle(&bytes, received.from, clock::now());
                            self.carry_out_direct(actions);
                        }
                        Heard::Responder(at) => self.asked_over_udp(at, &bytes, received.from, received.at),
                    }
                }
                Ok(None) => return aio::drained(socket),
                // An error of an earlier datagram of ours, told late; the next read goes on.
                Err(_) => {}
            }
        }
    }

    fn carry_out_direct(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { receiver, to, bytes, since, trap } => {
                    let socket = self.direct.sending.get(usize::from(to.is_ipv6())).and_then(Option::as_ref);
                    let sent = match socket {
                        Some(socket) => udp::send(socket.get_ref(), &bytes, to, Local::default()),
                        None => Err(io::ErrorKind::NotConnected.into()),
                    };
                    match sent {
                        Ok(()) => {}
                        Err(error) if udp::is_busy(&error) => {
                            let sender = &mut self.direct.sender;
                            sender.busy(receiver, bytes, (since, trap), &error.to_string(), clock::now());
                        }
                        Err(error) => {
                            self.direct.sender.failed(receiver, trap.as_ref(), &error.to_string(), clock::now());
                        }
                    }
                }
                Action::Log(text) => warn!("{text}"),
            }
        }
    }
}

/// `Some`: the supervisor cannot be asked now, and when it is tried again.
fn ask_for_socket(channel: &mut Channel, address: SocketAddr, now: Instant) -> Option<Instant> {
    let error = channel.send(&ToSupervisor::Listen { address }, None).err()?;
    warn!("nobody can be asked to listen at {address}: {error}");
    Some(now + LISTEN_AGAIN)
}

/// Counts a start in the file, as far as there is one.
pub(super) fn count(file: Option<File>, configured: Option<&[u8]>, clock: u64, mut notices: Vec<String>) -> Counted {
    let mut random = [0; 8];
    if let Err(error) = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random)) {
        notices.push(format!("no random numbers for the SNMP engine: {error}"));
        random = clock::now().nanos().to_be_bytes();
    }
    let mut bytes = vec![];
    if let Some(file) = &file {
        let most = u64::try_from(STATE_MAX).unwrap_or(u64::MAX) + 1;
        if let Err(error) = file.take(most).read_to_end(&mut bytes) {
            notices.push(format!("the kept SNMP engine cannot be read: {error}"));
            bytes = b"?".to_vec();
        }
    }
    let mut start = engine::start(&bytes, configured, random, clock);
    notices.extend(start.notice);
    if let Some(file) = &file {
        let text = start.kept.file();
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let written =
            file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(length)).and_then(|()| file.sync_data());
        if let Err(error) = written {
            notices.push(format!("the SNMP engine cannot be kept: {error}; it is another at each start"));
            // The next start would count to the same boots, and use the same keys with the same salts.
            start = engine::start(b"", configured, random, clock);
        }
    }
    Counted { kept: start.kept, notices }
}
