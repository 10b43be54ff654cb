//! Adverts to the VRRP engine, plain and inside Authentication Headers: whatever is on the wire, whoever sent it. Of each
//! chunk the first four octets choose source, TTL, whether the checksum is made right, and how the packet is wrapped.
#![no_main]

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use keepwatch::clock::{Instant, WallTime};
use keepwatch::conf::files::{FileKind, Files, Stat};
use keepwatch::conf::host::LocalHost;
use keepwatch::conf::model::Config;
use keepwatch::conf::{self, Options};
use keepwatch::vrrp::engine::{Engine, EngineOptions};
use keepwatch::vrrp::io::{Datagram, HostAddress, Input, Link};
use keepwatch::wire::ah::{self, Ttl};
use keepwatch::wire::checksum::Sum;
use libfuzzer_sys::fuzz_target;

const KEY: &[u8; 8] = b"secret\0\0";
const ETH0: u32 = 2;
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Every way to be sure of an advert.
const TEXT: &str = "global_defs {\n dynamic_interfaces\n}\n\
    vrrp_instance PASS {\n interface eth0\n virtual_router_id 1\n version 2\n authentication {\n auth_type PASS\n auth_pass \
    secret\n }\n virtual_ipaddress {\n 10.0.0.101\n }\n}\n\
    vrrp_instance AH {\n interface eth0\n virtual_router_id 2\n version 2\n authentication {\n auth_type AH\n auth_pass \
    secret\n }\n virtual_ipaddress {\n 10.0.0.102\n }\n}\n\
    vrrp_instance THREE {\n interface eth0\n virtual_router_id 3\n version 3\n v3_checksum_as_v2\n virtual_ipaddress {\n \
    10.0.0.103\n }\n}\n\
    vrrp_instance STRICT {\n interface eth0\n virtual_router_id 4\n version 2\n strict_mode on\n virtual_ipaddress {\n \
    10.0.0.104\n }\n}\n";

struct One;

impl Files for One {
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Ok(TEXT.as_bytes().to_vec())
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        vec![pattern.to_owned()]
    }

    fn canonicalize(&self, path: &str) -> io::Result<String> {
        Ok(path.to_owned())
    }

    fn stat(&self, _: &str) -> Option<Stat> {
        Some(Stat { kind: FileKind::Regular, mode: 0o644, owner: 0, group: 0 })
    }
}

fn config() -> Config {
    let loaded = conf::load("/keepalived.conf", &Options::default(), &One, &LocalHost);
    assert_eq!(loaded.config.instances.len(), 4, "{:?}", loaded.diagnostics);
    loaded.config
}

fuzz_target!(|data: &[u8]| {
    thread_local!(static CONFIG: Config = config());
    let mut now = Instant::from_nanos(1_000_000_000);
    let mut engine =
        CONFIG.with(|config| Engine::new(config, EngineOptions { restarted: false }, now, WallTime(1_000_000_000_000)));
    let mut out = Vec::new();
    let link = Link {
        index: ETH0,
        name: "eth0".to_owned(),
        admin_up: true,
        running: true,
        loopback: false,
        multicast: true,
        mac: Some([2, 0, 0, 0, 0, 2]),
        mtu: 1500,
        vrf: None,
    };
    let address =
        HostAddress { interface: ETH0, address: [10, 0, 0, 1].into(), prefix: 24, secondary: false, tentative: false };
    engine.handle(Input::Link(link), now, &mut out);
    engine.handle(Input::HostAddress(address), now, &mut out);
    engine.handle(Input::Wake, now, &mut out);
    for chunk in data.chunks(48) {
        let Some(([who, ttl, sum, how], rest)) = chunk.split_first_chunk::<4>() else { break };
        let source = Ipv4Addr::new(10, 0, 0, who % 4 + 1);
        let mut payload = rest.to_vec();
        if sum % 2 == 1 && payload.len() >= 8 {
            payload[6..8].fill(0);
            let right = Sum::default().bytes(&payload).finish();
            payload[6..8].copy_from_slice(&right.to_be_bytes());
        }
        out.clear();
        match how % 3 {
            0 => {
                let (source, destination) = (source.into(), GROUP.into());
                let datagram = Datagram { interface: ETH0, source, destination, ttl: *ttl | 0xf0, payload: &payload };
                engine.handle(Input::Datagram(datagram), now, &mut out);
            }
            1 => {
                let packet = ah::Outgoing {
                    source,
                    destination: GROUP,
                    ttl: 255,
                    identification: 1,
                    sequence: u32::from(*ttl),
                    payload: &payload,
                };
                let packet = packet.encode(KEY, Ttl::Covered);
                engine.handle(Input::Protected { interface: ETH0, packet: &packet }, now, &mut out);
            }
            _ => engine.handle(Input::Protected { interface: ETH0, packet: &payload }, now, &mut out),
        }
        assert!(out.len() < 200, "a packet is not worth {} actions", out.len());
        now += Duration::from_millis(u64::from(*who) * 8);
        engine.handle(Input::Wake, now, &mut out);
        assert!(engine.deadline().is_none_or(|at| at > now), "a wake-up leaves nothing due");
    }
});
