//! The status page in Chromium: light, dark and on a telephone; a failover seen without reloading; every kind of graph.
//! Pictures of all of it are left in target/screenshots (`make screenshots`).

use std::path::PathBuf;
use std::time::Duration;

use agentx_tests::browser::Browser;
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::dashboards::root;
use agentx_tests::http::encoded;
use agentx_tests::net::Node;
use agentx_tests::prometheus::PORT;
use agentx_tests::seed::SeedLab;
use agentx_tests::wait;

const SEED_IPVS: &str = include_str!("../oracle/02-seed-ipvs/keepalived.conf");
const LIMIT: Duration = Duration::from_secs(30);

fn pictures() -> PathBuf {
    let directory = root().join("target/screenshots");
    std::fs::create_dir_all(&directory).expect("target can be written");
    directory
}

fn start(node: &Node, configuration: &str, address: &str) -> Daemon {
    let rrd = node.directory().join("rrd");
    let settings = format!("http:\n  listen: ['{address}:{PORT}']\nrrd:\n  directory: {}\n", rrd.display());
    Daemon::start(node, Program::Keepwatch, configuration, Options { settings: Some(&settings), ..Options::default() })
}

#[test]
fn a_reader_sees_a_failover_happen_without_reloading_in_light_dark_and_on_a_telephone() {
    let lab = SeedLab::new();
    let second = SEED_IPVS
        .replace("state MASTER", "state BACKUP")
        .replace("priority 150", "priority 100")
        .replace("router_id L1", "router_id L2");
    let mut one = start(&lab.first, SEED_IPVS, "1.1.1.11");
    one.wait_for_address("1.1.1.15", true, LIMIT);
    let two = start(&lab.second, &second, "1.1.1.12");
    let browser = Browser::start(&lab.client);
    let status = format!("http://1.1.1.12:{PORT}/status");
    let open = wait::within(LIMIT, || {
        browser.open(&status);
        browser.text().contains("VI_1").then_some(())
    });
    assert!(open.is_some(), "the page shows no VI_1:\n{}\n--- log:\n{}", browser.text(), two.log());
    let state = "const it = document.querySelector('#main, main'); return it ? it.innerText : ''";
    let says = |word: &str| browser.run(state).as_str().unwrap_or_default().to_lowercase().contains(word);
    wait::until("L2 is shown as backup", LIMIT, || says("backup").then_some(()));
    // Lost if the page were loaded again.
    browser.run("window.stays = 'here'");

    for (name, width, height, dark) in [
        ("light", 1200, 900, false),
        ("dark", 1200, 900, true),
        ("telephone", 390, 844, false),
        ("telephone-dark", 390, 844, true),
    ] {
        browser.look(width, height, dark);
        let wide = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap_or(u64::MAX);
        assert!(wide <= u64::from(width), "{name}: the page is {wide} px wide, the window {width}");
        let paper = browser.run("return getComputedStyle(document.body).backgroundColor").to_string();
        let channels: Vec<u32> =
            paper.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
        let bright = channels.iter().take(3).sum::<u32>() > 3 * 128;
        assert_eq!(bright, !dark, "{name}: the background is {paper}");
        browser.picture(&pictures().join(format!("status-{name}.png")));
    }

    browser.look(1200, 900, false);
    one.kill();
    let seen = wait::within(LIMIT, || {
        let row = "const row = [...document.querySelectorAll('tr, article, section')].filter(it => it.innerText.includes('VI_1')).pop();\
                   return row ? row.innerText : ''";
        browser.run(row).as_str().unwrap_or_default().to_lowercase().contains("master").then_some(())
    });
    assert!(seen.is_some(), "the page does not show that L2 is master:\n{}", browser.text());
    assert_eq!(browser.run("return window.stays"), "here", "the page was loaded again");
    browser.picture(&pictures().join("status-after-failover.png"));

    // Every kind of graph; rows are 10 s apart, and two of them make a line.
    let graphs = [
        ("vrrp", "VI_1".to_owned(), &["state", "adverts"][..]),
        ("vs", "group:VS_GROUP_IPv4/tcp".to_owned(), &["connections", "traffic", "servers"]),
        ("rs", "group:VS_GROUP_IPv4/tcp,192.168.1.10:80".to_owned(), &["connections", "open", "check", "traffic"]),
        ("daemon", "daemon".to_owned(), &["delays", "memory"]),
    ];
    let mut missing = Vec::new();
    for (kind, name, views) in &graphs {
        for view in *views {
            let path = |format| format!("/graph/{kind}/{}.{format}?view={view}&span=5m", encoded(name));
            let drawn = wait::within(LIMIT, || {
                browser.open(&format!("http://1.1.1.12:{PORT}{}", path("svg")));
                browser
                    .run("return document.documentElement.tagName")
                    .as_str()
                    .is_some_and(|tag| tag == "svg")
                    .then_some(())
            });
            if drawn.is_none() {
                missing.push(format!("{}: {}", path("svg"), browser.text()));
                continue;
            }
            browser.look(800, 300, false);
            browser.picture(&pictures().join(format!("graph-{kind}-{view}.png")));
        }
    }
    assert!(missing.is_empty(), "no picture of {missing:#?}\n--- log:\n{}", two.log());
}
