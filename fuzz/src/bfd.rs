//! Datagrams to the BFD engine: whatever is on the wire, whoever sent it. The first four octets choose session, TTL, port and
//! whether the session's discriminator is put into the packet.
#![no_main]

use std::time::Duration;

use keepwatch::bfd::Engine;
use keepwatch::bfd::io::{Datagram, Input, Output};
use keepwatch::bus::rows::{Row, RowKey};
use keepwatch::clock::Instant;
use keepwatch::conf::model::{BfdSession, Location};
use keepwatch::wire::bfd::Packet;
use libfuzzer_sys::fuzz_target;

fn session(name: &str, neighbour: &str, multihop: bool) -> BfdSession {
    BfdSession {
        location: Location::default(),
        name: name.to_owned(),
        neighbour: neighbour.parse().expect("an address"),
        source: None,
        min_rx_us: 10_000,
        min_tx_us: 10_000,
        idle_tx_us: 1_000_000,
        multiplier: 3,
        passive: multihop,
        ttl: None,
        max_hops: Some(0),
        multihop,
        for_vrrp: true,
        for_checks: true,
    }
}

fuzz_target!(|data: &[u8]| {
    let mut engine = Engine::new(1);
    let mut out = Vec::new();
    let mut now = Instant::from_nanos(1_000_000_000);
    engine.apply(&[session("one", "10.0.0.1", false), session("two", "10.0.0.2", true)], now, &mut out);
    let discriminator = |engine: &Engine, name: &str| match engine.row(&RowKey::Bfd(name.to_owned())) {
        Some(Row::Bfd(row)) => row.discriminator,
        _ => 0,
    };
    for chunk in data.chunks(36) {
        let Some(([who, ttl, port, how], rest)) = chunk.split_first_chunk::<4>() else { break };
        let name = if who % 2 == 0 { "one" } else { "two" };
        let mut payload = rest.to_vec();
        if how % 2 == 1
            && let Some(yours) = payload.get_mut(8..12)
        {
            yours.copy_from_slice(&discriminator(&engine, name).to_be_bytes());
        }
        let datagram = Datagram {
            source: [10, 0, 0, who % 3 + 1].into(),
            destination: [10, 0, 0, 9].into(),
            multihop: port % 2 == 1,
            ttl: *ttl | 0xf0,
            payload: &payload,
        };
        out.clear();
        engine.handle(Input::Datagram(datagram), now, &mut out);
        let sent = out.iter().filter(|output| matches!(output, Output::Send(..))).count();
        assert!(sent <= 1, "one packet is worth one at most");
        now += Duration::from_millis(u64::from(*how));
        engine.handle(Input::Wake, now, &mut out);
        for output in &out {
            if let Output::Send(_, bytes) = output {
                assert!(Packet::decode(bytes).is_ok());
            }
        }
        assert!(engine.deadline().is_none_or(|at| at > now), "a wake-up leaves nothing due");
    }
});
