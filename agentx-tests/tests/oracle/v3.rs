//! 07-v3-rfc6527: VRRPV3-MIB alone, bad packets, and why a router became master.

use std::time::Duration;

use agentx_tests::packet::Forged;
use agentx_tests::recording::known::V3_RFC6527;
use agentx_tests::recording::stage::Stage;
use agentx_tests::wait;

const ADDRESSES: [&str; 3] = ["10.51.0.100", "10.51.0.20", "10.51.0.200"];

#[test]
fn vrrpv3_mib_is_as_recorded_bad_packets_and_all() {
    let stage = Stage::set(&V3_RFC6527, &[]);
    stage.walk();
    let advert = |priority: u8| Forged::v3("10.51.0.2", 51, priority, 100, &ADDRESSES);
    let send = |advert: Forged, count: u32, every: u64| {
        for number in 0..count {
            if number > 0 {
                wait::observe(Duration::from_millis(every));
            }
            advert.send(&stage.peer, "peth0");
        }
    };
    stage.event("W4: TTL 254, three packets", || send(Forged { ttl: 254, ..advert(10) }, 3, 200));
    stage.event("W4: version 2 packet", || send(Forged::v2("10.51.0.2", 51, 10, 1, &ADDRESSES), 1, 0));
    stage.event("W4: wrong checksum", || send(Forged { checksum_off_by: 0x5555, ..advert(10) }, 1, 0));
    stage.event("W4: packet type 2", || send(Forged { kind: 2, ..advert(10) }, 1, 0));
    stage.event("W4: one VIP missing", || send(Forged::v3("10.51.0.2", 51, 10, 100, &ADDRESSES[..2]), 1, 0));
    let other = ["10.51.0.100", "10.51.0.20", "10.51.0.7"];
    stage.event("W4: other VIPs", || send(Forged::v3("10.51.0.2", 51, 10, 100, &other), 1, 0));
    stage.event("W4: other advert interval, lower priority", || {
        send(Forged { interval: 300, ..advert(10) }, 1, 0);
    });
    stage.event("W4: truncated packet", || send(Forged { cut: 4, ..advert(10) }, 1, 0));
    stage.event("W4: a VRID nobody has (77)", || send(Forged::v3("10.51.0.2", 77, 10, 100, &ADDRESSES[..1]), 1, 0));
    stage.event("W4: higher priority 200, then silence: BACKUP then MASTER (masterNoResponse)", || {
        send(advert(200), 2, 200);
    });
    stage.event("W4: higher priority 200, then lower priority 40 as BACKUP: MASTER (preempted)", || {
        send(advert(200), 2, 200);
        send(advert(40), 3, 500);
    });
    stage.event("W4: higher priority 200, then priority 0: MASTER (priority)", || {
        send(advert(200), 2, 200);
        send(advert(0), 1, 0);
    });
    stage.event("W4: priority 0 while MASTER", || send(advert(0), 1, 0));
    stage.sets();
    stage.finish();
}
