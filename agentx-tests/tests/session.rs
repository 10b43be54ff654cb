//! The AgentX session against a real snmpd that comes late, goes away, comes back, listens on TCP or has another subagent;
//! and against masters that do not accept, or are slow.

use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::hostile::{Manners, Master};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::snmp::{KEEPALIVED, Manager, Snmpd, TrapCollector};
use agentx_tests::subagent::Subagent;
use agentx_tests::wait;
use keepwatch::wire::agentx::{ErrorStatus, Value, VarBind};
use keepwatch::wire::oid::Oid;
use nix::sys::signal::Signal;

/// vrrpInstanceState.1
const STATE: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.4.1";
/// vrrpInstanceBasePriority.1
const PRIORITY: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.7.1";

fn start(link: &Link, agentx: &str) -> Daemon {
    let options = Options { agentx: Some(agentx), ..Options::default() };
    Daemon::start(&link.nodes[0], Program::Keepwatch, &Flavour::V3.configuration(1, "MASTER", 150), options)
}

#[track_caller]
fn says_master(manager: &Manager) {
    wait::until("SNMP to say that R1 is master", Duration::from_secs(15), || {
        (manager.number(STATE) == Some(2)).then_some(())
    });
}

#[test]
fn a_master_agent_on_tcp_is_served_as_one_on_a_unix_socket() {
    let link = Link::new();
    let agentx = "tcp:127.0.0.1:7050";
    let _snmpd = Snmpd::start_at(&link.nodes[0], None, agentx);
    let _daemon = start(&link, agentx);
    let manager = Manager::on(&link.nodes[0], "127.0.0.1");
    says_master(&manager);
    let (said, status) = manager.raw("snmpset", "private", &[PRIORITY, "i", "140"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(manager.number(PRIORITY), Some(140), "a GET after a SET reads what was set");
}

#[test]
fn an_snmpd_that_comes_late_gets_the_traps_it_missed_and_one_that_returns_is_served_again() {
    let link = Link::new();
    let node = &link.nodes[0];
    let traps = TrapCollector::start(node);
    let socket = format!("unix:{}", node.directory().join("agentx").display());
    let daemon = start(&link, &socket);
    daemon.wait_for_address("10.0.0.100", true, Duration::from_secs(10));

    let mut snmpd = Snmpd::start(node, Some("127.0.0.1:162"));
    let manager = Manager::on(node, "127.0.0.1");
    says_master(&manager);
    wait::until("the traps of the start", Duration::from_secs(10), || {
        traps.states_of("VI_1").starts_with(&[1, 2]).then_some(())
    });

    snmpd.process.signal(Signal::SIGKILL);
    snmpd.process.wait_for_exit(Duration::from_secs(10));
    let _again = Snmpd::start(node, Some("127.0.0.1:162"));
    says_master(&manager);
    assert_eq!(traps.states_of("VI_1"), [1, 2], "nothing is told twice");
}

#[test]
fn a_subtree_that_another_subagent_holds_is_its_own_until_it_goes_and_ours_then() {
    let link = Link::new();
    let node = &link.nodes[0];
    let snmpd = Snmpd::start(node, None);
    let socket = node.directory().join("agentx");
    let column: Oid = "1.3.6.1.4.1.9586.100.5.2.3.1.7".parse().unwrap();
    let row = VarBind::new(column.with(&[1]), Value::Integer(-7));
    let other = Subagent::start(&socket, std::slice::from_ref(&column), vec![row]).unwrap();
    assert_eq!(other.registered, [(column.clone(), ErrorStatus::NO_ERROR)]);

    let daemon = start(&link, &snmpd.agentx());
    let manager = Manager::on(node, "127.0.0.1");
    says_master(&manager);
    daemon.process.wait_for_log("duplicateRegistration", Duration::from_secs(10));
    assert_eq!(manager.number(PRIORITY), Some(-7), "who came first is asked");
    let around = ["6.1", "8.1", "13.1"].map(|column| format!(".1.3.6.1.4.1.9586.100.5.2.3.1.{column}"));
    assert!(around.iter().all(|oid| manager.number(oid).is_some()), "everything else is ours");
    let walk = manager.walk(KEEPALIVED);
    assert_eq!(walk.iter().filter(|line| line.starts_with(&format!("{PRIORITY} = "))).count(), 1);

    drop(other);
    let ours = wait::within(Duration::from_secs(60), || manager.number(PRIORITY).filter(|value| *value == 150));
    assert!(ours.is_some(), "still {:?}; the daemon said:\n{}", manager.number(PRIORITY), daemon.log());
    daemon.process.wait_for_log("has granted every registration now", Duration::from_secs(10));
    let (said, status) = manager.raw("snmpset", "private", &[PRIORITY, "i", "140"]);
    assert_eq!(status, 0, "{said}");

    // Now it is ours, and the other one is refused.
    let other = Subagent::start(&socket, std::slice::from_ref(&column), vec![]).unwrap();
    assert_eq!(other.registered, [(column, ErrorStatus::DUPLICATE_REGISTRATION)]);
    assert_eq!(manager.number(PRIORITY), Some(140));
}

#[test]
fn a_listener_that_does_not_accept_holds_nothing_up_and_is_served_once_when_it_does() {
    let link = Link::new();
    let socket = link.lab.directory().join("full");
    let listener = UnixListener::bind(&socket).unwrap();
    // The queue that it has is full before we come.
    socket2::SockRef::from(&listener).listen(0).unwrap();
    let mut others = vec![];
    listener.set_nonblocking(true).unwrap();
    let knock = || {
        let other = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        other.set_nonblocking(true).unwrap();
        other.connect(&socket2::SockAddr::unix(&socket).unwrap()).map(|()| other)
    };
    while let Ok(other) = knock() {
        others.push(other);
    }
    let daemon = start(&link, &format!("unix:{}", socket.display()));
    daemon.process.wait_for_log("cannot connect to the AgentX master", Duration::from_secs(15));
    daemon.wait_for_address("10.0.0.100", true, Duration::from_secs(10));
    // A backup for ever after: nobody waits for the listener. A stopped supervisor could not stop.
    drop(others);
    let accepted = || {
        let mut alive = vec![];
        while let Ok((stream, _)) = listener.accept() {
            alive.push(stream);
        }
        alive
    };
    let mut open = vec![];
    wait::until("the daemon to connect", Duration::from_secs(20), || {
        for stream in accepted() {
            stream.set_nonblocking(true).unwrap();
            let mut first = [0];
            // Those who only knocked have gone without a word; a subagent begins with version 1.
            if wait::within(Duration::from_millis(500), || (&stream).read(&mut first).ok()) == Some(1) {
                open.push(stream);
            }
        }
        (!open.is_empty()).then_some(())
    });
    // It is given time to open a session; no second connection comes meanwhile.
    wait::observe(Duration::from_secs(8));
    assert_eq!(accepted().len(), 0, "one connection at a time");
    let mut daemon = daemon;
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_master_agent_that_is_slow_or_forgets_us_never_has_two_sessions_of_ours() {
    let link = Link::new();
    let socket = link.lab.directory().join("slow");
    for manners in [Manners::NeverAnswers, Manners::OneByteASecond, Manners::Polite] {
        let what = format!("{manners:?}");
        let master = Master::start(&socket, manners);
        let mut daemon = start(&link, &master.agentx());
        wait::until(&what, Duration::from_secs(20), || (master.connections() > 0).then_some(()));
        // Reloads that change nothing here must not open another one.
        for _ in 0..3 {
            daemon.process.signal(Signal::SIGHUP);
            wait::observe(Duration::from_millis(700));
        }
        assert_eq!(master.connections(), 1, "{what}");
        assert!(master.opened() <= 1, "{what}");
        assert_eq!(daemon.stop(), 0);
        daemon.remove_pid_files();
    }
}

#[test]
fn a_socket_that_only_root_may_open_is_opened_for_a_bridge_that_is_not_root() {
    let link = Link::new();
    let node = &link.nodes[0];
    let snmpd = Snmpd::start(node, None);
    std::fs::set_permissions(node.directory().join("agentx"), Permissions::from_mode(0o600)).unwrap();
    let daemon = start(&link, &snmpd.agentx());
    says_master(&Manager::on(node, "127.0.0.1"));
    let bridge = daemon.wait_for_child("bridge", Duration::from_secs(5));
    let status = std::fs::read_to_string(format!("/proc/{bridge}/status")).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    assert!(field("Uid:").split_whitespace().all(|id| id != "0"), "{status}");
    assert_eq!(field("CapEff:").trim_start_matches('0'), "", "{status}");
}
