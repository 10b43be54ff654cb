//! What is known of a BFD session that somebody tracks.

use crate::bus::bfd::{BfdRow, BfdState};
use crate::export::Look;
use crate::wire::bfd::{Diagnostic, PORT, PORT_MULTIHOP};

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
    use crate::conf::model::{BfdSession, Location};
    use crate::report::fixture::{ago, look};

    fn row(state: BfdState, diagnostic: u8, counters: BfdCounters) -> BfdRow {
        BfdRow {
            index: 1,
            config: BfdSession {
                location: Location::default(),
                name: "B1".to_owned(),
                neighbour: "10.0.0.2".parse().unwrap(),
                source: None,
                min_rx_us: 10_000,
                min_tx_us: 10_000,
                idle_tx_us: 1_000_000,
                multiplier: 5,
                passive: false,
                ttl: None,
                max_hops: Some(0),
                multihop: false,
                for_vrrp: true,
                for_checks: true,
            },
            state,
            since: ago(7.0),
            diagnostic,
            discriminator: 7,
            remote_state: BfdState::AdminDown,
            remote_diagnostic: 7,
            remote_discriminator: 9,
            interval_us: 12_500,
            detection_us: 60_000,
            counters,
        }
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
    fn one_that_never_heard_its_neighbour_says_what_to_look_at() {
        let silent = said(row(BfdState::Down, 0, BfdCounters { sent: 10, ..BfdCounters::default() }));
        assert!(silent[2].contains("UDP port 3784"), "{silent:?}");
        let refused = said(row(BfdState::Down, 0, BfdCounters { dropped: 10, ..BfdCounters::default() }));
        assert!(refused[2].contains("max_hops"), "{refused:?}");
        let nobody = lines(&look(vec![], vec![]), "B1", |_| String::new());
        assert!(nobody[0].starts_with("there is no BFD session B1"), "{nobody:?}");
    }
}
