//! The seed's load balancer, end to end. Each scenario takes the program that directs; Debian's keepalived, which
//! everything is modelled on, proves the lab.

use std::collections::BTreeSet;
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::ipvsadm::{self, Counters};
use agentx_tests::pool::{CONFIGURATION, NAMES, Pool, V4, V6};
use agentx_tests::snmp::{KEEPALIVED, Manager, Snmpd};
use agentx_tests::vm::scenario;
use agentx_tests::wait;

#[test]
fn keepalived_serves_in_turn_and_takes_a_killed_server_out() {
    scenario(|| serves_in_turn_and_takes_a_killed_server_out(Program::Keepalived));
}

#[test]
fn keepalived_drains_a_server_by_snmpset() {
    scenario(|| drains_a_server_by_snmpset(Program::Keepalived));
}

#[test]
fn keepwatchd_serves_in_turn_and_takes_a_killed_server_out() {
    scenario(|| serves_in_turn_and_takes_a_killed_server_out(Program::Keepwatch));
}

#[test]
fn keepwatchd_drains_a_server_by_snmpset() {
    scenario(|| drains_a_server_by_snmpset(Program::Keepwatch));
}

/// A master's election (twice three intervals of 2 s, to be sure), and the first check of each server (10 s apart).
const START_MAX: Duration = Duration::from_secs(60);
/// An interval of 10 s, a time-out of 10 s, retries.
const CHECK_MAX: Duration = Duration::from_secs(60);
const ALL: &[usize] = &[0, 1, 2, 3];

fn serves_in_turn_and_takes_a_killed_server_out(program: Program) {
    let mut pool = Pool::new();
    let daemon = start(&pool, program, Options::default());
    for (to, _) in [V4, V6] {
        assert_in_turn(&pool, to, &NAMES);
    }
    pool.reals[1].kill();
    for (to, service) in [V4, V6] {
        pool.wait_for_reals(&daemon, service, &[0, 2, 3], CHECK_MAX);
        assert_in_turn(&pool, to, &["W1", "W3", "W4"]);
    }
    pool.reals[1].revive();
    for (to, service) in [V4, V6] {
        pool.wait_for_reals(&daemon, service, ALL, CHECK_MAX);
        assert_in_turn(&pool, to, &NAMES);
    }
}

fn drains_a_server_by_snmpset(program: Program) {
    let pool = Pool::new();
    let snmpd = Snmpd::start(&pool.director, None);
    let agentx = snmpd.agentx();
    let daemon = start(&pool, program, Options { agentx: Some(&agentx), ..Options::default() });
    let manager = Manager::on(&pool.director, "127.0.0.1");

    // Four connections, so that one of them is W1's.
    let mut open: Vec<_> = (0..4).map(|_| pool.connect(V4.0).unwrap()).collect();
    let names: Vec<String> = open.iter_mut().map(|connection| connection.ask().unwrap()).collect();
    assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(NAMES));

    // realServerWeight of the first server of the first virtual server.
    let weight = format!("{KEEPALIVED}.3.4.1.7.1.1");
    let (said, code) = manager.raw("snmpset", "private", &[&weight, "i", "0"]);
    assert_eq!(code, 0, "{said}; {} said:\n{}", program.name(), daemon.log());
    pool.wait_for_reals(&daemon, V4.1, &[1, 2, 3], Duration::from_secs(10));
    assert_in_turn(&pool, V4.0, &["W2", "W3", "W4"]);
    // The other family's pool is another one.
    assert_in_turn(&pool, V6.0, &NAMES);
    for (connection, name) in open.iter_mut().zip(&names) {
        assert_eq!(connection.ask().as_ref(), Ok(name), "an open connection goes on where it was");
    }
    let first = ipvsadm::destinations(&pool.director, V4.1).unwrap()["192.168.1.10:80"].clone();
    assert_eq!((first.weight, first.active), (0, 1));

    assert_snmp_shows_the_kernel_s_statistics(&pool, &manager);

    let (said, code) = manager.raw("snmpset", "private", &[&weight, "i", "1"]);
    assert_eq!(code, 0, "{said}");
    pool.wait_for_reals(&daemon, V4.1, ALL, Duration::from_secs(10));
    assert_in_turn(&pool, V4.0, &NAMES);
}

/// Every counter of the first virtual server and its real servers, in 64 bits. Keepalived asks the kernel every 5 s at
/// most.
#[track_caller]
fn assert_snmp_shows_the_kernel_s_statistics(pool: &Pool, manager: &Manager) {
    let all = ipvsadm::settled_statistics(&pool.director);
    let values = |of: &Counters| [of.connections, of.packets_in, of.packets_out, of.bytes_in, of.bytes_out];
    let service = values(&all[&(V4.1.to_owned(), None)]);
    assert!(service.iter().all(|value| *value > 0), "nothing to compare: {all:?}");
    let lines = |table: &str, columns: [u32; 5], row: &str, of: [u64; 5]| -> Vec<String> {
        let line = |(column, value)| format!("{KEEPALIVED}.3.{table}.1.{column}.{row} = Counter64: {value}");
        columns.into_iter().zip(of).map(line).collect()
    };
    // Connections and packets have a second column in 64 bits, bytes are in 64 bits in the first place.
    let mut wanted = lines("3", [38, 39, 40, 30, 31], "1", service);
    for (number, real) in (1..).zip(&pool.reals) {
        let key = (V4.1.to_owned(), Some(format!("{}:80", real.v4)));
        wanted.extend(lines("4", [27, 28, 29, 20, 21], &format!("1.{number}"), values(&all[&key])));
    }
    let mut missing = Vec::new();
    let reached = wait::within(Duration::from_secs(30), || {
        let walk = manager.walk(&format!("{KEEPALIVED}.3"));
        missing = wanted.iter().filter(|line| !walk.contains(line)).cloned().collect();
        missing.is_empty().then_some(())
    });
    assert!(
        reached.is_some(),
        "SNMP does not come to show {missing:#?} but {:#?}",
        manager.walk(&format!("{KEEPALIVED}.3"))
    );
}

/// The director with the post's configuration, ready to serve.
#[track_caller]
fn start(pool: &Pool, program: Program, options: Options<'_>) -> Daemon {
    let daemon = pool.direct(program, CONFIGURATION, options);
    daemon.wait_for_address("1.1.1.15", true, START_MAX);
    for (_, service) in [V4, V6] {
        pool.wait_for_reals(&daemon, service, ALL, START_MAX);
    }
    daemon
}

/// Twice around: each server once per round, in the same order.
#[track_caller]
fn assert_in_turn(pool: &Pool, to: &str, names: &[&str]) {
    let answers: Vec<String> =
        pool.answers(to, 2 * names.len()).into_iter().collect::<Result<_, _>>().unwrap_or_else(|why| panic!("{why}"));
    let (first, second) = answers.split_at(names.len());
    assert_eq!(first, second, "{to} in turn");
    assert_eq!(first.iter().map(String::as_str).collect::<BTreeSet<_>>(), names.iter().copied().collect());
}
