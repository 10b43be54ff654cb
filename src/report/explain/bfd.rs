//! Why a BFD session is in its state, and what is known of one that an instance tracks.

use super::super::{Explanation, trackers, words};
use super::{ExplainError, recent};
use crate::bus::bfd::{BfdRow, BfdState};
use crate::bus::msg::Edge;
use crate::conf::model::TrackerKind;
use crate::export::Look;
use crate::wire::bfd::{Diagnostic, PORT, PORT_MULTIHOP};

/// Why `bfd_instance` `name` is in its state.
pub fn bfd_session(look: &Look, name: &str) -> Result<Explanation, ExplainError> {
    let sessions = &look.snapshot.vrrp.sessions;
    let Some(row) = sessions.iter().map(|(_, row)| row).find(|row| row.config.name == name) else {
        return Err(match look.snapshot.generations.vrrp.generation {
            0 => {
                ExplainError::Unavailable("there is no word from the vrrp process: no BFD sessions, or not yet".into())
            }
            _ => ExplainError::NotFound(format!("no BFD session {name}")),
        });
    };
    let (because, hints) = answer(look, row);
    let ago = |row: &BfdRow| words::age(words::between(row.since, look.at));
    let mut evidence = lines(look, name, ago);
    evidence.push(match &trackers::tracked_by(look, TrackerKind::Bfd, name)[..] {
        [] => "no VRRP instance and no sync group tracks it".to_owned(),
        those => format!("tracked by {}", words::and(those)),
    });
    Ok(Explanation {
        subject: format!("bfd {name}"),
        state: words::session_state(row.state).to_owned(),
        since: words::unix(row.since),
        because,
        evidence,
        hints,
        events: recent(
            look,
            |edge| matches!(edge, Edge::Tracker { kind: TrackerKind::Bfd, name: of, .. } if of == name),
        ),
    })
}

/// The answer in a sentence, and what would change it.
fn answer(look: &Look, row: &BfdRow) -> (String, Vec<String>) {
    let neighbour = row.config.neighbour;
    let counters = look.bfd_counters(row);
    let diagnostic = Diagnostic::from(row.diagnostic);
    let port = if row.config.multihop { PORT_MULTIHOP } else { PORT };
    match row.state {
        BfdState::Up => (
            format!("It is up because it and {neighbour} hear each other."),
            vec![format!("it goes down after {} ms of silence", milliseconds(row.detection_us))],
        ),
        BfdState::AdminDown => (
            "It is held down here on purpose: the daemon stops, or takes the session away.".to_owned(),
            vec!["it begins anew with the next start or reload".to_owned()],
        ),
        BfdState::Init => (
            format!("It is about to come up: {neighbour} is heard, and has not said yet that it hears this router."),
            vec![format!("look whether packets to UDP port {port} of {neighbour} arrive there")],
        ),
        BfdState::Down if counters.received == 0 && counters.dropped == 0 => {
            let waits = if row.config.passive { ", and a passive session waits to be called" } else { "" };
            (
                format!("It is down because nothing was heard of {neighbour} yet{waits}."),
                vec![format!(
                    "look whether {neighbour} runs BFD with this router, and whether firewalls let UDP port {port} pass"
                )],
            )
        }
        BfdState::Down if counters.received == 0 => (
            format!("It is down because every packet of {neighbour} was refused."),
            vec!["the log says why; packets over several hops need max_hops".to_owned()],
        ),
        BfdState::Down if diagnostic == Diagnostic::DETECTION_TIME_EXPIRED => (
            format!("It is down because {neighbour} fell silent for longer than the detection time."),
            vec![
                format!("look at {neighbour} and at the path to it: `ping {neighbour}`"),
                "a greater multiplier, or greater intervals, forgive longer silences".to_owned(),
            ],
        ),
        BfdState::Down if diagnostic == Diagnostic::NEIGHBOUR_SIGNALED_DOWN => {
            let remote = match row.remote_state {
                BfdState::AdminDown => "was taken down there by its administrator".to_owned(),
                state => format!("says {}", state.name()),
            };
            (
                format!("It is down because the neighbour said so: its session {remote}."),
                vec![format!("look at the session on {neighbour}: does it hear this router?")],
            )
        }
        BfdState::Down => (
            format!("It is down: {diagnostic}."),
            vec![format!("look at the session on {neighbour}: does it hear this router?")],
        ),
    }
}

/// The lines about the session of this name. `ago` makes words of a time.
pub(super) fn lines(look: &Look, name: &str, ago: impl Fn(&BfdRow) -> String) -> Vec<String> {
    let sessions = &look.snapshot.vrrp.sessions;
    let Some(row) = sessions.iter().map(|(_, row)| row).find(|row| row.config.name == name) else {
        return vec![format!(
            "there is no BFD session {name}: its bfd_instance was refused, or the daemon runs with -B"
        )];
    };
    let counters = look.bfd_counters(row);
    let neighbour = row.config.neighbour;
    let mut state = format!("BFD session {name} to {neighbour}: {} for {}", row.state.name(), ago(row));
    if row.state != BfdState::Up {
        if row.diagnostic != 0 {
            state += &format!(" ({})", Diagnostic::from(row.diagnostic));
        }
        if row.remote_discriminator != 0 {
            state += &format!(", the neighbour says {}", row.remote_state.name());
        }
    } else {
        state += &format!(
            ", sends every {} ms, lost after {} ms of silence",
            milliseconds(row.interval_us),
            milliseconds(row.detection_us)
        );
    }
    let mut lines = vec![state];
    lines.push(format!(
        "its packets: {} sent, {} received, {} dropped; {} detection times went by in silence",
        counters.sent, counters.received, counters.dropped, counters.expired
    ));
    if row.state != BfdState::Up && counters.received == 0 {
        let port = if row.config.multihop { PORT_MULTIHOP } else { PORT };
        lines.push(match counters.dropped {
            0 => format!(
                "nothing was heard: does {neighbour} run BFD, and does every firewall let UDP port {port} pass?"
            ),
            _ => "all that came was refused, and the log says why: packets over several hops need max_hops".to_owned(),
        });
    }
    lines
}

/// With three decimals at most.
fn milliseconds(us: u64) -> String {
    let text = format!("{}.{:03}", us / 1000, us % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::bfd::BfdCounters;
    use crate::bus::rows::{Row, RowKey};
    use crate::report::fixture::{look, session_row};

    fn row(state: BfdState, diagnostic: u8, counters: BfdCounters) -> BfdRow {
        let (_, Row::Bfd(mut row)) = session_row(1, "B1", state, diagnostic) else { panic!("not a session") };
        row.config.for_checks = true;
        BfdRow { remote_state: BfdState::AdminDown, remote_diagnostic: 7, counters, ..*row }
    }

    fn said(row: BfdRow) -> Vec<String> {
        let look = look(vec![(RowKey::Bfd("B1".to_owned()), Row::Bfd(Box::new(row)))], vec![]);
        lines(&look, "B1", |_| "7 s".to_owned())
    }

    #[test]
    fn a_session_that_is_up_tells_its_pace_and_one_that_is_not_tells_why() {
        let counters = BfdCounters { sent: 10, received: 9, dropped: 1, expired: 2, went_up: 3, went_down: 2 };
        let packets = "its packets: 10 sent, 9 received, 1 dropped; 2 detection times went by in silence";
        assert_eq!(
            said(row(BfdState::Up, 1, counters)),
            ["BFD session B1 to 10.0.0.2: Up for 7 s, sends every 12.5 ms, lost after 60 ms of silence", packets]
        );
        let why =
            "BFD session B1 to 10.0.0.2: Down for 7 s (neighbor signaled session down), the neighbour says AdminDown";
        assert_eq!(said(row(BfdState::Down, 3, counters)), [why, packets]);
    }

    #[test]
    fn a_session_that_is_down_is_explained_by_what_took_it_down() {
        let because = |row: BfdRow| {
            let look = look(vec![(RowKey::Bfd("B1".to_owned()), Row::Bfd(Box::new(row)))], vec![]);
            let explanation = bfd_session(&look, "B1").unwrap();
            assert_eq!(explanation.evidence.last().unwrap(), "no VRRP instance and no sync group tracks it");
            assert!(!explanation.hints.is_empty());
            format!("{}: {}", explanation.state, explanation.because)
        };
        let heard = BfdCounters { sent: 10, received: 9, ..BfdCounters::default() };
        for (row, expected) in [
            (row(BfdState::Up, 0, heard), "up: It is up because it and 10.0.0.2 hear each other."),
            (
                row(BfdState::Down, 1, heard),
                "down: It is down because 10.0.0.2 fell silent for longer than the detection time.",
            ),
            (
                row(BfdState::Down, 3, heard),
                "down: It is down because the neighbour said so: its session was taken down there by its administrator.",
            ),
            (
                row(BfdState::Down, 0, BfdCounters::default()),
                "down: It is down because nothing was heard of 10.0.0.2 yet.",
            ),
        ] {
            assert_eq!(because(row), expected);
        }
        assert!(matches!(bfd_session(&look(vec![], vec![]), "B1"), Err(ExplainError::NotFound(_))));
    }

    #[test]
    fn one_that_never_heard_its_neighbour_says_what_to_look_at() {
        let silent = said(row(BfdState::Down, 0, BfdCounters { sent: 10, ..BfdCounters::default() }));
        assert!(silent[2].contains("UDP port 3784"), "{silent:?}");
        let refused = said(row(BfdState::Down, 0, BfdCounters { dropped: 10, ..BfdCounters::default() }));
        assert!(refused[2].contains("max_hops"), "{refused:?}");
        let nobody = lines(&look(vec![], vec![]), "B1", |_| String::new());
        assert!(nobody[0].starts_with("there is no BFD session B1"), "{nobody:?}");
    }
}
