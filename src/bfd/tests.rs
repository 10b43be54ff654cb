//! Sentences about one session and about all of them, and a simulation of two ends with loss.

mod all;
mod one;
mod two;

use std::time::Duration;

use crate::clock::Instant;
use crate::conf::model::{BfdSession, Location};
use crate::wire::bfd::{Diagnostic, Packet, State};

fn config() -> BfdSession {
    BfdSession {
        location: Location::default(),
        name: "B1".to_owned(),
        neighbour: "10.0.0.2".parse().unwrap(),
        source: None,
        min_rx_us: 100_000,
        min_tx_us: 150_000,
        idle_tx_us: 1_000_000,
        multiplier: 3,
        passive: false,
        ttl: None,
        max_hops: Some(0),
        multihop: false,
        for_vrrp: true,
        for_checks: true,
    }
}

/// What a neighbour with 50 ms both ways and a multiplier of 4 says.
fn packet(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        finish: false,
        demand: false,
        multiplier: 4,
        mine: 0x1234,
        yours: OWN,
        desired_min_tx_us: 50_000,
        required_min_rx_us: 50_000,
        required_min_echo_rx_us: 0,
    }
}

/// The discriminator of sessions that tests make.
const OWN: u32 = 0xabcd;

fn ms(at: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(at)
}
