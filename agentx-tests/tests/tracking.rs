//! What trackers do to priorities as a neighbour sees them: configurations of the seeds' posts, with Debian's keepalived as
//! the other router. Each router is the best one in turn, and the addresses follow.

use std::time::Duration;

use agentx_tests::capture::Advert;
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::Link;
use agentx_tests::process::Process;
use agentx_tests::wait;

/// Adverts come every second, a takeover takes less than four, and a script runs every second.
const PATIENCE: Duration = Duration::from_secs(30);
const VIP: &str = "192.168.122.200";

/// VI_1 of the posts.
fn configuration(definitions: &str, priority: u8, more: &str) -> String {
    format!(
        "global_defs {{\n script_user root\n}}\n{definitions}\nvrrp_instance VI_1 {{\n state MASTER\n interface eth0\n virtual_router_id 51\n \
         priority {priority}\n advert_int 1\n authentication {{\n auth_type PASS\n auth_pass 12345\n }}\n \
         virtual_ipaddress {{\n {VIP}/24\n }}\n {more}\n}}\n"
    )
}

/// Ours on R1, Keepalived on R2.
struct Pair {
    link: Link,
    ours: Daemon,
    other: Daemon,
}

impl Pair {
    /// Ours is the master at first, advertising `first`.
    #[track_caller]
    fn start(link: Link, ours: &str, first: u8, others: &str) -> Pair {
        let daemon =
            |node: usize, program, text: &str| Daemon::start(&link.nodes[node], program, text, Options::default());
        let other = daemon(1, Program::Keepalived, others);
        other.wait_until_it_listens();
        let ours = daemon(0, Program::Keepwatch, ours);
        let pair = Pair { link, ours, other };
        pair.advertises(0, first, 0);
        pair.is_master(0);
        pair
    }

    /// Waits until a router says this priority after `after` (ns), and gives the moment.
    #[track_caller]
    fn advertises(&self, router: usize, priority: u8, after: u64) -> u64 {
        let said = |advert: &Advert| advert.priority == priority;
        let port = self.link.ports[router];
        let found = wait::within(PATIENCE, || {
            let adverts = self.link.witness.adverts_from(port);
            adverts.into_iter().find(|(at, advert)| *at > after && said(advert)).map(|(at, _)| at)
        });
        found.unwrap_or_else(|| {
            let said: Vec<u8> =
                self.link.witness.adverts_from(port).iter().map(|(_, advert)| advert.priority).collect();
            panic!("R{} never said {priority}: {said:?}\n{}", router + 1, self.logs())
        })
    }

    #[track_caller]
    fn is_master(&self, router: usize) {
        let has = |router: usize| self.link.nodes[router].has(VIP);
        let settled = wait::within(PATIENCE, || (has(router) && !has(1 - router)).then_some(()));
        assert!(settled.is_some(), "R{} is not the only one with {VIP}\n{}", router + 1, self.logs());
    }

    fn logs(&self) -> String {
        format!("--- ours said:\n{}\n--- keepalived said:\n{}", self.ours.log(), self.other.log())
    }

    /// Something happens: from then on ours says `priority`, and R1 or R2 is master.
    #[track_caller]
    fn when(&self, happens: impl FnOnce(), priority: u8, master: usize) {
        let now = wait::now_ns();
        happens();
        self.advertises(0, priority, now);
        self.is_master(master);
    }

    /// The effective priority as an operator sees it.
    #[track_caller]
    fn shows(&self, priority: u64) {
        let mut last = String::new();
        let shown = wait::within(PATIENCE, || {
            last = self.ours.tool(&["vrrp", "--json"]).text;
            let told: serde_json::Value = serde_json::from_str(&last).ok()?;
            (told["instances"][0]["priority"]["effective"] == priority).then_some(())
        });
        assert!(shown.is_some(), "the effective priority is not {priority}: {last}\n{}", self.logs());
    }
}

/// A process that a tracker finds by its name.
fn called(link: &Link, name: &str) -> Process {
    let program = link.nodes[0].directory().join(name);
    std::fs::copy("/usr/bin/sleep", &program).unwrap();
    link.nodes[0].spawn(name, link.nodes[0].command(&[program.to_str().unwrap(), "1000"]))
}

fn side(link: &Link, router: usize) {
    let node = &link.nodes[router];
    node.ip(&["link", "add", "ens9", "type", "veth", "peer", "name", "ens9peer"]);
    node.ip(&["link", "set", "ens9peer", "up"]);
    node.ip(&["link", "set", "ens9", "up"]);
}

#[test]
fn track_interface_with_weight_5_makes_249_of_244_while_the_interface_is_up() {
    let link = Link::new();
    side(&link, 0);
    side(&link, 1);
    let track = "track_interface {\n ens9 weight 5\n }";
    let pair = Pair::start(link, &configuration("", 244, track), 249, &configuration("", 242, track));
    let node = pair.link.nodes[0].clone();
    // 244 is less than the 247 of the other one.
    let now = wait::now_ns();
    node.ip(&["link", "set", "ens9", "down"]);
    pair.advertises(1, 247, now);
    pair.is_master(1);
    pair.shows(244);
    pair.when(|| drop(node.ip(&["link", "set", "ens9", "up"])), 249, 0);
}

#[test]
fn track_interface_in_reverse_takes_a_positive_weight_away_while_the_interface_is_up() {
    let link = Link::new();
    side(&link, 0);
    let track = "track_interface {\n ens9 weight 5 reverse\n }";
    let pair = Pair::start(link, &configuration("", 244, track), 239, &configuration("", 100, ""));
    let node = pair.link.nodes[0].clone();
    pair.when(|| drop(node.ip(&["link", "set", "ens9", "down"])), 244, 0);
    pair.when(|| drop(node.ip(&["link", "set", "ens9", "up"])), 239, 0);
}

#[test]
fn track_file_adds_its_number_and_a_low_one_is_a_fault() {
    let link = Link::new();
    let file = link.nodes[0].directory().join("vrrp_track_file");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("5\n");
    let definition = format!("vrrp_track_file track_app_file {{\n file {}\n}}", file.display());
    let ours = configuration(&definition, 244, "track_file {\n track_app_file weight 1\n }");
    let pair = Pair::start(link, &ours, 249, &configuration("", 240, ""));
    pair.when(|| write("6\n"), 250, 0);
    pair.when(|| std::fs::remove_file(&file).unwrap(), 244, 0);
    // A fault resigns.
    pair.when(|| write("-254\n"), 0, 1);
    pair.when(|| write("7\n"), 251, 0);
}

#[test]
fn track_process_makes_254_of_244_while_it_runs() {
    let link = Link::new();
    let mut httpd = called(&link, "kwhttpd");
    let definition = "vrrp_track_process track_apache {\n process kwhttpd\n weight 10\n}";
    let ours = configuration(definition, 244, "track_process {\n track_apache\n }");
    let pair = Pair::start(link, &ours, 254, &configuration("", 250, ""));
    let now = wait::now_ns();
    httpd.kill();
    pair.advertises(1, 250, now);
    pair.is_master(1);
    pair.shows(244);
    let now = wait::now_ns();
    let _httpd = called(&pair.link, "kwhttpd");
    pair.advertises(0, 254, now);
    pair.is_master(0);
}

#[test]
fn chk_sshd_takes_4_from_100_after_two_failures_and_gives_them_back_after_one_success() {
    let link = Link::new();
    let flag = link.nodes[0].directory().join("no-sshd");
    let script = format!("/usr/bin/test ! -e {}", flag.display());
    let definition =
        format!("vrrp_script chk_sshd {{\n script \"{script}\"\n interval 1\n weight -4\n fall 2\n rise 1\n}}");
    let ours = configuration(&definition, 100, "track_script {\n chk_sshd\n }");
    let pair = Pair::start(link, &ours, 100, &configuration("", 98, ""));
    let now = wait::now_ns();
    std::fs::write(&flag, "").unwrap();
    pair.advertises(1, 98, now);
    pair.is_master(1);
    pair.shows(96);
    pair.when(|| std::fs::remove_file(&flag).unwrap(), 100, 0);
}

#[test]
fn a_ping_script_without_a_weight_is_a_fault_after_three_failures_until_three_successes() {
    let link = Link::new();
    let node = link.nodes[0].clone();
    node.ip(&["address", "add", "8.8.8.8/32", "dev", "lo"]);
    let definition = "vrrp_script keepalived_check {\n script \"/usr/bin/ping -c 1 -W 1 8.8.8.8\"\n interval 1\n timeout 5\n \
                      rise 3\n fall 3\n}";
    let ours = configuration(definition, 244, "track_script {\n keepalived_check\n }");
    let pair = Pair::start(link, &ours, 244, &configuration("", 100, ""));
    pair.when(|| drop(node.ip(&["address", "del", "8.8.8.8/32", "dev", "lo"])), 0, 1);
    pair.when(|| drop(node.ip(&["address", "add", "8.8.8.8/32", "dev", "lo"])), 244, 0);
}

#[test]
fn chk_myscript_with_weight_60_counts_while_it_succeeds() {
    let link = Link::new();
    let flag = link.nodes[0].directory().join("offline");
    let script = format!("/usr/bin/test ! -e {}", flag.display());
    let definition =
        format!("vrrp_script chk_myscript {{\n script \"{script}\"\n weight 60\n interval 1\n fall 2\n rise 2\n}}");
    let ours = configuration(&definition, 100, "track_script {\n chk_myscript\n }");
    let pair = Pair::start(link, &ours, 160, &configuration("", 120, ""));
    let now = wait::now_ns();
    std::fs::write(&flag, "").unwrap();
    pair.advertises(1, 120, now);
    pair.is_master(1);
    pair.when(|| std::fs::remove_file(&flag).unwrap(), 160, 0);
}

#[test]
fn with_dont_track_primary_a_router_takes_over_when_the_other_end_of_a_direct_cable_dies() {
    let link = Link::new();
    let node = link.nodes[0].clone();
    // As in the post: adverts go over a cable of their own, and the address is elsewhere.
    side(&link, 0);
    let elsewhere =
        |more: &str| configuration("", 100, more).replace("192.168.122.200/24", "192.168.122.200/24 dev ens9");
    let daemon = Daemon::start(&node, Program::Keepwatch, &elsewhere("dont_track_primary"), Options::default());
    daemon.wait_for_address(VIP, true, PATIENCE);
    link.lab.unplug(link.ports[0]);
    // Without the word it resigns, which takes less than this.
    wait::observe(Duration::from_secs(2));
    assert!(node.has(VIP), "it is master without a cable\n{}", daemon.log());
    daemon.reload(&elsewhere(""));
    daemon.wait_for_address(VIP, false, PATIENCE);
    daemon.reload(&elsewhere("dont_track_primary"));
    daemon.wait_for_address(VIP, true, PATIENCE);
    // The interface that the address is on is tracked all the same.
    node.ip(&["link", "set", "ens9peer", "down"]);
    daemon.wait_for_address(VIP, false, PATIENCE);
    node.ip(&["link", "set", "ens9peer", "up"]);
    daemon.wait_for_address(VIP, true, PATIENCE);
}

#[test]
fn an_interface_that_is_down_for_less_than_its_delay_is_not_noticed() {
    let link = Link::new();
    side(&link, 0);
    let delays = "interface_up_down_delays {\n ens9 3 0.5\n}";
    let ours = configuration(delays, 200, "track_interface {\n ens9 weight 20\n }");
    let pair = Pair::start(link, &ours, 220, &configuration("", 100, ""));
    let node = pair.link.nodes[0].clone();
    let begin = wait::now_ns();
    for _ in 0..3 {
        node.ip(&["link", "set", "ens9", "down"]);
        wait::observe(Duration::from_millis(600));
        node.ip(&["link", "set", "ens9", "up"]);
        wait::observe(Duration::from_millis(300));
    }
    node.ip(&["link", "set", "ens9", "down"]);
    let down = wait::now_ns();
    let noticed = pair.advertises(0, 200, begin);
    assert!(noticed > down + 2_900_000_000, "noticed {} s after it", wait::seconds(noticed - down));
    pair.when(|| drop(node.ip(&["link", "set", "ens9", "up"])), 220, 0);
}

#[test]
fn interfaces_that_are_renamed_or_come_and_go_count_as_long_as_they_have_the_name() {
    let link = Link::new();
    let ours = configuration("", 200, "track_interface {\n ens9 weight 20\n }");
    let ours = ours.replace("script_user root", "script_user root\n dynamic_interfaces");
    let pair = Pair::start(link, &ours, 200, &configuration("", 100, ""));
    let node = pair.link.nodes[0].clone();
    pair.when(|| side(&pair.link, 0), 220, 0);
    let rename = |from: &str, to: &str| {
        node.ip(&["link", "set", from, "name", to]);
    };
    pair.when(|| rename("ens9", "other"), 200, 0);
    pair.when(|| rename("other", "ens9"), 220, 0);
    pair.when(|| drop(node.ip(&["link", "del", "ens9"])), 200, 0);
    pair.when(|| side(&pair.link, 0), 220, 0);
}
