//! Trackers of the simulated hosts: what is found of them, and what an instance must make of that.

use std::collections::BTreeMap;

use keepwatch::bus::rows::Finding;
use keepwatch::conf::model::{
    Instance, Location, ParameterMatch, SyncGroup, Track, TrackBfd, TrackCommand, TrackFile, TrackProcess, TrackScript,
    TrackedInterface, TrackerKind, Trackers,
};

use crate::random::Random;

/// Each kind has one, of this name.
pub const NAME: &str = "it";
pub const KINDS: [TrackerKind; 4] = [TrackerKind::Script, TrackerKind::File, TrackerKind::Process, TrackerKind::Bfd];

pub type Findings = BTreeMap<TrackerKind, Finding>;

pub fn trackers() -> Trackers {
    let (location, name) = (Location::default(), NAME.to_owned());
    Trackers {
        scripts: vec![TrackScript {
            location: location.clone(),
            name: name.clone(),
            command: TrackCommand::Opens("/it".to_owned()),
            interval_us: 1_000_000,
            timeout_us: 0,
            weight: 0,
            reverse: false,
            rise: 1,
            fall: 1,
            init_fail: false,
        }],
        files: vec![TrackFile {
            location: location.clone(),
            name: name.clone(),
            path: "/it".to_owned(),
            weight: 1,
            reverse: false,
            init: None,
        }],
        other_files: Vec::new(),
        processes: vec![TrackProcess {
            location: location.clone(),
            name: name.clone(),
            path: "it".to_owned(),
            parameters: vec![],
            parameter_match: ParameterMatch::None,
            full_command: false,
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: None,
            fork_delay_us: 0,
            terminate_delay_us: 0,
        }],
        bfds: vec![TrackBfd { location, name, weight: 0, reverse: false }],
    }
}

/// Lines of an instance or a group: never in reverse without a weight, so that all is well when all is good.
pub fn tracks(random: &mut Random) -> Vec<Track> {
    let mut tracks = vec![];
    for kind in KINDS {
        if random.permille(150) {
            let weight = random.pick(&[0, 0, -60, -4, 5, 40]);
            tracks.push(Track { kind, name: NAME.to_owned(), weight, reverse: weight != 0 && random.permille(200) });
        }
    }
    tracks
}

pub fn finding(kind: TrackerKind, random: &mut Random) -> Finding {
    let good = random.permille(600);
    match kind {
        TrackerKind::Script | TrackerKind::Bfd => {
            if good {
                Finding::Good
            } else {
                Finding::Bad
            }
        }
        TrackerKind::Process => Finding::Count { count: i64::from(good), good },
        TrackerKind::File if good => well(kind),
        TrackerKind::File => Finding::Count { count: random.pick(&[1, 7, -7, 60, -300, i64::MIN, i64::MAX]), good },
    }
}

pub fn well(kind: TrackerKind) -> Finding {
    match kind {
        TrackerKind::Script | TrackerKind::Bfd => Finding::Good,
        TrackerKind::Process => Finding::Count { count: 1, good: true },
        TrackerKind::File => Finding::Count { count: 0, good: true },
    }
}

/// What trackers come to, said another way than the engine says it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub weights: i64,
    pub faults: usize,
    pub waits: bool,
}

/// `eth1` is up or not; `carried` is an instance that has an address there.
pub fn outcome(instance: &Instance, group: Option<&SyncGroup>, found: &Findings, eth1: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let routes = instance.routes.iter().any(|route| !route.no_track && route.interface.as_deref() == Some("eth1"));
    let carried = routes || instance.excluded.iter().any(|address| address.interface == "eth1");
    let lines = |those: &[TrackedInterface]| those.first().map(|it| i64::from(it.weight));
    let own = if carried { Some(0) } else { lines(&instance.tracked_interfaces) };
    let shared = group.and_then(|group| lines(&group.tracked_interfaces));
    for weight in both(own, shared) {
        outcome.add(weight, false, eth1);
    }
    for kind in KINDS {
        let line =
            |tracks: &[Track]| tracks.iter().find(|it| it.kind == kind).map(|it| (i64::from(it.weight), it.reverse));
        let (own, shared) = (line(&instance.tracks), group.and_then(|group| line(&group.tracks)));
        let weights = both(own.map(|it| it.0), shared.map(|it| it.0));
        for weight in weights {
            let line = [shared, own].into_iter().flatten().find(|it| it.0 == weight);
            let reverse = line.is_some_and(|it| it.1);
            match found.get(&kind).copied().unwrap_or(Finding::Unknown) {
                Finding::Unknown => outcome.waits |= weight == 0,
                Finding::Count { count, .. } if kind == TrackerKind::File => outcome.number(weight, reverse, count),
                Finding::Good | Finding::Count { good: true, .. } => outcome.add(weight, reverse, true),
                Finding::Bad | Finding::Count { good: false, .. } => outcome.add(weight, reverse, false),
            }
        }
    }
    outcome
}

/// The weight of the line that counts, of two. Two without a weight are two faults.
fn both(own: Option<i64>, shared: Option<i64>) -> Vec<i64> {
    match (own, shared) {
        (Some(0), Some(0)) => vec![0],
        (Some(0), _) => vec![0],
        (_, Some(shared)) => vec![shared],
        (Some(own), None) => vec![own],
        (None, None) => vec![],
    }
}

impl Outcome {
    fn add(&mut self, weight: i64, reverse: bool, good: bool) {
        let sign = if reverse { -1 } else { 1 };
        if weight == 0 {
            self.faults += usize::from(!good);
        } else if good == (weight > 0) {
            self.weights += sign * weight;
        }
    }

    fn number(&mut self, weight: i64, reverse: bool, count: i64) {
        let product = i128::from(count) * i128::from(weight) * if reverse { -1 } else { 1 };
        if weight == 0 {
            self.faults += usize::from(count != 0);
        } else if product < -253 {
            self.faults += 1;
        } else {
            self.weights += product.min(253) as i64;
        }
    }
}
