//! SNMP without snmpd, and what an operator sees of all SNMP: receivers of traps and informs, the responder, settings.

use std::net::UdpSocket;
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::Node;
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::process::run;
use agentx_tests::snmp::{Manager, Snmpd, TrapCollector};
use agentx_tests::wait;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

const FLAVOUR: Flavour = Flavour::V3;
const PATIENCE: Duration = Duration::from_secs(20);

/// vrrpInstanceState.1
const STATE: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.4.1";
/// vrrpInstanceBasePriority.1
const PRIORITY: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.7.1";
/// snmpEngineID.0, snmpEngineBoots.0
const ENGINE: [&str; 2] = [".1.3.6.1.6.3.10.2.1.1.0", ".1.3.6.1.6.3.10.2.1.2.0"];

const USERS: &str = "  users:
    - {name: ops, auth: {protocol: sha256, passphrase: maplesyrup}, privacy: {protocol: aes128, passphrase: maplesyrup}}
    - {name: watch, auth: {protocol: sha1, passphrase: maplesyrup}}
";

/// A daemon with `keepwatch.yaml` beside its configuration.
fn start(node: &Node, configuration: &str, settings: &str, agentx: &str) -> Daemon {
    write_settings(node, settings);
    Daemon::start(node, Program::Keepwatch, configuration, Options { agentx: Some(agentx), ..Options::default() })
}

fn write_settings(node: &Node, settings: &str) {
    let directory = node.directory().join(Program::Keepwatch.name());
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("keepwatch.yaml"), settings).unwrap();
}

/// Nobody listens there.
fn nowhere(node: &Node) -> String {
    format!("unix:{}", node.directory().join("no-agentx").display())
}

/// `keepwatch snmp --json` and its exit status.
fn snmp(daemon: &Daemon) -> Option<(Value, i32)> {
    let tool = Program::Keepwatch.path().with_file_name("keepwatch");
    let socket = daemon.directory().join("main.sock");
    let words = [tool.to_str()?, "snmp", "--json", "--socket", socket.to_str()?];
    let output = run(daemon.node().command(&words));
    Some((serde_json::from_slice(&output.stdout).ok()?, output.status.code()?))
}

#[track_caller]
fn wait_for_states(collector: &TrapCollector, wanted: &[u32], daemon: &Daemon) {
    let arrived = wait::within(PATIENCE, || (collector.states_of("VI_1") == wanted).then_some(()));
    assert!(
        arrived.is_some(),
        "states {wanted:?} expected, {:?} arrived; snmptrapd said:\n{}\n--- the daemon said:\n{}",
        collector.states_of("VI_1"),
        collector.process.log(),
        daemon.log()
    );
}

#[test]
fn a_failover_is_told_to_each_receiver_once_in_every_version_as_trap_and_as_inform_and_to_snmpd() {
    let link = Link::new();
    let node = &link.nodes[1];
    let community = "authCommunity log,execute,net public\n";
    // Who gets traps of SNMPv3 must know the engine that sends them; who gets informs is the engine.
    let user = "createUser{} ops SHA-256 maplesyrup AES maplesyrup\nauthUser log,execute,net ops priv\n";
    let ours = user.replace("{}", " -e 0x80002572050102030405");
    let receivers = [
        (1162, community.to_owned(), "version: v1, community: public"),
        (1163, community.to_owned(), "version: v2c, community: public"),
        (1164, community.to_owned(), "community: public, inform: true"),
        (1165, ours, "user: ops"),
        (1166, user.replace("{}", ""), "user: ops, inform: {timeout: 2s, retries: 3}"),
    ];
    let mut settings = format!("snmp:\n  engine_id: '80002572050102030405'\n{USERS}  receivers:\n");
    let mut collectors = vec![];
    for (port, configuration, security) in &receivers {
        collectors.push(TrapCollector::start_at(node, &format!("127.0.0.1:{port}"), configuration));
        settings += &format!("    - {{address: '127.0.0.1:{port}', {security}}}\n");
    }
    // And the other way, to a receiver of its own.
    let through_snmpd = TrapCollector::start(node);
    let snmpd = Snmpd::start(node, Some("127.0.0.1:162"));

    let master = FLAVOUR.configuration(1, "MASTER", 150);
    let mut first = Daemon::start(&link.nodes[0], Program::Keepwatch, &master, Options::default());
    wait::until("R1 to be master", PATIENCE, || link.has_all(0, FLAVOUR).then_some(()));
    let mut second = start(node, &FLAVOUR.configuration(2, "BACKUP", 100), &settings, &snmpd.agentx());
    second.wait_until_it_listens();
    for collector in collectors.iter().skip(1).chain([&through_snmpd]) {
        wait_for_states(collector, &[1], &second);
    }
    first.kill();
    for collector in collectors.iter().skip(1).chain([&through_snmpd]) {
        wait_for_states(collector, &[1, 2], &second);
    }
    let (told, status) = snmp(&second).expect("keepwatch snmp");
    assert_eq!(status, 0, "{told:#}");
    let told = &told["receivers"];
    // Backup, master, and VRRPV3-MIB's word of the new master.
    assert!((0..5).all(|at| told[at]["sent"] == 3 && told[at]["queue"]["length"] == 0), "{told:#}");
    let acknowledged = [2, 4].map(|at| told[at]["acknowledged"].as_u64());
    assert_eq!(acknowledged, [Some(3); 2], "{told:#}");

    assert_eq!(second.stop(), 0);
    for collector in collectors.iter().skip(1).chain([&through_snmpd]) {
        wait_for_states(collector, &[1, 2, 5], &second);
    }
    // SNMPv1 has neither uptime nor name among its variables.
    let lines = || collectors[0].process.log().lines().filter(|line| line.starts_with("TRAP\t")).count();
    wait::until("four traps of SNMPv1", PATIENCE, || (lines() == 4).then_some(()));
    let states = collectors[0].process.log();
    for state in [1, 2, 5] {
        let said = format!(".2.3.1.4.1 = INTEGER: {state}");
        assert_eq!(states.matches(&said).count(), 1, "{states}");
    }
}

#[test]
fn informs_survive_a_receiver_that_is_away_and_arrive_in_order_when_it_returns() {
    let link = Link::new();
    let node = &link.nodes[0];
    let settings = format!(
        "snmp:\n{USERS}  receivers:\n    - {{address: '127.0.0.1:1164', community: public, inform: {{timeout: 200ms, retries: 1}}}}\n\
         {:4}- {{address: '127.0.0.1:1166', user: ops, inform: {{timeout: 200ms, retries: 1}}}}\n",
        ""
    );
    let daemon = start(node, &FLAVOUR.configuration(1, "MASTER", 150), &settings, &nowhere(node));
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    let away = || {
        let (told, status) = snmp(&daemon)?;
        let away =
            |at: usize| told["receivers"][at]["away_since"].is_u64() && told["receivers"][at]["queue"]["length"] == 3;
        (away(0) && away(1) && status == 1).then_some(told)
    };
    wait::until("both receivers to be away, with three notifications each", PATIENCE, away);

    let community = TrapCollector::start_at(node, "127.0.0.1:1164", "authCommunity log,execute,net public\n");
    let user = "createUser ops SHA-256 maplesyrup AES maplesyrup\nauthUser log,execute,net ops priv\n";
    let user = TrapCollector::start_at(node, "127.0.0.1:1166", user);
    // The pause between two attempts is 30 s at most; by then it is 8 s.
    for collector in [&community, &user] {
        let arrived = wait::within(Duration::from_secs(60), || (collector.states_of("VI_1").len() >= 2).then_some(()));
        assert!(arrived.is_some(), "{}\n--- the daemon said:\n{}", collector.process.log(), daemon.log());
        wait_for_states(collector, &[1, 2], &daemon);
    }
    let here = || {
        let (told, _) = snmp(&daemon)?;
        let here =
            |at: usize| told["receivers"][at]["away_since"].is_null() && told["receivers"][at]["acknowledged"] == 3;
        (here(0) && here(1)).then_some(())
    };
    wait::until("both receivers to be there", PATIENCE, here);
}

const RESPONDER: &str = "  responder:
    listen: [0.0.0.0, '[::1]']
    communities:
      - {name: public, networks: [127.0.0.0/8]}
      - {name: everywhere}
      - {name: private, write: true, networks: [127.0.0.0/8]}
    users:
      - {user: ops, write: true}
      - {user: watch}
";

/// Words of an SNMPv3 user for net-snmp's tools.
fn as_user<'a>(name: &'a str, auth: &'a str, phrase: &'a str) -> Vec<&'a str> {
    let mut words = vec!["-v3", "-u", name, "-a", auth, "-A", phrase];
    words.extend(if name == "ops" {
        vec!["-l", "authPriv", "-x", "AES", "-X", phrase]
    } else {
        vec!["-l", "authNoPriv"]
    });
    words
}

#[test]
fn the_responder_answers_whom_the_settings_name_and_nobody_else() {
    let link = Link::new();
    let node = &link.nodes[0];
    let settings = format!("snmp:\n{USERS}{RESPONDER}");
    let daemon = start(node, &FLAVOUR.configuration(1, "MASTER", 150), &settings, &nowhere(node));
    let here = Manager::on(node, "127.0.0.1");
    wait::until("the responder to say that R1 is master", PATIENCE, || (here.number(STATE) == Some(2)).then_some(()));

    let walked = here.walk(".1.3.6.1.4.1.9586.100.5");
    assert!(walked.len() > 40, "{walked:#?}");
    assert!(walked.iter().any(|line| line.ends_with("2.3.1.2.1 = STRING: \"VI_1\"")), "{walked:#?}");
    let over_v6 = Manager::on(node, "udp6:[::1]");
    assert_eq!(over_v6.number(STATE), None, "from ::1 the community is not for this network");

    // Who may read may not write, and a community that is not known is nobody's.
    let (said, status) = here.raw("snmpset", "public", &[PRIORITY, "i", "140"]);
    assert!(status != 0 && said.contains("noAccess"), "{said}");
    for (manager, community) in [(&here, "wrong"), (&Manager::on(&link.nodes[1], "10.0.0.1"), "public")] {
        let output = manager.output("snmpget", &["-v2c", "-c", community, "-r", "0", "-t", "1"], &[STATE]);
        assert!(output.contains("Timeout"), "{output}");
    }
    let elsewhere = Manager::on(&link.nodes[1], "10.0.0.1");
    let output = elsewhere.output("snmpget", &["-v2c", "-c", "everywhere", "-r", "2", "-t", "2"], &[STATE]);
    assert!(output.contains("INTEGER: 2"), "{output}");

    // A SET is in force when it is answered.
    let (said, status) = here.raw("snmpset", "private", &[PRIORITY, "i", "140"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(here.number(PRIORITY), Some(140));

    // SNMPv3.
    let ops = as_user("ops", "SHA-256", "maplesyrup");
    let output = here.output("snmpset", &ops, &[PRIORITY, "i", "130"]);
    assert!(output.contains("INTEGER: 130"), "{output}");
    let watch = as_user("watch", "SHA", "maplesyrup");
    assert!(here.output("snmpget", &watch, &[PRIORITY]).contains("INTEGER: 130"));
    let walked = here.output("snmpbulkwalk", &ops, &[".1.3.6.1.4.1.9586.100.5"]);
    assert!(walked.lines().count() > 40, "{walked}");
    let output = here.output("snmpset", &watch, &[PRIORITY, "i", "120"]);
    assert!(output.contains("noAccess"), "{output}");
    let output = here.output("snmpget", &as_user("nobody", "SHA", "maplesyrup"), &[PRIORITY]);
    assert!(output.contains("Unknown user name"), "{output}");
    let output = here.output("snmpget", &as_user("ops", "SHA-256", "another phrase"), &[PRIORITY]);
    assert!(output.contains("Authentication failure"), "{output}");

    let (told, status) = snmp(&daemon).expect("keepwatch snmp");
    assert_eq!(status, 0, "{told:#}");
    let counters = told["responder"]["counters"].as_array().cloned().unwrap_or_default();
    let count = |name: &str| counters.iter().find(|it| it[0] == name).and_then(|it| it[1].as_u64());
    assert!(count("snmpInBadCommunityNames") >= Some(2), "{told:#}");
    assert!(count("usmStatsUnknownUserNames") >= Some(1) && count("usmStatsWrongDigests") >= Some(1), "{told:#}");
}

#[test]
fn a_port_that_is_taken_harms_nothing_and_is_told() {
    let link = Link::new();
    let node = &link.nodes[0];
    let taken = node.enter(|| UdpSocket::bind("127.0.0.1:1161").unwrap());
    let settings = "snmp: {responder: {listen: ['127.0.0.1:1161', '127.0.0.1:2161'], communities: [{name: public}]}}";
    let daemon = start(node, &FLAVOUR.configuration(1, "MASTER", 150), settings, &nowhere(node));
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    let free = Manager::on(node, "127.0.0.1:2161");
    wait::until("the other port to answer", PATIENCE, || (free.number(STATE) == Some(2)).then_some(()));
    let (told, status) = snmp(&daemon).expect("keepwatch snmp");
    assert_eq!(status, 1, "{told:#}");
    let sockets = &told["responder"]["sockets"];
    assert_eq!((&sockets[0]["open"], &sockets[1]["open"]), (&Value::Bool(false), &Value::Bool(true)), "{told:#}");
    assert!(sockets[0]["error"].as_str().is_some_and(|error| error.contains("in use")), "{told:#}");
    drop(taken);
    let again = Manager::on(node, "127.0.0.1:1161");
    wait::until("the port to be tried again", Duration::from_secs(40), || again.number(STATE).map(|_| ()));
}

#[test]
fn the_engine_keeps_its_id_and_counts_its_boots_over_restarts_of_the_daemon_and_of_the_bridge() {
    let link = Link::new();
    let node = &link.nodes[0];
    let settings = "snmp: {responder: {listen: [127.0.0.1], communities: [{name: public}]}}";
    let configuration = FLAVOUR.configuration(1, "MASTER", 150);
    let manager = Manager::on(node, "127.0.0.1");
    let engine = || {
        let lines = manager.get(&ENGINE).ok()?;
        let boots = lines.get(1)?.rsplit(' ').next()?.parse::<u32>().ok()?;
        Some((lines.first()?.clone(), boots))
    };
    let mut daemon = start(node, &configuration, settings, &nowhere(node));
    let (id, boots) = wait::until("the responder", PATIENCE, engine);
    assert_eq!(boots, 1);
    assert_eq!(daemon.stop(), 0);
    let daemon = start(node, &configuration, settings, &nowhere(node));
    assert_eq!(wait::until("the responder again", PATIENCE, engine), (id.clone(), 2));
    let bridge = daemon.wait_for_child("bridge", PATIENCE);
    kill(bridge, Signal::SIGKILL).unwrap();
    wait::until("the third boot", PATIENCE, || (engine()? == (id.clone(), 3)).then_some(()));
    // What cannot be read is a new engine, and the log says so.
    let mut daemon = daemon;
    assert_eq!(daemon.stop(), 0);
    std::fs::write(daemon.directory().join("state/snmp-engine"), "nonsense").unwrap();
    let daemon = start(node, &configuration, settings, &nowhere(node));
    let (other, boots) = wait::until("the responder with another id", PATIENCE, engine);
    assert!(other != id && boots == 1, "{other} {boots}");
    daemon.process.wait_for_log("the engine has a new id", PATIENCE);
}

#[test]
fn a_mistake_in_the_settings_stops_neither_vrrp_nor_what_is_in_force() {
    let link = Link::new();
    let node = &link.nodes[0];
    let configuration = FLAVOUR.configuration(1, "MASTER", 150);
    let mut daemon = start(node, &configuration, "snmp: {recievers: []}\n", &nowhere(node));
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    daemon.process.wait_for_log("there is no setting `recievers` in snmp (did you mean `receivers`?)", PATIENCE);
    let tested = |daemon: &Daemon| {
        let (program, file) = (Program::Keepwatch.path(), daemon.directory().join("keepalived.conf"));
        let output = run(node.command(&[&program.to_string_lossy(), "-t", "-f", &file.to_string_lossy()]));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, said) = tested(&daemon);
    assert_eq!(status, Some(5), "{said}");
    assert!(said.contains("keepwatch.yaml:1:8\n1 | snmp: {recievers: []}\n  |        ^^^^^^^^^\n"), "{said}");
    assert_eq!(daemon.stop(), 0);

    let good = "snmp: {responder: {listen: [127.0.0.1], communities: [{name: public}]}}";
    let daemon = start(node, &configuration, good, &nowhere(node));
    assert_eq!(tested(&daemon).0, Some(0));
    let manager = Manager::on(node, "127.0.0.1");
    wait::until("the responder", PATIENCE, || (manager.number(STATE) == Some(2)).then_some(()));
    write_settings(node, "snmp: {responder: {listen: [somewhere]}}");
    daemon.reload(&configuration);
    daemon.process.wait_for_log("reload refused", PATIENCE);
    assert_eq!(manager.number(STATE), Some(2), "what was in force is in force");
    write_settings(node, "snmp: {responder: {listen: ['127.0.0.1:2161'], communities: [{name: other}]}}");
    daemon.reload(&configuration);
    daemon.process.wait_for_log("Reload complete", PATIENCE);
    let moved = Manager::on(node, "127.0.0.1:2161");
    let answers = || {
        let said = moved.output("snmpget", &["-v2c", "-c", "other", "-r", "0", "-t", "1"], &[STATE]);
        said.contains("INTEGER: 2").then_some(())
    };
    wait::until("the responder at its new port", PATIENCE, answers);
    assert_eq!(manager.number(STATE), None, "the old port is closed");
}

#[test]
fn the_fragment_for_snmpd_shows_our_trees_alone_and_needs_the_write_view_for_sets() {
    let link = Link::new();
    let node = &link.nodes[0];
    let directory = node.directory();
    let socket = directory.join("agentx");
    let fragment = include_str!("../../conf/snmpd-keepwatch.conf");
    // As an administrator would: one's own communities, and where the socket is.
    let configuration = format!(
        "agentaddress udp:161\nagentXSocket unix:{}\n{}",
        socket.display(),
        fragment.replace("#com2sec keepwatchWriter", "com2sec keepwatchWriter")
    );
    let _snmpd = Snmpd::start_with(node, &configuration, &format!("unix:{}", socket.display()), STATE_OR_ROOT);
    let daemon = start(node, &FLAVOUR.configuration(1, "MASTER", 150), "", &format!("unix:{}", socket.display()));
    let manager = Manager::on(node, "127.0.0.1");
    wait::until("snmpd to say that R1 is master", PATIENCE, || (manager.number(STATE) == Some(2)).then_some(()));
    let outside = manager.get(&[agentx_tests::snmp::SYS_UPTIME]).unwrap_or_default();
    assert!(outside.iter().all(|line| line.contains("No Such Object")), "{outside:?}");
    assert!(manager.walk(".1.3.6.1.2.1.1").is_empty());
    let (said, status) = manager.raw("snmpset", "public", &[PRIORITY, "i", "140"]);
    assert!(status != 0 && said.contains("noAccess"), "{said}");
    let (said, status) = manager.raw("snmpset", "private", &[PRIORITY, "i", "140"]);
    assert_eq!(status, 0, "{said}\n{}", daemon.log());
    let (said, status) = manager.raw("snmpset", "private", &[".1.3.6.1.2.1.1.4.0", "s", "me"]);
    assert!(status != 0 && said.contains("noAccess"), "{said}");
    let told = wait::until("the session to be up", PATIENCE, || {
        let (told, status) = snmp(&daemon)?;
        (status == 0).then_some(told)
    });
    let agentx = &told["agentx"];
    assert_eq!((&agentx["state"], &agentx["registrations_granted"]), (&"up".into(), &agentx["registrations_wanted"]));
    assert!(agentx["last_in"]["name"].is_string() && agentx["since"].is_u64(), "{told:#}");
}

/// What an snmpd with that fragment answers before there is a subagent.
const STATE_OR_ROOT: &str = STATE;
