//! The shortest part: no snmpd anywhere, and snmpwalk shows who is master.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::snmp::{Manager, TrapCollector};
use agentx_tests::wait::within;

use super::Story;

const PATIENCE: Duration = Duration::from_secs(20);
const INSTANCES: &str = ".1.3.6.1.4.1.9586.100.5.2.3";
/// vrrpInstanceState.1
const STATE: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.4.1";
const SETTINGS: &str = "snmp:
  responder:
    listen: [127.0.0.1]
    communities: [{name: public, networks: [127.0.0.0/8]}]
  receivers:
    - {address: '127.0.0.1:1162', community: public, inform: true}
";

pub fn tell(story: &mut Story) {
    story.chapter(
        "SNMP without snmpd: keepwatchd answers snmpwalk and tells snmptrapd itself, with this keepwatch.yaml",
    );
    SETTINGS.lines().for_each(|line| println!("    {line}"));
    let link = Link::new();
    let node = &link.nodes[0];
    let directory = node.directory().join(Program::Keepwatch.name());
    let written =
        std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(directory.join("keepwatch.yaml"), SETTINGS));
    story.check(written.is_ok(), "keepwatch.yaml stands beside keepalived.conf");
    let receiver = TrapCollector::start_at(node, "127.0.0.1:1162", "authCommunity log,execute,net public\n");
    let configuration = Flavour::V3.configuration(1, "MASTER", 150);
    let nobody = format!("unix:{}", directory.join("no-agentx").display());
    let daemon = Daemon::start(
        node,
        Program::Keepwatch,
        &configuration,
        Options { agentx: Some(&nobody), ..Options::default() },
    );
    let manager = Manager::on(node, "127.0.0.1");
    let master = within(PATIENCE, || (manager.number(STATE) == Some(2)).then_some(()));
    story.check(master.is_some(), "the router is master, says its own SNMP agent");
    let lines = manager.walk_by_name(INSTANCES);
    lines.iter().take(10).for_each(|line| println!("    {line}"));
    println!("    ... {} lines", lines.len());
    story.check(lines.len() > 20, "snmpwalk vrrpInstanceTable shows the whole row");
    let told = within(PATIENCE, || receiver.states_of("VI_1").ends_with(&[2]).then_some(()));
    story.check(told.is_some(), "snmptrapd has acknowledged the informs of backup and master");
    if told.is_none() || master.is_none() {
        println!("{}", daemon.log());
    }
}
