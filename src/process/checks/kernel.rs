//! The thread that speaks to the kernel about IPVS, so that neither a list of ten thousand services nor a module that
//! takes its time to load delays a probe.
//!
//! Questions are answered in the order they came; changes go before the statistics, which fill the time between.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::check::table::{Found, Op, ServiceId, Stats};
use crate::clock::{self, Instant};
use crate::conf::model::Lvs;
use crate::netlink::ipvs::{self, Ipvs, totals};
use crate::sys::privileges::{self, Capability};

/// What the driver asks.
#[derive(Debug)]
pub enum Ask {
    /// Carry these out in this order.
    Ops { batch: u64, ops: Vec<Op> },
    /// List everything.
    Table,
    /// List everything to whoever only looks, by a number of his own.
    Look(u64),
    /// Count these from now on, this often.
    Count { services: BTreeSet<ServiceId>, every: Duration },
}

/// What the kernel says.
#[derive(Debug)]
pub enum Answer {
    /// An errno, or `None`, for each operation of the batch.
    Ops {
        batch: u64,
        errors: Vec<Option<i32>>,
    },
    Table(Vec<Found>),
    Look(u64, Vec<Found>),
    /// Counters that moved.
    Statistics(Found),
    /// A round of counting that began then is over.
    Counted {
        began: Instant,
        took_us: u64,
        totals: Option<Stats>,
    },
    /// One that could not be finished.
    NotCounted,
    /// There is no IPVS to speak to.
    Nothing {
        error: String,
    },
}

/// Answers that may wait for the driver; then the thread waits.
const ANSWERS: usize = 1024;

/// Counting may take this part of the thread's time.
const COUNTING_SHARE: u32 = 10;

/// A list that fails is begun anew this often, after a pause.
const FAILURES: usize = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// A list that changes interrupt is begun anew this often; then the changes wait.
const INTERRUPTIONS: usize = 3;

/// The thread's end of the line goes away with this.
#[derive(Debug)]
pub struct Kernel {
    asks: Sender<Ask>,
}

impl Kernel {
    /// Starts the thread. It keeps running until this is dropped.
    pub fn start(lvs: &Lvs) -> std::io::Result<(Kernel, mpsc::Receiver<Answer>)> {
        let (asks, asked) = channel();
        let (answers, answered) = mpsc::channel(ANSWERS);
        let settings = lvs.clone();
        std::thread::Builder::new().name("ipvs".into()).spawn(move || {
            // A namespace may come later than we do, and takes more rights to enter.
            let entering = settings.namespace.iter().map(|_| Capability::SysAdmin);
            drop_all_but(&entering.chain([Capability::NetAdmin]).collect::<Vec<_>>());
            Thread {
                receive_buffer: settings.command_buffer,
                namespace: settings.namespace,
                ipvs: None,
                asked,
                answers,
                counted: BTreeMap::new(),
                services: BTreeSet::new(),
                every: Duration::MAX,
                due: None,
            }
            .run();
        })?;
        Ok((Kernel { asks }, answered))
    }

    /// Queues a question. A thread that is gone has taken the process with it.
    pub fn ask(&self, ask: Ask) {
        let _ = self.asks.send(ask);
    }
}

fn drop_all_but(capabilities: &[Capability]) {
    if let Err(error) = privileges::keep(capabilities) {
        warn!("cannot drop capabilities that are not needed: {error}");
    }
}

/// An empty name is the namespace of the host's first process.
fn enter(namespace: &str) -> std::io::Result<()> {
    let path = match namespace {
        "" => "/proc/1/ns/net".to_owned(),
        name => format!("/run/netns/{name}"),
    };
    let file = std::fs::File::open(path)?;
    Ok(nix::sched::setns(file.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET)?)
}

struct Thread {
    receive_buffer: Option<u32>,
    /// To be entered before anything is asked of the kernel: in another one it would be somebody else's table.
    namespace: Option<String>,
    ipvs: Option<Ipvs>,
    asked: Receiver<Ask>,
    answers: mpsc::Sender<Answer>,
    /// What was last told of each service.
    counted: BTreeMap<ServiceId, Found>,
    services: BTreeSet<ServiceId>,
    every: Duration,
    due: Option<Instant>,
}

/// The driver is gone.
struct Gone;

impl Thread {
    fn run(mut self) {
        while self.turn().is_ok() {}
    }

    fn turn(&mut self) -> Result<(), Gone> {
        let patience = self.due.map(|due| due.since(clock::now()));
        let ask = match patience {
            None => Some(self.asked.recv().map_err(|_| Gone)?),
            Some(patience) => match self.asked.recv_timeout(patience) {
                Ok(ask) => Some(ask),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Err(Gone),
            },
        };
        match ask {
            Some(ask) => self.serve(ask),
            None => self.count(),
        }
    }

    fn serve(&mut self, ask: Ask) -> Result<(), Gone> {
        match ask {
            Ask::Ops { batch, ops } => {
                let errors = match self.open() {
                    Ok(ipvs) => ipvs.apply(&ops),
                    Err(error) => {
                        debug!("{error}");
                        vec![Some(libc::ENODEV); ops.len()]
                    }
                };
                self.say(Answer::Ops { batch, errors })
            }
            Ask::Table => self.list(None),
            Ask::Look(number) => self.list(Some(number)),
            Ask::Count { services, every } => {
                // Some of them may be somebody else's now, who has heard nothing.
                self.counted.clear();
                self.services = services;
                self.every = every;
                let latest = clock::now() + every;
                self.due = (!self.services.is_empty()).then(|| self.due.map_or(latest, |due| due.min(latest)));
                Ok(())
            }
        }
    }

    fn say(&self, answer: Answer) -> Result<(), Gone> {
        self.answers.blocking_send(answer).map_err(|_| Gone)
    }

    fn open(&mut self) -> Result<&mut Ipvs, String> {
        if let Some(name) = &self.namespace {
            enter(name).map_err(|error| format!("cannot enter the network namespace `{name}` of IPVS: {error}"))?;
            drop_all_but(&[Capability::NetAdmin]);
            self.namespace = None;
        }
        match &mut self.ipvs {
            Some(ipvs) => Ok(ipvs),
            none => Ok(none.insert(Ipvs::open(self.receive_buffer).map_err(|error| error.to_string())?)),
        }
    }

    fn list(&mut self, look: Option<u64>) -> Result<(), Gone> {
        let (mut interruptions, mut failures) = (0, 0);
        loop {
            if let Err(error) = self.open() {
                return self.say(Answer::Nothing { error });
            }
            let error = match self.whole(look, interruptions < INTERRUPTIONS) {
                Ok(Listed::Whole(table)) => {
                    return self.say(match look {
                        None => Answer::Table(table),
                        Some(number) => Answer::Look(number, table),
                    });
                }
                Ok(Listed::Interrupted(ask)) => {
                    interruptions += 1;
                    self.serve(ask)?;
                    continue;
                }
                Ok(Listed::Gone) => return Err(Gone),
                Err(error) => error,
            };
            // A new socket finds out whether there is anything to speak to.
            self.ipvs = None;
            failures += 1;
            if failures > FAILURES || matches!(error, ipvs::Error::Absent | ipvs::Error::NotPermitted) {
                return self.say(Answer::Nothing { error: error.to_string() });
            }
            warn!("cannot list what is in IPVS, trying again: {error}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Everything there is; or, when it may be interrupted, the change that came in between.
    fn whole(&mut self, look: Option<u64>, interruptible: bool) -> Result<Listed, ipvs::Error> {
        let Some(ipvs) = &mut self.ipvs else { return Err(ipvs::Error::Absent) };
        let mut table = Vec::new();
        let mut services = ipvs.services()?;
        // A list is made in pieces, and one of them may have left out what moved between them: ask for it by name.
        let listed: BTreeSet<ServiceId> = services.iter().map(|(service, _)| service.id).collect();
        for id in self.services.difference(&listed) {
            if let Ok(found) = ipvs.service(id) {
                services.extend(found);
            }
        }
        for (service, stats) in services {
            if interruptible {
                match self.asked.try_recv() {
                    // Asked for twice, told once.
                    Ok(Ask::Table) if look.is_none() => {}
                    Err(TryRecvError::Empty) => {}
                    Ok(ask) => return Ok(Listed::Interrupted(ask)),
                    Err(TryRecvError::Disconnected) => return Ok(Listed::Gone),
                }
            }
            let destinations = ipvs.destinations(&service.id)?;
            table.push(Found { service, stats, destinations });
        }
        Ok(Listed::Whole(table))
    }

    /// Asks for the counters of our services, and tells those that moved.
    fn count(&mut self) -> Result<(), Gone> {
        let began = clock::now();
        let mut whole = true;
        let services = match self.open().map(Ipvs::services) {
            Ok(Ok(services)) => services,
            Ok(Err(error)) => {
                warn!("cannot read the counters of IPVS: {error}");
                self.ipvs = None;
                whole = false;
                Vec::new()
            }
            Err(error) => {
                debug!("{error}");
                whole = false;
                Vec::new()
            }
        };
        // Of the namespace that this thread is in by now.
        let totals = whole.then(totals::read).flatten();
        for (service, stats) in services {
            if !self.services.contains(&service.id) {
                continue;
            }
            // Changes do not wait for statistics.
            match self.asked.try_recv() {
                Ok(ask) => self.serve(ask)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(Gone),
            }
            let Some(ipvs) = &mut self.ipvs else {
                whole = false;
                break;
            };
            let destinations = match ipvs.destinations(&service.id) {
                Ok(destinations) => destinations,
                Err(error) => {
                    warn!("cannot read the counters of {}: {error}", service.id);
                    whole = false;
                    continue;
                }
            };
            let found = Found { service, stats, destinations };
            if self.counted.get(&found.service.id) != Some(&found) {
                self.counted.insert(found.service.id, found.clone());
                self.say(Answer::Statistics(found))?;
            }
        }
        let now = clock::now();
        let took = now.since(began);
        self.say(match whole {
            true => Answer::Counted { began, took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX), totals },
            false => Answer::NotCounted,
        })?;
        let rest = self.every.max(took.saturating_mul(COUNTING_SHARE));
        self.due = (!self.services.is_empty()).then(|| now + rest);
        Ok(())
    }
}

enum Listed {
    Whole(Vec<Found>),
    Interrupted(Ask),
    Gone,
}
