//! History: at each step a look becomes updates for the rrd process, and pictures are asked of it. It may be stopped, slow
//! or not there at all: what it does not take waits in a bounded queue, and then the oldest is dropped and counted.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tracing::{debug, error};

use super::Bridge;
use crate::bus::frame;
use crate::clock::{self, Instant, WallTime};
use crate::conf::model::RrdSettings;
use crate::export::graph::{GraphError, GraphRequest};
use crate::export::look::RrdReport;
use crate::export::rrd::queue::Queue;
use crate::export::rrd::wire::{self, FromRrd, ToRrd};
use crate::export::rrd::{graphs, layout, updates};
use crate::sys::aio::{self, Owned};
use crate::sys::seqpacket::{FRAME_MAX, Received, Sent, Seqpacket};

/// Frames read in one go; then others have their turn.
const FRAMES_PER_TURN: usize = 64;

/// Pictures that are waited for.
const PICTURES_MAX: usize = 8;
/// How long one may take.
const PICTURE_PATIENCE: Duration = Duration::from_secs(10);
/// Octets of one; the rrd process makes none that are larger.
const PICTURE_MAX: usize = 16 * 1024 * 1024;

/// A process that has not written a batch a step and so long after it was given it is stuck. On a disk that is as slow as
/// that no step is written in time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest name in a request.
const NAME_MAX: usize = 4096;

const SECOND_NS: u64 = 1_000_000_000;

/// The side of the rrd process.
#[derive(Default)]
pub(super) struct History {
    /// `None`: no history is kept.
    settings: Option<RrdSettings>,
    process: Option<Process>,
    queue: Queue,
    /// Numbers of batches.
    numbered: u64,
    /// The next step.
    due: Option<Instant>,
    /// Nothing is sent before the next step: what was sent was not taken.
    resting: bool,
    report: RrdReport,
    /// Something of the step that is being written could not be.
    step_failed: bool,
    /// When the process was given the batch that is under way.
    given: Option<(Instant, WallTime)>,
    pictures: BTreeMap<u64, Waiting>,
    asked: u64,
    buffer: Vec<u8>,
}

struct Process {
    socket: Seqpacket,
    ready: AsyncFd<Owned>,
    /// The socket had no room.
    full: bool,
}

/// Somebody who waits for a picture, and what has come of it.
struct Waiting {
    until: Instant,
    bytes: Vec<u8>,
    tell: Answer,
}

type Answer = oneshot::Sender<Result<Vec<u8>, GraphError>>;

impl History {
    pub(super) fn configure(&mut self, new: Option<&RrdSettings>, wall: WallTime, now: Instant) {
        if self.settings.as_ref() == new {
            return;
        }
        self.settings = new.cloned();
        match new {
            Some(settings) => {
                self.report.directory.clone_from(&settings.directory);
                self.report.cached.clone_from(&settings.cached);
                self.due = Some(next_step(settings, wall, now));
            }
            None => {
                *self = History { asked: self.asked, numbered: self.numbered, ..History::default() };
            }
        }
    }

    /// What is shown of it; `None`: no history is kept.
    pub(super) fn report(&self, now: Instant) -> Option<RrdReport> {
        let settings = self.settings.as_ref()?;
        let patience = Duration::from_secs(layout::step(settings.profile).into()) + PATIENCE;
        let stuck = self.given.filter(|(at, _)| now.since(*at) > patience);
        let stuck_since = stuck.map(|(_, at)| at);
        Some(RrdReport { dropped: self.queue.dropped(), stuck_since, ..self.report.clone() })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let pictures = self.pictures.values().map(|waiting| waiting.until);
        pictures.chain(self.due).min()
    }

    /// Waits until the process has said something, or can be told more.
    pub(super) async fn ready(&self) {
        let Some(process) = &self.process else { return std::future::pending().await };
        if !process.full {
            return aio::readable(&process.ready).await;
        }
        tokio::select! {
            () = aio::readable(&process.ready) => {}
            () = aio::writable(&process.ready) => {}
        }
    }

    fn meet(&mut self, fd: OwnedFd) {
        self.part();
        match fd.try_clone().and_then(aio::register) {
            Ok(ready) => {
                self.process = Some(Process { socket: Seqpacket::from_fd(fd), ready, full: false });
                self.resting = false;
                self.report.connected = true;
            }
            Err(error) => error!("cannot listen to the rrd process: {error}"),
        }
        self.send();
    }

    /// The process is gone: what it had was not written, or is written a second time to no effect.
    fn part(&mut self) {
        if self.process.take().is_none() {
            return;
        }
        self.queue.back();
        self.given = None;
        self.report.connected = false;
        for (_, waiting) in std::mem::take(&mut self.pictures) {
            let _ = waiting.tell.send(Err(unavailable("the rrd process has ended; it is started again")));
        }
    }

    /// Sends what may be sent now.
    fn send(&mut self) {
        while let (Some(process), false) = (&mut self.process, self.resting) {
            let Some(batch) = self.queue.next() else { return };
            match process.socket.send(&batch.frame, &[]) {
                Ok(Sent::Yes) => {
                    process.full = false;
                    self.queue.sent();
                    self.given = Some((clock::now(), clock::wall()));
                }
                Ok(Sent::Full) => {
                    process.full = true;
                    return aio::filled(&process.ready);
                }
                // The next read finds the same.
                Ok(Sent::Gone) | Err(_) => return,
            }
        }
    }

    fn read(&mut self) {
        self.buffer.resize(FRAME_MAX, 0);
        for _ in 0..FRAMES_PER_TURN {
            let Some(process) = &self.process else { return };
            let messages = match process.socket.receive(&mut self.buffer) {
                Ok(Received::Nothing) => return aio::drained(&process.ready),
                Ok(Received::Frame(length, _)) => {
                    frame::decode::<FromRrd>(self.buffer.get(..length).unwrap_or_default())
                }
                Ok(Received::Gone) | Err(_) => return self.part(),
            };
            match messages {
                Ok(messages) => messages.into_iter().for_each(|message| self.heard(message)),
                Err(error) => {
                    error!("the rrd process cannot be understood: {error}");
                    return self.part();
                }
            }
        }
    }

    fn heard(&mut self, message: FromRrd) {
        match message {
            FromRrd::Written { number, tally } => {
                let ends_step = self.queue.ends_step();
                if self.queue.done(number) {
                    self.given = None;
                    self.report.success += tally.success;
                    self.report.failure += tally.failure;
                    self.report.flush_us = tally.took_us;
                    self.report.busy_us += tally.took_us;
                    self.report.files = tally.files;
                    self.step_failed |= tally.failure > 0 || tally.error.is_some();
                    if tally.error.is_some() {
                        self.report.last_error = tally.error;
                    }
                    // The same file fails once in each step: what its other batches say is no recovery.
                    if ends_step && !std::mem::take(&mut self.step_failed) {
                        self.report.last_error = None;
                    }
                }
            }
            FromRrd::Refused { why, .. } => {
                self.queue.back();
                self.resting = true;
                self.given = None;
                self.report.last_error = Some(why);
            }
            FromRrd::Picture { request, bytes, last } => {
                let Some(waiting) = self.pictures.get_mut(&request) else { return };
                waiting.bytes.extend(bytes);
                let too_large = waiting.bytes.len() > PICTURE_MAX;
                if (last || too_large)
                    && let Some(waiting) = self.pictures.remove(&request)
                {
                    let failed = || Err(GraphError::Failed("the picture is too large".to_owned()));
                    let _ = waiting.tell.send(if too_large { failed() } else { Ok(waiting.bytes) });
                }
            }
            FromRrd::NoPicture { request, error } => {
                if let Some(waiting) = self.pictures.remove(&request) {
                    let _ = waiting.tell.send(Err(error));
                }
            }
        }
    }

    fn draw(&mut self, graph: GraphRequest, now: Instant, tell: Answer) {
        if let Err(error) = self.try_draw(graph, now) {
            // One that has gone meanwhile needs no answer.
            let _ = tell.send(Err(error));
        } else {
            let until = now + PICTURE_PATIENCE;
            self.pictures.insert(self.asked, Waiting { until, bytes: Vec::new(), tell });
        }
    }

    /// Has the request on its way to the process, under the number [`Self::asked`].
    fn try_draw(&mut self, graph: GraphRequest, now: Instant) -> Result<(), GraphError> {
        graphs::check(&graph)?;
        if graph.name.len() > NAME_MAX {
            return Err(GraphError::BadRequest("the name is too long".to_owned()));
        }
        if self.settings.is_none() {
            return Err(unavailable("no history is kept: keepwatch.yaml has no section `rrd`"));
        }
        self.pictures.retain(|_, waiting| !waiting.tell.is_closed());
        if self.pictures.len() >= PICTURES_MAX {
            return Err(unavailable("too many graphs are being drawn; try again"));
        }
        let process = self.process.as_ref().ok_or_else(|| unavailable("the rrd process is not there"))?;
        let request = self.asked + 1;
        let message = ToRrd::Draw { request, until: now + PICTURE_PATIENCE, graph: Box::new(graph) };
        let bytes = frame::encode(&message).map_err(|error| GraphError::BadRequest(error.to_string()))?;
        match process.socket.send(&bytes, &[]) {
            Ok(Sent::Yes) => {
                self.asked = request;
                Ok(())
            }
            Ok(Sent::Full | Sent::Gone) | Err(_) => Err(unavailable("the rrd process does not listen")),
        }
    }

    fn expire(&mut self, now: Instant) {
        let late: Vec<u64> =
            self.pictures.iter().filter(|(_, waiting)| waiting.until <= now).map(|(request, _)| *request).collect();
        for waiting in late.into_iter().filter_map(|request| self.pictures.remove(&request)) {
            let text = format!("the graph was not drawn within {} s", PICTURE_PATIENCE.as_secs());
            let _ = waiting.tell.send(Err(unavailable(&text)));
        }
    }
}

fn unavailable(text: &str) -> GraphError {
    GraphError::Unavailable(text.to_owned())
}

/// Steps begin at multiples of their length since 1970, as rows of the files do.
fn next_step(settings: &RrdSettings, wall: WallTime, now: Instant) -> Instant {
    let step = u64::from(layout::step(settings.profile)) * SECOND_NS;
    now + Duration::from_nanos(step - wall.0 % step)
}

impl Bridge {
    pub(super) fn meet_rrd(&mut self, fd: OwnedFd) {
        self.history.meet(fd);
    }

    /// The process has said something, or takes more.
    pub(super) fn serve_rrd(&mut self) {
        self.history.read();
        self.history.send();
    }

    pub(super) fn draw(&mut self, graph: GraphRequest, tell: Answer) {
        self.history.draw(graph, clock::now(), tell);
    }

    /// Does what is due.
    pub(super) fn wake_rrd(&mut self, now: Instant) {
        self.history.expire(now);
        if self.history.due.is_none_or(|due| due > now) {
            return;
        }
        let Some(settings) = self.history.settings.clone() else { return };
        let look = self.look();
        self.history.due = Some(next_step(&settings, look.at, now));
        let updates = updates::updates(&look, &settings);
        let at = look.at.0 / SECOND_NS;
        let (batches, lost) = wire::batches(at, updates, &mut self.history.numbered);
        if lost > 0 {
            debug!("{lost} RRD updates fit no message");
        }
        self.history.queue.lose(lost);
        self.history.queue.push(at, batches);
        self.history.resting = false;
        self.history.send();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Lab, both, lab};
    use super::*;
    use crate::bus::msg::Source;
    use crate::export::graph::{GraphFormat, GraphKind};
    use crate::export::rrd::queue::STEPS_MAX;
    use crate::export::rrd::wire::{Tally, Update};

    /// A bridge that keeps history, with rows of both engines.
    fn keeping() -> Lab {
        let mut config = both();
        config.settings.rrd = Some(RrdSettings::default());
        let mut lab = lab(config);
        // The engines' ends close: what they said stays.
        let _ = (lab.filled(Source::Vrrp), lab.filled(Source::Checks));
        lab
    }

    fn meet(lab: &mut Lab) -> Seqpacket {
        let (ours, theirs) = Seqpacket::pair().unwrap();
        lab.bridge.meet_rrd(theirs.into_fd());
        ours
    }

    /// As if the next step had come; gives the number of updates that it made.
    fn step(lab: &mut Lab) -> u64 {
        let due = lab.bridge.history.due.unwrap();
        let before = lab.bridge.history.numbered;
        lab.bridge.wake_rrd(due);
        assert_eq!(lab.bridge.history.numbered, before + 1, "a step of so few objects is one message");
        updates::updates(&lab.bridge.look(), &RrdSettings::default()).len() as u64
    }

    fn heard(socket: &Seqpacket) -> Vec<ToRrd> {
        let (mut all, mut buffer) = (vec![], vec![0; FRAME_MAX]);
        while let Ok(Received::Frame(length, _)) = socket.receive(&mut buffer) {
            all.extend(frame::decode::<ToRrd>(&buffer[..length]).unwrap());
        }
        all
    }

    fn numbers(socket: &Seqpacket) -> Vec<(u64, Vec<Update>)> {
        let updates = |message| match message {
            ToRrd::Updates { number, updates, .. } => Some((number, updates)),
            ToRrd::Draw { .. } => None,
        };
        heard(socket).into_iter().filter_map(updates).collect()
    }

    fn say(lab: &mut Lab, socket: &Seqpacket, message: &FromRrd) {
        assert!(matches!(socket.send(&frame::encode(message).unwrap(), &[]), Ok(Sent::Yes)));
        lab.bridge.serve_rrd();
    }

    fn written(number: u64, updates: u64) -> FromRrd {
        FromRrd::Written { number, tally: Tally { success: updates, files: 3, ..Tally::default() } }
    }

    fn report(lab: &Lab) -> RrdReport {
        lab.bridge.history.report(clock::now()).unwrap()
    }

    #[tokio::test]
    async fn steps_are_sent_one_message_at_a_time_and_what_became_of_them_is_counted() {
        let mut lab = keeping();
        let socket = meet(&mut lab);
        let each = step(&mut lab);
        step(&mut lab);
        let first = numbers(&socket);
        assert_eq!((first.len(), first[0].0, first[0].1.len() as u64), (1, 1, each));
        assert!(report(&lab).connected, "it is there, whether or not a step has come");
        say(&mut lab, &socket, &written(1, each));
        assert_eq!(numbers(&socket).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2]);
        say(
            &mut lab,
            &socket,
            &FromRrd::Written {
                number: 2,
                tally: Tally { success: each - 1, failure: 1, error: Some("disk full".into()), ..Tally::default() },
            },
        );
        let failed = report(&lab);
        assert_eq!((failed.success, failed.failure, failed.dropped), (2 * each - 1, 1, 0));
        assert!(failed.connected && failed.last_error.as_deref() == Some("disk full"));
        // It passed.
        step(&mut lab);
        say(&mut lab, &socket, &written(3, each));
        assert_eq!((report(&lab).last_error, report(&lab).failure), (None, 1));
    }

    #[tokio::test]
    async fn a_file_that_fails_in_each_step_stays_known_whatever_the_step_s_other_messages_say() {
        let mut lab = keeping();
        let socket = meet(&mut lab);
        let batch = |number| wire::Batch {
            number,
            frame: frame::encode(&ToRrd::Updates { number, at: 0, updates: vec![] }).unwrap(),
            updates: 1,
        };
        let failed = |number| FromRrd::Written {
            number,
            tally: Tally { failure: 1, error: Some("disk full".into()), ..Tally::default() },
        };
        for at in [10, 20] {
            lab.bridge.history.queue.push(at, vec![batch(at), batch(at + 1), batch(at + 2)]);
            lab.bridge.history.send();
            say(&mut lab, &socket, &written(at, 1));
            say(&mut lab, &socket, &failed(at + 1));
            say(&mut lab, &socket, &written(at + 2, 1));
            assert_eq!(report(&lab).last_error.as_deref(), Some("disk full"));
        }
    }

    #[tokio::test]
    async fn a_process_that_is_stopped_costs_what_does_not_fit_the_queue_and_nothing_else() {
        let mut lab = keeping();
        let socket = meet(&mut lab);
        let each = step(&mut lab);
        for _ in 0..STEPS_MAX + 10 {
            step(&mut lab);
        }
        assert_eq!(report(&lab).dropped, 10 * each);
        // It goes on: the message that it has, and then the oldest that is left.
        assert_eq!(numbers(&socket).len(), 1);
        say(&mut lab, &socket, &written(1, each));
        assert_eq!(numbers(&socket)[0].0, 12);
    }

    #[tokio::test]
    async fn what_a_process_that_died_had_goes_to_the_next_and_what_is_refused_waits_for_the_next_step() {
        let mut lab = keeping();
        let each = step(&mut lab);
        let socket = meet(&mut lab);
        assert_eq!(numbers(&socket)[0].0, 1);
        drop(socket);
        lab.bridge.serve_rrd();
        assert!(!report(&lab).connected);
        let socket = meet(&mut lab);
        assert_eq!(numbers(&socket)[0].0, 1);
        say(&mut lab, &socket, &FromRrd::Refused { number: 1, why: "rrdcached is away".into() });
        assert_eq!(numbers(&socket), []);
        assert!(report(&lab).connected, "rrdcached is away, and the process is not");
        step(&mut lab);
        assert_eq!(numbers(&socket)[0].0, 1);
        say(&mut lab, &socket, &written(1, each));
        assert_eq!((numbers(&socket)[0].0, report(&lab).dropped, report(&lab).success), (2, 0, each));
    }

    #[tokio::test]
    async fn a_process_is_stuck_when_a_step_and_ten_seconds_have_not_sufficed_for_a_message() {
        let mut lab = keeping();
        let each = step(&mut lab);
        let socket = meet(&mut lab);
        let given = clock::now();
        let stuck = |lab: &Lab, seconds| {
            let report = lab.bridge.history.report(given + Duration::from_secs(seconds)).unwrap();
            (report.connected, report.stuck_since.is_some())
        };
        // The step is ten seconds.
        assert_eq!((stuck(&lab, 19), stuck(&lab, 21)), ((true, false), (true, true)));
        say(&mut lab, &socket, &written(1, each));
        assert_eq!(stuck(&lab, 21), (true, false));
        step(&mut lab);
        assert_eq!(stuck(&lab, 21), (true, true));
        drop(socket);
        lab.bridge.serve_rrd();
        assert_eq!(stuck(&lab, 21), (false, false));
    }

    fn request() -> GraphRequest {
        GraphRequest {
            kind: GraphKind::Vrrp,
            name: "VI_1".into(),
            view: None,
            span: Duration::from_secs(3600),
            format: GraphFormat::Svg,
            width: 800,
            height: 300,
            dark: false,
        }
    }

    fn ask(lab: &mut Lab, request: GraphRequest) -> oneshot::Receiver<Result<Vec<u8>, GraphError>> {
        let (tell, told) = oneshot::channel();
        lab.bridge.draw(request, tell);
        told
    }

    #[tokio::test]
    async fn a_picture_comes_in_parts_and_there_are_only_so_many_who_wait_and_only_so_long() {
        let mut lab = keeping();
        assert!(matches!(ask(&mut lab, request()).await.unwrap(), Err(GraphError::Unavailable(_))));
        let socket = meet(&mut lab);
        let refused = ask(&mut lab, GraphRequest { width: 1, ..request() }).await.unwrap();
        assert!(matches!(refused, Err(GraphError::BadRequest(_))));
        let told = ask(&mut lab, request());
        let messages = heard(&socket);
        let [ToRrd::Draw { request: number, graph, .. }] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!(**graph, request());
        let part = |bytes: &[u8], last| FromRrd::Picture { request: *number, bytes: bytes.to_vec(), last };
        say(&mut lab, &socket, &part(b"one ", false));
        say(&mut lab, &socket, &part(b"picture", true));
        assert_eq!(told.await.unwrap().unwrap(), b"one picture");

        let mut waiting: Vec<_> = (0..PICTURES_MAX).map(|_| ask(&mut lab, request())).collect();
        assert!(matches!(ask(&mut lab, request()).await.unwrap(), Err(GraphError::Unavailable(_))));
        assert!(waiting[0].try_recv().is_err());
        // One who has left makes room.
        waiting.pop();
        let one_more = ask(&mut lab, request());
        assert_eq!(lab.bridge.history.pictures.len(), PICTURES_MAX);
        lab.bridge.wake_rrd(clock::now() + PICTURE_PATIENCE);
        for told in waiting.into_iter().chain([one_more]) {
            assert!(matches!(told.await.unwrap(), Err(GraphError::Unavailable(_))));
        }
        // An answer that is too late is nobody's.
        say(&mut lab, &socket, &part(b"late", true));
    }
}
