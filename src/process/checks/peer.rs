//! A socket to another process, with what waits for room in it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::unix::AsyncFd;
use tracing::error;

use crate::bus::frame;
use crate::sys::aio::{self, Owned};
use crate::sys::seqpacket::{FRAME_MAX, Received, Sent, Seqpacket};

/// Frames that may wait for a process that does not read.
const WAITING_MAX: usize = 4096;

/// Frames read in one go; then others have their turn.
const FRAMES_PER_TURN: usize = 64;

/// Another process, or the place where it will be.
#[derive(Debug)]
pub struct Peer {
    name: &'static str,
    link: Option<Link>,
    waiting: VecDeque<Frame>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Frame {
    bytes: Vec<u8>,
    /// A successor may as well have it, and whoever comes first.
    for_anybody: bool,
}

#[derive(Debug)]
struct Link {
    socket: Seqpacket,
    ready: AsyncFd<Owned>,
}

/// What has happened to a socket.
pub enum Woken {
    Readable,
    Writable,
}

impl Peer {
    pub fn new(name: &'static str) -> Peer {
        Peer { name, link: None, waiting: VecDeque::new(), buffer: vec![0; FRAME_MAX] }
    }

    /// A new process of that kind. What was meant for its predecessor alone goes with it.
    pub fn meet(&mut self, fd: OwnedFd) -> bool {
        self.part();
        let registered = fd.try_clone().and_then(aio::register);
        match registered {
            Ok(ready) => {
                self.link = Some(Link { socket: Seqpacket::from_fd(fd), ready });
                true
            }
            Err(error) => {
                error!("cannot watch the {} process's socket: {error}", self.name);
                false
            }
        }
    }

    pub fn part(&mut self) {
        self.link = None;
        self.waiting.retain(|frame| frame.for_anybody);
    }

    pub fn is_there(&self) -> bool {
        self.link.is_some()
    }

    /// Whether everything was written, or there is nobody to write to.
    pub fn is_idle(&self) -> bool {
        self.link.is_none() || self.waiting.is_empty()
    }

    /// Waits until there is something to read, or room for what waits (`wants_write`: or for what the owner has).
    pub async fn woken(&self, wants_write: bool) -> Woken {
        let Some(link) = &self.link else { return std::future::pending().await };
        let wants_write = wants_write || !self.waiting.is_empty();
        tokio::select! {
            () = aio::readable(&link.ready) => Woken::Readable,
            () = aio::writable(&link.ready), if wants_write => Woken::Writable,
        }
    }

    /// Queues a message and writes what fits. False: there is nobody, or it has stopped reading.
    pub fn say<T: Serialize>(&mut self, message: &T) -> bool {
        if self.link.is_none() || self.waiting.len() >= WAITING_MAX {
            return false;
        }
        self.queue(message, false)
    }

    /// As [`Self::say`], but it waits for a process that is not there yet, or is being started again. False: it was too much,
    /// and what waited longest is lost.
    pub fn tell<T: Serialize>(&mut self, message: &T) -> bool {
        let room = self.waiting.len() < WAITING_MAX;
        if !room {
            self.waiting.pop_front();
        }
        self.queue(message, true) && room
    }

    fn queue<T: Serialize>(&mut self, message: &T, for_anybody: bool) -> bool {
        match frame::encode(message) {
            Ok(bytes) => {
                self.waiting.push_back(Frame { bytes, for_anybody });
                self.flush();
                true
            }
            Err(error) => {
                error!("cannot speak to the {} process: {error}", self.name);
                false
            }
        }
    }

    pub fn flush(&mut self) {
        while let Some(frame) = self.waiting.front() {
            let Some(link) = &self.link else { return };
            match link.socket.send(&frame.bytes, &[]) {
                Ok(Sent::Yes) => {
                    self.waiting.pop_front();
                }
                Ok(Sent::Full) => return aio::filled(&link.ready),
                Ok(Sent::Gone) | Err(_) => return self.part(),
            }
        }
    }

    /// Writes one frame of the owner's, which keeps it when there is no room.
    pub fn send(&self, frame: &[u8]) -> Sent {
        let Some(link) = &self.link else { return Sent::Gone };
        match link.socket.send(frame, &[]) {
            Ok(Sent::Full) => {
                aio::filled(&link.ready);
                Sent::Full
            }
            Ok(sent) => sent,
            Err(_) => Sent::Gone,
        }
    }

    /// What has come, as far as one turn goes. A process that is gone leaves us without a link.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Vec<T> {
        let mut heard = Vec::new();
        for _ in 0..FRAMES_PER_TURN {
            let Some(link) = &self.link else { break };
            match link.socket.receive(&mut self.buffer) {
                Ok(Received::Nothing) => {
                    aio::drained(&link.ready);
                    break;
                }
                Ok(Received::Frame(length, _)) => {
                    match frame::decode::<T>(self.buffer.get(..length).unwrap_or_default()) {
                        Ok(messages) => heard.extend(messages),
                        Err(error) => error!("the {} process cannot be understood: {error}", self.name),
                    }
                }
                Ok(Received::Gone) | Err(_) => {
                    self.part();
                    break;
                }
            }
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(peer: &mut Peer) -> Seqpacket {
        let (ours, theirs) = Seqpacket::pair().unwrap();
        assert!(peer.meet(ours.into_fd()));
        peer.flush();
        theirs
    }

    fn heard(theirs: &Seqpacket) -> Vec<u32> {
        let (mut all, mut buffer) = (vec![], vec![0; FRAME_MAX]);
        while let Ok(Received::Frame(length, _)) = theirs.receive(&mut buffer) {
            all.extend(frame::decode::<u32>(&buffer[..length]).unwrap());
        }
        all
    }

    #[test]
    fn what_is_told_waits_for_whoever_comes_and_what_is_said_goes_with_its_listener() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut peer = Peer::new("runner");
            assert!(!peer.say(&1_u32), "nobody is there");
            assert!(peer.tell(&2_u32) && peer.tell(&3_u32));
            assert!(peer.is_idle(), "nobody there is nobody to wait for");
            let first = meet(&mut peer);
            assert_eq!(heard(&first), [2, 3]);
            drop(first);
            peer.part();
            assert!(peer.tell(&4_u32));
            assert_eq!(heard(&meet(&mut peer)), [4]);
        });
    }

    #[test]
    fn of_too_much_the_oldest_is_lost() {
        let mut peer = Peer::new("runner");
        let most = u32::try_from(WAITING_MAX).unwrap();
        assert!((0..most).all(|number| peer.tell(&number)));
        assert!(!peer.tell(&most));
        assert_eq!((peer.waiting.len(), &peer.waiting[0].bytes), (WAITING_MAX, &frame::encode(&1_u32).unwrap()));
    }
}
