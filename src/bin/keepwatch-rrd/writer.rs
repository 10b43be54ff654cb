//! Updates to files, by librrd or by rrdcached. No file that is there is ever overwritten.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use keepwatch::clock::{self, Instant};
use keepwatch::conf::model::RrdSettings;
use keepwatch::export::rrd::cached::{self, Address};
use keepwatch::export::rrd::layout::{self, Ds, Existing, Layout, Object};
use keepwatch::export::rrd::names::{self, NAMES, Names};
use keepwatch::export::rrd::wire::{Tally, Update, Value};
use tracing::{error, info, warn};

use crate::cached::{Client, PATIENCE, Trouble};
use crate::librrd;

/// How often a name may be taken by files of other layouts.
const SUCCESSORS_MAX: u32 = 100;

/// Failures are logged this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Between attempts to reach rrdcached.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

pub struct Writer {
    directory: PathBuf,
    layout: Layout,
    cached: Option<Cached>,
    files: HashMap<Object, Vec<OpenFile>>,
    /// What [`NAMES`] says already.
    listed: HashSet<String>,
    new_lines: String,
    /// Files that were left alone, named in the log.
    left_alone: HashSet<PathBuf>,
    complained: Option<Instant>,
    /// Failures since then.
    unsaid: u64,
}

/// rrdcached, and when to try again.
struct Cached {
    address: Address,
    named: String,
    client: Option<Client>,
    retry: Option<(Instant, Duration)>,
    away: bool,
}

#[derive(Clone)]
struct OpenFile {
    path: PathBuf,
    /// Places of its values among those of the object.
    places: Vec<usize>,
}

/// Nobody takes updates now: they are to come again.
pub struct Refused(pub String);

impl Writer {
    pub fn new(settings: &RrdSettings, host: String) -> Writer {
        let layout = Layout { profile: settings.profile, host };
        let cached = settings.cached.as_ref().map(|named| Cached {
            address: Address::parse(named),
            named: named.clone(),
            client: None,
            retry: None,
            away: false,
        });
        let mut writer = Writer {
            directory: settings.directory.clone(),
            layout,
            cached,
            files: HashMap::new(),
            listed: HashSet::new(),
            new_lines: String::new(),
            left_alone: HashSet::new(),
            complained: None,
            unsaid: 0,
        };
        if let Err(error) = writer.begin_list() {
            error!("cannot write {}: {error}", writer.directory.join(NAMES).display());
        }
        writer
    }

    /// Writes the values of one moment.
    pub fn write(&mut self, at: u64, updates: &[Update]) -> Result<Tally, Refused> {
        let began = clock::now();
        let mut tally = match self.cached.is_some() {
            true => self.write_cached(at, updates)?,
            false => self.write_files(at, updates),
        };
        self.append_list();
        tally.took_us = u64::try_from(clock::now().since(began).as_micros()).unwrap_or(u64::MAX);
        tally.files = self.files.values().map(|files| files.len() as u64).sum();
        self.complain(&tally);
        Ok(tally)
    }

    fn write_files(&mut self, at: u64, updates: &[Update]) -> Tally {
        let mut tally = Tally::default();
        for update in updates {
            let result = self.files_of(&update.object, at).and_then(|files| {
                files.iter().try_for_each(|file| {
                    librrd::update(&file.path, at, &values(update, file))
                        .map_err(|error| format!("{}: {}", file.path.display(), reason(&error)))
                })
            });
            count(&mut tally, result.inspect_err(|_| self.forget(&update.object)));
        }
        tally
    }

    fn write_cached(&mut self, at: u64, updates: &[Update]) -> Result<Tally, Refused> {
        self.reach()?;
        let mut tally = Tally::default();
        let mut lines = Vec::new();
        let mut owners = Vec::new();
        for (number, update) in updates.iter().enumerate() {
            match self.files_of(&update.object, at) {
                Ok(files) => {
                    for file in files {
                        let values: Vec<String> = values(update, &file).iter().map(Value::to_string).collect();
                        lines.push((file.path.to_string_lossy().into_owned(), format!("{at}:{}", values.join(":"))));
                        owners.push(number);
                    }
                }
                // The connection ended meanwhile.
                Err(_) if self.cached.as_ref().is_some_and(|cached| cached.client.is_none()) => {
                    return Err(self.away("it does not answer"));
                }
                Err(error) => count(&mut tally, Err(error)),
            }
        }
        let complaints = match self.client().map(|client| client.update(&lines)) {
            Some(Ok(complaints)) => complaints,
            Some(Err(trouble)) => return Err(self.away(&trouble.to_string())),
            None => return Err(self.away("it is not there")),
        };
        let mut failed: BTreeMap<usize, String> = BTreeMap::new();
        for (line, text) in complaints.into_iter().filter(|(_, text)| !cached::is_past(text)) {
            if let Some(owner) = owners.get(line) {
                failed.entry(*owner).or_insert(text);
            }
        }
        owners.dedup();
        for owner in owners {
            let result = failed.remove(&owner).map_or(Ok(()), |text| Err(format!("rrdcached: {text}")));
            if result.is_err()
                && let Some(update) = updates.get(owner)
            {
                self.forget(&update.object);
            }
            count(&mut tally, result);
        }
        Ok(tally)
    }

    // --- rrdcached

    fn client(&mut self) -> Option<&mut Client> {
        self.cached.as_mut()?.client.as_mut()
    }

    fn reach(&mut self) -> Result<(), Refused> {
        let Some(cached) = &mut self.cached else { return Ok(()) };
        if cached.client.is_some() {
            return Ok(());
        }
        let now = clock::now();
        if cached.retry.is_some_and(|(at, _)| now < at) {
            return Err(Refused(format!("rrdcached at {} is away", cached.named)));
        }
        match Client::connect(&cached.address, PATIENCE) {
            Ok(client) => {
                cached.client = Some(client);
                Ok(())
            }
            Err(error) => Err(self.away(&error.to_string())),
        }
    }

    /// It is gone or stuck: it is left alone for a while.
    fn away(&mut self, why: &str) -> Refused {
        let Some(cached) = &mut self.cached else { return Refused(why.to_owned()) };
        cached.client = None;
        let pause = cached.retry.map_or(RETRY_FIRST, |(_, pause)| (pause * 2).min(RETRY_MAX));
        cached.retry = Some((clock::now() + pause, pause));
        if !std::mem::replace(&mut cached.away, true) {
            warn!(
                "rrdcached at {} does not take updates: {why}; they wait for ten minutes, then the oldest are dropped",
                cached.named
            );
        }
        Refused(why.to_owned())
    }

    fn look_cached(&mut self, path: &Path) -> Result<Option<Existing>, String> {
        let name = path.to_string_lossy().into_owned();
        let Some(client) = self.client() else { return Err("rrdcached is not there".to_owned()) };
        match client.info(&name) {
            // It is there, and librrd does not know what it is.
            Err(Trouble::Refused(text)) if is_foreign(&text) => Ok(Some(Existing::default())),
            result => result.map_err(|trouble| self.troubled(&name, trouble)),
        }
    }

    fn make_cached(&mut self, path: &Path, begin: u64, sources: &[Ds]) -> Result<(), String> {
        let name = path.to_string_lossy().into_owned();
        let (step, heartbeat, archives) = (self.layout.step(), self.layout.heartbeat(), self.layout.archives());
        let Some(client) = self.client() else { return Err("rrdcached is not there".to_owned()) };
        let mut created = client.create(&name, (step, heartbeat), begin, sources, &archives);
        if matches!(&created, Err(Trouble::Refused(_))) {
            // Without -R it makes no directories.
            let _ = path.parent().map(std::fs::create_dir_all);
            created = client.create(&name, (step, heartbeat), begin, sources, &archives);
        }
        created.map_err(|trouble| self.troubled(&name, trouble))
    }

    fn troubled(&mut self, name: &str, trouble: Trouble) -> String {
        if let Trouble::Gone(_) = trouble
            && let Some(cached) = &mut self.cached
        {
            cached.client = None;
        }
        format!("{name}: {trouble}")
    }

    // --- files

    /// The files of an object, opened or made at the first update.
    fn files_of(&mut self, object: &Object, at: u64) -> Result<Vec<OpenFile>, String> {
        if let Some(files) = self.files.get(object) {
            return Ok(files.clone());
        }
        let mut files = Vec::new();
        for file in self.layout.files(object) {
            let sources: Vec<Ds> = file.sources.iter().map(|(ds, _)| *ds).collect();
            let path = self.choose(&file.path, at, &sources)?;
            files.push(OpenFile { path, places: file.sources.iter().map(|(_, place)| *place).collect() });
            self.list(&file.path, object);
        }
        self.files.insert(object.clone(), files.clone());
        Ok(files)
    }

    /// The first of `path`, `path.2`, ... that is of this layout; if there is none, the first that is not there, which is
    /// made. Of those that follow each other any may have been removed.
    fn choose(&mut self, path: &str, at: u64, sources: &[Ds]) -> Result<PathBuf, String> {
        let mut free = None;
        for number in 1..=SUCCESSORS_MAX {
            let candidate = self.directory.join(names::successor(path, number));
            // Each question to rrdcached is a way there and back: behind a gap it is asked of what can be seen from here.
            if free.is_some() && !candidate.exists() {
                continue;
            }
            let found = match self.cached.is_some() {
                true => self.look_cached(&candidate),
                false => look(&candidate),
            };
            match found? {
                None => {
                    free.get_or_insert(candidate);
                }
                Some(existing) => match existing.differs(self.layout.step(), sources) {
                    None => return Ok(candidate),
                    Some(why) => {
                        if self.left_alone.insert(candidate.clone()) {
                            let next = names::successor(path, number + 1);
                            warn!(
                                "{} is left as it is, as {why}; its successor is {}",
                                candidate.display(),
                                next.display()
                            );
                        }
                    }
                },
            }
        }
        let Some(path) = free else {
            return Err(format!("{path}: {SUCCESSORS_MAX} files of other layouts have its name"));
        };
        let begin = at.saturating_sub(u64::from(self.layout.step()));
        match self.cached.is_some() {
            true => self.make_cached(&path, begin, sources)?,
            false => self.make(&path, begin, sources)?,
        }
        Ok(path)
    }

    fn make(&self, path: &Path, begin: u64, sources: &[Ds]) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(&error))?;
        }
        let (step, heartbeat) = (self.layout.step(), self.layout.heartbeat());
        librrd::create(path, step, heartbeat, begin, sources, &self.layout.archives())
            .map_err(|error| failed(&reason(&error)))?;
        // Others make graphs of it.
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644));
        Ok(())
    }

    /// The next update looks at what is there: somebody may have moved it.
    fn forget(&mut self, object: &Object) {
        self.files.remove(object);
    }

    // --- the list of names

    /// Keeps the lines of files and says anew how they are laid out.
    fn begin_list(&mut self) -> io::Result<()> {
        let path = self.directory.join(NAMES);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let named = self.cached.as_ref().map(|cached| cached.named.as_str());
        let mut new = Names::head(&self.layout, named);
        for (file, object) in Names::parse(&text).files {
            let line = Names::line(&file, &object);
            if self.listed.insert(line.clone()) {
                new.push_str(&line);
            }
        }
        if new != text {
            let beside = self.directory.join(format!("{NAMES}.new"));
            std::fs::write(&beside, new)?;
            std::fs::rename(beside, path)?;
        }
        Ok(())
    }

    fn list(&mut self, path: &str, object: &Object) {
        let line = Names::line(path, object);
        if !self.listed.contains(&line) {
            self.new_lines.push_str(&line);
            self.listed.insert(line);
        }
    }

    fn append_list(&mut self) {
        let lines = std::mem::take(&mut self.new_lines);
        if lines.is_empty() {
            return;
        }
        let path = self.directory.join(NAMES);
        let written = OpenOptions::new().append(true).create(true).open(&path);
        if let Err(error) = written.and_then(|mut file| file.write_all(lines.as_bytes())) {
            for line in lines.split_inclusive('\n') {
                self.listed.remove(line);
            }
            error!("cannot write {}: {error}", path.display());
        }
    }

    // --- the log

    fn complain(&mut self, tally: &Tally) {
        if let Some(cached) = &mut self.cached {
            cached.retry = None;
            if std::mem::take(&mut cached.away) {
                info!("rrdcached at {} takes updates again", cached.named);
            }
        }
        let Some(error) = &tally.error else { return };
        self.unsaid += tally.failure;
        let now = clock::now();
        if self.complained.is_none_or(|at| now.since(at) >= COMPLAIN_EVERY) {
            error!("{} RRD updates failed, the last one of {error}", self.unsaid);
            self.complained = Some(now);
            self.unsaid = 0;
        }
    }
}

/// What a file is; `None`: there is none.
fn look(path: &Path) -> Result<Option<Existing>, String> {
    match std::fs::File::open(path) {
        // What librrd cannot read is no file of ours.
        Ok(_) => Ok(Some(librrd::existing(path).unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// librrd's words for what is there and is not an RRD file of this machine.
fn is_foreign(text: &str) -> bool {
    ["not an RRD file", "too small", "another architecture", "can't handle RRD file version"]
        .iter()
        .any(|words| text.contains(words))
}

/// librrd has no words for a disk that is full.
fn reason(error: &rrd::error::RrdError) -> String {
    match error {
        rrd::error::RrdError::LibRrdError(text) if text.is_empty() => {
            "librrd does not say why; is the disk full?".to_owned()
        }
        error => error.to_string(),
    }
}

fn values(update: &Update, file: &OpenFile) -> Vec<Value> {
    file.places.iter().map(|place| update.values.get(*place).copied().unwrap_or(Value::Unknown)).collect()
}

fn count(tally: &mut Tally, result: Result<(), String>) {
    match result {
        Ok(()) => tally.success += 1,
        Err(error) => {
            tally.failure += 1;
            tally.error = Some(error);
        }
    }
}

/// Makes the directory. While we are root it becomes that of the user `nobody`, if it is new, empty or ours: others' stay
/// theirs.
pub fn prepare(directory: &Path, owner: Option<u32>) -> io::Result<()> {
    let new = !directory.exists();
    std::fs::create_dir_all(directory)?;
    let Some(owner) = owner else { return Ok(()) };
    // One that somebody else was given, rrdcached's user say, is theirs.
    if std::fs::metadata(directory)?.uid() != 0 {
        return Ok(());
    }
    let ours = new || directory.join(NAMES).exists() || std::fs::read_dir(directory)?.next().is_none();
    if !ours {
        return Ok(());
    }
    let flags = nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_CLOEXEC;
    let fd = nix::fcntl::open(directory, flags, nix::sys::stat::Mode::empty())?;
    Ok(nix::unistd::fchown(&fd, Some(nix::unistd::Uid::from_raw(owner)), Some(nix::unistd::Gid::from_raw(owner)))?)
}

/// Seconds between two updates of a profile, for the log.
pub fn step(settings: &RrdSettings) -> u32 {
    layout::step(settings.profile)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwatch::export::graph::GraphKind;
    use keepwatch::export::rrd::layout::sources;

    #[test]
    fn a_successor_is_written_on_when_the_file_before_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let settings = RrdSettings { directory: directory.path().to_owned(), ..RrdSettings::default() };
        let object = Object::new(GraphKind::Daemon, String::new());
        let update = Update { values: vec![Value::Count(1); sources(object.kind).len()], object };
        let mut at = 1_795_267_000;
        let mut write = || {
            at += 100;
            let mut writer = Writer::new(&settings, "lb1".to_owned());
            assert_eq!(writer.write(at, std::slice::from_ref(&update)).ok().map(|tally| tally.failure), Some(0));
            let mut paths: Vec<_> = writer.files.values().flatten().map(|file| file.path.clone()).collect();
            paths.sort();
            paths
        };
        let first = write();
        assert!(!first.is_empty());
        // Of another layout: they get successors, in two generations.
        let moved = |path: &Path, number: u32| PathBuf::from(format!("{}.{number}", path.display()));
        for path in &first {
            std::fs::rename(path, moved(path, 3)).unwrap();
        }
        let third: Vec<_> = first.iter().map(|path| moved(path, 3)).collect();
        assert_eq!(write(), third);
        assert!(first.iter().all(|path| !path.exists()), "no empty file is made beside what goes on");
        for path in &first {
            std::fs::write(path, "no RRD file").unwrap();
        }
        assert_eq!(write(), third);
        for path in &third {
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(write(), first.iter().map(|path| moved(path, 2)).collect::<Vec<_>>());
    }
}
