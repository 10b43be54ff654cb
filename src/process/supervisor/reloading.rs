//! What surrounds a reload: the file that exists while the configuration is read, and the file that says when to read it.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{error, info, warn};

use super::Supervisor;
use crate::clock::{self, Instant};
use crate::conf::model::{ReloadFile, ReloadSettings};
use crate::process::schedule::When;
use crate::sys::calendar::{self, Moment};
use crate::sys::log::local_time_at;

/// How often the time file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Octets of a time file that are read: its first line has 20 at most.
const TIME_FILE_MAX: u64 = 64;

/// A file that is there while the configuration is read.
#[derive(Debug)]
pub(super) struct Reading(PathBuf);

impl Reading {
    /// Makes it, or empties what is there, as those who wait for that do.
    fn begin(path: PathBuf) -> io::Result<Reading> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o644);
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY).open(&path)?;
        Ok(Reading(path))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// `reload_time_file`, as it was read last.
#[derive(Debug, Default)]
pub(super) struct TimeFile {
    /// Which file that was: what is written or put in its place is another one.
    seen: Option<Stamp>,
    /// What it says, and when that is; seconds since 1970.
    scheduled: Option<(When, i64)>,
    look_at: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl Supervisor {
    fn reload_settings(&self) -> Option<&ReloadSettings> {
        self.config.as_ref().map(|config| &config.sheet.process.reload)
    }

    /// Says to others that the configuration is being read now.
    pub(super) fn begin_reading(&mut self) {
        let Some(file) = self.reload_settings().and_then(|settings| settings.file.clone()) else { return };
        let path = match file {
            ReloadFile::At(path) => path,
            ReloadFile::Usual => {
                self.pid_path("keepalived", self.options.pid.clone()).with_file_name("keepalived.reload")
            }
        };
        match Reading::begin(path.clone()) {
            Ok(reading) => self.reading = Some(reading),
            Err(error) => warn!("cannot make the reload file {}: {error}", path.display()),
        }
    }

    /// When to ask [`Self::look_at_time_file`] again.
    pub(super) fn time_file_due(&self) -> Option<Instant> {
        self.reload_settings()?.time_file.as_ref()?;
        if self.stopping.is_some() {
            return None;
        }
        // At once when it was never looked at.
        let next = self.time_file.look_at.unwrap_or(Instant::ZERO);
        let Some((_, at)) = self.time_file.scheduled else { return Some(next) };
        let left = Duration::from_secs(u64::try_from(at).unwrap_or(0));
        let left = left.saturating_sub(Duration::from_nanos(clock::wall().0));
        Some(next.min(clock::now() + left))
    }

    pub(super) fn look_at_time_file(&mut self, now: Instant) {
        let Some(settings) = self.reload_settings() else { return };
        let (Some(path), repeat) = (settings.time_file.clone(), settings.repeat) else {
            self.time_file = TimeFile::default();
            return;
        };
        if self.stopping.is_some() {
            return;
        }
        if self.time_file.look_at.is_none_or(|at| at <= now) {
            self.time_file.look_at = Some(now + LOOK_EVERY);
            self.read_time_file(&path);
        }
        let wall = calendar::seconds_now();
        let Some((when, _)) = self.time_file.scheduled.filter(|(_, at)| *at <= wall) else { return };
        info!("It is time to reload, as {} says", path.display());
        // What has a date does not come again; without one it does tomorrow, if the file may stay.
        let stays = repeat && when.date.is_none();
        if !stays && let Err(error) = fs::remove_file(&path) {
            error!("cannot remove {}: {error}", path.display());
        }
        self.time_file.scheduled = if stays { next(when, wall) } else { None };
        self.reload(now, None);
    }

    fn read_time_file(&mut self, path: &Path) {
        let found = read(path);
        let stamp = found.as_ref().ok().map(|(stamp, _)| stamp);
        if stamp == self.time_file.seen.as_ref() {
            return;
        }
        let had = self.time_file.scheduled.take().is_some();
        match found {
            Ok((stamp, text)) => {
                self.time_file.seen = Some(stamp);
                match When::parse(&text) {
                    Some(when) => self.time_file.scheduled = next(when, calendar::seconds_now()),
                    None => warn!(
                        "{} does not say when to reload: write HH:MM:SS, with YYYY-MM-DD before it or not",
                        path.display()
                    ),
                }
                match self.time_file.scheduled {
                    Some((_, at)) => info!("Scheduling reload for {}", local_time_at("%Y-%m-%d %H:%M:%S", at)),
                    None => info!("{} asks for no reload to come", path.display()),
                }
            }
            Err(error) => {
                self.time_file.seen = None;
                if error.kind() != io::ErrorKind::NotFound {
                    warn!("cannot read {}: {error}", path.display());
                } else if had {
                    info!("{} is gone: no reload is scheduled any more", path.display());
                }
            }
        }
    }
}

/// The next time that a line means, seen from this moment.
fn next(when: When, wall: i64) -> Option<(When, i64)> {
    let today = calendar::date_of(wall, when.utc);
    let at = |moment: Moment| calendar::seconds_of(moment, when.utc);
    let mut moments = when.candidates(today).into_iter().filter_map(at);
    moments.find(|at| *at > wall).map(|at| (when, at))
}

fn read(path: &Path) -> io::Result<(Stamp, String)> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let there = file.metadata()?;
    if !there.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let stamp = Stamp {
        path: path.to_owned(),
        inode: there.ino(),
        changed: (there.mtime(), there.mtime_nsec()),
        length: there.len(),
    };
    let mut bytes = Vec::new();
    file.take(TIME_FILE_MAX).read_to_end(&mut bytes)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok((stamp, String::from_utf8_lossy(line).into_owned()))
}
