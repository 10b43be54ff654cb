//! A supervisor with a bridge whose part the test plays.
#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::children::Running;
use super::*;
use crate::export::look::{Daemon, DriftReport, Endpoint, ReloadReport};
use crate::process::lifecycle::ToSupervisor;
use crate::sys::seqpacket::Seqpacket;

mod turns;

struct Lab {
    supervisor: Supervisor,
    bridge: Channel,
    directory: tempfile::TempDir,
    /// What the bridge was told of its requests.
    answers: Vec<(Vec<u64>, ReloadReport)>,
}

const BRIDGE: Token = 7;

impl Lab {
    /// `sheet` may name files in the directory.
    fn new(sheet: impl FnOnce(&Path) -> Sheet) -> Lab {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("main.pid");
        let words = ["-p", pid.to_str().unwrap()].map(str::to_owned);
        let mut supervisor = Supervisor::new(Options::parse_words(words).unwrap()).unwrap();
        let file = memfd::create("test").unwrap();
        supervisor.config = Some(InForce { sheet: sheet(directory.path()), file });
        supervisor.generation = 1;
        let bridge = bridge_of(&mut supervisor);
        Lab { supervisor, bridge, directory, answers: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The bridge dies, and another one starts.
    fn another_bridge(&mut self) {
        end(&mut self.supervisor);
        self.bridge = bridge_of(&mut self.supervisor);
    }

    fn ask(&mut self, message: &ToSupervisor) -> (ToChild, Option<OwnedFd>) {
        self.bridge.send(message, None).unwrap();
        self.supervisor.serve_child(BRIDGE);
        self.bridge.receive().unwrap().expect("an answer at once")
    }

    /// The errno, or the socket.
    fn listen(&mut self, endpoint: &Endpoint) -> Result<OwnedFd, i32> {
        match self.ask(&ToSupervisor::ListenStream { endpoint: endpoint.clone() }) {
            (ToChild::ListeningStream { endpoint: of, error }, fd) if of == *endpoint => {
                fd.ok_or_else(|| error.unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    fn textfile(&mut self) -> Result<std::fs::File, i32> {
        self.textfile_of(1)
    }

    fn textfile_of(&mut self, number: u64) -> Result<std::fs::File, i32> {
        match self.ask(&ToSupervisor::Textfile { number }) {
            (ToChild::Textfile { number: of, error }, fd) if of == number => {
                fd.map(Into::into).ok_or_else(|| error.unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    fn tell(&mut self, message: &ToSupervisor) {
        self.bridge.send(message, None).unwrap();
        self.supervisor.serve_child(BRIDGE);
    }

    /// What the bridge is told of the daemon, if it is told anything.
    fn told(&mut self) -> Option<Daemon> {
        self.supervisor.report(clock::now());
        let mut told = None;
        while let Some(message) = self.bridge.receive().unwrap() {
            match message {
                (ToChild::Daemon(daemon), None) => told = Some(*daemon),
                (ToChild::Reloaded { requests, reload }, None) => self.answers.push((requests, *reload)),
                other => panic!("{other:?}"),
            }
        }
        told
    }

    /// The numbers of requests that were answered since this was asked last, whether they came to something, and why not.
    fn answered(&mut self) -> Vec<(Vec<u64>, bool, String)> {
        self.told();
        let answers = std::mem::take(&mut self.answers).into_iter();
        answers.map(|(requests, reload)| (requests, reload.successful, reload.errors)).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        end(&mut self.supervisor);
    }
}

fn bridge_of(supervisor: &mut Supervisor) -> Channel {
    let (ours, theirs) = Seqpacket::pair().unwrap();
    let process = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let running = Running::played(process, Channel::new(ours), BRIDGE);
    supervisor.poller.add(&running.channel, BRIDGE, false).unwrap();
    supervisor.children.insert(Role::Bridge, running);
    supervisor.records.bridge_started();
    Channel::new(theirs)
}

fn end(supervisor: &mut Supervisor) {
    if let Some(mut child) = supervisor.children.remove(&Role::Bridge) {
        child.process.kill().unwrap();
        child.process.wait().unwrap();
    }
}

/// A load process that has ended and left this in its file.
fn ended(left: &[u8], answers: &[u64]) -> Loading {
    let file = memfd::create("test").unwrap();
    std::fs::File::from(file.try_clone().unwrap()).write_all(left).unwrap();
    let mut process = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
    process.wait().unwrap();
    let channel = Channel::new(Seqpacket::pair().unwrap().0);
    let (started, requested) = (clock::now(), clock::now());
    Loading {
        file,
        _channel: channel,
        process,
        started,
        requested,
        answers: answers.to_vec(),
        against: 1,
        purpose: Purpose::Apply,
        plan: None,
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_socket_for_http_has_its_permissions_and_outlives_a_bridge_and_its_name_ends_with_the_daemon() {
    let unix = |directory: &Path| Endpoint::Unix(Some(directory.join("metrics.sock")));
    let mut lab = Lab::new(|at| Sheet { http: vec![unix(at)], http_mode: 0o640, ..Sheet::default() });
    let endpoint = unix(lab.directory.path());
    let path = lab.path("metrics.sock");
    let first = lab.listen(&endpoint).unwrap();
    assert_eq!(mode(&path), 0o640);
    drop(first);
    lab.another_bridge();
    // Nobody accepts now, and nobody is refused.
    let mut waiting = UnixStream::connect(&path).unwrap();
    let listener = UnixListener::from(lab.listen(&endpoint).unwrap());
    listener.accept().unwrap().0.write_all(b"hello").unwrap();
    let mut said = String::new();
    waiting.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello");
    drop((lab, listener));
    assert!(!path.exists());
}

#[test]
fn without_a_path_the_socket_is_beside_the_pid_file() {
    let mut lab = Lab::new(|_| Sheet { http: vec![Endpoint::Unix(None)], http_mode: 0o600, ..Sheet::default() });
    lab.listen(&Endpoint::Unix(None)).unwrap();
    assert_eq!(mode(&lab.path("main.metrics.sock")), 0o600);
}

#[test]
fn a_socket_of_another_daemon_is_left_to_it() {
    let unix = |directory: &Path| Endpoint::Unix(Some(directory.join("metrics.sock")));
    let mut lab = Lab::new(|at| Sheet { http: vec![unix(at)], http_mode: 0o600, ..Sheet::default() });
    let endpoint = unix(lab.directory.path());
    let other = UnixListener::bind(lab.path("metrics.sock")).unwrap();
    assert_eq!(lab.listen(&endpoint).err(), Some(libc::EADDRINUSE));
    drop(other);
    lab.listen(&endpoint).unwrap();
}

#[test]
fn what_the_configuration_does_not_name_the_bridge_does_not_get() {
    let mut lab = Lab::new(|at| Sheet { files: vec![at.join("key.pem")], ..Sheet::default() });
    std::fs::write(lab.path("key.pem"), "key").unwrap();
    for endpoint in [Endpoint::Unix(None), Endpoint::Tcp("127.0.0.1:0".parse().unwrap())] {
        assert_eq!(lab.listen(&endpoint).err(), Some(libc::EPERM));
    }
    assert_eq!(lab.textfile().err(), Some(libc::EPERM));
    for (name, wanted) in [("key.pem", None), ("./key.pem", Some(libc::EPERM)), ("main.pid", Some(libc::EPERM))] {
        let path = PathBuf::from(format!("{}/{name}", lab.directory.path().display()));
        let (answer, fd) = lab.ask(&ToSupervisor::OpenFile { path: path.clone() });
        // Paths compare by their parts: the same file by another spelling is the same file.
        let wanted = if name == "./key.pem" { None } else { wanted };
        assert_eq!((answer, fd.is_some()), (ToChild::File { path, error: wanted }, wanted.is_none()), "{name}");
    }
}

#[test]
fn a_reload_takes_away_what_it_does_not_want_and_gives_other_permissions() {
    let unix = |directory: &Path| Endpoint::Unix(Some(directory.join("metrics.sock")));
    let tcp = Endpoint::Tcp("127.0.0.1:0".parse().unwrap());
    let mut lab = Lab::new(|at| Sheet { http: vec![unix(at), tcp.clone()], http_mode: 0o640, ..Sheet::default() });
    let endpoint = unix(lab.directory.path());
    let path = lab.path("metrics.sock");
    let (_unix, _tcp) = (lab.listen(&endpoint).unwrap(), lab.listen(&tcp).unwrap());
    for (mode_wanted, http) in [(0o640, vec![endpoint.clone()]), (0o600, vec![endpoint.clone()]), (0o600, vec![])] {
        let next = Sheet { http: http.clone(), http_mode: mode_wanted, ..Sheet::default() };
        let before = path.metadata().unwrap().ino();
        let released = lab.supervisor.release(&next);
        // The bridge asks for it again, or does not want it any more.
        assert_eq!(released.is_empty(), http.is_empty() || mode_wanted == 0o640);
        lab.supervisor.config.as_mut().unwrap().sheet = next;
        assert_eq!(lab.listen(&tcp).err(), Some(libc::EPERM));
        if http.is_empty() {
            assert_eq!(lab.listen(&endpoint).err(), Some(libc::EPERM));
            assert!(!path.exists());
        } else {
            lab.listen(&endpoint).unwrap();
            assert_eq!(mode(&path), mode_wanted);
            assert_eq!(path.metadata().unwrap().ino() == before, mode_wanted == 0o640);
        }
    }
}

#[test]
fn a_textfile_appears_whole_readable_by_everybody_and_not_before_it_is_done() {
    let mut lab = Lab::new(|at| Sheet { textfile: Some(at.join("keepwatch.prom")), ..Sheet::default() });
    let path = lab.path("keepwatch.prom");
    for text in ["one 1\n", "two 2\n"] {
        let before = std::fs::read_to_string(&path).ok();
        let mut file = lab.textfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).ok(), before);
        lab.tell(&ToSupervisor::TextfileDone { number: 1 });
        assert_eq!((std::fs::read_to_string(&path).unwrap(), mode(&path)), (text.to_owned(), 0o644));
    }
    // Who was answered too late says so of his own file only; and an empty one is not whole.
    let mut late = lab.textfile_of(5).unwrap();
    let _next = lab.textfile_of(6).unwrap();
    late.write_all(b"late 1\n").unwrap();
    lab.tell(&ToSupervisor::TextfileDone { number: 5 });
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "two 2\n");
    lab.tell(&ToSupervisor::TextfileDone { number: 6 });
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "two 2\n");
    // One that is given up leaves nothing, and one that nobody asked for is nothing.
    let _ = lab.textfile().unwrap();
    let _ = lab.textfile().unwrap();
    lab.supervisor.release(&Sheet { textfile: Some(path.clone()), ..Sheet::default() });
    assert!(path.exists());
    lab.supervisor.release(&Sheet::default());
    lab.tell(&ToSupervisor::TextfileDone { number: 1 });
    let left: Vec<_> =
        std::fs::read_dir(lab.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "it would tell of a state that is not: {left:?}");
}

#[test]
fn an_rrd_process_that_ends_at_once_again_and_again_is_started_again_more_and_more_slowly() {
    let mut lab = Lab::new(|at| Sheet { rrd: Some(at.to_owned()), ..Sheet::default() });
    for ended in [exit::OK, exit::SOFTWARE] {
        let mut backoff = RESPAWN_FIRST;
        for _ in 0..9 {
            let process = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
            let mut running = Running::played(process, Channel::new(Seqpacket::pair().unwrap().0), BRIDGE + 1);
            running.process.wait().unwrap();
            running.backoff = backoff;
            lab.supervisor.children.insert(Role::Rrd, running);
            let before = clock::now();
            lab.supervisor.died(Role::Rrd, std::os::unix::process::ExitStatusExt::from_raw(ended << 8));
            let (at, next) = lab.supervisor.respawn.remove(&Role::Rrd).unwrap();
            assert!(at.since(before) >= backoff, "{at:?} {before:?} {backoff:?}");
            backoff = next;
        }
        assert_eq!(backoff, RESPAWN_MAX);
    }
}

#[test]
fn a_bridge_that_asks_without_end_has_its_turn_and_no_more() {
    let mut lab = Lab::new(|_| Sheet::default());
    for _ in 0..3 * MESSAGES_PER_TURN {
        lab.bridge.send(&ToSupervisor::Textfile { number: 1 }, None).unwrap();
    }
    for _ in 0..3 {
        lab.supervisor.serve_child(BRIDGE);
        let answers = std::iter::from_fn(|| lab.bridge.receive::<ToChild>().unwrap()).count();
        assert_eq!(answers, MESSAGES_PER_TURN);
    }
}

#[test]
fn why_a_reload_was_refused_reaches_the_bridge_and_an_accepted_one_clears_it() {
    let mut lab = Lab::new(|_| Sheet::default());
    assert_eq!(lab.told().unwrap().reloads.rejected, 0);
    assert_eq!(
        lab.supervisor.loaded(ended(&[COMPLAINTS, b"error: no such thing\n"].concat(), &[1]), exit::CONFIG),
        None
    );
    let daemon = lab.told().unwrap();
    let reloads = &daemon.reloads;
    assert_eq!((reloads.errors.as_str(), reloads.rejected, reloads.answered), ("error: no such thing\n", 1, 1));
    assert!(!reloads.successful && !daemon.all_ready);

    // One that has nothing to say is explained.
    assert_eq!(lab.supervisor.loaded(ended(b"", &[]), exit::SOFTWARE), None);
    assert!(lab.told().unwrap().reloads.errors.contains("status 70"));

    let sheet = Sheet { hash: 12, warnings: 3, ..Sheet::default() };
    let loading = ended(&postcard::to_stdvec(&sheet).unwrap(), &[]);
    memfd::seal(loading.file.as_fd()).unwrap();
    assert_eq!(lab.supervisor.loaded(loading, exit::OK), None);
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 2, back: false }, Some(_))))));
    let daemon = lab.told().unwrap();
    let reloads = &daemon.reloads;
    assert_eq!((reloads.hash, reloads.warnings, reloads.accepted, reloads.rejected), (12, 3, 1, 2));
    assert!(reloads.successful && reloads.errors.is_empty() && reloads.tried_at == reloads.accepted_at);
    assert!(!daemon.all_ready, "the bridge has not said so");
    lab.tell(&ToSupervisor::Ready { config: 2 });
    let daemon = lab.told().unwrap();
    assert!(daemon.all_ready && daemon.reloads.took_us > 0);
}

#[test]
fn processes_are_told_with_what_they_cost_and_those_before_them_count() {
    let mut lab = Lab::new(|_| Sheet { wants_vrrp: true, ..Sheet::default() });
    let daemon = lab.told().unwrap();
    assert_eq!(daemon.wanted, ["vrrp"]);
    let names: Vec<&str> = daemon.processes.iter().map(|process| process.name.as_str()).collect();
    assert_eq!(names, ["supervisor", "bridge"]);
    assert_eq!((daemon.pid, daemon.processes[0].pid), (std::process::id(), std::process::id()));
    assert!(daemon.processes.iter().all(|process| process.resident_bytes > 0 && process.max_fds > 0));
    assert!(daemon.processes[0].cpu_ns > 0 && daemon.processes[0].open_fds > 0);

    lab.supervisor.records.ended(Role::Bridge, 5_000_000_000);
    lab.supervisor.records.ended(Role::Vrrp, 1_000_000_000);
    lab.supervisor.records.restarted(Role::Bridge);
    let daemon = lab.told().unwrap();
    let of = |name: &str| daemon.processes.iter().find(|process| process.name == name).unwrap();
    assert!(of("bridge").cpu_ns >= 5_000_000_000 && of("bridge").restarts == 1);
    assert_eq!((of("vrrp").cpu_ns, of("vrrp").pid), (1_000_000_000, 0), "one that is dead is not forgotten");
}

#[test]
fn the_bridge_is_told_at_every_change_and_not_while_it_does_not_read() {
    let mut lab = Lab::new(|_| Sheet::default());
    assert!(lab.told().is_some());
    assert!(lab.told().is_none(), "nothing has changed");
    for _ in 0..10_000 {
        lab.supervisor.records.changed = true;
        lab.supervisor.report(clock::now());
    }
    let bridge = lab.supervisor.children.get_mut(&Role::Bridge).unwrap();
    assert!(bridge.channel.wants_write() && bridge.process.try_wait().unwrap().is_none());
    assert_eq!(lab.supervisor.report_due(), None, "nobody is woken for it");
    let waited = std::iter::from_fn(|| {
        let _ = lab.supervisor.children.get_mut(&Role::Bridge).unwrap().channel.flush();
        lab.bridge.receive::<ToChild>().unwrap()
    });
    assert!(waited.count() < 10_000);
    assert!(lab.told().is_some(), "the last word comes when there is room");
}

/// A load process that has left this sheet, and a plan.
fn read_for_plan(sheet: &Sheet, purpose: Purpose) -> Loading {
    let mut loading = ended(&postcard::to_stdvec(sheet).unwrap(), &[]);
    memfd::seal(loading.file.as_fd()).unwrap();
    loading.purpose = purpose;
    loading.plan = Some(memfd::create("test").unwrap());
    loading
}

#[test]
fn what_was_read_for_a_plan_comes_into_force_when_it_is_asked_for_and_nothing_came_between() {
    let mut lab = Lab::new(|_| Sheet::default());
    lab.told();
    let sheet = Sheet { hash: 12, warnings: 3, ..Sheet::default() };
    let read = |lab: &mut Lab, number, keep| {
        let loading = read_for_plan(&sheet, Purpose::Plan { number, keep });
        assert_eq!(lab.supervisor.loaded(loading, exit::OK), None);
        let answer = lab.bridge.receive().unwrap();
        assert!(
            matches!(&answer, Some((ToChild::Planned { number: of, warnings: 3, error: None }, Some(_))) if *of == number),
            "{answer:?}"
        );
    };
    // Nobody wants it, or somebody wants another.
    read(&mut lab, 1, false);
    lab.tell(&ToSupervisor::Settle { number: 1, request: Some(1) });
    assert!(matches!(&lab.answered()[..], [(of, false, why)] if *of == [1] && why.contains("another configuration")));
    read(&mut lab, 2, true);
    lab.tell(&ToSupervisor::Settle { number: 2, request: None });
    assert_eq!(lab.supervisor.generation, 1);

    read(&mut lab, 3, true);
    lab.tell(&ToSupervisor::Settle { number: 3, request: Some(2) });
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 2, back: false }, Some(_))))));
    let daemon = lab.told().unwrap();
    assert_eq!((daemon.reloads.accepted, daemon.reloads.rejected, daemon.reloads.hash), (1, 0, 12));
    assert_eq!(lab.answered(), [], "it is not in force everywhere");
    lab.tell(&ToSupervisor::Ready { config: 2 });
    assert_eq!(lab.answered(), [(vec![2], true, String::new())]);

    // The plan is of what was in force when it was made.
    read(&mut lab, 4, true);
    lab.supervisor.generation += 1;
    lab.tell(&ToSupervisor::Settle { number: 4, request: Some(3) });
    assert!(matches!(&lab.answered()[..], [(of, false, why)] if *of == [3] && why.contains("another configuration")));
}

#[test]
fn a_plan_of_a_file_with_mistakes_is_answered_with_them_and_counts_as_no_reload() {
    let mut lab = Lab::new(|_| Sheet::default());
    lab.told();
    let mut loading = ended(&[COMPLAINTS, b"error: no such thing\n"].concat(), &[]);
    loading.purpose = Purpose::Plan { number: 1, keep: true };
    assert_eq!(lab.supervisor.loaded(loading, exit::CONFIG), None);
    let answer = lab.bridge.receive().unwrap();
    let Some((ToChild::Planned { number: 1, error: Some(error), .. }, None)) = answer else { panic!("{answer:?}") };
    assert_eq!(error, "error: no such thing\n");
    lab.supervisor.records.changed = true;
    assert_eq!(lab.told().unwrap().reloads.rejected, 0);
}

/// A new configuration is accepted, and the bridge is told of it.
fn reloaded(lab: &mut Lab, sheet: &Sheet) {
    let loading = ended(&postcard::to_stdvec(sheet).unwrap(), &[]);
    memfd::seal(loading.file.as_fd()).unwrap();
    assert_eq!(lab.supervisor.loaded(loading, exit::OK), None);
    let config = lab.supervisor.generation;
    assert!(
        matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: of, back: false }, Some(_)))) if of == config)
    );
}

#[test]
fn a_configuration_that_a_process_cannot_take_is_taken_back_from_all_and_the_reload_has_failed() {
    let mut lab = Lab::new(|_| Sheet { hash: 11, ..Sheet::default() });
    lab.supervisor.records.changed = true;
    lab.told();
    reloaded(&mut lab, &Sheet { hash: 12, warnings: 4, ..Sheet::default() });
    assert_eq!(lab.told().unwrap().reloads.hash, 12);

    // What is said of another configuration is of yesterday.
    lab.supervisor.cannot_take(Role::Vrrp, 1, "x");
    assert_eq!(lab.supervisor.generation, 2);
    lab.supervisor.cannot_take(Role::Vrrp, 2, "the kernel refuses it");
    assert!(matches!(lab.bridge.receive(), Ok(Some((ToChild::Reload { config: 3, back: true }, Some(_))))));
    assert_eq!(lab.supervisor.config.as_ref().unwrap().sheet.hash, 11);
    let reloads = lab.told().unwrap().reloads;
    assert!(!reloads.successful && reloads.errors.contains("the kernel refuses it"), "{reloads:?}");
    assert_eq!((reloads.accepted, reloads.rejected, reloads.warnings), (1, 1, 0));

    // There is nothing to go back to from here: what cannot be done is not done.
    lab.supervisor.cannot_take(Role::Vrrp, 3, "nor this");
    lab.tell(&ToSupervisor::Ready { config: 3 });
    assert_eq!((lab.supervisor.generation, lab.supervisor.announced), (3, 3));
    assert!(!lab.told().unwrap().reloads.successful);

    // And the next one is accepted as ever.
    reloaded(&mut lab, &Sheet { hash: 13, ..Sheet::default() });
    lab.tell(&ToSupervisor::Ready { config: 4 });
    lab.supervisor.cannot_take(Role::Vrrp, 4, "too late");
    assert_eq!(lab.supervisor.generation, 4);
    assert!(lab.told().unwrap().reloads.successful);
}

#[test]
fn a_process_that_dies_of_a_new_configuration_gets_the_old_one_and_does_not_end_the_daemon() {
    let mut lab = Lab::new(|_| Sheet { wants_vrrp: true, ..Sheet::default() });
    let (ours, _theirs) = Seqpacket::pair().unwrap();
    let process = Command::new("false").stdin(Stdio::null()).spawn().unwrap();
    let mut vrrp = Running::played(process, Channel::new(ours), BRIDGE + 1);
    vrrp.process.wait().unwrap();
    vrrp.ready = 1;
    lab.supervisor.children.insert(Role::Vrrp, vrrp);
    reloaded(&mut lab, &Sheet { wants_vrrp: true, hash: 12, ..Sheet::default() });
    // Engines wait for the startup script: none is started from within a test.
    lab.supervisor.starting = Some(clock::now() + Duration::from_secs(1000));
    let status = std::os::unix::process::ExitStatusExt::from_raw(exit::CONFIG << 8);
    lab.supervisor.died(Role::Vrrp, status);
    assert!(lab.supervisor.stopping.is_none());
    assert_eq!((lab.supervisor.generation, lab.supervisor.config.as_ref().unwrap().sheet.hash), (3, 0));
    assert!(lab.supervisor.records.told_errors().contains("the vrrp process died of it"));
    assert!(!lab.supervisor.children.contains_key(&Role::Vrrp));
}

#[test]
fn nobody_goes_back_while_the_daemon_stops_nor_for_the_sake_of_one_who_only_watches() {
    let mut lab = Lab::new(|_| Sheet::default());
    reloaded(&mut lab, &Sheet { hash: 12, ..Sheet::default() });
    lab.tell(&ToSupervisor::CannotTake { config: 2, why: "the bridge has no room".to_owned() });
    assert_eq!(lab.supervisor.generation, 2, "it only watches");

    reloaded(&mut lab, &Sheet { hash: 13, ..Sheet::default() });
    assert!(lab.supervisor.trial.is_some());
    lab.supervisor.stop(exit::OK);
    lab.supervisor.cannot_take(Role::Vrrp, 3, "it is leaving");
    assert_eq!(lab.supervisor.generation, 3);
}

#[test]
fn who_was_not_well_before_or_ended_well_has_not_died_of_a_configuration_and_who_has_goes_on_where_it_was() {
    use std::os::unix::process::ExitStatusExt;
    let killed = std::process::ExitStatus::from_raw(9);
    let well = std::process::ExitStatus::from_raw(0);
    let mut lab = Lab::new(|_| Sheet::default());
    reloaded(&mut lab, &Sheet { hash: 12, ..Sheet::default() });
    let before = roles(&lab.supervisor.trial.as_ref().unwrap().before.sheet);
    assert!(before.contains(&Role::Bridge));
    assert!(!lab.supervisor.died_of_trial(Role::Bridge, 1, killed));
    assert!(!lab.supervisor.died_of_trial(Role::Runner, 1, well));
    assert!(!lab.supervisor.died_of_trial(Role::Runner, 2, killed), "it had it in force");
    for role in before {
        assert!(!lab.supervisor.died_of_trial(role, 0, killed), "{role:?} was not there before");
    }
    assert_eq!(lab.supervisor.generation, 2);
    lab.supervisor.options.dont_respawn = false;
    assert!(lab.supervisor.died_of_trial(Role::Runner, 1, killed));
    assert_eq!(lab.supervisor.generation, 3);
    assert!(!lab.supervisor.died_of_trial(Role::Runner, 1, killed), "there is no way back from here");
}
