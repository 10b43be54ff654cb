//! What snmpd serves, accepts and sends under the seed's configuration, against the recordings from Keepalived v2.4.3 in
//! `oracle/`: equal line by line, but for volatile values and for the bugs that `oracle/bugs.tsv` numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::recording;
use agentx_tests::seed::{self, SeedLab};
use agentx_tests::snmp::{KEEPALIVED, Manager, STATE_CHANGE, Snmpd, TrapCollector};
use agentx_tests::wait;
use nix::sys::signal::Signal;

const SETS: &str = include_str!("../oracle/01-seed-vrrp/sets.txt");
const SETS_SCRIPT: &str = include_str!("../oracle/01-seed-vrrp/sets.sh");
const SEED_IPVS: &str = include_str!("../oracle/02-seed-ipvs/keepalived.conf");
const SYSOR: &str = include_str!("../oracle/02-seed-ipvs/sysor.txt");
const TRAPS: &str = include_str!("../oracle/01-seed-vrrp/traps.txt");

/// vrrpInstanceEntry
const INSTANCE: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1";
/// L1 of the seed, master, with snmpd.
struct Seeded {
    daemon: Daemon,
    manager: Manager,
    traps: TrapCollector,
    _snmpd: Snmpd,
    lab: SeedLab,
}

fn seeded() -> Seeded {
    started(seed::FIRST)
}

fn started(configuration: &str) -> Seeded {
    let lab = SeedLab::new();
    let traps = TrapCollector::start(&lab.first);
    let snmpd = Snmpd::start(&lab.first, Some("127.0.0.1:162"));
    let agentx = snmpd.agentx();
    let options = Options { agentx: Some(&agentx), ..Options::default() };
    let daemon = Daemon::start(&lab.first, Program::Keepwatch, configuration, options);
    let manager = Manager::on(&lab.first, "127.0.0.1");
    let settled =
        || (manager.number(&format!("{INSTANCE}.4.1")) == Some(2) && lab.first.has("192.168.1.1")).then_some(());
    let master = wait::within(Duration::from_secs(15), settled);
    assert!(master.is_some(), "VI_1 is not master by SNMP after 15 s; the daemon said:\n{}", daemon.log());
    Seeded { daemon, manager, traps, _snmpd: snmpd, lab }
}

#[test]
fn a_walk_of_the_seed_equals_the_recording_of_keepalived() {
    let seeded = seeded();
    let walked: Vec<String> = recording::MODULES.iter().flat_map(|root| seeded.manager.walk(root)).collect();
    let wrong = recording::mismatches(&recording::SEED, &walked);
    assert!(wrong.is_empty(), "{}", recording::report(&wrong));
}

/// sysORDescr of everything that the daemon says it serves.
fn served(manager: &Manager) -> BTreeSet<String> {
    let lines = manager.walk(".1.3.6.1.2.1.1.9.1.3");
    let parts = lines.iter().filter_map(|line| Some(line.split_once(" = ")?.1.to_owned()));
    parts.filter(|part| SYSOR.contains(part.as_str())).collect()
}

#[test]
fn the_check_group_is_served_where_there_are_virtual_servers() {
    let with_virtual_servers: BTreeSet<String> =
        SYSOR.lines().filter_map(|line| Some(line.split_once(" = ")?.1.to_owned())).collect();
    assert_eq!(with_virtual_servers.len(), 5);
    let seeded = started(SEED_IPVS);
    let all = wait::within(Duration::from_secs(10), || (served(&seeded.manager) == with_virtual_servers).then_some(()));
    assert!(all.is_some(), "{:?}", served(&seeded.manager));
    let enabled = format!("{KEEPALIVED}.3.6.1.0");
    assert_eq!(seeded.manager.number(&enabled), Some(2), "lvsSyncDaemonEnabled");
    drop(seeded);
    let seeded = self::seeded();
    let without = wait::within(Duration::from_secs(10), || (served(&seeded.manager).len() == 4).then_some(()));
    assert!(without.is_some(), "{:?}", served(&seeded.manager));
    assert_eq!(seeded.manager.number(&enabled), None);
}

/// One request of the recording and everything that was printed for it.
type Exchange = (String, String);

fn exchanges(text: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    for line in text.lines() {
        if line.starts_with("## ") {
            continue;
        }
        if line.starts_with("$ ") || line.starts_with("--- ") {
            all.push((line.to_owned(), String::new()));
        } else if let Some((_, output)) = all.last_mut() {
            output.push_str(line);
            output.push('\n');
        }
    }
    all
}

/// Plays the words of `sets.sh` against the agent and prints what `record.sh` prints.
fn replay(script: &str, manager: &Manager) -> String {
    let mut printed = String::new();
    for line in script.lines() {
        let words: Vec<String> = shell_words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let get = |oids: &[&str]| manager.raw("snmpget", "public", oids).0;
        match words.as_slice() {
            ["SET", request @ ..] => {
                let (said, status) = manager.raw("snmpset", "private", request);
                printed += &format!("$ snmpset {}\n{said}rc={status}\nget: {}", request.join(" "), get(&request[..1]));
            }
            ["SETM", request @ ..] => {
                let (said, status) = manager.raw("snmpset", "private", request);
                printed += &format!("$ snmpset {}\n{said}rc={status}\n", request.join(" "));
            }
            ["SETRO", request @ ..] => {
                let (said, status) = manager.raw("snmpset", "public", request);
                printed += &format!("$ snmpset (read-only community) {}\n{said}rc={status}\n", request.join(" "));
            }
            ["snap", title, "get", oids @ ..] => printed += &format!("--- {title}\n{}", get(oids)),
            ["GET", oid] => printed += &format!("$ snmpget {oid}\n{}", get(&[oid])),
            ["NEXT", oid] => {
                printed += &format!("$ snmpgetnext {oid}\n{}", manager.raw("snmpgetnext", "public", &[oid]).0)
            }
            ["echo", ..] | [] => {}
            [assignment] if assignment.starts_with("I=") => {}
            other => panic!("sets.sh has a word that this test does not know: {other:?}"),
        }
    }
    printed
}

/// Words of a shell line, with `$I` replaced; double quotes group.
fn shell_words(line: &str) -> Vec<String> {
    let line = line.replace("$I", INSTANCE);
    let mut words = Vec::new();
    for (number, part) in line.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Where semantics differ from the recording on purpose: request, what was recorded, what is right.
fn differences(recorded: &[Exchange]) -> Vec<(String, Exchange, &'static str)> {
    let priority = format!("{INSTANCE}.7.1");
    let preempt = format!("{INSTANCE}.13.1");
    let refused = |object: &str, value: &str| {
        format!(
            "Error in packet.\nReason: wrongValue (The set value is illegal or unsupported in some way)\n\
             Failed object: {object}\n\nrc=2\nget: {object} = INTEGER: {value}\n"
        )
    };
    let mut all = Vec::new();
    for (request, output) in recorded {
        let set_of = |object: &str| request.strip_prefix(&format!("$ snmpset {object} ")).map(str::to_owned);
        let right = match (set_of(&priority).as_deref(), set_of(&preempt).as_deref()) {
            // B5: Keepalived looks at the low octet only.
            (Some("i -1" | "i 256" | "i 257" | "i 300" | "i 511" | "i 2147483647" | "i -256"), _) => {
                Some(refused(&priority, "150"))
            }
            // ... so that its value was 255 when these were refused, and ours is still 150.
            (Some("u 100" | "s 100" | "x 64" | "t 100" | "c 100" | "a 0.0.0.100" | "n 0"), _) => Some(output.replace(
                "get: .1.3.6.1.4.1.9586.100.5.2.3.1.7.1 = INTEGER: 255",
                "get: .1.3.6.1.4.1.9586.100.5.2.3.1.7.1 = INTEGER: 150",
            )),
            (_, Some("i 258" | "i 257")) => Some(refused(&preempt, "1")),
            _ => None,
        };
        if let Some(right) = right {
            all.push((request.clone(), (output.clone(), right), "B5"));
        } else if request.contains(".3.1.27.1 ") || request == "--- values before" {
            let right = output.replace(".3.1.27.1 = INTEGER: 0", ".3.1.27.1 = INTEGER: 1");
            all.push((request.clone(), (output.clone(), right), "B18"));
        } else if request.starts_with("--- effective priority") && output.ends_with(" 254\n") {
            // A base of 255 set by SNMP: Keepalived makes it the effective one at the next transition to master.
            let right = output.replace(" 254\n", " 255\n");
            all.push((request.clone(), (output.clone(), right), "a SET is in force when it is answered"));
        }
    }
    all
}

#[test]
fn every_set_of_the_recording_is_answered_as_keepalived_does_or_as_the_rfc_wants() {
    let seeded = seeded();
    let recorded = exchanges(SETS.split("## reload").next().unwrap());
    let played = exchanges(&replay(SETS_SCRIPT, &seeded.manager));
    let right = differences(&recorded);
    assert_eq!(right.len(), 7 + 7 + 2 + 3 + 1, "the list of differences does not fit the recording");
    assert_eq!(played.len(), recorded.len());
    let mut wrong = Vec::new();
    for ((request, have), (recorded_request, recorded_output)) in played.iter().zip(&recorded) {
        assert_eq!(request, recorded_request);
        let difference = right.iter().find(|(of, (output, _), _)| of == request && output == recorded_output);
        let (want, why) = difference.map_or((recorded_output, ""), |(_, (_, right), why)| (right, *why));
        if have != want {
            wrong.push(format!("{request} {why}\n  want {want:?}\n  have {have:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_reload_puts_back_what_a_set_has_changed() {
    let seeded = seeded();
    let (priority, effective, preempt) =
        (format!("{INSTANCE}.7.1"), format!("{INSTANCE}.8.1"), format!("{INSTANCE}.13.1"));
    let values = || [&priority, &effective, &preempt].map(|oid| seeded.manager.number(oid));
    let (said, status) = seeded.manager.raw("snmpset", "private", &[&priority, "i", "123", &preempt, "i", "2"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(values(), [Some(123), Some(123), Some(2)]);
    seeded.daemon.process.signal(Signal::SIGHUP);
    let back = wait::within(Duration::from_secs(8), || (values() == [Some(150), Some(150), Some(1)]).then_some(()));
    assert!(back.is_some(), "8 s after SIGHUP: {:?}", values());
    assert_eq!(seeded.manager.number(&format!("{INSTANCE}.4.1")), Some(2), "an unchanged file leaves a master master");
}

#[test]
fn a_priority_set_by_snmp_goes_out_with_the_next_advert() {
    let seeded = seeded();
    let witness = agentx_tests::capture::Witness::start(&seeded.lab.lab);
    let port = seeded.lab.first_ports[2];
    witness.wait_for_advert("an advert with 150", port, 0, Duration::from_secs(5), |advert| advert.priority == 150);
    let (said, status) = seeded.manager.raw("snmpset", "private", &[&format!("{INSTANCE}.7.1"), "i", "77"]);
    assert_eq!(status, 0, "{said}");
    witness.wait_for_advert("an advert with 77", port, 0, Duration::from_secs(5), |advert| advert.priority == 77);
}

/// Varbinds of each vrrpInstanceStateChange in a recording, in order.
fn recorded_state_changes() -> Vec<Vec<String>> {
    let traps = TRAPS.split("TRAP\n").skip(1);
    let varbinds =
        traps.map(|trap| trap.lines().take_while(|line| line.starts_with('.')).map(str::to_owned).collect::<Vec<_>>());
    let state_changes = varbinds.filter(|varbinds| varbinds[1].ends_with(STATE_CHANGE));
    state_changes.map(|varbinds| varbinds[2..].to_vec()).collect()
}

#[test]
fn the_traps_of_a_start_two_link_failures_and_a_stop_are_those_of_keepalived_with_row_numbers() {
    let mut seeded = seeded();
    // B2: instances of columns carry their row; routerId.0 is a scalar already.
    let with_row = |varbind: &String| match varbind.split_once(" = ") {
        Some((oid, value)) if oid.starts_with(INSTANCE) => format!("{oid}.1 = {value}"),
        _ => varbind.clone(),
    };
    let want: Vec<Vec<String>> =
        recorded_state_changes().iter().map(|varbinds| varbinds.iter().map(with_row).collect()).collect();
    assert_eq!(want.len(), 9, "the recording has nine state changes");
    let have = || -> Vec<Vec<String>> {
        let traps = seeded.traps.traps().into_iter().filter(|trap| trap.oid == STATE_CHANGE);
        traps.map(|trap| trap.varbinds).collect()
    };
    let wait_for = |count: usize, what: &str| {
        let enough = wait::within(Duration::from_secs(12), || (have().len() >= count).then_some(()));
        assert!(enough.is_some(), "{what}: {count} traps expected, {:#?} arrived", have());
        assert_eq!(have()[..count], want[..count], "{what}");
    };
    wait_for(2, "start: backup, master");
    seeded.lab.lab.unplug(seeded.lab.first_ports[1]);
    wait_for(3, "eth1 loses its carrier: fault");
    seeded.lab.lab.plug(seeded.lab.first_ports[1]);
    wait_for(5, "eth1 is back: backup, master");
    seeded.lab.first.ip(&["link", "set", "eth0", "down"]);
    wait_for(6, "eth0 is set down: fault");
    seeded.lab.first.ip(&["link", "set", "eth0", "up"]);
    wait_for(8, "eth0 is up: backup, master");
    assert_eq!(seeded.daemon.stop(), 0);
    wait_for(9, "stop: shutdown");
    assert_eq!(have().len(), 9, "no trap too many");
}
