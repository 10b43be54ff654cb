//! /metrics of a running daemon: what promtool, Prometheus and the dashboards make of it, and counters that only go up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::dashboards::{alerts, dashboards, for_everything, root};
use agentx_tests::exposition::Page;
use agentx_tests::http::{get, get_unix};
use agentx_tests::net::Node;
use agentx_tests::prometheus::{PORT, Prometheus, Target};
use agentx_tests::seed::SeedLab;
use agentx_tests::snmp::Snmpd;
use agentx_tests::wait;

const SEED_IPVS: &str = include_str!("../oracle/02-seed-ipvs/keepalived.conf");
/// A second instance, a sync group, routes and one tracker of each kind, so that every kind of thing that has metrics is there.
const MORE: &str = "
vrrp_script chk {
   script \"/bin/true\"
   interval 1
}
vrrp_instance VI_2 {
   state BACKUP
   interface eth0
   virtual_router_id 2
   priority 90
   advert_int 1
   track_script {
      chk
   }
   track_file {
      words
   }
   virtual_ipaddress {
      1.1.1.16/24 dev eth0
   }
   virtual_routes {
      10.77.0.0/24 dev eth0
   }
   virtual_rules {
      from 10.77.0.0/24 table 100 preference 500
   }
}
track_file words {
   file /etc/hostname
   weight 0
}
vrrp_track_process shell {
   process no-such-shell
}
bfd_instance B {
   neighbor_ip 1.1.1.99
}
static_routes {
   10.78.0.0/24 dev eth0
}
vrrp_sync_group G {
   group {
      VI_1
      VI_2
   }
}
";

const LIMIT: Duration = Duration::from_secs(30);

fn first() -> String {
    format!("{SEED_IPVS}{MORE}")
}

fn second() -> String {
    first()
        .replace("state MASTER", "state BACKUP")
        .replace("priority 150", "priority 100")
        .replace("priority 90", "priority 80")
        .replace("router_id L1", "router_id L2")
        .replace("delay_loop 10", "delay_loop 1")
}

fn settings(address: &str, node: &Node) -> String {
    let rrd = node.directory().join("rrd");
    format!("http:\n  listen: ['{address}:{PORT}']\nrrd:\n  directory: {}\n", rrd.display())
}

/// The daemon's Unix socket for reading.
fn socket(daemon: &Daemon) -> PathBuf {
    daemon.directory().join("main.metrics.sock")
}

fn page(daemon: &Daemon) -> Result<Page, String> {
    let answer = get_unix(&socket(daemon), "/metrics", &[])?;
    if answer.status != 200 {
        return Err(format!("{}: {}", answer.status, answer.text()));
    }
    Page::parse(&answer.text())
}

#[track_caller]
fn wait_for(daemon: &Daemon, what: &str, condition: impl Fn(&Page) -> bool) -> Page {
    let found = wait::within(LIMIT, || page(daemon).ok().filter(|page| condition(page)));
    found.unwrap_or_else(|| {
        let last = get_unix(&socket(daemon), "/metrics", &[]).map_or_else(|error| error, |answer| answer.text());
        panic!("{what}: not within {LIMIT:?}\n--- page:\n{last}\n--- log:\n{}", daemon.log())
    })
}

fn is_master(page: &Page, instance: &str) -> bool {
    page.value("keepwatch_vrrp_state", &[("vrrp_instance", instance), ("state", "master")]) == Some(1.0)
}

/// Two routers with AgentX, HTTP and RRD.
struct Pair {
    daemons: [Daemon; 2],
    _snmpd: [Snmpd; 2],
    lab: SeedLab,
}

impl Pair {
    #[track_caller]
    fn start() -> Pair {
        let lab = SeedLab::new();
        let snmpd = [Snmpd::start(&lab.first, None), Snmpd::start(&lab.second, None)];
        let start = |node: &Node, configuration: &str, address: &str, snmpd: &Snmpd| {
            let (agentx, settings) = (snmpd.agentx(), settings(address, node));
            let options = Options { agentx: Some(&agentx), settings: Some(&settings), ..Options::default() };
            Daemon::start(node, Program::Keepwatch, configuration, options)
        };
        let one = start(&lab.first, &first(), "1.1.1.11", &snmpd[0]);
        let two = start(&lab.second, &second(), "1.1.1.12", &snmpd[1]);
        wait_for(&one, "L1 master of both", |page| is_master(page, "VI_1") && is_master(page, "VI_2"));
        Pair { daemons: [one, two], _snmpd: snmpd, lab }
    }
}

#[test]
fn every_family_of_the_table_is_there_and_promtool_has_nothing_to_say() {
    let pair = Pair::start();
    let daemon = &pair.daemons[0];
    let page = wait_for(daemon, "checks and processes have told of themselves", |page| {
        let has = |name: &str| page.samples.iter().any(|sample| sample.name == name);
        has("keepwatch_checker_duration_seconds_count")
            && has("keepwatch_process_open_fds")
            && has("keepwatch_rrd_files")
            && page.value("keepwatch_agentx_session_up", &[]) == Some(1.0)
    });
    let table = include_str!("../../tests/data/metrics.tsv");
    let rows =
        table.lines().filter(|line| line.starts_with("keepwatch_")).map(|line| line.split('\t').collect::<Vec<_>>());
    let mut known = BTreeSet::new();
    let mut wrong = Vec::new();
    // Those of things that this configuration does not have.
    let absent = ["keepwatch_ipvs_sync_daemon_up"];
    // The kernel's own sums come with the kernel's table.
    let kernel = ["keepwatch_ipvs_connections_total", "keepwatch_ipvs_packets_total", "keepwatch_ipvs_bytes_total"];
    for row in rows {
        let [name, kind, labels, ..] = row[..] else { panic!("a row of the table: {row:?}") };
        known.insert(name);
        let family = |sample: &str| {
            sample == name || ["_bucket", "_sum", "_count"].iter().any(|part| sample.strip_suffix(part) == Some(name))
        };
        // A type alone says nothing: every family has one.
        let there = page.samples.iter().any(|sample| family(&sample.name));
        let expected = !absent.iter().any(|prefix| name.starts_with(prefix)) && !kernel.contains(&name);
        if there != expected {
            wrong.push(format!("{name} has {} samples", if there { "unexpected" } else { "no" }));
        }
        let Some(found) = page.types.get(name) else { continue };
        if found != kind {
            wrong.push(format!("{name} is a {found}, not a {kind}"));
        }
        let wanted: BTreeSet<&str> =
            labels.split(',').map(str::trim).filter(|label| !matches!(*label, "" | "-")).collect();
        for sample in page.samples.iter().filter(|sample| family(&sample.name)) {
            let has: BTreeSet<&str> = sample.labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
            if has != wanted {
                wrong.push(format!("{}: labels {has:?}, not {wanted:?}", sample.series()));
            }
        }
    }
    for name in page.types.keys().filter(|name| name.starts_with("keepwatch_") && !known.contains(name.as_str())) {
        wrong.push(format!("{name} is in no table"));
    }
    assert!(wrong.is_empty(), "{} things:\n{}\n--- log:\n{}", wrong.len(), wrong.join("\n"), daemon.log());

    let text = get_unix(&socket(daemon), "/metrics", &[]).expect("a page").body;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool: run `make setup`");
    std::io::Write::write_all(&mut promtool.stdin.take().expect("a pipe"), &text).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "promtool: {said}");
}

#[test]
fn every_query_of_dashboards_and_rules_returns_data_in_a_prometheus_that_saw_a_failover() {
    let mut pair = Pair::start();
    let addresses = [format!("1.1.1.11:{PORT}"), format!("1.1.1.12:{PORT}")];
    let addresses = addresses.each_ref().map(String::as_str);
    let target = Target { job: "routers", addresses: &addresses, path: "/metrics", names: None };
    let rules = root().join("dashboards/prometheus");
    let prometheus = Prometheus::start(&pair.lab.client, &[target], Some(&rules));
    prometheus.wait_until_scraped("routers", 2);
    // What failed checks and time-outs, reloads and takeovers are counted in needs some of them.
    pair.daemons[1].reload(&second());
    let code = pair.daemons[0].stop();
    assert_eq!(code, 0, "L1 stops: {}", pair.daemons[0].log());
    wait_for(&pair.daemons[1], "L2 takes over", |page| is_master(page, "VI_1"));
    let in_query = wait::within(LIMIT, || {
        let series = prometheus.query("keepwatch_vrrp_state{state=\"master\",vrrp_instance=\"VI_1\"} == 1").ok()?;
        let instance = series.first()?.labels.get("instance")?.clone();
        (instance == addresses[1]).then_some(())
    });
    assert!(in_query.is_some(), "the failover does not show in a query: {}", prometheus.trouble());
    let masters = wait::within(LIMIT, || {
        let series = prometheus.query("vrrp:masters:count{vrrp_instance=\"VI_1\"}").ok()?;
        (series.first()?.value == 1.0).then_some(())
    });
    assert!(masters.is_some(), "one master is counted: {}", prometheus.trouble());

    // A rate needs two samples.
    let here = |query: &str| prometheus.query(query).map(|series| !series.is_empty());
    // No kernel table in these namespaces' kernel: its own sums are not shown.
    let panels = dashboards();
    let panels = panels.iter().flat_map(|dashboard| dashboard.panels().map(move |panel| (&dashboard.file, panel)));
    let queries: Vec<(String, String)> = panels
        .flat_map(|(file, panel)| {
            panel.targets.iter().map(move |target| (format!("{file}: {}", panel.title), for_everything(&target.expr)))
        })
        .collect();
    let deadline = Instant::now() + LIMIT;
    let mut empty: BTreeMap<String, String> = BTreeMap::new();
    for (place, query) in queries {
        let mut found = here(&query);
        while !matches!(found, Ok(true)) && Instant::now() < deadline {
            wait::observe(Duration::from_millis(500));
            found = here(&query);
        }
        if !matches!(found, Ok(true)) {
            empty.insert(format!("{place}: {query}"), format!("{found:?}"));
        }
    }
    assert!(empty.is_empty(), "{} queries without data: {empty:#?}\n--- log:\n{}", empty.len(), pair.daemons[1].log());
    for alert in alerts().alerts {
        // An alert that is silent has no data; its query must be one that Prometheus can answer.
        prometheus.query(&alert.expr).unwrap_or_else(|error| panic!("{}: {error}", alert.alert));
    }
}

/// What the dashboard of mehdy/keepalived-exporter asks for: five states, and the rates of fifteen counters.
const MEHDY: [&str; 20] = [
    "keepalived_up",
    "keepalived_script_status",
    "keepalived_exporter_check_script_status",
    "keepalived_script_state",
    "keepalived_vrrp_state",
    "rate(keepalived_become_master_total",
    "rate(keepalived_release_master_total",
    "rate(keepalived_advertisements_received_total",
    "rate(keepalived_advertisements_sent_total",
    "rate(keepalived_priority_zero_received_total",
    "rate(keepalived_priority_zero_sent_total",
    "rate(keepalived_gratuitous_arp_delay_total",
    "rate(keepalived_packet_length_errors_total",
    "rate(keepalived_advertisements_interval_errors_total",
    "rate(keepalived_ip_ttl_errors_total",
    "rate(keepalived_invalid_type_received_total",
    "rate(keepalived_address_list_errors_total",
    "rate(keepalived_authentication_invalid_total",
    "rate(keepalived_authentication_mismatch_total",
    "rate(keepalived_authentication_failure_total",
];

#[test]
fn the_queries_of_the_dashboard_that_exists_return_data_through_the_compatibility_page() {
    let pair = Pair::start();
    let address = format!("1.1.1.11:{PORT}");
    let addresses = [address.as_str()];
    let target = |job, names| Target { job, addresses: &addresses, path: "/metrics/compat", names: Some(names) };
    let targets = [target("mehdy", "mehdy"), target("gen2brain", "gen2brain"), target("node_ipvs", "node_ipvs")];
    let prometheus = Prometheus::start(&pair.lab.client, &targets, None);
    for target in &targets {
        prometheus.wait_until_scraped(target.job, 1);
    }
    for query in MEHDY {
        let selected = format!("{{instance=\"{address}\"}}");
        let query =
            if query.starts_with("rate(") { format!("{query}{selected}[1m])") } else { format!("{query}{selected}") };
        let found = wait::within(LIMIT, || prometheus.query(&query).ok().filter(|series| !series.is_empty()));
        assert!(found.is_some(), "{query} returns nothing; {}", prometheus.trouble());
    }
    let up = prometheus.query("keepalived_up{job=\"mehdy\"}").expect("an answer");
    assert_eq!(up.first().map(|series| series.value), Some(1.0));
    let state = prometheus.query("keepalived_vrrp_state{job=\"mehdy\",iname=\"VI_2\"}").expect("an answer");
    assert_eq!(state.first().map(|series| series.value), Some(2.0), "2 is master there");
}

#[test]
fn no_counter_goes_down_over_reloads_flaps_and_restarts_of_processes() {
    let pair = Pair::start();
    let daemon = &pair.daemons[0];
    let mut highest: BTreeMap<String, f64> = BTreeMap::new();
    let mut fell = Vec::new();
    let mut look = |what: &str| {
        let Ok(page) = page(daemon) else { return };
        for (series, value) in page.counters() {
            let before = highest.entry(series.clone()).or_insert(value);
            if value < *before {
                fell.push(format!("{what}: {series} from {before} to {value}"));
            }
            *before = value;
        }
    };
    let mut for_a_while = |what: &str, until: &dyn Fn(&Page) -> bool| {
        let deadline = Instant::now() + LIMIT;
        loop {
            look(what);
            if page(daemon).is_ok_and(|page| until(&page)) {
                break;
            }
            assert!(Instant::now() < deadline, "{what}: did not come about\n{}", daemon.log());
        }
        look(what);
    };
    let checked = |least: f64| {
        move |page: &Page| {
            let runs = page.samples.iter().filter(|sample| sample.name == "keepwatch_checker_runs_total");
            runs.map(|sample| sample.value).sum::<f64>() >= least
        }
    };
    for_a_while("checks run", &checked(8.0));
    for (round, configuration) in [first().replace("weight 1", "weight 2"), first()].into_iter().enumerate() {
        daemon.reload(&configuration);
        let reloads = (round + 1) as f64;
        for_a_while("a reload", &|page| {
            page.value("keepwatch_config_reloads_total", &[("result", "success")]).is_some_and(|count| count >= reloads)
        });
    }
    // Not the bridge: its own counters may begin anew, as those of any process that serves /metrics.
    for role in ["checks", "vrrp"] {
        let pid = daemon.wait_for_child(role, LIMIT);
        kill(pid, Signal::SIGKILL).expect("it runs");
        let process = [("process", if role == "checks" { "checker" } else { role })];
        let restarted = |page: &Page| {
            let restarts = |name: &str| page.value("keepwatch_process_restarts_total", &[("process", name)]);
            restarts(role).or_else(|| restarts(process[0].1)).is_some_and(|count| count >= 1.0)
        };
        for_a_while(&format!("{role} was killed"), &restarted);
        for_a_while(&format!("{role} is back"), &|page| {
            is_master(page, "VI_1") && page.samples.iter().any(|sample| sample.name == "keepwatch_checker_runs_total")
        });
    }
    pair.lab.first.ip(&["link", "set", "eth0", "down"]);
    for_a_while("an interface is down", &|page| !is_master(page, "VI_1"));
    pair.lab.first.ip(&["link", "set", "eth0", "up"]);
    for_a_while("it is up again", &|page| is_master(page, "VI_1"));
    assert!(fell.is_empty(), "{} counters fell:\n{}", fell.len(), fell.join("\n"));
    assert!(highest.len() > 200, "only {} counters", highest.len());
}

#[test]
fn formats_are_negotiated_and_a_page_may_be_compressed() {
    let pair = Pair::start();
    let daemon = &pair.daemons[0];
    let ask = |headers: &[(&str, &str)]| get_unix(&socket(daemon), "/metrics", headers).expect("an answer");
    let plain = ask(&[]);
    assert!(plain.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    let open =
        ask(&[("Accept", "application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")]);
    assert!(
        open.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")),
        "{open:?}"
    );
    assert!(open.text().ends_with("# EOF\n"), "an OpenMetrics page has an end");
    assert!(open.text().contains("# UNIT keepwatch_process_cpu_seconds seconds\n"));
    let packed = ask(&[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() * 3 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    assert_eq!(packed.body.get(..2), Some(&[0x1f, 0x8b][..]));
    // Over TCP, as Prometheus asks.
    let address: SocketAddr = format!("1.1.1.11:{PORT}").parse().expect("an address");
    let over_tcp = get(&pair.lab.client, address, "/metrics", &[]).expect("an answer");
    assert_eq!(over_tcp.status, 200);
}
