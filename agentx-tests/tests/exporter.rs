//! Prometheus' snmp_exporter with its module `keepalived`: every metric that it asks for comes, for each row that there is.

use std::collections::BTreeMap;
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::exporter::{EXAMPLE, Exporter, IGNORED, TABLES};
use agentx_tests::recording::MODULES;
use agentx_tests::seed::{self, SeedLab};
use agentx_tests::snmp::{Manager, Snmpd};
use agentx_tests::wait;

const RECORDED: &str = include_str!("../oracle/02-seed-ipvs/walk-numeric.txt");
const SEED_IPVS: &str = include_str!("../oracle/02-seed-ipvs/keepalived.conf");
const GROUP: &str = "vrrp_sync_group G {\n group {\n  VI_1\n }\n}\n";

/// Rows of a column in a walk.
fn rows<'a>(walk: impl Iterator<Item = &'a str>, column: &str) -> usize {
    let prefix = format!("{column}.");
    walk.filter(|line| line.starts_with(&prefix)).count()
}

#[test]
fn every_metric_of_the_exporter_comes_for_every_row() {
    let lab = SeedLab::new();
    let snmpd = Snmpd::start(&lab.first, None);
    let agentx = snmpd.agentx();
    let options = Options { agentx: Some(&agentx), ..Options::default() };
    let configuration = format!("{}\n{GROUP}", SEED_IPVS);
    let daemon = Daemon::start(&lab.first, Program::Keepwatch, &configuration, options);
    let manager = Manager::on(&lab.first, "127.0.0.1");
    let exporter = Exporter::start(&lab.first);
    wait::until("VI_1 to be master", Duration::from_secs(20), || {
        let state = seed_state(&manager);
        (state == Some(2)).then_some(())
    });
    let walk: Vec<String> = MODULES.iter().flat_map(|root| manager.walk(root)).collect();
    let scraped = exporter.scrape().unwrap_or_else(|why| panic!("{why}; the daemon said:\n{}", daemon.log()));
    let mut wrong = Vec::new();
    let mut values = 0;
    for (name, column) in exporter.metrics() {
        let recorded = rows(RECORDED.lines(), column);
        let served = rows(walk.iter().map(String::as_str), column);
        let got = scraped.get(name).map_or(0, Vec::len);
        values += got;
        if got != served || (served == 0 && recorded > 0) {
            wrong.push(format!("{name}: {got} values, {served} rows here, {recorded} in the recording of Keepalived"));
        }
    }
    assert!(wrong.is_empty(), "{} metrics:\n{}\nthe daemon said:\n{}", wrong.len(), wrong.join("\n"), daemon.log());
    // Rows of each table but the groups of virtual servers, of which the seed has one per family, are there.
    let missing: Vec<&str> = TABLES.into_iter().filter(|table| !has_rows(table, &scraped)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "tables without a value");
    println!("{} metrics asked for, {values} values", exporter.metrics().len());
}

/// Whether a metric of a table came: each has a column named like it.
fn has_rows(table: &str, scraped: &BTreeMap<String, Vec<f64>>) -> bool {
    let of = match table {
        "vrrpRouterStatsTable" => "vrrpStatsBecomeMaster",
        "vrrpv3StatisticsTable" => "vrrpv3StatisticsMasterTransitions",
        "vrrpInstanceTable" => "vrrpInstanceState",
        "vrrpSyncGroupTable" => "vrrpSyncGroupState",
        "virtualServerGroupTable" => "virtualServerGroupName",
        "virtualServerTable" => "virtualServerStatus",
        "realServerTable" => "realServerStatus",
        other => panic!("{other} is a table that this test does not know"),
    };
    scraped.get(of).is_some_and(|values| !values.is_empty())
}

fn seed_state(manager: &Manager) -> Option<i64> {
    manager.number(".1.3.6.1.4.1.9586.100.5.2.3.1.4.1")
}

#[test]
fn the_seed_has_metrics_that_say_who_is_master() {
    let lab = SeedLab::new();
    let snmpd = Snmpd::start(&lab.first, None);
    let agentx = snmpd.agentx();
    let options = Options { agentx: Some(&agentx), ..Options::default() };
    let _daemon = Daemon::start(&lab.first, Program::Keepwatch, seed::FIRST, options);
    let exporter = Exporter::start(&lab.first);
    let master = wait::within(Duration::from_secs(20), || {
        let scraped = exporter.scrape().ok()?;
        (scraped.get("vrrpInstanceState")? == &[2.0]).then_some(scraped)
    });
    let scraped = master.expect("vrrpInstanceState is 2 within 20 s");
    assert_eq!(scraped["vrrpInstanceBasePriority"], [150.0]);
    assert_eq!(scraped["vrrpInstanceVipsStatus"], [1.0]);
}

/// The list in this tree is upstream's, where Debian's documentation is there to compare.
#[test]
fn the_module_is_that_of_the_exporter_s_own_example() {
    let Ok(example) = std::fs::read_to_string(EXAMPLE) else {
        println!("NOT COMPARED: {EXAMPLE} is not installed");
        return;
    };
    let module: Vec<&str> = example
        .lines()
        .skip_while(|line| *line != "  keepalived:")
        .skip(1)
        .take_while(|line| line.starts_with("    "))
        .collect();
    let walked: Vec<&str> =
        module.iter().filter_map(|line| line.strip_prefix("      - ")?.split_whitespace().next()).collect();
    assert_eq!(walked, TABLES);
    let ignored: Vec<&str> = module
        .windows(2)
        .filter(|pair| pair[1].trim_start().starts_with("ignore: true"))
        .filter_map(|pair| pair[0].trim().strip_suffix(':'))
        .collect();
    assert_eq!(ignored, IGNORED);
}
