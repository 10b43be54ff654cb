//! Files that a signal asks for, and the configuration in the log (`--dump-conf`): filled when the engines have told enough.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrLike;
use tracing::{error, info};

use super::Bridge;
use crate::bus::msg::{ConfigGeneration, Source};
use crate::clock::{self, Instant, WallTime};
use crate::export::dump::{self, Facts, Interface, Kind};
use crate::process::lifecycle::ToSupervisor;
use crate::sys::log::local_time_at;

/// What engines have not told by then is left out.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Lines that go into the log in one turn, and the pause after them: a log that is flooded loses lines.
const LINES_PER_TURN: usize = 32;
const LINES_PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(super) struct Dumps {
    waiting: Vec<Wanted>,
    look_at: Option<Instant>,
    /// Lines of the log.
    lines: VecDeque<String>,
    lines_at: Option<Instant>,
    /// They were made.
    logged: bool,
}

#[derive(Debug)]
struct Wanted {
    number: u64,
    kind: Kind,
    file: OwnedFd,
    config: ConfigGeneration,
    latest: Instant,
}

impl Dumps {
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.look_at, self.lines_at].into_iter().flatten().min()
    }
}

impl Bridge {
    pub(super) fn want_dump(&mut self, number: u64, kind: Kind, config: ConfigGeneration, file: OwnedFd) {
        let latest = clock::now() + PATIENCE;
        self.dumps.waiting.push(Wanted { number, kind, file, config, latest });
        self.wake_dumps(clock::now());
    }

    pub(super) fn wake_dumps(&mut self, now: Instant) {
        if !self.dumps.waiting.is_empty() {
            for wanted in std::mem::take(&mut self.dumps.waiting) {
                if self.have_told(wanted.config) || now >= wanted.latest {
                    self.fill(wanted);
                } else {
                    self.dumps.waiting.push(wanted);
                }
            }
            self.dumps.look_at = (!self.dumps.waiting.is_empty()).then_some(now + LOOK_EVERY);
        }
        if self.options.dump_conf && !self.dumps.logged && self.daemon.all_ready && self.have_told(1) {
            self.dumps.logged = true;
            let mut text = String::new();
            for source in &self.wanted {
                let kind = match source {
                    Source::Vrrp => Kind::Vrrp,
                    Source::Checks => Kind::Check,
                };
                text.push_str(&self.rendered(kind, &[]));
            }
            self.dumps.lines = text.lines().map(str::to_owned).collect();
            self.dumps.lines_at = Some(now);
        }
        if self.dumps.lines_at.is_some_and(|at| at <= now) {
            let most = self.dumps.lines.len().min(LINES_PER_TURN);
            self.dumps.lines.drain(..most).for_each(|line| info!("{line}"));
            self.dumps.lines_at = (!self.dumps.lines.is_empty()).then_some(now + LINES_PAUSE);
        }
    }

    /// Every engine that there should be has told how things are under this configuration.
    fn have_told(&self, config: ConfigGeneration) -> bool {
        let snapshot = self.store.snapshot();
        self.wanted.iter().all(|source| {
            let age = snapshot.generations.of(*source);
            age.generation > 0 && age.config >= config
        })
    }

    fn fill(&mut self, wanted: Wanted) {
        let interfaces = if wanted.kind == Kind::Vrrp { interfaces() } else { vec![] };
        let text = self.rendered(wanted.kind, &interfaces);
        match File::from(wanted.file).write_all(text.as_bytes()) {
            Ok(()) => {
                let _ = self.channel.send(&ToSupervisor::Dumped { number: wanted.number }, None);
            }
            Err(error) => error!("cannot write what was asked for: {error}"),
        }
    }

    fn rendered(&self, kind: Kind, interfaces: &[Interface]) -> String {
        let snapshot = self.store.snapshot();
        dump::render(kind, &Facts { snapshot: &snapshot, when: &date, interfaces })
    }
}

/// `Sat Nov 21 16:20:32.929332 2026`.
fn date(at: WallTime) -> String {
    let seconds = i64::try_from(at.0 / 1_000_000_000).unwrap_or(0);
    let micros = at.0 % 1_000_000_000 / 1000;
    format!("{}.{micros:06} {}", local_time_at("%a %b %e %H:%M:%S", seconds), local_time_at("%Y", seconds))
}

/// Those of the daemon's network namespace, in the order of the kernel.
fn interfaces() -> Vec<Interface> {
    match read_interfaces() {
        Ok(found) => found,
        Err(error) => {
            error!("cannot list the interfaces: {error}");
            vec![]
        }
    }
}

fn read_interfaces() -> io::Result<Vec<Interface>> {
    let mut found: Vec<Interface> = vec![];
    for one in getifaddrs()? {
        let at = found.iter().position(|have| have.name == one.interface_name).unwrap_or_else(|| {
            let flags = one.flags;
            found.push(Interface {
                name: one.interface_name.clone(),
                index: if_nametoindex(one.interface_name.as_str()).unwrap_or(0),
                up: flags.contains(InterfaceFlags::IFF_UP),
                running: flags.contains(InterfaceFlags::IFF_RUNNING),
                broadcast: flags.contains(InterfaceFlags::IFF_BROADCAST),
                loopback: flags.contains(InterfaceFlags::IFF_LOOPBACK),
                multicast: flags.contains(InterfaceFlags::IFF_MULTICAST),
                ..Interface::default()
            });
            found.len() - 1
        });
        let (Some(interface), Some(address)) = (found.get_mut(at), one.address) else { continue };
        if let Some(v4) = address.as_sockaddr_in() {
            interface.addresses.push(v4.ip().into());
        } else if let Some(v6) = address.as_sockaddr_in6() {
            interface.addresses.push(v6.ip().into());
        } else if address.family() == Some(nix::sys::socket::AddressFamily::Packet)
            && let Some(link) = address.as_link_addr()
        {
            interface.mac = link.addr().filter(|mac| *mac != [0; 6]);
        }
    }
    Ok(found)
}
