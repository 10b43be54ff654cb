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
