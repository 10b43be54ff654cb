//! Two ends and a link that loses, delays and cuts, from a seed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::bfd::Engine;
use crate::bfd::io::{Datagram, Input, Output};
use crate::bfd::random::Random;
use crate::bus::rows::Finding;
use crate::wire::bfd::LENGTH;

struct World {
    ends: [Engine; 2],
    /// Since when each end has been up.
    up: [Option<Instant>; 2],
    random: Random,
    /// What is on its way: when it arrives, its number, at whom.
    link: BTreeMap<(Instant, u64), (usize, [u8; LENGTH])>,
    number: u64,
    /// Of the last packet to each end: a cable keeps their order.
    arrives: [Instant; 2],
    now: Instant,
    /// Of a hundred packets.
    loss: u64,
    cut: [bool; 2],
    /// How often ends went up and down.
    flaps: usize,
}

const ADDRESSES: [&str; 2] = ["10.0.0.1", "10.0.0.2"];

impl World {
    fn new(seed: u64, configs: [BfdSession; 2]) -> World {
        let mut world = World {
            ends: [Engine::new(seed), Engine::new(seed ^ 0xffff)],
            up: [None; 2],
            random: Random::new(seed.wrapping_add(9)),
            link: BTreeMap::new(),
            number: 0,
            arrives: [ms(0); 2],
            now: ms(0),
            loss: 0,
            cut: [false; 2],
            flaps: 0,
        };
        for (end, config) in configs.into_iter().enumerate() {
            let config = BfdSession { neighbour: ADDRESSES[1 - end].parse().unwrap(), ..config };
            let mut out = Vec::new();
            world.ends[end].apply(&[config], ms(0), &mut out);
            world.carry(end, out);
        }
        world
    }

    fn carry(&mut self, end: usize, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send(_, bytes) => {
                    Packet::decode(&bytes).expect("our own packets are good");
                    if !self.cut[end] && self.random.between(1, 100) > self.loss {
                        let delay = Duration::from_micros(self.random.between(50, 900));
                        let arrival = self.arrives[1 - end].max(self.now + delay);
                        self.arrives[1 - end] = arrival;
                        self.number += 1;
                        self.link.insert((arrival, self.number), (1 - end, bytes));
                    }
                }
                Output::Found { finding, .. } => {
                    let up = (finding == Finding::Good).then_some(self.now);
                    if up.is_some() != self.up[end].is_some() {
                        self.flaps += 1;
                    }
                    self.up[end] = up;
                }
                _ => {}
            }
        }
    }

    fn run(&mut self, until: Instant) {
        loop {
            let arrival = self.link.first_key_value().map(|(key, _)| key.0);
            let deadlines = [arrival, self.ends[0].deadline(), self.ends[1].deadline()];
            let Some(next) = deadlines.into_iter().flatten().min().filter(|at| *at <= until) else { break };
            self.now = next.max(self.now);
            let arrived = self.link.first_key_value().map(|(key, _)| *key).filter(|key| key.0 <= self.now);
            if let Some((to, bytes)) = arrived.and_then(|key| self.link.remove(&key)) {
                let datagram = Datagram {
                    source: ADDRESSES[1 - to].parse().unwrap(),
                    destination: ADDRESSES[to].parse().unwrap(),
                    multihop: false,
                    ttl: 255,
                    payload: &bytes,
                };
                let mut out = Vec::new();
                self.ends[to].handle(Input::Datagram(datagram), self.now, &mut out);
                self.carry(to, out);
                continue;
            }
            for end in 0..2 {
                if self.ends[end].deadline().is_some_and(|at| at <= self.now) {
                    let mut out = Vec::new();
                    self.ends[end].handle(Input::Wake, self.now, &mut out);
                    self.carry(end, out);
                    assert!(self.ends[end].deadline().is_none_or(|at| at > self.now), "a wake-up leaves nothing due");
                }
            }
        }
        self.now = until;
    }

    fn both_up(&self) -> bool {
        self.up.iter().all(Option::is_some)
    }
}

fn configs() -> impl Strategy<Value = BfdSession> {
    (5_000u32..60_000, 5_000u32..60_000, 2u8..6, any::<bool>()).prop_map(
        |(min_rx_us, min_tx_us, multiplier, passive)| BfdSession {
            min_rx_us,
            min_tx_us,
            multiplier,
            passive,
            ..config()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn two_ends_come_up_stay_up_notice_a_cut_in_time_and_come_back(
        seed in any::<u64>(), first in configs(), second in configs(), one_way in any::<bool>(),
    ) {
        // Two that wait for each other wait for ever.
        let second = BfdSession { passive: second.passive && !first.passive, ..second };
        let tx = u64::from(first.min_tx_us.max(second.min_rx_us)).max(second.min_tx_us.max(first.min_rx_us).into());
        let detection = Duration::from_micros(tx * u64::from(first.multiplier.max(second.multiplier)));
        let mut world = World::new(seed, [first, second]);
        // Slow start: at most two of the packets that go once a second, and the answers.
        world.run(ms(4_000));
        prop_assert!(world.both_up());
        world.run(ms(20_000));
        prop_assert_eq!(world.flaps, 2, "a good link is up all the time");

        world.cut = [true, !one_way];
        let cut_at = world.now;
        world.run(cut_at + detection + Duration::from_millis(5));
        if one_way {
            // The end that hears nothing tells the other one, which hears it.
            prop_assert!(world.up[1].is_none(), "the deaf end");
            world.run(world.now + detection + Duration::from_millis(5));
        }
        prop_assert_eq!(world.up, [None; 2]);
        world.run(world.now + Duration::from_secs(5));
        prop_assert_eq!(world.up, [None; 2]);

        world.cut = [false; 2];
        world.run(world.now + Duration::from_secs(4));
        prop_assert!(world.both_up());
    }

    #[test]
    fn whatever_is_lost_both_ends_agree_again_when_the_link_is_good(seed in any::<u64>(), loss in 5u64..80) {
        let mut world = World::new(seed, [config(), config()]);
        world.loss = loss;
        world.run(ms(60_000));
        world.loss = 0;
        world.run(ms(66_000));
        prop_assert!(world.both_up());
        let flaps = world.flaps;
        world.run(ms(120_000));
        prop_assert_eq!(world.flaps, flaps);
    }
}
