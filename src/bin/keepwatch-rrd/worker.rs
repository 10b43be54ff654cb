//! The thread that waits for disks and for rrdcached. It has one job at a time, as librrd draws in one thread only.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use keepwatch::clock;
use keepwatch::conf::model::RrdSettings;
use keepwatch::export::graph::GraphError;
use keepwatch::export::rrd::wire::{FromRrd, PART_MAX, ToRrd};
use tokio::sync::mpsc;

use crate::draw;
use crate::writer::{Refused, Writer};

/// Jobs that wait: eight pictures, a batch, and some that nobody waits for any more.
const JOBS_MAX: usize = 32;

/// A picture of the largest size is a tenth of this.
const PICTURE_MAX: usize = 16 * 1024 * 1024;

enum Job {
    Do(ToRrd),
    Settle(Box<RrdSettings>),
}

/// The end of those who have something done.
#[derive(Clone)]
pub struct Worker {
    jobs: Arc<(Mutex<VecDeque<Job>>, Condvar)>,
}

impl Worker {
    /// Starts the thread; answers come over `answers`.
    pub fn start(
        settings: RrdSettings,
        host: String,
        answers: mpsc::UnboundedSender<FromRrd>,
    ) -> std::io::Result<Worker> {
        let worker = Worker { jobs: Arc::default() };
        let own = worker.clone();
        std::thread::Builder::new().name("rrd".to_owned()).spawn(move || own.run(settings, &host, &answers))?;
        Ok(worker)
    }

    /// False: it has too much to do already.
    pub fn ask(&self, job: ToRrd) -> bool {
        self.push(Job::Do(job), JOBS_MAX)
    }

    /// The next batch is written as these say.
    pub fn settle(&self, settings: RrdSettings) {
        self.push(Job::Settle(Box::new(settings)), usize::MAX);
    }

    fn push(&self, job: Job, limit: usize) -> bool {
        let (jobs, news) = &*self.jobs;
        let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= limit {
            return false;
        }
        jobs.push_back(job);
        news.notify_one();
        true
    }

    fn next(&self) -> Job {
        let (jobs, news) = &*self.jobs;
        let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match jobs.pop_front() {
                Some(job) => return job,
                None => jobs = news.wait(jobs).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn run(&self, settings: RrdSettings, host: &str, answers: &mpsc::UnboundedSender<FromRrd>) {
        let mut directory: PathBuf = settings.directory.clone();
        let mut writer = Writer::new(&settings, host.to_owned());
        // When nobody hears answers any more, the process ends.
        loop {
            match self.next() {
                Job::Settle(settings) => {
                    directory.clone_from(&settings.directory);
                    writer = Writer::new(&settings, host.to_owned());
                }
                Job::Do(ToRrd::Updates { number, at, updates }) => {
                    let answer = match writer.write(at, &updates) {
                        Ok(tally) => FromRrd::Written { number, tally },
                        Err(Refused(why)) => FromRrd::Refused { number, why },
                    };
                    let _ = answers.send(answer);
                }
                Job::Do(ToRrd::Draw { request, until, graph }) => {
                    if clock::now() >= until {
                        continue;
                    }
                    let picture = draw::picture(&directory, &graph).and_then(|picture| {
                        let fits = picture.len() <= PICTURE_MAX;
                        fits.then_some(picture).ok_or_else(|| GraphError::Failed("the picture is too large".to_owned()))
                    });
                    match picture {
                        Ok(picture) => send(&picture, request, answers),
                        Err(error) => drop(answers.send(FromRrd::NoPicture { request, error })),
                    }
                }
            }
        }
    }
}

fn send(picture: &[u8], request: u64, answers: &mpsc::UnboundedSender<FromRrd>) {
    let mut parts = picture.chunks(PART_MAX).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let _ = answers.send(FromRrd::Picture { request, bytes: part.to_vec(), last });
    }
}
