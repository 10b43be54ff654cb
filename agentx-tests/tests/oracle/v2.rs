//! 08-v2-rfc2787: VRRP-MIB alone, every kind of authentication, bad packets.

use std::time::Duration;

use agentx_tests::packet::Forged;
use agentx_tests::recording::known::V2_RFC2787;
use agentx_tests::recording::stage::Stage;
use agentx_tests::wait;

const ADDRESSES: [&str; 2] = ["10.61.0.100", "10.61.0.9"];

#[test]
fn vrrp_mib_is_as_recorded_bad_packets_and_all() {
    let stage = Stage::set(&V2_RFC2787, &[]);
    stage.walk();
    let bare = |priority: u8| Forged::v2("10.61.0.2", 61, priority, 2, &ADDRESSES);
    let good = |priority: u8| bare(priority).password("sesame");
    let send = |advert: Forged| advert.send(&stage.peer, "peth0");
    let twice = |advert: Forged| {
        send(advert.clone());
        wait::observe(Duration::from_millis(200));
        send(advert);
    };
    stage.event("A_PASS: no authentication in the packet (authTypeMismatch)", || send(bare(10)));
    stage.event("A_PASS: wrong password (authFailure), two packets", || twice(bare(10).password("wrong")));
    stage.event("A_PASS: auth type 9 (invalidAuthType)", || send(Forged { auth_type: 9, ..good(10) }));
    stage.event("A_PASS: TTL 64", || send(Forged { ttl: 64, ..good(10) }));
    stage.event("A_PASS: version 3 packet", || send(Forged::v3("10.61.0.2", 61, 10, 1, &ADDRESSES)));
    stage.event("A_PASS: wrong checksum", || send(Forged { checksum_off_by: 0x5555, ..good(10) }));
    stage.event("A_PASS: packet type 3", || send(Forged { kind: 3, ..good(10) }));
    stage.event("A_PASS: advert interval 7", || send(Forged { interval: 7, ..good(10) }));
    stage.event("A_PASS: wrong VIP list", || {
        send(Forged::v2("10.61.0.2", 61, 10, 2, &["10.61.0.100", "10.61.0.8"]).password("sesame"));
    });
    stage.event("A_PASS: truncated packet", || send(Forged { cut: 4, ..good(10) }));
    stage.event("a VRID nobody has (99)", || send(Forged::v2("10.61.0.2", 99, 10, 1, &ADDRESSES[..1])));
    stage.event("C_AH: packet without AH header", || {
        Forged::v2("10.62.0.2", 62, 10, 1, &["10.62.0.100"]).send(&stage.peer, "peth1");
    });
    stage.event("A_PASS: good packet, priority 200 twice: MASTER -> BACKUP -> MASTER", || twice(good(200)));
    stage.event("A_PASS: good packet, priority 0 while MASTER", || send(good(0)));
    stage.sets();
    stage.finish();
}
