//! The second part: the seed's load balancer serves, loses a server and gets it back, shows its counters, and takes servers
//! out of service by hand.

use std::net::SocketAddr;
use std::process::Output;
use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::ipvsadm::{self, Counters};
use agentx_tests::pool::{CONFIGURATION, NAMES, Pool, V4, V6};
use agentx_tests::process::run;
use agentx_tests::snmp::{KEEPALIVED, Manager, Snmpd, Trap, TrapCollector};
use agentx_tests::wait::within;
use agentx_tests::web::Connection;

use super::Story;

/// A master's election, and the first check of each server, on a processor that may be an emulated one.
const START_MAX: Duration = Duration::from_secs(90);
/// delay_loop is 10 s, connect_timeout 10 s; and retries.
const CHECK_MAX: Duration = Duration::from_secs(90);
/// What follows from one command.
const SOON: Duration = Duration::from_secs(15);
/// The kernel adds up its counters every 2 s, and the daemon looks at them every 5 s.
const COUNTED_MAX: Duration = Duration::from_secs(30);

const FAMILIES: [(&str, (&str, &str)); 2] = [("IPv4", V4), ("IPv6", V6)];
const ALL: &[usize] = &[0, 1, 2, 3];

pub fn tell(story: &mut Story) {
    println!("keepwatch demo, second part: a load balancer, its client and four web servers.");
    println!(
        r#"
      client 1.1.1.100, 2001:db8::100            W1 192.168.1.10, fd00::10
         |                                       W2 192.168.1.11, fd00::11
         |                                       W3 192.168.1.12, fd00::12
         |                                       W4 192.168.1.13, fd00::13
         |       1.1.1.15, 2001:db8::15               |
         +------------ eth0 L1 eth1 ------------------+    virtual servers: port 80, rr, NAT, HTTP_GET every 10 s
"#
    );
    let mut pool = Pool::new();

    story.chapter("Starting snmpd and keepwatchd on L1, with the configuration of the seed post");
    let excerpt = CONFIGURATION.lines().skip_while(|line| !line.starts_with("virtual_server group"));
    for line in excerpt.take_while(|line| !line.contains("192.168.1.11")) {
        println!("    {line}");
    }
    println!("    ...");
    let traps = TrapCollector::start(&pool.client);
    let snmpd = Snmpd::start(&pool.director, Some("1.1.1.100:162"));
    let agentx = snmpd.agentx();
    let daemon =
        pool.direct(Program::Keepwatch, CONFIGURATION, Options { agentx: Some(&agentx), ..Options::default() });
    let began = Instant::now();
    let master = within(START_MAX, || pool.director.has("1.1.1.15").then_some(()));
    let what = format!("L1 is master and has 1.1.1.15 after {:.0} s", began.elapsed().as_secs_f64());
    story.check(master.is_some(), &what);
    for (family, (_, service)) in FAMILIES {
        serves(story, &pool, service, ALL, START_MAX, &format!("the kernel has W1 to W4 for {family}"));
    }
    show(&ipvsadm::ipvsadm(&pool.director, "-Ln"));
    if !story.failures.is_empty() {
        println!("  the daemon's log:\n{}", daemon.log());
        return;
    }

    story.chapter("The client connects again and again");
    answered_in_turn(story, &pool, ALL);
    loses_a_server(story, &mut pool, &traps);
    counts(story, &pool);
    drains_by_snmpset(story, &pool);
    drains_by_command(story, &pool, &daemon);
    if !story.failures.is_empty() {
        println!("  the daemon's log:\n{}", daemon.log());
    }
}

fn loses_a_server(story: &mut Story, pool: &mut Pool, traps: &TrapCollector) {
    story.chapter("W2's web servers are killed");
    let began = Instant::now();
    pool.reals[1].kill();
    for (family, (_, service)) in FAMILIES {
        serves(story, pool, service, &[0, 2, 3], CHECK_MAX, &format!("W2 has left the table for {family}"));
    }
    println!("  {:.0} s after they were killed", began.elapsed().as_secs_f64());
    // realServerAddress of 192.168.1.11, realServerStatus dead.
    let of_second = |trap: &Trap| {
        let says = |varbind: usize, text: &str| trap.varbinds.get(varbind).is_some_and(|said| said.contains(text));
        trap.oid == format!("{KEEPALIVED}.3.5.0.1") && says(1, "C0 A8 01 0B") && says(3, ": 2")
    };
    let trap = within(SOON, || traps.traps().into_iter().find(of_second));
    story.check(trap.is_some(), "the client received realServerStateChange for 192.168.1.11, status dead");
    answered_in_turn(story, pool, &[0, 2, 3]);

    story.chapter("and run again");
    let began = Instant::now();
    pool.reals[1].revive();
    for (family, (_, service)) in FAMILIES {
        serves(story, pool, service, ALL, CHECK_MAX, &format!("W2 is back in the table for {family}"));
    }
    println!("  {:.0} s after they were started", began.elapsed().as_secs_f64());
    answered_in_turn(story, pool, ALL);
}

fn counts(story: &mut Story, pool: &Pool) {
    story.chapter("ipvsadm -Ln --stats --exact, and what SNMP says of the same");
    let all = ipvsadm::settled_statistics(&pool.director);
    show(&ipvsadm::ipvsadm(&pool.director, "-Ln --stats --exact"));
    // Connections, packets in and out, bytes in and out; of the first virtual server and its four real ones.
    let values = |of: &Counters| [of.connections, of.packets_in, of.packets_out, of.bytes_in, of.bytes_out];
    let lines = |table: u32, columns: [u32; 5], row: &str, of: [u64; 5]| -> Vec<String> {
        let line = |(column, value)| format!("{KEEPALIVED}.3.{table}.1.{column}.{row} = Counter64: {value}");
        columns.into_iter().zip(of).map(line).collect()
    };
    let of = |real: Option<String>| all.get(&(V4.1.to_owned(), real)).copied().unwrap_or_default();
    let service = values(&of(None));
    let mut wanted = lines(3, [38, 39, 40, 30, 31], "1", service);
    for (number, real) in (1..).zip(&pool.reals) {
        let key = SocketAddr::new(real.v4, 80).to_string();
        wanted.extend(lines(4, [27, 28, 29, 20, 21], &format!("1.{number}"), values(&of(Some(key)))));
    }
    let manager = Manager::on(&pool.client, "1.1.1.11");
    let mut missing = Vec::new();
    let equal = within(COUNTED_MAX, || {
        let walk = manager.walk(&format!("{KEEPALIVED}.3"));
        missing = wanted.iter().filter(|line| !walk.contains(line)).cloned().collect();
        missing.is_empty().then_some(())
    });
    for column in ["Address", "Status", "Weight", "StatsConns64", "StatsInPkts64", "StatsOutBytes"] {
        let column = manager.walk_by_name(&format!("KEEPALIVED-MIB::realServer{column}"));
        for line in column.iter().filter(|line| line.contains(".1.")) {
            println!("    {line}");
        }
    }
    story.check(service.iter().all(|value| *value > 0), "the virtual server has counted its client's connections");
    story.check(
        equal.is_some(),
        &format!("all {} counters of {} and its real servers are equal in SNMP", wanted.len(), V4.0),
    );
    if equal.is_none() {
        println!("  SNMP does not say {missing:#?}");
    }
}

fn drains_by_snmpset(story: &mut Story, pool: &Pool) {
    story.chapter("snmpset KEEPALIVED-MIB::realServerWeight.1.1 = 0: W1 gets no new connections");
    let Some((mut held, _others)) = held_by(pool, "W1") else {
        return story.check(false, "one of four connections is W1's");
    };
    let manager = Manager::on(&pool.client, "1.1.1.11");
    let weight = format!("{KEEPALIVED}.3.4.1.7.1.1");
    let set = |story: &mut Story, value: &str| {
        let (said, code) = manager.raw("snmpset", "private", &[&weight, "i", value]);
        story.check(code == 0, &format!("snmpset says {}", said.trim().replace(&weight, "realServerWeight.1.1")));
    };
    set(story, "0");
    story.check(manager.number(&weight) == Some(0), "snmpget reads it at once");
    answered_in_turn_by(story, pool, V4.0, "IPv4", &[1, 2, 3]);
    let answer = held.ask();
    story.check(answer.as_deref() == Ok("W1"), "an open connection to W1 goes on");
    show_destinations(pool);
    set(story, "1");
    answered_in_turn_by(story, pool, V4.0, "IPv4", ALL);
}

fn drains_by_command(story: &mut Story, pool: &Pool, daemon: &Daemon) {
    story.chapter("keepwatch drain and ready");
    let Some((mut held, others)) = held_by(pool, "W2") else {
        return story.check(false, "one of four connections is W2's");
    };
    drop(others);
    let (code, said) = keepwatch(pool, daemon, &["drain", "192.168.1.11:80", "--wait", "--timeout", "10"]);
    story.check(code == Some(1) && said.contains("1 active connection left"), "it says that one connection is left");
    story.check(held.ask().as_deref() == Ok("W2"), "that connection goes on");
    answered_in_turn_by(story, pool, V4.0, "IPv4", &[0, 2, 3]);
    drop(held);
    println!("  the client closes it");
    let (code, said) = keepwatch(pool, daemon, &["drain", "192.168.1.11:80", "--wait", "--timeout", "60"]);
    story.check(code == Some(0) && said.contains("drained in"), "it returns when no connection is left");
    let (code, _) = keepwatch(pool, daemon, &["ready", "192.168.1.11:80"]);
    story.check(code == Some(0), "W2 is back in service");
    answered_in_turn_by(story, pool, V4.0, "IPv4", ALL);
}

/// Runs the tool on the director and shows both.
fn keepwatch(pool: &Pool, daemon: &Daemon, words: &[&str]) -> (Option<i32>, String) {
    println!("    # keepwatch {}", words.join(" "));
    let tool = Program::Keepwatch.path().with_file_name("keepwatch").to_string_lossy().into_owned();
    let socket = daemon.directory().join("main.sock").to_string_lossy().into_owned();
    let mut all = vec![tool.as_str()];
    all.extend(words);
    all.extend(["--socket", &socket]);
    let Output { status, stdout, stderr } = run(pool.director.command(&all));
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    show(&said);
    (status.code(), said)
}

/// An open connection that ended up at `name`, and those that were opened on the way.
fn held_by(pool: &Pool, name: &str) -> Option<(Connection, Vec<Connection>)> {
    let mut others = Vec::new();
    for _ in NAMES {
        let mut connection = pool.connect(V4.0).ok()?;
        if connection.ask().as_deref() == Ok(name) {
            println!("  the client holds a connection that {name} serves");
            return Some((connection, others));
        }
        others.push(connection);
    }
    None
}

/// Waits until the kernel has exactly these servers with a weight above 0.
fn serves(story: &mut Story, pool: &Pool, service: &str, numbers: &[usize], limit: Duration, what: &str) {
    let mut wanted: Vec<String> = numbers
        .iter()
        .filter_map(|number| pool.reals.get(*number))
        .map(|real| SocketAddr::new(if service.contains('[') { real.v6 } else { real.v4 }, 80).to_string())
        .collect();
    wanted.sort();
    let reached = within(limit, || {
        let all = ipvsadm::destinations(&pool.director, service)?;
        let serving = all.iter().filter(|(_, real)| real.weight > 0).map(|(address, _)| address);
        serving.eq(&wanted).then_some(())
    });
    story.check(reached.is_some(), what);
}

fn answered_in_turn(story: &mut Story, pool: &Pool, numbers: &[usize]) {
    for (family, (to, _)) in FAMILIES {
        answered_in_turn_by(story, pool, to, family, numbers);
    }
}

/// Twice around: each of these servers, and no other, once per round and in the same order.
fn answered_in_turn_by(story: &mut Story, pool: &Pool, to: &str, family: &str, numbers: &[usize]) {
    let names: Vec<&str> = numbers.iter().filter_map(|number| NAMES.get(*number)).copied().collect();
    let answers: Vec<String> =
        pool.answers(to, 2 * names.len()).into_iter().map(|answer| answer.unwrap_or_else(|why| why)).collect();
    let (first, second) = answers.split_at(names.len());
    let each = names.iter().all(|name| first.iter().any(|answer| answer == name));
    story.check(each && first == second, &format!("{family}: {}", answers.join(" ")));
}

/// The first virtual server as the kernel has it.
fn show_destinations(pool: &Pool) {
    let text = ipvsadm::ipvsadm(&pool.director, "-Ln -t 1.1.1.15:80");
    show(&text);
}

fn show(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}
