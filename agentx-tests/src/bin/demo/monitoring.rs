//! The last part: Prometheus scrapes both routers, a failover shows in a query, in a graph and on the status page.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::dashboards::root;
use agentx_tests::net::Node;
use agentx_tests::prometheus::{PORT, Prometheus, Series, Target};
use agentx_tests::seed::{self, SeedLab};
use agentx_tests::wait::{observe, within};
use agentx_tests::{forward, http};

use super::Story;

const FIRST: &str = "1.1.1.11";
const SECOND: &str = "1.1.1.12";
const STATE: &str = "keepwatch_vrrp_state{state=\"master\"}";
/// An RRD step is 10 s, and a graph wants some of them on either side of the failover.
const BEFORE: Duration = Duration::from_secs(35);
const AFTER: Duration = Duration::from_secs(35);

pub fn tell(story: &mut Story, keep: bool) {
    println!(
        "\nkeepwatch demo, monitoring: Prometheus on the client scrapes both routers, RRD files are kept on each."
    );
    let lab = SeedLab::new();
    let settings = |address: &str, node: &Node| {
        let directory = node.directory().join("rrd");
        format!("http:\n  listen: ['{address}:{PORT}']\nrrd:\n  directory: {}\n", directory.display())
    };
    let (one, two) = (settings(FIRST, &lab.first), settings(SECOND, &lab.second));
    let start = |node: &Node, configuration: &str, settings: &str| {
        Daemon::start(
            node,
            Program::Keepwatch,
            configuration,
            Options { settings: Some(settings), ..Options::default() },
        )
    };
    story.chapter(
        "Two routers with this keepwatch.yaml beside keepalived.conf, and Prometheus with the rules of dashboards/",
    );
    one.lines().for_each(|line| println!("    {line}"));
    let mut first = start(&lab.first, seed::FIRST, &one);
    let second = start(&lab.second, &seed::second(), &two);
    let targets = [format!("{FIRST}:{PORT}"), format!("{SECOND}:{PORT}")];
    let targets = targets.each_ref().map(String::as_str);
    let routers = Target { job: "routers", addresses: &targets, path: "/metrics", names: None };
    let rules = root().join("dashboards/prometheus");
    let prometheus = Prometheus::start(&lab.client, &[routers], Some(&rules));
    let masters = || -> Vec<String> {
        let series = prometheus.query(&format!("{STATE} == 1")).unwrap_or_default();
        series.iter().filter_map(|one| one.labels.get("instance").cloned()).collect()
    };
    let wait_for = |router: &str, limit| {
        let wanted = vec![format!("{router}:{PORT}")];
        within(limit, || (masters() == wanted).then_some(()))
    };
    let scraped = within(Duration::from_secs(30), || {
        let up = prometheus.query("sum(up)").ok()?;
        (up.first()?.value == 2.0).then_some(())
    });
    story.check(scraped.is_some(), "Prometheus scrapes both routers");
    if scraped.is_none() {
        println!("{}\nL1 said:\n{}", prometheus.trouble(), first.log());
        return;
    }
    story.check(wait_for(FIRST, Duration::from_secs(20)).is_some(), "its query says that L1 is master");
    show(&prometheus, STATE);
    observe(BEFORE);

    story.chapter("L1 loses its power");
    first.kill();
    for port in lab.first_ports {
        lab.lab.unplug(port);
    }
    story.check(wait_for(SECOND, Duration::from_secs(40)).is_some(), "Prometheus says that L2 is master");
    show(&prometheus, STATE);
    let counted = within(Duration::from_secs(10), || {
        let series = prometheus.query("vrrp:masters:count").ok()?;
        series.first().filter(|one| one.value == 1.0).cloned()
    });
    story.check(counted.is_some(), "the recording rule vrrp:masters:count is 1");
    show(&prometheus, "vrrp:masters:count");
    let state_changes = "changes(keepwatch_vrrp_last_transition_timestamp_seconds[2m])";
    let changed = prometheus.query(state_changes).unwrap_or_default();
    story.check(changed.iter().any(|one| one.value >= 1.0), "the failover shows in a query over time");
    show(&prometheus, state_changes);
    observe(AFTER);

    story.chapter("The failover in a picture: keepwatch graph vrrp VI_1");
    let pictures = root().join("target/demo");
    let _ = std::fs::create_dir_all(&pictures);
    for kind in ["svg", "png"] {
        let file = pictures.join(format!("failover.{kind}"));
        let drawn = graph(&lab.second.directory().join("rrd"), &file);
        story.check(drawn.is_ok(), &format!("{}", file.display()));
        if let Err(why) = drawn {
            println!("{why}");
        }
    }

    story.chapter("The status page");
    let address: SocketAddr = SocketAddr::new(SECOND.parse().unwrap_or([0, 0, 0, 0].into()), PORT);
    let page = http::get(&lab.client, address, "/status", &[]);
    let shown = page.as_ref().is_ok_and(|page| page.status == 200 && page.text().contains("VI_1"));
    story.check(shown, &format!("http://{address}/status shows VI_1"));
    let (door, metrics) = (forward::open(&lab.client, address), "/metrics");
    let window = forward::open(&lab.client, SocketAddr::from(([127, 0, 0, 1], 9090)));
    if let (Ok(door), Ok(window)) = (door, window) {
        println!("  while this runs: http://{door}/status  http://{door}{metrics}  Prometheus: http://{window}/");
        if keep && story.failures.is_empty() {
            println!(
                "\nKEEP=1: both routers stay until you press Ctrl-C. L2's log: {}",
                second.process.log_path().display()
            );
            loop {
                std::thread::park();
            }
        }
    }
}

fn show(prometheus: &Prometheus, query: &str) {
    println!("    {query}");
    for Series { labels, value } in prometheus.query(query).unwrap_or_default() {
        let labels: Vec<String> = ["instance", "vrrp_instance", "family"]
            .iter()
            .filter_map(|name| labels.get(*name).map(|value| format!("{name}={value}")))
            .collect();
        println!("      {} {value}", labels.join(" "));
    }
}

/// Draws what a router kept.
fn graph(directory: &Path, file: &Path) -> Result<(), String> {
    let tool = beside(&Program::Keepwatch.path(), "keepwatch");
    let mut command = Command::new(tool);
    command.args(["graph", "vrrp", "VI_1", "--span", "5m", "--directory"]).arg(directory).arg("--out").arg(file);
    let output = command.output().map_err(|error| error.to_string())?;
    let written = std::fs::metadata(file).is_ok_and(|file| file.len() > 1000);
    if output.status.success() && written { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn beside(program: &Path, name: &str) -> PathBuf {
    program.with_file_name(name)
}
