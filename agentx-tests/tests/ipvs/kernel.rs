//! The daemon's netlink against the kernel, compared with Debian's `ipvsadm` word for word: what it makes and what we
//! make look the same, to it and to us.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use agentx_tests::ipvsadm::{self, Counters, Place, ipvsadm, saved, settled_statistics};
use agentx_tests::pool::{self, Pool};
use agentx_tests::process::must;
use agentx_tests::vm::scenario;
use agentx_tests::wait;
use keepwatch::check::refusal::explain;
use keepwatch::check::table::{
    Daemon, Destination, DestinationId, Entry, Found, Op, Service, ServiceId, Stats, SyncRole, flags,
};
use keepwatch::conf::model::{Family, Forwarding, Protocol, Tunnel, TunnelChecksum};
use keepwatch::netlink::ipvs::{Ipvs, totals};
use nix::sched::{CloneFlags, setns, unshare};

#[test]
fn services_of_every_protocol_and_family() {
    scenario(|| {
        let mark = |family, mark| ServiceId::Mark { family, mark };
        same(&[
            (Op::AddService(service(tcp("192.0.2.1", 80), "rr")), "-A -t 192.0.2.1:80 -s rr"),
            (Op::AddService(service(tcp("2001:db8::1", 80), "rr")), "-A -t [2001:db8::1]:80 -s rr"),
            (Op::AddService(service(udp("192.0.2.1", 53), "rr")), "-A -u 192.0.2.1:53 -s rr"),
            (Op::AddService(service(udp("2001:db8::1", 53), "rr")), "-A -u [2001:db8::1]:53 -s rr"),
            (Op::AddService(service(sctp("192.0.2.1", 9), "rr")), "-A --sctp-service 192.0.2.1:9 -s rr"),
            (Op::AddService(service(sctp("2001:db8::1", 9), "rr")), "-A --sctp-service [2001:db8::1]:9 -s rr"),
            (Op::AddService(service(mark(Family::V4, 1), "rr")), "-A -f 1 -s rr"),
            (Op::AddService(service(mark(Family::V6, 1), "rr")), "-A -f 1 -6 -s rr"),
            (Op::AddService(service(mark(Family::V4, u32::MAX), "rr")), "-A -f 4294967295 -s rr"),
        ]);
    });
}

#[test]
fn every_scheduler_is_loaded_by_its_name() {
    scenario(|| {
        let names = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];
        let words: Vec<String> =
            (1..).zip(names).map(|(port, name)| format!("-A -t 192.0.2.1:{port} -s {name}")).collect();
        let add = |port, name| Op::AddService(service(tcp("192.0.2.1", port), name));
        let ops = (1..).zip(names).map(|(port, name)| add(port, name));
        same(&ops.zip(words.iter().map(String::as_str)).collect::<Vec<_>>());
    });
}

#[test]
fn flags_and_persistence() {
    scenario(|| {
        let persistent =
            |id, timeout_s, netmask| Service { flags: flags::PERSISTENT, timeout_s, netmask, ..service(id, "wlc") };
        let flagged = |port, scheduler, flags| Service { flags, ..service(tcp("192.0.2.1", port), scheduler) };
        let sip = Service { engine: Some("sip".into()), ..persistent(udp("192.0.2.1", 5060), 60, u32::MAX) };
        let sip6 = Service { engine: Some("sip".into()), ..persistent(udp("2001:db8::1", 5060), 60, 128) };
        same(&[
            (Op::AddService(persistent(tcp("192.0.2.1", 1), 300, u32::MAX)), "-A -t 192.0.2.1:1 -s wlc -p 300"),
            (Op::AddService(persistent(tcp("192.0.2.1", 0), 300, u32::MAX)), "-A -t 192.0.2.1:0 -s wlc -p 300"),
            (
                Op::AddService(persistent(tcp("192.0.2.1", 2), 7200, 0xffff_ff00)),
                "-A -t 192.0.2.1:2 -s wlc -p 7200 -M 255.255.255.0",
            ),
            (Op::AddService(persistent(tcp("2001:db8::1", 3), 300, 128)), "-A -t [2001:db8::1]:3 -s wlc -p 300"),
            (Op::AddService(persistent(tcp("2001:db8::1", 4), 1, 64)), "-A -t [2001:db8::1]:4 -s wlc -p 1 -M 64"),
            (
                Op::AddService(persistent(ServiceId::Mark { family: Family::V6, mark: 9 }, 60, 48)),
                "-A -f 9 -6 -s wlc -p 60 -M 48",
            ),
            (Op::AddService(sip), "-A -u 192.0.2.1:5060 -s wlc -p 60 --pe sip"),
            (Op::AddService(sip6), "-A -u [2001:db8::1]:5060 -s wlc -p 60 --pe sip"),
            (
                Op::AddService(Service { flags: flags::ONE_PACKET, ..service(udp("192.0.2.1", 5), "rr") }),
                "-A -u 192.0.2.1:5 -s rr -o",
            ),
            (Op::AddService(flagged(6, "sh", flags::SCHEDULER_1)), "-A -t 192.0.2.1:6 -s sh -b sh-fallback"),
            (Op::AddService(flagged(7, "sh", flags::SCHEDULER_2)), "-A -t 192.0.2.1:7 -s sh -b sh-port"),
            (
                Op::AddService(flagged(8, "mh", flags::SCHEDULER_1 | flags::SCHEDULER_2)),
                "-A -t 192.0.2.1:8 -s mh -b mh-fallback,mh-port",
            ),
            (Op::AddService(flagged(9, "rr", flags::SCHEDULER_3)), "-A -t 192.0.2.1:9 -s rr -b flag-3"),
        ]);
    });
}

#[test]
fn destinations_by_every_way_of_forwarding() {
    scenario(|| {
        let v4 = tcp("192.0.2.1", 80);
        let v6 = tcp("2001:db8::1", 80);
        let add = |id, address, port, forwarding| {
            Op::AddDestination(id, Destination { forwarding, ..destination(address, port) })
        };
        let gue = |port, checksum| Forwarding::Tunnel(Tunnel::Gue { port, checksum });
        let gre = |checksum| Forwarding::Tunnel(Tunnel::Gre { checksum });
        let ipip = Forwarding::Tunnel(Tunnel::Ipip);
        same(&[
            (Op::AddService(service(v4, "rr")), "-A -t 192.0.2.1:80 -s rr"),
            (Op::AddService(service(v6, "rr")), "-A -t [2001:db8::1]:80 -s rr"),
            (add(v4, "10.0.0.1", 8080, Forwarding::Nat), "-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m"),
            (add(v4, "10.0.0.2", 80, Forwarding::Direct), "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g"),
            (add(v4, "10.0.0.3", 80, ipip), "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -i"),
            (
                add(v4, "10.0.0.4", 80, gue(6080, TunnelChecksum::None)),
                "-a -t 192.0.2.1:80 -r 10.0.0.4:80 -i --tun-type gue --tun-port 6080 --tun-nocsum",
            ),
            (
                add(v4, "10.0.0.5", 80, gue(65535, TunnelChecksum::Checksum)),
                "-a -t 192.0.2.1:80 -r 10.0.0.5:80 -i --tun-type gue --tun-port 65535 --tun-csum",
            ),
            (
                add(v4, "10.0.0.6", 80, gue(1, TunnelChecksum::Remote)),
                "-a -t 192.0.2.1:80 -r 10.0.0.6:80 -i --tun-type gue --tun-port 1 --tun-remcsum",
            ),
            (
                add(v4, "10.0.0.7", 80, gre(TunnelChecksum::None)),
                "-a -t 192.0.2.1:80 -r 10.0.0.7:80 -i --tun-type gre --tun-nocsum",
            ),
            (
                add(v4, "10.0.0.8", 80, gre(TunnelChecksum::Checksum)),
                "-a -t 192.0.2.1:80 -r 10.0.0.8:80 -i --tun-type gre --tun-csum",
            ),
            (add(v6, "2001:db8::11", 8080, Forwarding::Nat), "-a -t [2001:db8::1]:80 -r [2001:db8::11]:8080 -m"),
            (add(v6, "2001:db8::12", 80, Forwarding::Direct), "-a -t [2001:db8::1]:80 -r [2001:db8::12]:80 -g"),
            (add(v6, "2001:db8::13", 80, ipip), "-a -t [2001:db8::1]:80 -r [2001:db8::13]:80 -i"),
            // A tunnel may lead to the other family.
            (add(v4, "2001:db8::14", 80, ipip), "-a -t 192.0.2.1:80 -r [2001:db8::14]:80 -i"),
            (add(v6, "10.0.0.15", 80, ipip), "-a -t [2001:db8::1]:80 -r 10.0.0.15:80 -i"),
            (
                add(v6, "10.0.0.16", 80, gue(6080, TunnelChecksum::None)),
                "-a -t [2001:db8::1]:80 -r 10.0.0.16:80 -i --tun-type gue --tun-port 6080",
            ),
        ]);
    });
}

#[test]
fn weights_and_thresholds_to_their_limits() {
    scenario(|| {
        let id = tcp("192.0.2.1", 80);
        let add = |last: u8, weight, upper_threshold, lower_threshold| {
            let address = format!("10.0.0.{last}");
            Op::AddDestination(
                id,
                Destination { weight, upper_threshold, lower_threshold, ..destination(&address, 80) },
            )
        };
        same(&[
            (Op::AddService(service(id, "wrr")), "-A -t 192.0.2.1:80 -s wrr"),
            (add(1, 0, 0, 0), "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0"),
            (add(2, 65535, 1000, 500), "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 65535 -x 1000 -y 500"),
            (add(3, 253, 1000, 0), "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -m -w 253 -x 1000"),
        ]);
    });
}

#[test]
fn edits_change_what_they_name_and_keep_the_rest() {
    scenario(|| {
        let id = tcp("192.0.2.1", 80);
        let persistent = Service { flags: flags::PERSISTENT, timeout_s: 60, ..service(id, "wlc") };
        let sip = udp("192.0.2.1", 5060);
        let with_engine =
            Service { flags: flags::PERSISTENT, timeout_s: 60, engine: Some("sip".into()), ..service(sip, "rr") };
        let (real, of_sip) = (destination("10.0.0.1", 80), destination("10.0.0.1", 5060));
        let tunnel = Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Checksum });
        let changes = [
            (Op::AddService(service(id, "rr")), "-A -t 192.0.2.1:80 -s rr"),
            (Op::AddDestination(id, real), "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m"),
            (Op::AddDestination(id, destination("10.0.0.2", 80)), "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m"),
            (Op::EditService(persistent), "-E -t 192.0.2.1:80 -s wlc -p 60"),
            (Op::EditDestination(id, Destination { weight: 0, ..real }), "-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0"),
            (
                Op::EditDestination(id, Destination { forwarding: tunnel, upper_threshold: 5, ..real }),
                "-e -t 192.0.2.1:80 -r 10.0.0.1:80 -i --tun-type gue --tun-port 6080 --tun-csum -x 5",
            ),
            (Op::AddService(with_engine), "-A -u 192.0.2.1:5060 -s rr -p 60 --pe sip"),
        ];
        // After each edit.
        for edited in 4..=changes.len() {
            same(&changes[..edited]);
        }
        // Back again: neither the tunnel nor the engine nor persistence stays behind.
        same(&[
            (
                Op::AddService(Service { flags: flags::PERSISTENT, timeout_s: 9, ..service(sip, "rr") }),
                "-A -u 192.0.2.1:5060 -s rr -p 9",
            ),
            (Op::EditService(service(sip, "wrr")), "-E -u 192.0.2.1:5060 -s wrr"),
            (
                Op::AddDestination(sip, Destination { forwarding: tunnel, ..of_sip }),
                "-a -u 192.0.2.1:5060 -r 10.0.0.1:5060 -i --tun-type gue --tun-port 6080 --tun-csum",
            ),
            (Op::EditDestination(sip, of_sip), "-e -u 192.0.2.1:5060 -r 10.0.0.1:5060 -m"),
        ]);
    });
}

#[test]
fn deletes_and_flush() {
    scenario(|| {
        let (first, second) = (tcp("192.0.2.1", 80), tcp("2001:db8::1", 80));
        let table = [
            (Op::AddService(service(first, "rr")), "-A -t 192.0.2.1:80 -s rr"),
            (Op::AddDestination(first, destination("10.0.0.1", 80)), "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m"),
            (Op::AddDestination(first, destination("10.0.0.2", 80)), "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m"),
            (Op::AddService(service(second, "rr")), "-A -t [2001:db8::1]:80 -s rr"),
            (Op::AddDestination(second, destination("fd00::1", 80)), "-a -t [2001:db8::1]:80 -r [fd00::1]:80 -m"),
            (Op::DeleteDestination(first, destination("10.0.0.1", 80).id), "-d -t 192.0.2.1:80 -r 10.0.0.1:80"),
            (Op::DeleteService(second), "-D -t [2001:db8::1]:80"),
        ];
        same(&table);
        let mut ours = Side::new();
        ours.apply(&table.map(|(op, _)| op));
        ours.apply(&[Op::Flush]);
        assert_eq!(ours.ipvs.services().unwrap(), []);
        assert_eq!(saved(&ours), Vec::<String>::new());
    });
}

#[test]
fn time_outs_change_singly() {
    scenario(|| {
        let mut ours = Side::new();
        ours.apply(&[Op::Timeouts { tcp: Some(901), tcp_fin: Some(121), udp: Some(301) }]);
        let shown = ipvsadm(&ours, "-L --timeout");
        assert!(shown.contains("901 121 301"), "{shown}");
        ours.apply(&[Op::Timeouts { tcp: None, tcp_fin: Some(7), udp: Some(0) }]);
        let timeouts = ours.ipvs.timeouts().unwrap();
        assert_eq!((timeouts.tcp, timeouts.tcp_fin, timeouts.udp), (901, 7, 301));
        let op = Op::Timeouts { tcp: Some(u32::MAX), tcp_fin: None, udp: None };
        assert_eq!(ours.ipvs.apply(std::slice::from_ref(&op)), [Some(libc_errno("EINVAL"))]);
    });
}

#[test]
fn synchronisation_daemons_in_all_forms() {
    scenario(|| {
        let both = || {
            let side = Side::new();
            let script = "ip link add d0 type dummy; ip link set d0 multicast on up
                ip address add 10.9.0.1/24 dev d0; ip address add 2001:db8:9::1/64 dev d0 nodad";
            side.must(&["sh", "-ec", script]);
            side
        };
        let plain = |role, id| Daemon {
            role,
            interface: "d0".into(),
            id,
            max_length: None,
            port: None,
            ttl: None,
            group: None,
        };
        let whole = Daemon {
            max_length: Some(1000),
            port: Some(9000),
            ttl: Some(3),
            group: Some("224.1.2.3".parse().unwrap()),
            ..plain(SyncRole::Master, 255)
        };
        let v6 = Daemon { group: Some("ff05::51".parse().unwrap()), ..plain(SyncRole::Backup, 7) };
        let forms = [
            (plain(SyncRole::Master, 0), "--start-daemon master --mcast-interface d0 --syncid 0"),
            (plain(SyncRole::Backup, 9), "--start-daemon backup --mcast-interface d0 --syncid 9"),
            (
                whole,
                "--start-daemon master --mcast-interface d0 --syncid 255 --sync-maxlen 1000 --mcast-group 224.1.2.3 \
                 --mcast-port 9000 --mcast-ttl 3",
            ),
            (v6, "--start-daemon backup --mcast-interface d0 --syncid 7 --mcast-group ff05::51"),
        ];
        for (daemon, words) in forms {
            let (mut ours, mut theirs) = (both(), both());
            ours.apply(&[Op::StartDaemon(daemon.clone())]);
            ipvsadm(&theirs, words);
            let shown = ipvsadm(&ours, "-L --daemon");
            assert!(shown.contains("d0"), "{shown}");
            assert_eq!(shown, ipvsadm(&theirs, "-L --daemon"));
            let found = ours.ipvs.daemons().unwrap();
            assert_eq!(found, theirs.ipvs.daemons().unwrap());
            assert_eq!((found[0].role, found[0].id, &found[0].interface), (daemon.role, daemon.id, &daemon.interface));
            assert_eq!(found[0].port, Some(daemon.port.unwrap_or(8848)));
            ours.apply(&[Op::StopDaemon { role: daemon.role, id: daemon.id }]);
            assert_eq!(ours.ipvs.daemons().unwrap(), []);
        }
        // Both at once, as a router that takes over has them.
        let mut ours = both();
        ours.apply(&[Op::StartDaemon(plain(SyncRole::Master, 1)), Op::StartDaemon(plain(SyncRole::Backup, 1))]);
        assert_eq!(ours.ipvs.daemons().unwrap().len(), 2);
        let again = Op::StartDaemon(plain(SyncRole::Master, 1));
        assert_refused(&mut ours, &again, "EEXIST", "master synchronisation runs already");
        let roles = [SyncRole::Master, SyncRole::Backup];
        ours.apply(&roles.map(|role| Op::StopDaemon { role, id: 1 }));
        // The kernel answers nothing for a thread that had no time to run.
        let stop = Op::StopDaemon { role: SyncRole::Backup, id: 1 };
        ours.apply(&[Op::StartDaemon(plain(SyncRole::Backup, 1)), stop]);
        assert_eq!(ours.ipvs.daemons().unwrap(), []);
        let stop = Op::StopDaemon { role: SyncRole::Master, id: 1 };
        assert_refused(&mut ours, &stop, "ESRCH", "no master synchronisation runs");
        let nowhere = Op::StartDaemon(Daemon { interface: "nil".into(), ..plain(SyncRole::Master, 1) });
        assert_refused(&mut ours, &nowhere, "ENODEV", "there is no interface nil");
        // A real server of the other family, and the kernel does not synchronise; nor the other way round.
        let id = tcp("192.0.2.1", 80);
        let tunnel = Destination { forwarding: Forwarding::Tunnel(Tunnel::Ipip), ..destination("2001:db8::14", 80) };
        ours.apply(&[Op::AddService(service(id, "rr")), Op::AddDestination(id, tunnel)]);
        let start = Op::StartDaemon(plain(SyncRole::Master, 1));
        assert_refused(&mut ours, &start, "EINVAL", "real servers of another address family exist");
        ours.apply(&[Op::DeleteDestination(id, tunnel.id), start]);
        assert_refused(&mut ours, &Op::AddDestination(id, tunnel), "EINVAL", "exclude connection synchronisation");
    });
}

#[test]
fn refusals_and_their_words() {
    scenario(|| {
        let mut ours = Side::new();
        let id = tcp("192.0.2.1", 80);
        let absent = tcp("192.0.2.2", 80);
        let real = destination("10.0.0.1", 80);
        ours.apply(&[Op::AddService(service(id, "rr")), Op::AddDestination(id, real)]);
        let other = |address| destination(address, 80);
        let engine = |name: &str| Service {
            flags: flags::PERSISTENT,
            timeout_s: 60,
            engine: Some(name.into()),
            ..service(udp("192.0.2.9", 5060), "rr")
        };
        for (op, errno, words) in [
            (Op::AddService(service(id, "rr")), "EEXIST", "has a virtual server 192.0.2.1:80/tcp already"),
            (Op::AddService(service(absent, "twos")), "ENOENT", "(module ip_vs_twos)"),
            (Op::EditService(service(id, "nosuch")), "ENOENT", "scheduler nosuch is not known"),
            (Op::AddService(engine("nosuch")), "ENOENT", "(module ip_vs_pe_nosuch)"),
            (Op::EditService(service(absent, "rr")), "ESRCH", "has no virtual server 192.0.2.2:80/tcp"),
            (Op::DeleteService(absent), "ESRCH", "has no virtual server"),
            (Op::AddDestination(absent, real), "ESRCH", "has no virtual server"),
            (Op::AddDestination(id, real), "EEXIST", "has a real server 10.0.0.1:80 in 192.0.2.1:80/tcp already"),
            (Op::EditDestination(id, other("10.0.0.9")), "ENOENT", "has no real server 10.0.0.9:80"),
            (Op::DeleteDestination(id, other("10.0.0.9").id), "ENOENT", "has no real server 10.0.0.9:80"),
            (
                Op::AddDestination(id, Destination { weight: 1 << 31, ..other("10.0.0.9") }),
                "ERANGE",
                "weight 2147483648 is above 2147483647",
            ),
            (
                Op::AddDestination(id, Destination { upper_threshold: 1, lower_threshold: 2, ..other("10.0.0.9") }),
                "ERANGE",
                "the lower threshold 2 is above the upper one 1",
            ),
            (Op::AddDestination(id, other("2001:db8::9")), "EINVAL", "by a tunnel only"),
            (Op::AddDestination(id, other("224.0.0.9")), "EINVAL", "no unicast address"),
            (
                Op::AddService(Service { netmask: 0, ..service(tcp("2001:db8::9", 80), "rr") }),
                "EINVAL",
                "no prefix length",
            ),
            (Op::AddService(service(absent, "a_name_beyond_sixteen")), "EINVAL", "too long"),
        ] {
            assert_refused(&mut ours, &op, errno, words);
        }
        assert_eq!(ours.ipvs.service(&id).unwrap(), Some((service(id, "rr"), Stats::default())));
        assert_eq!(ours.ipvs.service(&absent).unwrap(), None);
        assert_eq!(ours.ipvs.destinations(&absent).unwrap(), [], "the kernel lists nothing for what is not there");
        // A refusal in a batch does not stop what follows.
        let answers = ours.ipvs.apply(&[
            Op::AddService(service(absent, "twos")),
            Op::AddService(service(absent, "rr")),
            Op::AddService(service(absent, "rr")),
            Op::DeleteService(absent),
        ]);
        assert_eq!(answers, [Some(libc_errno("ENOENT")), None, Some(libc_errno("EEXIST")), None]);
    });
}

#[test]
fn ten_thousand_services_come_and_are_listed_and_go() {
    scenario(|| {
        let mut ours = Side::new();
        let ids: Vec<ServiceId> =
            (0..10_000_u16).map(|n| tcp(&format!("10.1.{}.{}", n / 250, n % 250 + 1), 80)).collect();
        let adds: Vec<Op> = ids.iter().map(|id| Op::AddService(service(*id, "rr"))).collect();
        let began = Instant::now();
        ours.apply(&adds);
        let added = began.elapsed();
        let began = Instant::now();
        let found = ours.ipvs.services().unwrap();
        let listed = began.elapsed();
        let mut found: BTreeSet<ServiceId> = found.into_iter().map(|(service, _)| service.id).collect();
        // Those whom the list left out because a scenario beside this one changed its own table.
        for id in &ids {
            if !found.contains(id) && ours.ipvs.service(id).unwrap().is_some() {
                found.insert(*id);
            }
        }
        assert_eq!(found, ids.iter().copied().collect());
        let shown = ipvsadm(&ours, "-Ln").lines().filter(|line| line.starts_with("TCP")).count();
        assert!((9_900..=10_100).contains(&shown), "ipvsadm's list has the same flaw, but not {shown} of them");
        let began = Instant::now();
        ours.apply(&ids.iter().map(|id| Op::DeleteService(*id)).collect::<Vec<_>>());
        println!("10,000 services: added in {added:.1?}, listed in {listed:.1?}, deleted in {:.1?}", began.elapsed());
        assert_eq!(ours.ipvs.services().unwrap(), []);
        assert!(listed < Duration::from_secs(20), "listing took {listed:?}");
    });
}

#[test]
fn a_small_receive_buffer_loses_no_answer() {
    scenario(|| {
        let mut ours = Side::new();
        ours.ipvs = ours.enter(|| Ipvs::open(Some(4096)).unwrap());
        let adds: Vec<Op> = (1..500).map(|port| Op::AddService(service(tcp("192.0.2.1", port), "rr"))).collect();
        ours.apply(&adds);
        // Refusals are longer answers.
        assert_eq!(ours.ipvs.apply(&adds), vec![Some(libc_errno("EEXIST")); adds.len()]);
        assert_eq!(ours.ipvs.services().unwrap().len(), adds.len());
    });
}

#[test]
fn real_traffic_is_counted_as_ipvsadm_counts_it() {
    scenario(|| {
        let pool = Pool::new();
        pool.take_addresses();
        let mut ipvs = pool.director.enter(|| Ipvs::open(None).unwrap());
        let ids = [tcp("1.1.1.15", 80), tcp("2001:db8::15", 80)];
        let mut ops = Vec::new();
        for id in ids {
            ops.push(Op::AddService(service(id, "rr")));
            for real in &pool.reals {
                let address = if id.family() == Family::V4 { real.v4 } else { real.v6 };
                ops.push(Op::AddDestination(id, destination(&address.to_string(), 80)));
            }
        }
        assert_eq!(ipvs.apply(&ops), vec![None; ops.len()]);
        for (to, _) in [pool::V4, pool::V6] {
            let answers: BTreeSet<String> = pool.answers(to, 8).into_iter().map(Result::unwrap).collect();
            assert_eq!(answers.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(pool::NAMES));
        }
        let mut open = pool.connect(pool::V4.0).unwrap();
        open.ask().unwrap();

        let shown = settled_statistics(&pool.director);
        let counters = |stats: Stats| Counters {
            connections: stats.connections,
            packets_in: stats.packets_in,
            packets_out: stats.packets_out,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
        };
        let mut all = Stats::default();
        let mut active = 0;
        for (id, (_, name)) in ids.iter().zip([pool::V4, pool::V6]) {
            let services = ipvs.services().unwrap();
            let (_, stats) = services.iter().find(|(service, _)| service.id == *id).unwrap();
            assert_eq!(counters(*stats), shown[&(name.to_owned(), None)]);
            assert!(stats.connections >= 8 && stats.bytes_out > 8 * 100, "{stats:?}");
            all += *stats;
            let destinations = ipvs.destinations(id).unwrap();
            assert_eq!(destinations.len(), 4);
            for (destination, load) in destinations {
                let key = (name.to_owned(), Some(destination.id.to_string()));
                assert_eq!(counters(load.stats), shown[&key]);
                let real = &ipvsadm::destinations(&pool.director, name).unwrap()[&destination.id.to_string()];
                assert_eq!((load.active, destination.weight), (real.active, real.weight));
                active += load.active;
            }
        }
        assert_eq!(active, 1, "one connection is open");
        // Of the namespace that the reading thread has entered, whatever its process started in.
        let totals = || pool.director.enter(totals::read).expect("the kernel tells totals");
        assert_eq!(counters(totals()), counters(all));
        // The kernel's estimator looks every two seconds.
        wait::until("a rate above 0", Duration::from_secs(30), || {
            open.ask().unwrap();
            ipvs.services().unwrap().iter().any(|(_, stats)| stats.packet_rate_in > 0).then_some(())
        });
        wait::until("the same of the totals", Duration::from_secs(30), || {
            open.ask().unwrap();
            (totals().packet_rate_in > 0).then_some(())
        });
    });
}

#[test]
fn the_kernel_says_which_ipvs_it_has() {
    scenario(|| {
        let mut ours = Side::new();
        let info = ours.ipvs.info().unwrap();
        let (major, minor, patch) = info.version;
        let shown = ipvsadm(&ours, "-Ln");
        let heading = format!("version {major}.{minor}.{patch} (size={})", info.connection_table);
        assert!(shown.contains(&heading), "{heading}: {shown}");
    });
}

/// A namespace with a table of its own, and nothing else: cheaper than a lab.
struct Side {
    namespace: File,
    ipvs: Ipvs,
}

impl Side {
    fn new() -> Side {
        let unshared = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            (File::open("/proc/thread-self/ns/net").unwrap(), Ipvs::open(None).unwrap())
        });
        let (namespace, ipvs) = unshared.join().unwrap();
        let side = Side { namespace, ipvs };
        // Without it, there are no addresses for the kernel.
        side.must(&["ip", "link", "set", "lo", "up"]);
        side
    }

    /// Runs `work` on a thread that lives in the namespace.
    fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    /// Every one must be accepted.
    #[track_caller]
    fn apply(&mut self, ops: &[Op]) {
        for (op, answer) in ops.iter().zip(self.ipvs.apply(ops)) {
            if let Some(errno) = answer {
                panic!("{op:?}: {errno}: {}", explain(op, errno));
            }
        }
    }

    /// All that the kernel has, in an order of ours.
    fn found(&mut self) -> Vec<Found> {
        let mut all = Vec::new();
        for (service, stats) in self.ipvs.services().unwrap() {
            let mut destinations = self.ipvs.destinations(&service.id).unwrap();
            destinations.sort_by_key(|(destination, _)| destination.id);
            all.push(Found { service, stats, destinations });
        }
        all.sort_by_key(|found| found.service.id);
        all
    }
}

impl Place for Side {
    fn must(&self, words: &[&str]) -> String {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        self.enter(|| must(command))
    }
}

/// Carries out the operations here and the words with `ipvsadm` there, and compares: as `ipvsadm` sees both, as we see
/// both, and with what was asked for.
#[track_caller]
fn same(changes: &[(Op, &str)]) {
    let (mut ours, mut theirs) = (Side::new(), Side::new());
    ours.apply(&changes.iter().map(|(op, _)| op.clone()).collect::<Vec<_>>());
    let script: String = changes.iter().map(|(_, words)| format!("ipvsadm {words}\n")).collect();
    theirs.must(&["sh", "-ec", &script]);
    let shown = saved(&ours);
    assert!(!shown.is_empty());
    assert_eq!(shown, saved(&theirs));
    assert_eq!(ours.found(), theirs.found());
    let found = ours.found().into_iter().map(|found| {
        let destinations = found.destinations.into_iter().map(|(destination, _)| (destination.id, destination));
        (found.service.id, Entry { service: found.service, destinations: destinations.collect() })
    });
    assert_eq!(found.collect::<BTreeMap<_, _>>(), outcome(changes.iter().map(|(op, _)| op)));
}

/// What a kernel that does as it is told has after these changes.
fn outcome<'a>(changes: impl Iterator<Item = &'a Op>) -> BTreeMap<ServiceId, Entry> {
    let mut table: BTreeMap<ServiceId, Entry> = BTreeMap::new();
    for change in changes {
        match change {
            Op::AddService(service) => {
                let entry = Entry { service: service.clone(), destinations: BTreeMap::new() };
                table.insert(service.id, entry);
            }
            Op::EditService(service) => table.get_mut(&service.id).unwrap().service = service.clone(),
            Op::DeleteService(id) => _ = table.remove(id),
            Op::AddDestination(id, destination) | Op::EditDestination(id, destination) => {
                table.get_mut(id).unwrap().destinations.insert(destination.id, *destination);
            }
            Op::DeleteDestination(id, destination) => {
                table.get_mut(id).unwrap().destinations.remove(destination);
            }
            Op::Flush => table.clear(),
            Op::Timeouts { .. } | Op::StartDaemon(_) | Op::StopDaemon { .. } => {}
        }
    }
    table
}

#[track_caller]
fn assert_refused(side: &mut Side, op: &Op, errno: &str, words: &str) {
    let answer = side.ipvs.apply(std::slice::from_ref(op));
    assert_eq!(answer, [Some(libc_errno(errno))], "{op:?}");
    let said = explain(op, libc_errno(errno));
    assert!(said.contains(words), "{op:?}: `{said}` does not say `{words}`");
}

fn libc_errno(name: &str) -> i32 {
    use nix::errno::Errno;
    let errno = match name {
        "EEXIST" => Errno::EEXIST,
        "EINVAL" => Errno::EINVAL,
        "ENODEV" => Errno::ENODEV,
        "ENOENT" => Errno::ENOENT,
        "ERANGE" => Errno::ERANGE,
        "ESRCH" => Errno::ESRCH,
        other => panic!("which errno is {other}?"),
    };
    errno as i32
}

fn service(id: ServiceId, scheduler: &str) -> Service {
    let netmask = match id.family() {
        Family::V4 => u32::MAX,
        Family::V6 => 128,
    };
    Service { id, scheduler: scheduler.into(), flags: 0, timeout_s: 0, netmask, engine: None }
}

fn tcp(address: &str, port: u16) -> ServiceId {
    id(Protocol::Tcp, address, port)
}

fn udp(address: &str, port: u16) -> ServiceId {
    id(Protocol::Udp, address, port)
}

fn sctp(address: &str, port: u16) -> ServiceId {
    id(Protocol::Sctp, address, port)
}

fn id(protocol: Protocol, address: &str, port: u16) -> ServiceId {
    ServiceId::Address { protocol, address: address.parse::<IpAddr>().unwrap(), port }
}

fn destination(address: &str, port: u16) -> Destination {
    Destination {
        id: DestinationId { address: address.parse().unwrap(), port },
        forwarding: Forwarding::Nat,
        weight: 1,
        upper_threshold: 0,
        lower_threshold: 0,
        local: false,
    }
}
