//! Tracked files: inotify tells that something has happened, a thread looks.
//!
//! Every look has a thread of its own, one for each file at most and [`LOOKS_MAX`] in all, so that a disk or a network file
//! system that hangs holds up nobody else. A look arranges the watches first and reads then: what changes between the two
//! is seen by one of them. Of a file at most [`SIZE`] octets are read.
//!
//! As in Keepalived a file is read when whoever writes it closes it; what is half written is not looked at. Where a
//! directory cannot be watched, or is on a file system that others change behind our kernel's back, it is looked at every
//! second.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::clock::{self, Instant};
use crate::conf::model::FileInit;
use crate::sys::aio::{self, Owned};
use crate::track::engine::Watched;
use crate::track::file::{Reading, SIZE};

/// Threads that look at the same time.
const LOOKS_MAX: usize = 16;

/// Between two looks at one file: whoever rewrites it all the time does not keep us busy.
const REST: Duration = Duration::from_millis(10);

/// Between two looks at a file that the kernel does not tell about.
const POLL: Duration = Duration::from_secs(1);

/// A look that takes longer is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// The files of the configuration in force.
#[derive(Default)]
pub struct Files {
    files: BTreeMap<String, File>,
    watch: Option<Watch>,
    looks: Option<(mpsc::UnboundedSender<Look>, mpsc::UnboundedReceiver<Look>)>,
    /// Looks of a configuration before this one are nobody's, but for their threads.
    epoch: u64,
    looking: usize,
}

struct Watch {
    inotify: Arc<Inotify>,
    ready: AsyncFd<Owned>,
    /// Who wants to know of what.
    watched: BTreeMap<WatchDescriptor, BTreeSet<String>>,
}

struct File {
    path: PathBuf,
    init: Option<FileInit>,
    /// A look is wanted, not before this.
    wanted: Option<Instant>,
    looking: Option<Looking>,
    /// Its path ends in a symbolic link: other entries of the directory matter, too.
    link: bool,
    /// It is looked at again then, whatever the kernel tells.
    waits_for: Option<Instant>,
}

struct Looking {
    since: Instant,
    told: bool,
    /// Something happened meanwhile.
    again: bool,
}

/// What a thread brings back.
struct Look {
    epoch: u64,
    name: String,
    reading: Reading,
    watches: Vec<WatchDescriptor>,
    /// The kernel will tell of changes.
    told: bool,
    link: bool,
    complaint: Option<String>,
}

impl Files {
    /// The complete set of files from now on; each is looked at.
    pub fn watch(&mut self, files: Vec<Watched>) {
        self.epoch += 1;
        self.watch = if files.is_empty() { None } else { watch() };
        let now = clock::now();
        let file = |it: Watched| {
            let file = File {
                path: PathBuf::from(it.path),
                init: it.init,
                wanted: Some(now),
                looking: None,
                link: false,
                waits_for: None,
            };
            (it.name, file)
        };
        self.files = files.into_iter().map(file).collect();
        self.start(now);
    }

    /// When [`Self::wake`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let room = self.looking < LOOKS_MAX;
        let each = self.files.values().filter_map(|file| match &file.looking {
            Some(looking) => (!looking.told).then_some(looking.since + PATIENCE),
            None => [file.wanted.filter(|_| room), file.waits_for].into_iter().flatten().min(),
        });
        each.min()
    }

    pub fn wake(&mut self, now: Instant) {
        for (name, file) in &mut self.files {
            if file.waits_for.is_some_and(|at| at <= now) {
                file.waits_for = None;
                file.wanted = file.wanted.or(Some(now));
            }
            if let Some(looking) = file.looking.as_mut().filter(|it| !it.told && it.since + PATIENCE <= now) {
                looking.told = true;
                let path = file.path.display();
                warn!(
                    "track_file {name}: reading {path} has taken {PATIENCE:?} so far; what it held last still counts"
                );
            }
        }
        self.start(now);
    }

    /// Waits for what happens to files or for what a look has brought; several calls may be needed for one result.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Vec<(String, Reading)> {
        loop {
            let ready = self.watch.as_ref().map(|watch| &watch.ready);
            let look = tokio::select! {
                () = readable(ready) => None,
                look = receive(&mut self.looks) => Some(look),
            };
            let now = clock::now();
            match look {
                Some(look) => {
                    self.looking -= 1;
                    let found = self.looked(look, now);
                    self.start(now);
                    if let Some(found) = found {
                        return vec![found];
                    }
                }
                None => {
                    self.hear(now);
                    self.start(now);
                    // Others have their turn, however much happens to files.
                    return Vec::new();
                }
            }
        }
    }

    fn looked(&mut self, look: Look, now: Instant) -> Option<(String, Reading)> {
        if look.epoch != self.epoch {
            return None;
        }
        let file = self.files.get_mut(&look.name)?;
        if let Some(complaint) = look.complaint {
            error!("track_file {}: {complaint}", look.name);
        }
        if let Some(watch) = &mut self.watch {
            for descriptor in look.watches {
                watch.watched.entry(descriptor).or_default().insert(look.name.clone());
            }
        }
        file.init = None;
        file.link = look.link;
        // What a link leads to may come and go where nobody watches.
        file.waits_for = (!look.told || look.link).then_some(now + POLL);
        if file.looking.take().is_some_and(|looking| looking.again) {
            file.wanted = Some(now + REST);
        }
        Some((look.name, look.reading))
    }

    /// Reads what the kernel tells.
    fn hear(&mut self, now: Instant) {
        let Some(watch) = &mut self.watch else { return };
        let events = match watch.inotify.read_events() {
            Ok(events) => events,
            Err(Errno::EAGAIN) => return aio::drained(&watch.ready),
            Err(error) => {
                error!("cannot hear of changes of tracked files, they are looked at every second: {error}");
                self.watch = None;
                self.files.values_mut().for_each(|file| file.wanted = Some(now));
                return;
            }
        };
        for event in events {
            // What nobody has entered yet: a look that arranged it is on its way back.
            let names = watch.watched.get(&event.wd);
            let lost = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) || names.is_none();
            let whole = event.mask.intersects(AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF);
            for (name, file) in &mut self.files {
                let its = names.is_some_and(|names| names.contains(name));
                let entry = match &event.name {
                    Some(entry) => file.link || file.path.file_name() == Some(entry.as_os_str()),
                    None => true,
                };
                if lost || (its && (whole || entry)) {
                    file.touched(now);
                }
            }
            if event.mask.contains(AddWatchFlags::IN_MOVE_SELF) {
                // What has its place now is another; where it went does not matter.
                let _ = watch.inotify.rm_watch(event.wd);
            }
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                watch.watched.remove(&event.wd);
            }
        }
    }

    /// Starts the looks that are due and have room.
    fn start(&mut self, now: Instant) {
        let epoch = self.epoch;
        let inotify = self.watch.as_ref().map(|watch| Arc::clone(&watch.inotify));
        let (sender, _) = self.looks.get_or_insert_with(mpsc::unbounded_channel);
        for (name, file) in &mut self.files {
            if self.looking >= LOOKS_MAX {
                return;
            }
            if file.looking.is_some() || file.wanted.is_none_or(|at| at > now) {
                continue;
            }
            let (sender, inotify, name) = (sender.clone(), inotify.clone(), name.clone());
            let (path, init) = (file.path.clone(), file.init);
            let started = std::thread::Builder::new().name("looks".to_owned()).spawn(move || {
                // Nobody listens any more when the process ends.
                let _ = sender.send(look(epoch, name, &path, init, inotify.as_deref()));
            });
            match started {
                Ok(_) => {
                    self.looking += 1;
                    file.wanted = None;
                    file.waits_for = None;
                    file.looking = Some(Looking { since: now, told: false, again: false });
                }
                Err(error) => {
                    error!("cannot look at tracked files: {error}");
                    file.wanted = Some(now + POLL);
                }
            }
        }
    }
}

impl File {
    fn touched(&mut self, now: Instant) {
        match &mut self.looking {
            Some(looking) => looking.again = true,
            None => self.wanted = self.wanted.or(Some(now)),
        }
    }
}

fn watch() -> Option<Watch> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(io::Error::from);
    let opened = inotify.and_then(|inotify| {
        use std::os::fd::AsFd;
        let ready = aio::register(inotify.as_fd().try_clone_to_owned()?)?;
        Ok(Watch { inotify: Arc::new(inotify), ready, watched: BTreeMap::new() })
    });
    opened.map_err(|error| warn!("no inotify, tracked files are looked at every second: {error}")).ok()
}

async fn readable(fd: Option<&AsyncFd<Owned>>) {
    match fd {
        Some(fd) => aio::readable(fd).await,
        None => std::future::pending().await,
    }
}

async fn receive(looks: &mut Option<(mpsc::UnboundedSender<Look>, mpsc::UnboundedReceiver<Look>)>) -> Look {
    if let Some((_, receiver)) = looks
        && let Some(look) = receiver.recv().await
    {
        return look;
    }
    std::future::pending().await
}

// --- on a thread that may have to wait

fn look(epoch: u64, name: String, path: &Path, init: Option<FileInit>, inotify: Option<&Inotify>) -> Look {
    let complaint = init
        .and_then(|init| initialise(path, init).err())
        .map(|error| format!("cannot initialise {}: {error}", path.display()));
    let (watches, told) = inotify.map_or((Vec::new(), false), |inotify| arrange(inotify, path));
    let link = fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink());
    Look { epoch, name, reading: read(path), watches, told, link, complaint }
}

/// Watches the directory, and the file itself where it is a link: it is written elsewhere then.
fn arrange(inotify: &Inotify, path: &Path) -> (Vec<WatchDescriptor>, bool) {
    use AddWatchFlags as Watch;
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries =
        Watch::IN_CREATE | Watch::IN_MOVED_TO | Watch::IN_MOVED_FROM | Watch::IN_DELETE | Watch::IN_CLOSE_WRITE;
    let itself = Watch::IN_DELETE_SELF | Watch::IN_MOVE_SELF;
    let Ok(first) = inotify.add_watch(directory, entries | itself | Watch::IN_ONLYDIR) else {
        return (Vec::new(), false);
    };
    let mut watches = vec![first];
    // The directory's watch does not hear what is written through another name.
    watches.extend(inotify.add_watch(path, Watch::IN_CLOSE_WRITE | itself));
    (watches, !changes_unseen(directory))
}

/// File systems that other hosts or programs change without our kernel's knowing.
fn changes_unseen(directory: &Path) -> bool {
    /// NFS, SMB, CIFS, SMB2, FUSE, Ceph, AFS, 9P.
    const UNSEEN: [u64; 8] =
        [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x6573_5546, 0x00C3_6400, 0x5346_414F, 0x0102_1997];
    nix::sys::statfs::statfs(directory).is_ok_and(|it| {
        let kind = it.filesystem_type().0;
        UNSEEN.iter().any(|&unseen| u64::try_from(kind).is_ok_and(|kind| kind & 0xFFFF_FFFF == unseen))
    })
}

fn read(path: &Path) -> Reading {
    // Opening a FIFO would wait for its other end.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Reading::Missing,
        Err(error) => return Reading::Unreadable(error.to_string()),
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(metadata) if metadata.is_dir() => return Reading::Unreadable("a directory".to_owned()),
        Ok(_) => return Reading::Unreadable("no regular file".to_owned()),
        Err(error) => return Reading::Unreadable(error.to_string()),
    }
    let mut content = Vec::new();
    match file.take(SIZE as u64).read_to_end(&mut content) {
        Ok(_) => Reading::of(&content),
        Err(error) => Reading::Unreadable(error.to_string()),
    }
}

/// `init_file`. As Keepalived creates it, it is the owner's alone.
fn initialise(path: &Path, init: FileInit) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let opened = if init.overwrite { options.create(true).open(path) } else { options.create_new(true).open(path) };
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("no regular file"));
    }
    file.set_len(0)?;
    file.write_all(format!("{}\n", init.value).as_bytes())?;
    info!("track_file: {} is {} now", path.display(), init.value);
    Ok(())
}
