//! What systemd is told (sd_notify(3), systemd.service(5)): `Type=notify`, `Type=notify-reload` and `WatchdogSec=` work.
//!
//! A datagram that does not fit is lost: nothing waits for systemd.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::warn;

use crate::clock::Instant;

/// Variables that are for this process and not for those it starts.
pub(super) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

#[derive(Debug)]
pub(super) struct Systemd {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Half of the time within which it wants to hear of us.
    watchdog: Option<Duration>,
    ping_at: Instant,
}

impl Systemd {
    pub(super) fn from_environment(now: Instant) -> Systemd {
        let variable = |name: &str| std::env::var(name).ok();
        let socket = variable("NOTIFY_SOCKET")
            .filter(|path| !path.is_empty())
            .and_then(|path| open(&path).inspect_err(|error| warn!("cannot notify systemd at {path}: {error}")).ok());
        let ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = variable("WATCHDOG_USEC").filter(|_| ours && socket.is_some());
        let micros = micros.and_then(|micros| micros.parse::<u64>().ok()).filter(|micros| *micros > 0);
        Systemd { socket, watchdog: micros.map(|micros| Duration::from_micros(micros) / 2), ping_at: now }
    }

    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nMAINPID={}\nSTATUS={status}", std::process::id()));
    }

    pub(super) fn reloading(&self, now: Instant) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=Reading the configuration", now.nanos() / 1000));
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=Stopping");
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.watchdog.map(|_| self.ping_at)
    }

    pub(super) fn wake(&mut self, now: Instant) {
        if let Some(every) = self.watchdog.filter(|_| now >= self.ping_at) {
            self.ping_at = now + every;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // A manager that does not read is no reason to wait, and one that is gone none to complain.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

/// A path, or a name in the abstract namespace after `@`.
fn open(path: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn systemd_hears_of_states_and_of_the_watchdog_twice_in_its_time_and_one_that_does_not_read_holds_up_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let watchdog = Some(Duration::from_millis(500));
        let socket = open(path.to_str().unwrap()).unwrap();
        let mut systemd = Systemd { socket: Some(socket), watchdog, ping_at: at(0) };
        let heard = || {
            let mut buffer = [0; 256];
            let length = manager.recv(&mut buffer).unwrap_or(0);
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        systemd.reloading(at(1));
        assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC=1000\n"));
        systemd.ready("Running");
        assert_eq!(heard(), format!("READY=1\nMAINPID={}\nSTATUS=Running", std::process::id()));
        let mut pings = 0;
        for ms in 0..2000 {
            systemd.wake(at(ms));
            pings += usize::from(heard() == "WATCHDOG=1");
        }
        assert_eq!(pings, 4);
        (0..100_000).for_each(|_| systemd.stopping());
    }

    #[test]
    fn names_in_the_abstract_namespace_are_understood() {
        let name = format!("keepwatch-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let systemd = Systemd { socket: Some(open(&format!("@{name}")).unwrap()), watchdog: None, ping_at: at(0) };
        systemd.stopping();
        let mut buffer = [0; 64];
        assert!(manager.recv(&mut buffer).unwrap() > 0);
        assert_eq!(systemd.deadline(), None);
    }
}
