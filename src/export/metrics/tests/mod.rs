//! The page against its specification (`tests/data`), against strict readers of both formats, and against promtool.

mod fixture;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use self::fixture::{HEARD, NOW, Words, look, look_of, look_with};
use self::parse::{Labels, Parsed};
use super::compat::{self, Names};
use super::families::all;
use super::family::Unit;
use super::*;
use crate::bus::timing::Pulse;
use crate::clock::WallTime;

fn exporter() -> Exporter {
    let word = |text: &str| text.to_owned();
    Exporter::new(Build {
        version: word("1.2.3"),
        revision: word("abc"),
        rustc: word("1.90.0"),
        features: word("daemon"),
    })
}

fn full() -> MetricsSettings {
    MetricsSettings::default()
}

fn page(look: &Look, settings: &MetricsSettings, format: Format) -> (String, Rendered) {
    let rendered = exporter().render(look, settings, format);
    (String::from_utf8(rendered.body.clone()).unwrap(), rendered)
}

fn text(look: &Look) -> Parsed {
    parse::text(&page(look, &full(), Format::Text).0).unwrap()
}

/// Lines of a table in `tests/data` without its head.
fn table(data: &str) -> Vec<Vec<&str>> {
    data.lines().skip(1).map(|line| line.split('\t').collect()).collect()
}

fn labels_of(cell: &str) -> Vec<&str> {
    if cell == "-" { vec![] } else { cell.split(',').collect() }
}

#[test]
fn the_table_has_what_the_specification_lists_and_nothing_else() {
    let specified: BTreeSet<Vec<String>> = table(include_str!("../../../../tests/data/metrics.tsv"))
        .into_iter()
        .map(|row| row.into_iter().map(str::to_owned).collect())
        .collect();
    let ours = all().filter(|family| family.name.starts_with("keepwatch_")).map(|family| {
        let labels = if family.labels.is_empty() { "-".to_owned() } else { family.labels.join(",") };
        let level = if family.level == Level::Basic { "basic" } else { "detail" };
        let unit = family.unit.name().unwrap_or("1");
        [family.name, family.type_name(), &labels, unit, level].map(str::to_owned).to_vec()
    });
    assert_eq!(ours.collect::<BTreeSet<_>>(), specified);
    let others: Vec<_> = all().map(|family| family.name).filter(|name| !name.starts_with("keepwatch_")).collect();
    let process = ["cpu_seconds_total", "resident_memory_bytes", "start_time_seconds", "open_fds", "max_fds"];
    assert_eq!(others, process.map(|name| format!("process_{name}")));
}

#[test]
fn names_say_unit_and_type_as_the_specification_wants() {
    for family in all() {
        assert_eq!(family.name.ends_with("_total"), family.type_name() == "counter", "{}", family.name);
        let base = family.name.trim_end_matches("_total");
        assert!(family.unit == Unit::One || base.ends_with(family.unit.name().unwrap()), "{}", family.name);
        for taken in ["instance", "job", "le", "quantile", "host", "hostname"] {
            assert!(!family.labels.contains(&taken), "{} has the label {taken}", family.name);
        }
        assert!(!family.help.contains(['\n', '"', '\\', '|']) && !family.help.is_empty(), "{}", family.name);
    }
}

#[test]
fn the_page_of_a_full_daemon_has_every_family_with_samples_and_their_labels() {
    let exporter = exporter();
    exporter.scraped("text", 200, Duration::from_millis(2));
    let page = exporter.render(&look(), &full(), Format::Text);
    let page = parse::text(std::str::from_utf8(&page.body).unwrap()).unwrap();
    assert_eq!(page.families.len(), all().count());
    for (parsed, family) in page.families.iter().zip(all()) {
        assert_eq!((parsed.name.as_str(), parsed.kind.as_str()), (family.name, family.type_name()));
        assert_eq!(parsed.help.as_deref(), Some(family.help));
        assert!(!parsed.samples.is_empty(), "{} has no samples", family.name);
        for sample in &parsed.samples {
            let labels: BTreeSet<_> =
                sample.labels.iter().map(|(name, _)| &**name).filter(|name| *name != "le").collect();
            assert_eq!(labels, family.labels.iter().copied().collect(), "{}", family.name);
        }
    }
}

#[test]
fn values_are_those_of_the_rows() {
    let page = text(&look());
    let vi_1 = [("vrrp_instance", "VI_1"), ("vrid", "2"), ("family", "ipv4")];
    let of = |name: &str, more: (&str, &str)| page.value(name, &[&vi_1[..], &[more]].concat());
    let web = [("virtual_server", "192.0.2.10:443"), ("protocol", "tcp")];
    let first = [&web[..], &[("real_server", "10.0.0.1:8443")]].concat();
    let drained = [("virtual_server", "group:G_WEB"), ("protocol", "udp"), ("real_server", "10.0.0.2")];
    for (name, value, expected) in [
        ("state", of("keepwatch_vrrp_state", ("state", "master")), 1.0),
        ("another state", of("keepwatch_vrrp_state", ("state", "backup")), 0.0),
        ("entries", of("keepwatch_vrrp_transitions_total", ("to", "backup")), 4.0),
        ("refused", of("keepwatch_vrrp_adverts_dropped_total", ("reason", "source")), 6.0),
        ("addresses", of("keepwatch_vrrp_addresses", ("status", "configured")), 2.0),
        ("addresses there", of("keepwatch_vrrp_addresses", ("status", "assigned")), 1.0),
        ("one of them", of("keepwatch_vrrp_address_assigned", ("address", "192.0.1.2/24")), 0.0),
        ("interval", page.value("keepwatch_vrrp_advert_interval_seconds", &vi_1), 2.0),
        ("split brain", page.value("keepwatch_vrrp_other_master", &vi_1), 1.0),
        ("a backup has none", page.value("keepwatch_vrrp_other_master", &[("vrrp_instance", "VI_2")]), 0.0),
        ("delays", page.value("keepwatch_vrrp_takeover_duration_seconds_count", &[]), 1764.0),
        ("weight", page.value("keepwatch_track_script_weight", &[]), -20.0),
        ("file", page.value("keepwatch_track_file_value", &[]), -5.0),
        ("interface", page.value("keepwatch_track_interface_up", &[("interface", "eth0")]), 1.0),
        ("lost interface", page.value("keepwatch_track_interface_up", &[("interface", "lost0")]), 0.0),
        ("routes", of("keepwatch_vrrp_routes", ("status", "configured")), 2.0),
        ("routes there", of("keepwatch_vrrp_routes", ("status", "assigned")), 1.0),
        ("routes missing", of("keepwatch_vrrp_routes", ("status", "missing")), 1.0),
        ("rules there", of("keepwatch_vrrp_rules", ("status", "assigned")), 1.0),
        ("static", page.value("keepwatch_vrrp_static", &[("kind", "route"), ("status", "assigned")]), 0.0),
        ("what is tracked", of("keepwatch_track_fault", ("name", "lost0")), 1.0),
        ("session", page.value("keepwatch_bfd_session_state", &[("state", "up")]), 1.0),
        ("another session state", page.value("keepwatch_bfd_session_state", &[("state", "admin_down")]), 0.0),
        ("pace", page.value("keepwatch_bfd_transmit_interval_seconds", &[]), 0.01),
        ("mails", page.value("keepwatch_notification_queue_length", &[("channel", "smtp")]), 2.0),
        (
            "expired traps",
            page.value("keepwatch_notifications_total", &[("channel", "trap"), ("result", "timeout")]),
            1.0,
        ),
        (
            "bytes",
            page.value("keepwatch_ipvs_virtual_server_bytes_total", &[&web[..], &[("direction", "out")]].concat()),
            35.0,
        ),
        ("kernel weight", page.value("keepwatch_ipvs_real_server_weight", &first), 3.0),
        ("checks", page.value("keepwatch_checker_runs_total", &[&first[..], &[("result", "failure")]].concat()), 6.0),
        ("duration", page.value("keepwatch_checker_last_duration_seconds", &first), 0.0015),
        ("drained", page.value("keepwatch_ipvs_real_server_draining", &drained), 1.0),
        ("other causes", page.value("keepwatch_checker_failures_total", &[("reason", "other")]), 5.0),
        ("hash", page.value("keepwatch_config_hash", &[]), ((1u64 << 48) - 1) as f64),
        ("accepted", page.value("keepwatch_config_last_reload_success_timestamp_seconds", &[]), 1_763_730_634.5),
        ("cpu", page.value("keepwatch_process_cpu_seconds_total", &[("process", "checker")]), 2.5),
        ("log lines", page.value("keepwatch_log_messages_total", &[("level", "error")]), 35.0),
        ("own process", page.value("process_max_fds", &[]), 1024.0),
        (
            "sets",
            page.value("keepwatch_snmp_sets_total", &[("object", "realServerWeight"), ("result", "committed")]),
            2.0,
        ),
        (
            "a trap that was not sent",
            page.value("keepwatch_agentx_traps_total", &[("trap", "realServerStateChange"), ("result", "sent")]),
            0.0,
        ),
    ] {
        assert_eq!(value, Some(expected), "{name}");
    }
    let checkers: Vec<_> =
        page.family("keepwatch_checker_up").samples.iter().map(|it| it.label("checker").unwrap()).collect();
    assert_eq!(checkers[..2], ["TCP_CHECK 10.0.0.1:80", "TCP_CHECK 10.0.0.1:80 #2"]);
}

#[test]
fn a_counter_is_exact_up_to_2_to_the_53rd_in_both_formats() {
    for counter in [(1 << 53) - 1, 1 << 53] {
        for format in [Format::Text, Format::OpenMetrics] {
            let (page, _) = page(&look_with(&Words::default(), counter), &full(), format);
            assert!(page.contains(&format!("family=\"ipv4\"}} {counter}\n")), "{counter} in {format:?}");
        }
    }
}

#[test]
fn openmetrics_says_the_same_in_its_own_way() {
    let exporter = exporter();
    let [text, open] = [Format::Text, Format::OpenMetrics].map(|format| exporter.render(&look(), &full(), format));
    assert_eq!((text.series, text.dropped), (open.series, open.dropped));
    let text = parse::text(std::str::from_utf8(&text.body).unwrap()).unwrap();
    let open = parse::openmetrics(std::str::from_utf8(&open.body).unwrap()).unwrap();
    let canonical = |parsed: &Parsed| -> Vec<(String, Labels, f64)> {
        let samples = parsed.samples().filter(|sample| !sample.name.ends_with("_created"));
        let same = |(name, value): (String, String)| match value.parse::<f64>() {
            Ok(bound) if name == "le" => (name, bound.to_string()),
            _ => (name, value),
        };
        samples.cloned().map(|it| (it.name, it.labels.into_iter().map(same).collect(), it.value)).collect()
    };
    assert_eq!(canonical(&text), canonical(&open));
    let facts = |name: &str| {
        let family = open.family(name);
        (family.kind.clone(), family.unit.clone().unwrap_or_default())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(facts("keepwatch_ipvs_real_server_bytes"), pair("counter", "bytes"));
    assert_eq!(facts("keepwatch_vrrp_instance"), pair("info", ""));
    assert_eq!(facts("keepwatch_vrrp_state"), pair("gauge", ""));
    assert_eq!(facts("keepwatch_vrrp_takeover_duration_seconds"), pair("histogram", "seconds"));
}

#[test]
fn a_beginning_is_told_where_it_is_known_and_nowhere_else() {
    let created = |look: &Look| {
        let (page, _) = page(look, &full(), Format::OpenMetrics);
        let page = parse::openmetrics(&page).unwrap();
        let created = page.samples().filter(|sample| sample.name.ends_with("_created"));
        created.map(|sample| (sample.name.clone(), sample.value)).collect::<BTreeMap<_, _>>()
    };
    let known = created(&look());
    assert_eq!(known.get("keepwatch_config_reloads_created"), Some(&1_763_724_034.5));
    assert_eq!(known.get("keepwatch_exporter_scrape_duration_seconds_created"), Some(&1_763_727_634.5));
    // It is the bridge that counts, whatever becomes of the process that writes.
    let mut again = look();
    let process = Arc::make_mut(&mut again.daemon).processes.iter_mut().find(|process| process.name == "rrd").unwrap();
    process.started = again.at;
    assert_eq!(created(&again), known);
    assert_eq!(known.get("keepwatch_rrd_updates_created"), Some(&1_763_727_634.5));
    assert!(!known.keys().any(|name| name.contains("vrrp") || name.contains("ipvs")), "{known:?}");
    assert_eq!(created(&Look { daemon: Arc::default(), ..look() }), BTreeMap::new());
}

#[test]
fn nothing_is_said_of_what_is_not_configured() {
    let nothing = text(&Look::default());
    for family in nothing.families.iter().filter(|family| !family.samples.is_empty()) {
        let own = ["keepwatch_exporter_", "keepwatch_config_", "keepwatch_log_", "keepwatch_vrrp_", "keepwatch_build_"];
        let said = own.iter().any(|prefix| family.name.starts_with(prefix)) || family.name == "keepwatch_component_up";
        assert!(said, "{family:?}");
    }
    let up: Vec<_> =
        nothing.family("keepwatch_component_up").samples.iter().map(|it| it.label("component").unwrap()).collect();
    assert_eq!(up, ["exporter"]);
}

#[test]
fn an_engine_is_up_while_it_is_connected_and_was_heard_within_its_time() {
    let up = |change: fn(&mut Look)| {
        let mut look = look();
        change(&mut look);
        let page = text(&look);
        let of = |component| page.value("keepwatch_component_up", &[("component", component)]).unwrap();
        let compat = parse::text(&String::from_utf8(compat::render(&look, &[Names::Gen2brain])).unwrap()).unwrap();
        (of("vrrp"), of("checker"), of("scripts"), compat.value("keepalived_up", &[]).unwrap())
    };
    assert_eq!(up(|_| {}), (1.0, 1.0, 1.0, 1.0));
    assert_eq!(up(|look| look.now = HEARD + Pulse::PATIENCE), (1.0, 1.0, 1.0, 1.0));
    let late = |look: &mut Look| look.now = HEARD + Pulse::PATIENCE + Duration::from_nanos(1);
    assert_eq!(up(late), (0.0, 0.0, 0.0, 0.0));
    // The wall clock was put back, and forth.
    assert_eq!(up(|look| look.at = WallTime(5)), (1.0, 1.0, 1.0, 1.0));
    assert_eq!(up(|look| look.at = WallTime(NOW.0 + 3_600_000_000_000)), (1.0, 1.0, 1.0, 1.0));
    let back = |look: &mut Look| (look.at, look.now) = (WallTime(5), HEARD + Pulse::PATIENCE * 2);
    assert_eq!(up(back), (0.0, 0.0, 0.0, 0.0));
    assert_eq!(up(|look| look.vrrp_connected = false), (0.0, 1.0, 1.0, 0.0));
    assert_eq!(up(|look| look.checks_connected = false), (1.0, 0.0, 1.0, 0.0));
    assert_eq!(up(|look| look.runner = None), (1.0, 1.0, 0.0, 1.0));
}

#[test]
fn history_is_kept_while_its_process_is_there_and_writes() {
    let up = |connected, stuck_since| {
        let mut look = look();
        let rrd = Arc::make_mut(look.rrd.as_mut().unwrap());
        (rrd.connected, rrd.stuck_since) = (connected, stuck_since);
        text(&look).value("keepwatch_component_up", &[("component", "rrd")]).unwrap()
    };
    assert_eq!((up(true, None), up(false, None), up(true, Some(NOW))), (1.0, 0.0, 0.0));
}

#[test]
fn keepalived_up_asks_only_for_what_is_configured() {
    let mut look = look();
    let mut daemon = (*look.daemon).clone();
    daemon.wanted.retain(|process| process != "checks");
    look.checks_connected = false;
    let up =
        |look: &Look| String::from_utf8(compat::render(look, &[Names::Mehdy])).unwrap().contains("\nkeepalived_up 1\n");
    assert!(!up(&look));
    look.daemon = Arc::new(daemon);
    assert!(up(&look));
}

#[test]
fn the_series_stay_within_the_bound_of_the_specification() {
    for (instances, services, each, detail) in [(2, 2, 4, true), (10, 10, 10, false), (100, 100, 20, false)] {
        let settings = MetricsSettings { detail, ..full() };
        let look = look_of(instances, services, each);
        let began = crate::clock::now();
        let (page, rendered) = page(&look, &settings, Format::Text);
        let took = crate::clock::now().since(began);
        let servers = services * each;
        // One tracked thing of each kind; two addresses and two tracked interfaces of each instance, one checker of each server.
        let bound = 525 + (43 + 2 * 2) * instances + 14 * services + 18 * servers + 18;
        let details = if detail { 2 * instances + servers } else { 0 };
        let lines = page.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!((rendered.series, rendered.dropped), (lines, 0));
        assert!(lines <= (bound + details) as usize, "{lines} series, {} at most", bound + details);
        println!("{instances}/{services}/{servers}: {lines} series, {} bytes in {took:?}", page.len());
    }
}

#[test]
fn above_the_limit_details_go_first_and_then_what_is_not_basic_of_real_servers() {
    let look = look_of(10, 10, 10);
    let at = |max_series, real_servers, detail| {
        let settings = MetricsSettings { max_series, real_servers, detail, ..full() };
        let (page, rendered) = page(&look, &settings, Format::Text);
        let parsed = parse::text(&page).unwrap();
        let series = |name: &str| parsed.value(&format!("keepwatch_exporter_{name}"), &[]).unwrap() as usize;
        assert_eq!((series("series"), series("series_dropped")), (rendered.series, rendered.dropped));
        assert_eq!(rendered.series, parsed.samples().count());
        let names = parsed.families.into_iter().map(|family| family.name).collect::<BTreeSet<_>>();
        (names, rendered.series, rendered.dropped)
    };
    let everything = 1_000_000;
    let (all_names, all_series, none) = at(everything, RealServerSeries::Full, true);
    assert_eq!((all_names.len(), none), (all().count(), 0));
    let (without_details, basic_series, _) = at(everything, RealServerSeries::Full, false);
    let details = |names: &BTreeSet<String>| all_names.difference(names).cloned().collect::<Vec<_>>();
    assert_eq!(details(&without_details), ["keepwatch_checker_up", "keepwatch_vrrp_address_assigned"]);

    // One too many: the last of the details goes, as a whole.
    let (names, series, dropped) = at(all_series - 1, RealServerSeries::Full, true);
    assert_eq!((details(&names), series + dropped), (vec!["keepwatch_checker_up".to_owned()], all_series));
    let (names, series, dropped) = at(basic_series, RealServerSeries::Full, true);
    assert_eq!((names, series + dropped), (without_details, all_series));
    let (names, ..) = at(basic_series - 1, RealServerSeries::Full, true);
    assert!(details(&names).contains(&"keepwatch_checker_last_duration_seconds".to_owned()));

    // No limit is too low for what an operator needs.
    let (least, series, dropped) = at(100, RealServerSeries::Full, true);
    assert_eq!(series + dropped, all_series);
    let (by_hand, _, none) = at(everything, RealServerSeries::Basic, false);
    assert_eq!((&least, none), (&by_hand, 0));
    let of_servers = |names: &BTreeSet<String>| {
        let per_server = all().filter(|family| family.per_real_server() && names.contains(family.name));
        per_server.map(|family| family.name.trim_start_matches("keepwatch_ipvs_real_server_")).collect::<Vec<_>>()
    };
    assert_eq!(of_servers(&least), ["up", "weight", "active_connections", "connections_total"]);
    assert_eq!(of_servers(&at(everything, RealServerSeries::Off, true).0), [""; 0]);
    assert_eq!(of_servers(&at(everything, RealServerSeries::Basic, true).0).len(), 4);
}

#[test]
fn the_exporter_counts_its_answers() {
    let exporter = exporter();
    exporter.scraped("text", 200, Duration::from_millis(3));
    exporter.scraped("compat", 503, Duration::from_secs(9));
    let body = exporter.render(&Look::default(), &full(), Format::OpenMetrics).body;
    let page = parse::openmetrics(&String::from_utf8(body).unwrap()).unwrap();
    let scrapes = |format, code| page.value("keepwatch_exporter_scrapes_total", &[("format", format), ("code", code)]);
    assert_eq!(
        (scrapes("text", "200"), scrapes("compat", "503"), scrapes("json", "200")),
        (Some(1.0), Some(1.0), Some(0.0))
    );
    let bucket = |le| page.value("keepwatch_exporter_scrape_duration_seconds_bucket", &[("le", le)]);
    assert_eq!(
        (bucket("0.0025"), bucket("0.005"), bucket("2.5"), bucket("+Inf")),
        (Some(0.0), Some(1.0), Some(1.0), Some(2.0))
    );
}

#[test]
fn the_compatibility_page_has_the_names_types_and_labels_of_the_exporters() {
    let look = look();
    for names in Names::ALL {
        let page = String::from_utf8(compat::render(&look, &[names])).unwrap();
        let page = parse::text(&page).unwrap();
        let ours = page.families.iter().map(|family| {
            let labels: BTreeSet<_> =
                family.samples.iter().flat_map(|sample| &sample.labels).map(|(name, _)| &**name).collect();
            assert!(!family.samples.is_empty(), "{} has no data", family.name);
            (family.name.as_str(), family.kind.as_str(), labels)
        });
        let theirs = table(include_str!("../../../../tests/data/compat.tsv"));
        let theirs = theirs.iter().filter(|row| row[0] == names.name());
        let theirs = theirs.map(|row| (row[1], row[2], labels_of(row[3]).into_iter().collect()));
        assert_eq!(ours.collect::<BTreeSet<_>>(), theirs.collect(), "{names:?}");
    }
}

#[test]
fn the_compatibility_page_has_the_numbers_of_the_exporters() {
    let page = parse::text(&String::from_utf8(compat::render(&look(), &Names::ALL)).unwrap()).unwrap();
    let vi_1 = [("iname", "VI_1"), ("intf", "eth0"), ("vrid", "2")];
    let address = |last| [&vi_1[..], &[("ip_address", last)]].concat();
    for (name, labels, expected) in [
        ("keepalived_vrrp_state", address("192.0.1.1"), 2.0),
        ("keepalived_vrrp_excluded_state", address("192.0.1.2"), 2.0),
        ("keepalived_vrrp_state", vec![("iname", "VI_2")], 1.0),
        ("keepalived_exporter_check_script_status", address("192.0.1.1"), 1.0),
        ("keepalived_gratuitous_arp_delay_total", vi_1.to_vec(), 5.0),
        ("keepalived_advertisements_sent_total", vi_1.to_vec(), 3.0),
        ("keepalived_script_status", vec![("name", "chk_haproxy")], 0.0),
        ("keepalived_vrrp_ip_ttl_err", vec![("name", "VI_1"), ("state", "MASTER")], 5.0),
        ("keepalived_vrrp_advert_interval_err", vec![("name", "VI_2"), ("state", "BACKUP")], 0.0),
        ("keepalived_lvs_vip_out_bytes", vec![("addr", "192.0.2.10:443"), ("proto", "6")], 35.0),
        ("keepalived_lvs_rs_conn", vec![("vip", "group:G_WEB"), ("addr", "10.0.0.1:0"), ("proto", "17")], 7.0),
        ("node_ipvs_incoming_bytes_total", vec![], 28.0),
        (
            "node_ipvs_backend_connections_active",
            vec![
                ("local_address", "192.0.2.10"),
                ("local_port", "443"),
                ("remote_address", "10.0.0.2"),
                ("remote_port", "8443"),
                ("proto", "TCP"),
                ("local_mark", ""),
            ],
            11.0,
        ),
    ] {
        assert_eq!(page.value(name, &labels), Some(expected), "{name} {labels:?}");
    }
}

#[test]
fn a_query_names_the_exporters_and_a_wrong_name_is_told() {
    let of = |query| Names::parse(query).map_err(|name| name.clone());
    assert_eq!(of(None), Ok(vec![Names::Mehdy]));
    assert_eq!(of(Some("")), Ok(vec![Names::Mehdy]));
    assert_eq!(of(Some("names=gen2brain")), Ok(vec![Names::Gen2brain]));
    assert_eq!(of(Some("names=node_ipvs,mehdy&x=1")), Ok(vec![Names::Mehdy, Names::NodeIpvs]));
    assert_eq!(of(Some("names=node_ipvs&names=gen2brain")), Ok(vec![Names::Gen2brain, Names::NodeIpvs]));
    assert_eq!(of(Some("names=cafebazaar")), Err("cafebazaar".to_owned()));
}

/// Exit status and everything that promtool says of a page.
fn promtool(page: &str) -> (bool, String) {
    #[allow(clippy::disallowed_methods)]
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool is needed (Debian's package prometheus)");
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    (output.status.success(), said)
}

#[test]
fn promtool_has_nothing_to_say_of_the_page() {
    let odd = Words {
        instance: "a \"quoted\" \\back\\slash\\n".to_owned(),
        other_instance: "two\nlines\tand {braces}, # and = \u{1F600}".to_owned(),
        script: "zero\0octet".to_owned(),
        ..Words::default()
    };
    for look in [Look::default(), look(), look_with(&odd, u64::MAX)] {
        let (page, _) = page(&look, &full(), Format::Text);
        assert_eq!(promtool(&page), (true, String::new()));
    }
    let (page, _) = page(&look(), &full(), Format::Text);
    let (_, said) = promtool(&page.replace("keepwatch_vrrp_adverts_sent_total", "keepwatch_vrrp_adverts_sent"));
    assert!(said.contains("keepwatch_vrrp_adverts_sent"), "it would say something: {said}");
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9_.:-]{0,12}", "[\"\\\\\n{}=, #\t\r\0éß]{1,6}", "\\PC{0,10}"]
}

fn words() -> impl Strategy<Value = Words> {
    let words = (word(), word(), word(), word(), word(), word(), word(), word());
    words.prop_map(|(instance, other, interface, group, script, target, trap, kind)| Words {
        // Instances have names of their own.
        other_instance: format!("{other}/{instance}"),
        instance,
        interface,
        group,
        script,
        target,
        trap,
        kind,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_things_are_called_both_formats_can_be_read_and_have_the_names(words in words(), seed: u64) {
        let look = look_with(&words, seed);
        let exporter = exporter();
        let [text, open] = [Format::Text, Format::OpenMetrics].map(|format| {
            String::from_utf8(exporter.render(&look, &full(), format).body).unwrap()
        });
        for page in [parse::text(&text), parse::openmetrics(&open)] {
            let page = page.map_err(TestCaseError::fail)?;
            let found: BTreeSet<_> = page.samples().filter_map(|sample| sample.label("vrrp_instance")).collect();
            let given = [&words.instance, &words.other_instance].map(|name| name.replace('\0', "\u{fffd}"));
            prop_assert_eq!(found, given.iter().map(String::as_str).collect::<BTreeSet<_>>());
            let script = page.samples().find(|sample| sample.name == "keepwatch_track_script_up");
            prop_assert_eq!(script.and_then(|it| it.label("script")), Some(&*words.script.replace('\0', "\u{fffd}")));
        }
        let compat = String::from_utf8(compat::render(&look, &Names::ALL)).unwrap();
        parse::text(&compat).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_accept_header_gets_one_of_the_two(header in "(application/openmetrics-text|text/plain|\\*/\\*|[;,=q.0-9 ]){0,8}", any in ".*") {
        for header in [&header, &any] {
            let format = Format::negotiate(Some(header));
            prop_assert!(format == Format::Text || header.to_lowercase().contains("openmetrics-text"));
        }
    }
}
