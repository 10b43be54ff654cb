//! What a router tracks and carries is seen in every way there is: over SNMP, in JSON, by the tool, as metrics and on the
//! status page; values, not only places for them.

use std::path::PathBuf;
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::http;
use agentx_tests::net::Node;
use agentx_tests::pair::Link;
use agentx_tests::snmp::{KEEPALIVED, Manager};
use agentx_tests::wait;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

const SETTINGS: &str = "snmp: {responder: {listen: [127.0.0.1], communities: [{name: public}]}}
http:
  listen: [127.0.0.1:9700]
";

/// A master of priority 150 with some of everything: a script that fails and takes 20, a file with 7, a process that is there,
/// a session without a neighbour that takes 5; routes and rules of its own and static ones.
fn configuration(node: &Node) -> String {
    let number = node.directory().join("number");
    std::fs::write(&number, "7\n").unwrap();
    format!(
        "global_defs {{\n router_id R1\n script_user root\n enable_snmp_vrrp\n}}\n\
         vrrp_script S1 {{\n script \"/bin/false\"\n interval 1\n weight -20\n fall 1\n}}\n\
         track_file F1 {{\n file {}\n weight 2\n}}\n\
         vrrp_track_process P1 {{\n process {} 600\n quorum 1\n quorum_max 9\n weight 3 reverse\n terminate_delay 2\n}}\n\
         bfd_instance B1 {{\n neighbor_ip 10.0.0.77\n min_rx 50\n min_tx 60\n multiplier 4\n weight -5\n}}\n\
         vrrp_sync_group G1 {{\n sync_group_tracking_weight\n group {{\n VI_1\n }}\n track_script {{\n S1 weight -21\n }}\n}}\n\
         vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority 150\n advert_int 1\n \
         virtual_ipaddress {{\n 10.0.0.100/24\n }}\n \
         virtual_routes {{\n src 10.0.0.100 10.20.0.0/24 via 10.0.0.254 dev eth0 metric 7\n blackhole 10.21.0.0/16 table 100\n }}\n \
         virtual_rules {{\n from 10.20.0.0/24 table 100 preference 500\n }}\n \
         track_file {{\n F1\n }}\n track_process {{\n P1 weight -4\n }}\n track_bfd {{\n B1\n }}\n}}\n\
         static_ipaddress {{\n 10.8.0.1/24 dev eth0\n}}\n\
         static_routes {{\n 10.30.0.0/24 via 10.0.0.254 dev eth0\n}}\n\
         static_rules {{\n to 10.30.0.0/24 table 101 preference 600\n}}\n",
        number.display(),
        napper(node)
    )
}

/// A program of the node's own, which nobody else on this host runs.
fn napper(node: &Node) -> String {
    node.directory().join("napper").to_string_lossy().into_owned()
}

struct Site {
    node: Node,
    daemon: Daemon,
    /// Removes the namespaces.
    _link: Link,
    _sleep: agentx_tests::process::Process,
}

impl Site {
    #[track_caller]
    fn new() -> Site {
        let link = Link::new();
        let node = link.nodes[0].clone();
        let sleep = {
            std::fs::copy("/bin/sleep", napper(&node)).expect("a copy of sleep");
            node.spawn("sleep", node.command(&[&napper(&node), "600"]))
        };
        let options = Options { settings: Some(SETTINGS), ..Options::default() };
        let daemon = Daemon::start(&node, Program::Keepwatch, &configuration(&node), options);
        daemon.wait_for_address("10.0.0.100", true, PATIENCE);
        let site = Site { node, daemon, _link: link, _sleep: sleep };
        // 150, 21 less for the script, 14 more for the file, 5 less for the session; the process is there and takes nothing.
        let settled = wait::within(PATIENCE, || (site.priority() == Some(138)).then_some(()));
        assert!(settled.is_some(), "{:#}\n{}", site.json("/api/v1/vrrp"), site.daemon.log());
        site
    }

    fn priority(&self) -> Option<u64> {
        let vrrp: Value = serde_json::from_str(&self.daemon.tool(&["vrrp", "--json"]).text).ok()?;
        vrrp["instances"][0]["priority"]["effective"].as_u64()
    }

    #[track_caller]
    fn get(&self, path: &str) -> String {
        let answer = http::get(&self.node, "127.0.0.1:9700".parse().unwrap(), path, &[]);
        answer.unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.daemon.log())).text()
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let text = self.get(path);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    fn number_file(&self) -> PathBuf {
        self.node.directory().join("number")
    }
}

#[test]
fn tables_of_the_mib_have_the_values_that_are_configured_and_found() {
    let site = Site::new();
    let manager = Manager::on(&site.node, "127.0.0.1");
    let walk = wait::until("the responder", PATIENCE, || {
        let walk = manager.walk(&format!("{KEEPALIVED}.2"));
        (!walk.is_empty()).then_some(walk)
    });
    let index = site.node.enter(|| nix::net::if_::if_nametoindex("eth0").expect("eth0"));
    let expected = [
        // vrrpTrackedScriptTable has none: the group tracks it. vrrpSyncTrackedScriptTable: name, weight, reverse.
        (".15.1.2.1.1", "STRING: \"S1\"".to_owned()),
        (".15.1.3.1.1", "INTEGER: -21".to_owned()),
        (".15.1.4.1.1", "INTEGER: 2".to_owned()),
        // vrrpScriptTable: name, command, interval, weight, result bad, rise, fall.
        (".9.1.2.1", "STRING: \"S1\"".to_owned()),
        (".9.1.4.1", "INTEGER: 1".to_owned()),
        (".9.1.5.1", "INTEGER: -20".to_owned()),
        (".9.1.6.1", "INTEGER: 2".to_owned()),
        (".9.1.7.1", "Gauge32: 1".to_owned()),
        (".9.1.8.1", "Gauge32: 1".to_owned()),
        (".9.1.11.1", "Gauge32: 1000000".to_owned()),
        // vrrpTrackedFileTable, vrrpFileTable: path, number, weight.
        (".12.1.2.1.1", "STRING: \"F1\"".to_owned()),
        (".12.1.3.1.1", "INTEGER: 2".to_owned()),
        (".13.1.3.1", format!("STRING: \"{}\"", site.number_file().display())),
        (".13.1.4.1", "INTEGER: 7".to_owned()),
        (".13.1.5.1", "INTEGER: 2".to_owned()),
        // vrrpTrackedBfdTable, vrrpBfdTable: down.
        (".17.1.2.1.1", "STRING: \"B1\"".to_owned()),
        (".17.1.3.1.1", "INTEGER: -5".to_owned()),
        (".18.1.2.1", "STRING: \"B1\"".to_owned()),
        (".18.1.3.1", "INTEGER: 0".to_owned()),
        (".18.1.4.1", "INTEGER: -5".to_owned()),
        // vrrpTrackedProcessTable has the line's weight, vrrpProcessTable the block's.
        (".20.1.3.1.1", "INTEGER: -4".to_owned()),
        (".21.1.2.1", "STRING: \"P1\"".to_owned()),
        (".21.1.3.1", format!("STRING: \"{}\"", napper(&site.node))),
        (".21.1.4.1", "STRING: \"600\"".to_owned()),
        (".21.1.5.1", "INTEGER: 1".to_owned()),
        (".21.1.6.1", "INTEGER: 3".to_owned()),
        (".21.1.7.1", "INTEGER: 1".to_owned()),
        (".21.1.8.1", "Gauge32: 1".to_owned()),
        (".21.1.9.1", "INTEGER: 9".to_owned()),
        (".21.1.11.1", "Gauge32: 2000000".to_owned()),
        (".21.1.12.1", "INTEGER: 1".to_owned()),
        (".21.1.13.1", "INTEGER: 1".to_owned()),
        (".21.1.14.1", "INTEGER: 1".to_owned()),
        // vrrpRouteTable: family, destination, length, gateway, source, metric, type, interface, table, status; instance 0 is static.
        (".7.1.2.0.1", "INTEGER: 1".to_owned()),
        (".7.1.3.0.1", "Hex-STRING: 0A 1E 00 00 ".to_owned()),
        (".7.1.4.0.1", "Gauge32: 24".to_owned()),
        (".7.1.5.0.1", "Hex-STRING: 0A 00 00 FE ".to_owned()),
        (".7.1.14.0.1", "INTEGER: 1".to_owned()),
        (".7.1.3.1.1", "Hex-STRING: 0A 14 00 00 ".to_owned()),
        (".7.1.7.1.1", "Hex-STRING: 0A 00 00 64 ".to_owned()),
        (".7.1.8.1.1", "Gauge32: 7".to_owned()),
        (".7.1.10.1.1", "INTEGER: 1".to_owned()),
        (".7.1.11.1.1", format!("INTEGER: {index}")),
        (".7.1.12.1.1", "STRING: \"eth0\"".to_owned()),
        (".7.1.13.1.1", "Gauge32: 254".to_owned()),
        (".7.1.14.1.1", "INTEGER: 1".to_owned()),
        (".7.1.18.1.1", "INTEGER: 112".to_owned()),
        (".7.1.10.1.2", "INTEGER: 3".to_owned()),
        (".7.1.13.1.2", "Gauge32: 100".to_owned()),
        (".7.1.14.1.2", "INTEGER: 1".to_owned()),
        // vrrpRuleTable: table; and whether it is there.
        (".8.1.6.0.1", "Gauge32: 101".to_owned()),
        (".8.1.6.1.1", "Gauge32: 100".to_owned()),
        (".8.1.23.1.1", "INTEGER: 1".to_owned()),
    ];
    let wrong: Vec<String> = expected
        .iter()
        .map(|(place, value)| format!("{KEEPALIVED}.2{place} = {value}"))
        .filter(|line| !walk.iter().any(|there| there.trim_end() == line.trim_end()))
        .collect();
    assert!(wrong.is_empty(), "not there:\n{}\nbut:\n{}", wrong.join("\n"), walk.join("\n"));
    let status = |place: &str| manager.number(&format!("{KEEPALIVED}.2{place}"));
    assert_eq!((status(".8.1.7.0.1"), status(".8.1.7.1.1")), (Some(1), Some(1)), "{}", walk.join("\n"));

    // What changes is seen to change.
    std::fs::write(site.number_file(), "-3\n").unwrap();
    wait::until("vrrpFileResult to be -3", PATIENCE, || (status(".13.1.4.1") == Some(-3)).then_some(()));
}

#[test]
fn documents_the_tool_metrics_and_the_page_tell_of_routes_rules_trackers_and_sessions() {
    let site = Site::new();
    let vrrp = site.json("/api/v1/vrrp");
    let instance = &vrrp["instances"][0];
    let line =
        |text: &str, kind: &str| serde_json::json!({kind: text, "wanted": true, "present": true, "no_track": false});
    let routes = [
        line("10.20.0.0/24 via 10.0.0.254 dev eth0 src 10.0.0.100 metric 7", "route"),
        // Without an interface it cannot be watched, which is the same as no_track.
        serde_json::json!({"route": "blackhole 10.21.0.0/16 table 100", "wanted": true, "present": true, "no_track": true}),
    ];
    assert_eq!(instance["routes"], Value::from(routes.to_vec()), "{instance:#}");
    assert_eq!(instance["rules"], Value::from(vec![line("500: from 10.20.0.0/24 lookup 100", "rule")]), "{instance:#}");
    let statics = &vrrp["static"];
    assert_eq!(statics["routes"], Value::from(vec![line("10.30.0.0/24 via 10.0.0.254 dev eth0", "route")]));
    assert_eq!(statics["rules"], Value::from(vec![line("600: from all to 10.30.0.0/24 lookup 101", "rule")]));
    assert_eq!(
        (&statics["addresses"][0]["address"], &statics["addresses"][0]["present"]),
        (&"10.8.0.1/24".into(), &true.into())
    );
    let facts = |it: &Value| {
        let word = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
        (word("kind"), word("name"), it["up"].as_bool(), it["value"].as_i64(), it["weight"].as_i64().unwrap())
    };
    let trackers: Vec<_> = vrrp["trackers"].as_array().into_iter().flatten().map(facts).collect();
    let is = |kind: &str, name: &str, up, value, weight| (kind.to_owned(), name.to_owned(), up, value, weight);
    let expected = [
        is("script", "S1", Some(false), None, -20),
        is("file", "F1", None, Some(7), 2),
        is("process", "P1", Some(true), Some(1), 3),
        is("bfd", "B1", Some(false), None, -5),
    ];
    assert_eq!(trackers, expected, "{vrrp:#}");
    assert_eq!(vrrp["trackers"][0]["tracked_by"], Value::from(vec!["G1"]));

    let session = &site.json("/api/v1/bfd")["sessions"][0];
    assert_eq!((&session["state"], &session["neighbour"]), (&"down".into(), &"10.0.0.77".into()), "{session:#}");
    assert_eq!((&session["detection_time"], &session["tracked_by"]), (&Value::Null, &Value::from(vec!["VI_1"])));
    assert!(session["counters"]["sent"].as_u64() > Some(0), "{session:#}");
    let told = site.daemon.tool(&["bfd"]);
    assert!(told.status == 1 && told.text.contains("DOWN") && told.text.contains("10.0.0.77"), "{told:?}");
    let told = site.daemon.tool(&["bfd", "B2"]);
    assert!(told.status == 3 && told.text.contains("no BFD session B2"), "{told:?}");
    let told = site.daemon.tool(&["explain", "VI_1"]).text;
    for words in [
        "tracks script S1: down, weight -21, of its sync group: -21 to the priority",
        "tracks file F1: up, weight 2: +14 to the priority",
        "tracks process P1: up, weight -4",
        "tracks bfd B1: down, weight -5: -5 to the priority",
        "2 of 2 routes in the kernel",
        "1 of 1 rule in the kernel",
    ] {
        assert!(told.contains(words), "`{words}` is not in\n{told}");
    }

    let page = site.get("/metrics");
    let router = "vrrp_instance=\"VI_1\",vrid=\"51\",family=\"ipv4\"";
    for sample in [
        format!("keepwatch_vrrp_routes{{{router},status=\"configured\"}} 2"),
        format!("keepwatch_vrrp_routes{{{router},status=\"assigned\"}} 2"),
        format!("keepwatch_vrrp_routes{{{router},status=\"missing\"}} 0"),
        format!("keepwatch_vrrp_rules{{{router},status=\"assigned\"}} 1"),
        "keepwatch_vrrp_static{kind=\"route\",status=\"assigned\"} 1".to_owned(),
        "keepwatch_vrrp_static{kind=\"address\",status=\"configured\"} 1".to_owned(),
        format!("keepwatch_track_weight{{{router},kind=\"script\",name=\"S1\"}} -21"),
        format!("keepwatch_track_weight{{{router},kind=\"file\",name=\"F1\"}} 14"),
        format!("keepwatch_track_fault{{{router},kind=\"bfd\",name=\"B1\"}} 0"),
        "keepwatch_bfd_session_state{session=\"B1\",state=\"down\"} 1".to_owned(),
        "keepwatch_bfd_session_up{session=\"B1\"} 0".to_owned(),
        "keepwatch_track_process_instances{process_name=\"P1\"} 1".to_owned(),
    ] {
        assert!(page.lines().any(|line| line == sample), "{sample} is not there:\n{page}");
    }
    let html = site.get("/status");
    for words in
        ["BFD sessions", "Trackers", "Static routes and rules", "blackhole 10.21.0.0/16 table 100", "10.0.0.77"]
    {
        assert!(html.contains(words), "`{words}` is not on the page");
    }
}
