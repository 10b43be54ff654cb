//! The promise: whatever the AgentX master does, a master router at 0.1 s is never late and its backup never takes over.
//!
//! [`Kept`] is what the wire says about a stretch of time, with what this machine was late by itself. [`torment`] makes the
//! master misbehave in every way there is, one after the other, at random times that follow from a seed.

use std::fmt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::daemon::{Daemon, Options, Program};
use crate::dice::Dice;
use crate::hostile::{Manners, Master};
use crate::pair::{Flavour, Link};
use crate::snmp::{Manager, Snmpd};
use crate::wait::{self, Stalls};

/// Adverts every 0.1 s; a backup waits 0.36 s.
pub const FLAVOUR: Flavour = Flavour::V3;

/// The longest gap that is nobody's fault: the interval and 5 ms.
pub const GAP_MAX: Duration = Duration::from_millis(105);

/// The shortest time after which R2 may take over: three intervals; its skew time comes on top.
const MASTER_DOWN: Duration = Duration::from_millis(300);

/// How well a stall is known where there was one: its watchers sleep for 2 ms at a time and forgive one, on other threads than
/// the daemon's, which waits in the same queues. A gap in which this machine was never late has none of it.
const BLUR: Duration = Duration::from_millis(5);

/// vrrpInstanceState.1
const STATE: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.4.1";

/// What the wire says about R1 of a [`Link`], which ought to have been master all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub seconds: u64,
    pub adverts: usize,
    /// How many there should have been.
    pub due: u64,
    /// The longest gap as it was, ns.
    pub longest: u64,
    /// The longest gap without what this machine itself was late in it, ns; how long it was, and when (ns after the start).
    pub ours: u64,
    pub ours_raw: u64,
    pub at: u64,
    /// Gaps above [`GAP_MAX`], the machine's own included.
    pub late: usize,
    /// For how long in all, and at most at once, threads of this machine that were due did not run, ns.
    pub stalled: u64,
    pub stall_max: u64,
    /// Adverts of the backup: its own doing, and after this machine had held the master back for so long that it had to.
    pub takeovers: usize,
    pub forced: usize,
}

/// What came of an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    /// The daemon's own fault, and which.
    Broken(String),
    /// This machine was busy with something else for so long that nothing can be said; worth another try.
    Unclear(String),
}

impl Kept {
    /// From `from` (ns since 1970) to now.
    pub fn since(from: u64, link: &Link, stalls: &Stalls) -> Kept {
        let sent_by = |port| link.witness.adverts_from(port).into_iter().map(|(at, _)| at).collect::<Vec<u64>>();
        Kept::between((from, wait::now_ns()), &sent_by(link.ports[0]), &sent_by(link.ports[1]), stalls)
    }

    /// What these moments say, in which R1 and R2 sent.
    fn between((from, until): (u64, u64), first: &[u64], second: &[u64], stalls: &Stalls) -> Kept {
        let interval = FLAVOUR.interval.as_nanos() as u64;
        let adverts: Vec<u64> = first.iter().copied().filter(|at| *at >= from && *at <= until).collect();
        // The silence before the first and behind the last counts, too: there may be no advert at all.
        let mut moments = vec![from];
        moments.extend(&adverts);
        moments.push(until);
        let gaps = moments.windows(2).map(|pair| {
            let (before, after) = (pair[0], pair[1]);
            let gap = after - before;
            let stalled = stalls.within(before + interval, after);
            let excused = if stalled > 0 { stalled + BLUR.as_nanos() as u64 } else { 0 };
            Gap { ours: gap - excused.min(gap.saturating_sub(interval)), raw: gap, before, after }
        });
        let gaps: Vec<Gap> = gaps.collect();
        // A backup has to take over when the machine holds the master back for so long: it ends when both run again.
        let excused = |at: u64| {
            gaps.iter().any(|gap| {
                gap.raw >= MASTER_DOWN.as_nanos() as u64
                    && gap.ours <= GAP_MAX.as_nanos() as u64
                    && (gap.before..=gap.after + BLUR.as_nanos() as u64).contains(&at)
            })
        };
        let (forced, takeovers): (Vec<u64>, Vec<u64>) = second.iter().partition(|at| excused(**at));
        let worst = gaps.iter().max_by_key(|gap| gap.ours);
        Kept {
            seconds: (until - from) / 1_000_000_000,
            adverts: adverts.len(),
            due: (until - from) / interval,
            longest: gaps.iter().map(|gap| gap.raw).max().unwrap_or(0),
            ours: worst.map_or(0, |gap| gap.ours),
            ours_raw: worst.map_or(0, |gap| gap.raw),
            at: worst.map_or(0, |gap| gap.before.saturating_sub(from)),
            late: gaps.iter().filter(|gap| gap.raw > GAP_MAX.as_nanos() as u64).count(),
            stalled: stalls.within(from, until),
            stall_max: stalls.longest(from, until),
            takeovers: takeovers.len(),
            forced: forced.len(),
        }
    }

    /// Whether this machine was too busy to tell: more than one gap in fifty is late, and it stalled for more than a fiftieth of
    /// the time. Then a millisecond here or there is anybody's.
    fn too_busy(&self) -> bool {
        self.late * 50 > self.adverts && self.stalled > self.seconds * 1_000_000_000 / 50
    }

    /// Whether the promise was kept. Late gaps are excused by the machine's own stalls up to one in fifty.
    pub fn verdict(&self) -> Verdict {
        if self.too_busy() {
            return Verdict::Unclear(format!("{} late gaps: this machine is too busy to tell", self.late));
        }
        if self.takeovers > 0 {
            return Verdict::Broken(format!("the backup took over: {} adverts", self.takeovers));
        }
        if self.ours > GAP_MAX.as_nanos() as u64 {
            return Verdict::Broken(format!("a gap above {GAP_MAX:?}"));
        }
        if self.forced > 0 {
            return Verdict::Unclear(format!("{} adverts of the backup after stalls of this machine", self.forced));
        }
        if self.late * 50 > self.adverts {
            return Verdict::Broken(format!("{} late gaps", self.late));
        }
        if (self.adverts as u64) * 100 < self.due * 95 {
            return Verdict::Broken(format!("only {} of {} adverts", self.adverts, self.due));
        }
        Verdict::Kept
    }
}

/// The silence between two adverts of R1, ns.
struct Gap {
    /// Without this machine's own stalls.
    ours: u64,
    raw: u64,
    before: u64,
    after: u64,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |ns: u64| ns as f64 / 1e6;
        write!(
            f,
            "{} adverts in {} s, longest gap {:.1} ms; without this machine's own stalls {:.1} ms, of {:.1} ms, {:.1} s after \
             the start; {} gaps above {} ms; the machine stalled {:.0} ms in all, {:.1} ms at most; takeovers: {}, and {} that it forced",
            self.adverts,
            self.seconds,
            ms(self.longest),
            ms(self.ours),
            ms(self.ours_raw),
            wait::seconds(self.at),
            self.late,
            GAP_MAX.as_millis(),
            ms(self.stalled),
            ms(self.stall_max),
            self.takeovers,
            self.forced,
        )
    }
}

/// How often an experiment is made while the machine is too busy.
const ATTEMPTS: usize = 5;

/// Says what the wire said; panics if the promise was broken.
#[track_caller]
pub fn judge(what: &str, kept: Kept) -> Verdict {
    println!("{what}: {kept}");
    let verdict = kept.verdict();
    if let Verdict::Broken(how) = &verdict {
        panic!("{what}: {how}: {kept}");
    }
    verdict
}

/// Makes the experiment until this machine was quiet enough to tell; waits for that, too, before it tries again.
#[track_caller]
pub fn until_clear(what: &str, stalls: &Stalls, experiment: impl Fn() -> Verdict) {
    let mut unclear = Vec::new();
    while unclear.len() < ATTEMPTS {
        match experiment() {
            Verdict::Unclear(why) => unclear.push(why),
            Verdict::Kept | Verdict::Broken(_) => return,
        }
        stalls.until_quiet(Duration::from_secs(60));
    }
    panic!("{what}: {unclear:?}");
}

/// A pair at 0.1 s; R1 is master and talks to the AgentX master at `agentx`.
#[track_caller]
pub fn pair(agentx: &str, link: &Link) -> [Daemon; 2] {
    pair_with(agentx, link, &[])
}

/// As [`pair`], with more words for R1.
#[track_caller]
pub fn pair_with(agentx: &str, link: &Link, more: &[&str]) -> [Daemon; 2] {
    let options = Options { agentx: Some(agentx), more, ..Options::default() };
    let first = Daemon::start(&link.nodes[0], Program::Keepwatch, &FLAVOUR.configuration(1, "MASTER", 150), options);
    let master = wait::within(Duration::from_secs(10), || link.has_all(0, FLAVOUR).then_some(()));
    assert!(master.is_some(), "R1 did not become master; it said:\n{}", first.log());
    let second =
        Daemon::start(&link.nodes[1], Program::Keepwatch, &FLAVOUR.configuration(2, "BACKUP", 100), Options::default());
    second.wait_until_it_listens();
    [first, second]
}

/// SNMP says within `limit` that R1 is master.
pub fn answers(manager: &Manager, limit: Duration) -> bool {
    wait::within(limit, || (manager.number(STATE) == Some(2)).then_some(())).is_some()
}

/// One way to misbehave, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misery {
    /// SIGSTOP, then SIGCONT.
    Stopped,
    /// SIGSTOP, and its listen queue filled, so that who connects has to wait.
    FullQueue,
    /// Killed, and started again.
    Killed,
    /// Killed, and this in its place.
    Hostile(Hostility),
    /// The daemon's own bridge is killed.
    NoBridge,
    /// The daemon's own SNMP port hears as much nonsense, and as many requests for everything, as one core can send.
    Flood,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hostility {
    NeverAnswers,
    OneByteASecond,
    NeverReads,
    SilentAfterOpen,
    Truncated,
    Endless,
}

const MISERIES: [Misery; 11] = [
    Misery::Stopped,
    Misery::FullQueue,
    Misery::Killed,
    Misery::NoBridge,
    Misery::Flood,
    Misery::Hostile(Hostility::NeverAnswers),
    Misery::Hostile(Hostility::OneByteASecond),
    Misery::Hostile(Hostility::NeverReads),
    Misery::Hostile(Hostility::SilentAfterOpen),
    Misery::Hostile(Hostility::Truncated),
    Misery::Hostile(Hostility::Endless),
];

/// Torments R1's AgentX master for about `time`, and says what was on the wire. `tell` gets each misery as it begins.
/// Every kind comes up once before any comes again; half of all are stops.
///
/// An error is an SNMP that does not answer again when all is well.
#[track_caller]
pub fn torment(time: Duration, seed: u64, stalls: &Stalls, mut tell: impl FnMut(String)) -> Result<Kept, String> {
    let mut dice = Dice::new(seed);
    let link = Link::new();
    let socket = link.nodes[0].directory().join("agentx");
    let mut snmpd = Some(Snmpd::start(&link.nodes[0], None));
    let settings = link.nodes[0].directory().join("keepwatch.yaml");
    std::fs::write(&settings, SETTINGS).map_err(|error| format!("{}: {error}", settings.display()))?;
    let more = ["--settings", &settings.to_string_lossy()];
    let daemons = pair_with(&format!("unix:{}", socket.display()), &link, &more);
    let manager = Manager::on(&link.nodes[0], "127.0.0.1");
    let without_snmpd = Manager::on(&link.nodes[0], RESPONDER);
    if !answers(&without_snmpd, Duration::from_secs(20)) {
        return Err(format!("nobody answers at {RESPONDER}; R1 said:\n{}", daemons[0].log()));
    }
    if !answers(&manager, Duration::from_secs(20)) {
        return Err(format!("SNMP does not say that R1 is master; it said:\n{}", daemons[0].log()));
    }
    let (began, from) = (Instant::now(), wait::now_ns());
    let mut waiting: Vec<Misery> = Vec::new();
    // Miseries last as long as fits all of them twice into the time, up to what outlasts every time-out.
    let longest = (time.as_millis() as u64 / 20).clamp(2_000, 40_000);
    let mut stop_next = true;
    while began.elapsed() < time {
        let misery = if stop_next {
            Misery::Stopped
        } else {
            if waiting.is_empty() {
                waiting = MISERIES[1..].to_vec();
            }
            let at = dice.between(0, waiting.len() as u64 - 1) as usize;
            waiting.swap_remove(at)
        };
        stop_next = !stop_next;
        let left = time.saturating_sub(began.elapsed()).as_millis() as u64;
        let lasts = Duration::from_millis(dice.between(50, longest).min(left.max(50)));
        let pause = Duration::from_millis(dice.between(0, 3_000));
        tell(format!("{:7.1} s  {misery:?} for {:.2} s", began.elapsed().as_secs_f64(), lasts.as_secs_f64()));
        match misery {
            Misery::Stopped | Misery::FullQueue => {
                let process = &snmpd.as_ref().ok_or("no snmpd")?.process;
                process.signal(Signal::SIGSTOP);
                let queued = if misery == Misery::FullQueue { fill(&socket) } else { Vec::new() };
                wait::observe(lasts);
                process.signal(Signal::SIGCONT);
                drop(queued);
            }
            Misery::Killed => {
                drop(snmpd.take());
                wait::observe(lasts);
                snmpd = Some(Snmpd::start(&link.nodes[0], None));
            }
            Misery::NoBridge => {
                if let Some(bridge) = daemons[0].child("bridge") {
                    let _ = kill(bridge, Signal::SIGKILL);
                }
                wait::observe(lasts);
            }
            Misery::Flood => {
                let mut dice = Dice::new(dice.roll());
                link.nodes[0].enter(move || flood(lasts, &mut dice));
            }
            Misery::Hostile(how) => {
                drop(snmpd.take());
                let master = Master::start(&socket, how.manners());
                wait::observe(lasts);
                drop(master);
                snmpd = Some(Snmpd::start(&link.nodes[0], None));
            }
        }
        wait::observe(pause);
    }
    let kept = Kept::since(from, &link, stalls);
    // Two rounds of the longest time between attempts to connect.
    for (manager, who) in [(&manager, "snmpd"), (&without_snmpd, RESPONDER)] {
        if !answers(manager, Duration::from_secs(40)) {
            return Err(format!(
                "{kept}\nafterwards {who} does not answer within 40 s; R1 said:\n{}",
                daemons[0].log()
            ));
        }
    }
    drop(snmpd);
    Ok(kept)
}

impl Hostility {
    fn manners(self) -> Manners {
        match self {
            Hostility::NeverAnswers => Manners::NeverAnswers,
            Hostility::OneByteASecond => Manners::OneByteASecond,
            Hostility::NeverReads => Manners::NeverReads,
            Hostility::SilentAfterOpen => Manners::SilentAfterOpen,
            Hostility::Truncated => Manners::Truncated,
            Hostility::Endless => Manners::Endless,
        }
    }
}

/// Where R1 answers SNMP itself.
const RESPONDER: &str = "127.0.0.1:1610";

/// R1 answers SNMP without snmpd, and tells of notifications where nobody listens.
const SETTINGS: &str = "snmp:
  receivers:
    - address: 127.0.0.1:1620
      community: public
      inform: true
  responder:
    listen: [\"127.0.0.1:1610\"]
    communities:
      - name: public
";

/// GetBulk of KEEPALIVED-MIB with 32,767 repetitions, SNMPv2c, community public.
const EVERYTHING: [u8; 42] = [
    0x30, 0x28, 0x02, 0x01, 0x01, 0x04, 0x06, b'p', b'u', b'b', b'l', b'i', b'c', 0xa5, 0x1b, 0x02, 0x01, 0x01, 0x02,
    0x01, 0x00, 0x02, 0x02, 0x7f, 0xff, 0x30, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xca, 0x72,
    0x64, 0x05, 0x05, 0x00,
];

/// Sends to the responder without a pause: nonsense, beginnings of a request with nonsense behind them, and requests.
fn flood(lasts: Duration, dice: &mut Dice) {
    let Ok(socket) = std::net::UdpSocket::bind("127.0.0.1:0") else { return };
    let mut nonsense = [0_u8; 1400];
    for octets in nonsense.chunks_mut(8) {
        octets.copy_from_slice(&dice.roll().to_be_bytes());
    }
    let began = Instant::now();
    while began.elapsed() < lasts {
        for _ in 0..64 {
            let length = dice.between(0, 1400) as usize;
            let sent = match dice.between(0, 2) {
                0 => socket.send_to(&nonsense[..length], RESPONDER),
                1 => {
                    let mut message = EVERYTHING.to_vec();
                    message.truncate(length % EVERYTHING.len());
                    message.extend(&nonsense[..length / 10]);
                    socket.send_to(&message, RESPONDER)
                }
                _ => socket.send_to(&EVERYTHING, RESPONDER),
            };
            // Nobody there, or no room: both may be.
            let _ = sent;
        }
    }
}

/// Connects until nobody could connect any more without waiting.
fn fill(socket: &Path) -> Vec<UnixStream> {
    let mut queued = Vec::new();
    while queued.len() < 5_000
        && let Some(stream) = connect(&socket.to_path_buf())
    {
        queued.push(stream);
    }
    queued
}

/// `None`: it would have to wait.
fn connect(socket: &PathBuf) -> Option<UnixStream> {
    let ours = Socket::new(Domain::UNIX, Type::STREAM, None).ok()?;
    ours.set_nonblocking(true).ok()?;
    ours.connect(&SockAddr::unix(socket).ok()?).ok()?;
    Some(ours.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// R1 sends every 100 ms for 10 s but from 5 s on for `silence`; R2 at these moments (ms); the machine stalls from 5,020 ms
    /// for `stall`.
    fn kept(silence: u64, second: &[u64], stall: u64) -> Verdict {
        let stalls = Stalls::of(&[(5_020 * MS, (5_020 + stall) * MS)]);
        let first = (0..=100).map(|n| n * 100).filter(|ms| !(5_001..5_000 + silence).contains(ms));
        let first: Vec<u64> = first.map(|ms| ms * MS).collect();
        let second: Vec<u64> = second.iter().map(|ms| ms * MS).collect();
        Kept::between((0, 10_000 * MS), &first, &second, &stalls).verdict()
    }

    #[test]
    fn a_gap_is_the_daemons_fault_but_for_what_the_machine_stalled() {
        assert_eq!(kept(0, &[], 0), Verdict::Kept);
        assert!(matches!(kept(200, &[], 0), Verdict::Broken(_)));
        assert_eq!(kept(200, &[], 180), Verdict::Kept);
        assert!(matches!(kept(300, &[], 180), Verdict::Broken(_)));
    }

    #[test]
    fn where_every_tenth_gap_is_late_on_a_busy_machine_nothing_can_be_said() {
        let first: Vec<u64> = (0..100).map(|n| (n * 100 + if n % 10 == 5 { 20 } else { 0 }) * MS).collect();
        let late: Vec<(u64, u64)> = (0..10).map(|n| ((n * 1000 + 500) * MS, (n * 1000 + 520) * MS)).collect();
        let verdict =
            |stalls: &[(u64, u64)]| Kept::between((0, 10_000 * MS), &first, &[], &Stalls::of(stalls)).verdict();
        assert!(matches!(verdict(&[]), Verdict::Broken(_)));
        let busy: Vec<(u64, u64)> = late.iter().map(|(from, to)| (*from, to + 10 * MS)).collect();
        assert!(matches!(verdict(&busy), Verdict::Unclear(_)));
    }

    #[test]
    fn a_takeover_is_the_daemons_fault_unless_a_stall_was_longer_than_the_master_down_interval() {
        assert!(matches!(kept(0, &[7_000], 0), Verdict::Broken(_)));
        assert!(matches!(kept(600, &[5_370], 0), Verdict::Broken(_)));
        assert!(matches!(kept(600, &[5_370], 580), Verdict::Unclear(_)));
        assert!(matches!(kept(600, &[5_370, 7_000], 580), Verdict::Broken(_)));
        assert!(matches!(kept(200, &[5_150], 180), Verdict::Broken(_)));
    }
}
