//! Sentences about who is told of a state, in which words and in which order. What Keepalived says in the same situations
//! was seen with Debian's; `agentx-tests/tests/notify.rs` compares the two.

use std::net::{IpAddr, Ipv4Addr};

use super::engine_tests::{Bench, ETH0, ETH1, VIP, address, advert, config, from_peer, instance, link, logs, priority};
use super::io::{Errand, Input, Output};
use crate::bus::run::Fifo;
use crate::conf::model::{
    Config, Fifos, Instance, Location, Notify, NotifyFifo, Script, ScriptId, SyncGroup, TrackedInterface,
};

const VIP2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 100));

fn script(id: u32) -> Option<Script> {
    let path = format!("/usr/bin/{id}");
    Some(Script { id: ScriptId(id), text: format!("'{path}'"), path })
}

/// Every script there is: master 1, backup 2, fault 3, stop 4, any 5, weaker 6, deleted 7; more by `base`.
fn scripts(base: u32) -> Notify {
    Notify {
        master: script(base + 1),
        backup: script(base + 2),
        fault: script(base + 3),
        stop: script(base + 4),
        any: script(base + 5),
        master_rx_lower_pri: script(base + 6),
        deleted_script: None,
        deleted: false,
        priority_changes: false,
    }
}

fn fifo(path: &str) -> Option<NotifyFifo> {
    Some(NotifyFifo { path: path.to_owned(), owner: None, script: None })
}

/// One instance with every script, and both FIFOs that hear of VRRP.
fn one() -> Config {
    let mut config = config(vec![Instance { notify: scripts(0), smtp_alert: true, ..instance("VI_1", 51, VIP) }]);
    config.global.fifos = Fifos { both: fifo("/run/both"), vrrp: fifo("/run/vrrp"), ..Fifos::default() };
    config
}

fn with_mail(mut config: Config) -> Config {
    config.global.router_id = "lb1".to_owned();
    config.global.mail.server = Some("127.0.0.1:25".parse().unwrap());
    config.global.mail.to = vec!["ops@example.com".to_owned()];
    config.global.mail.faults = true;
    config
}

/// Two members and their group, with every script.
fn grouped() -> Config {
    let mut second = Instance { notify: scripts(10), ..instance("VI_2", 52, VIP2) };
    second.addresses = vec![address(VIP2, "eth0")];
    let mut config = one();
    config.instances.push(second);
    for instance in &mut config.instances {
        instance.sync_group = Some("G".to_owned());
    }
    config.sync_groups = vec![SyncGroup {
        location: Location::default(),
        name: "G".to_owned(),
        members: vec!["VI_1".into(), "VI_2".into()],
        tracking_weight: false,
        tracks: vec![],
        tracked_interfaces: vec![],
        notify: Notify { master_rx_lower_pri: None, ..scripts(20) },
        smtp_alert: true,
    }];
    config
}

/// Scripts as `NUMBER ARGUMENTS`, lines as `FIFO: TEXT`, mails as their subject; in their order.
fn told(out: &[Output]) -> Vec<String> {
    let errand = |output: &Output| match output {
        Output::Errand(Errand::Script { script, arguments, .. }) => {
            Some([&[script.0.to_string()], arguments.as_slice()].concat().join(" "))
        }
        Output::Errand(Errand::Line { fifo: Fifo::Both, text }) => Some(format!("both: {text}")),
        Output::Errand(Errand::Line { fifo: Fifo::Vrrp, text }) => Some(format!("vrrp: {text}")),
        Output::Errand(Errand::Line { fifo: Fifo::Checks, text }) => panic!("{text} is not for checks"),
        Output::Errand(Errand::Mail { subject, body }) => Some(format!("{subject} {body}")),
        _ => None,
    };
    out.iter().filter_map(errand).collect()
}

/// The lines of one FIFO.
fn lines(out: &[Output]) -> Vec<String> {
    told(out).into_iter().filter_map(|text| text.strip_prefix("vrrp: ").map(str::to_owned)).collect()
}

/// What scripts of the group hear.
fn of_group(out: &[Output]) -> Vec<String> {
    told(out)
        .into_iter()
        .filter(|text| text.starts_with('2') && text.as_bytes().get(1).is_some_and(u8::is_ascii_digit))
        .collect()
}

fn mails(out: &[Output]) -> Vec<String> {
    told(out).into_iter().filter(|text| text.starts_with('[')).collect()
}

#[test]
fn each_state_is_told_to_its_own_script_then_to_notify_with_four_arguments_then_to_the_fifos() {
    let (mut bench, out) = Bench::started(&one());
    let all = |own: &str, state: &str| {
        let what = format!("INSTANCE \"VI_1\" {state} 100");
        vec![own.to_owned(), format!("5 INSTANCE VI_1 {state} 100"), format!("both: {what}"), format!("vrrp: {what}")]
    };
    assert_eq!(told(&out), all("2", "BACKUP"));
    let (out, _) = bench.until_master();
    assert_eq!(told(&out), all("1", "MASTER"));
    assert_eq!(told(&bench.say(Input::Link(link(ETH0, false)), 5000)), all("3", "FAULT"));
    assert_eq!(told(&bench.say(Input::Link(link(ETH0, true)), 6000)), all("2", "BACKUP"));
    assert_eq!(told(&bench.say(Input::Shutdown { keep_addresses: false }, 7000)), all("4", "STOP"));
}

#[test]
fn a_script_for_a_state_and_notify_do_not_wait_for_each_other() {
    let (_, out) = Bench::started(&grouped());
    let lanes: Vec<u64> = out
        .iter()
        .filter_map(|output| match output {
            Output::Errand(Errand::Script { lane, .. }) => Some(*lane),
            _ => None,
        })
        .collect();
    let mut different = lanes.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!((lanes.len(), different.len()), (6, 6), "of two instances and a group: {lanes:?}");
}

#[test]
fn an_advert_leaves_before_anybody_is_told_that_there_is_a_new_master() {
    let (mut bench, _) = Bench::started(&grouped());
    let (out, _) = bench.until_master();
    let first = |is: fn(&Output) -> bool| out.iter().position(is).expect("it is there");
    let last_advert = out.iter().rposition(|output| matches!(output, Output::Send(_))).expect("two adverts");
    assert!(last_advert < first(|output| matches!(output, Output::Errand(_))));
}

#[test]
fn a_group_is_told_first_at_the_start_and_after_its_members_later() {
    let (mut bench, out) = Bench::started(&grouped());
    assert_eq!(lines(&out), ["GROUP \"G\" BACKUP 0", "INSTANCE \"VI_1\" BACKUP 100", "INSTANCE \"VI_2\" BACKUP 100"]);
    assert_eq!(of_group(&out), ["22", "25 GROUP G BACKUP 0"]);
    let (out, _) = bench.until_master();
    assert_eq!(of_group(&out), ["21", "25 GROUP G MASTER 0"]);
    let mut members = lines(&out);
    assert_eq!(members.pop().as_deref(), Some("GROUP \"G\" MASTER 0"));
    members.sort_unstable();
    assert_eq!(members, ["INSTANCE \"VI_1\" MASTER 100", "INSTANCE \"VI_2\" MASTER 100"]);
    let out = bench.say(Input::Link(link(ETH0, false)), 5000);
    assert_eq!(lines(&out), ["INSTANCE \"VI_1\" FAULT 100", "INSTANCE \"VI_2\" FAULT 100", "GROUP \"G\" FAULT 0"]);
    assert_eq!(of_group(&out), ["23", "25 GROUP G FAULT 0"]);
    let out = bench.say(Input::Shutdown { keep_addresses: false }, 7000);
    assert_eq!(lines(&out), ["INSTANCE \"VI_1\" STOP 100", "INSTANCE \"VI_2\" STOP 100", "GROUP \"G\" STOP 0"]);
    assert_eq!(of_group(&out), ["24", "25 GROUP G STOP 0"]);
}

#[test]
fn an_instance_that_waits_for_the_startup_delay_is_told_to_stop_as_well() {
    let mut config = one();
    config.global.startup_delay_ns = 10_000_000_000;
    let (mut bench, out) = Bench::started(&config);
    assert_eq!(lines(&out), [""; 0]);
    assert_eq!(lines(&bench.say(Input::Shutdown { keep_addresses: false }, 1000)), ["INSTANCE \"VI_1\" STOP 100"]);
}

#[test]
fn one_that_leaves_the_configuration_is_fault_or_deleted_and_what_its_notify_fault_did_is_not_done() {
    let mut away = one();
    away.instances.clear();
    let (mut bench, _) = Bench::started(&one());
    bench.until_master();
    let out = told(&bench.apply(&away, 5000));
    assert_eq!(
        out,
        ["5 INSTANCE VI_1 FAULT 100", "both: INSTANCE \"VI_1\" FAULT 100", "vrrp: INSTANCE \"VI_1\" FAULT 100"]
    );
    let mut deleted = one();
    deleted.instances[0].notify.deleted = true;
    deleted.instances[0].notify.deleted_script = script(7);
    let (mut bench, _) = Bench::started(&with_mail(deleted));
    bench.until_master();
    let out = told(&bench.apply(&with_mail(away), 5000));
    assert_eq!(out[..2], ["7", "5 INSTANCE VI_1 DELETED 100"]);
    assert_eq!(out.last().unwrap(), "[lb1] VRRP Instance VI_1 - Deleted => VRRP Deleted at reload <=");
}

#[test]
fn one_that_is_started_anew_with_another_vrid_is_told_as_one_that_left_and_came() {
    let (mut bench, _) = Bench::started(&one());
    bench.until_master();
    let mut changed = one();
    changed.instances[0].vrid = priority(99);
    let out = bench.apply(&changed, 5000);
    assert_eq!(lines(&out), ["INSTANCE \"VI_1\" FAULT 100", "INSTANCE \"VI_1\" BACKUP 100"]);
}

#[test]
fn a_group_that_leaves_is_told_only_with_notify_deleted() {
    for deleted in [false, true] {
        let mut config = grouped();
        config.sync_groups[0].notify.deleted = deleted;
        config.sync_groups[0].notify.deleted_script = script(27).filter(|_| deleted);
        let (mut bench, _) = Bench::started(&config);
        bench.until_master();
        config.sync_groups.clear();
        config.instances.iter_mut().for_each(|instance| instance.sync_group = None);
        let out = bench.apply(&config, 5000);
        assert_eq!(lines(&out), if deleted { vec!["GROUP \"G\" DELETED 0"] } else { vec![] });
        assert_eq!(of_group(&out), if deleted { vec!["27", "25 GROUP G DELETED 0"] } else { vec![] });
    }
}

#[test]
fn scripts_of_what_leaves_are_numbers_of_the_old_configuration_and_others_of_the_new_one() {
    let (mut bench, _) = Bench::started(&one());
    bench.until_master();
    let mut new = one();
    new.instances = vec![Instance { notify: scripts(10), ..instance("VI_9", 59, VIP2) }];
    let out = bench.apply(&new, 5000);
    let at = out.iter().position(|output| *output == Output::NewScripts).expect("it is said");
    assert_eq!(out.iter().filter(|output| **output == Output::NewScripts).count(), 1);
    assert_eq!(told(&out[..at])[0], "5 INSTANCE VI_1 FAULT 100");
    assert_eq!(told(&out[at..])[..2], ["12", "15 INSTANCE VI_9 BACKUP 100"]);
}

#[test]
fn a_reload_that_changes_no_state_is_told_to_fifos_only_if_that_is_wanted() {
    let mut config = grouped();
    config.instances.push(instance("VI_3", 53, VIP2));
    let (mut bench, _) = Bench::started(&config);
    assert_eq!(told(&bench.apply(&config, 100)), [""; 0]);
    config.global.fifos.states_on_reload = true;
    let out = bench.apply(&config, 200);
    let states = [
        "GROUP \"G\" BACKUP 0",
        "INSTANCE \"VI_1\" BACKUP 100",
        "INSTANCE \"VI_2\" BACKUP 100",
        "INSTANCE \"VI_3\" BACKUP 100",
    ];
    assert_eq!(lines(&out), states);
    assert_eq!(told(&out).len(), 8, "in both FIFOs, and no script runs: {:?}", told(&out));
}

#[test]
fn a_priority_that_changes_is_told_to_fifos_where_that_is_wanted() {
    let mut config = one();
    config.instances[0].tracked_interfaces =
        vec![TrackedInterface { interface: "eth1".into(), weight: -10, reverse: false }];
    for wanted in [false, true] {
        config.instances[0].notify.priority_changes = wanted;
        let (mut bench, _) = Bench::started(&config);
        let backup = bench.say(Input::Link(link(ETH1, false)), 100);
        let again = bench.say(Input::Link(link(ETH1, true)), 200);
        bench.until_master();
        let master = bench.say(Input::Link(link(ETH1, false)), 5000);
        let out: Vec<String> = [backup, again, master].iter().flat_map(|out| told(out)).collect();
        let all = [
            "both: INSTANCE \"VI_1\" BACKUP_PRIORITY 90",
            "vrrp: INSTANCE \"VI_1\" BACKUP_PRIORITY 90",
            "both: INSTANCE \"VI_1\" BACKUP_PRIORITY 100",
            "vrrp: INSTANCE \"VI_1\" BACKUP_PRIORITY 100",
            "both: INSTANCE \"VI_1\" MASTER_PRIORITY 90",
            "vrrp: INSTANCE \"VI_1\" MASTER_PRIORITY 90",
        ];
        assert_eq!(out, if wanted { all.to_vec() } else { vec![] });
    }
}

#[test]
fn a_weaker_masters_adverts_are_told_each_but_a_flood_of_them_starts_no_flood_of_scripts() {
    let (mut bench, _) = Bench::started(&one());
    bench.until_master();
    let weaker = advert(51, 50);
    let all =
        ["6", "both: INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 100", "vrrp: INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 100"];
    for ms in [4000, 5000, 6000] {
        assert_eq!(told(&bench.say(from_peer(&weaker), ms)), all);
    }
    let flood: usize = (6001..7000).map(|ms| told(&bench.say(from_peer(&weaker), ms)).len()).sum();
    assert_eq!(flood, all.len(), "once more within a second, whoever sends how much");
}

#[test]
fn a_mail_says_what_keepalived_says() {
    let (mut bench, out) = Bench::started(&with_mail(grouped()));
    let no_longer = "=> VRRP Instance is no longer owning VRRP VIPs <=";
    assert_eq!(
        mails(&out),
        [
            "[lb1] VRRP Group G - Entering BACKUP state => All VRRP group instances are now in BACKUP state <="
                .to_owned(),
            format!("[lb1] VRRP Instance VI_1 - Entering BACKUP state {no_longer}"),
        ],
        "VI_2 has no smtp_alert"
    );
    let (out, _) = bench.until_master();
    assert!(mails(&out).contains(
        &"[lb1] VRRP Instance VI_1 - Entering MASTER state => VRRP Instance is now owning VRRP VIPs <=".to_owned()
    ));
    let out = bench.say(Input::Link(link(ETH0, false)), 5000);
    assert_eq!(mails(&out)[0], format!("[lb1] VRRP Instance VI_1 - Entering FAULT state {no_longer}"));
    assert_eq!(mails(&bench.say(Input::Shutdown { keep_addresses: false }, 6000)), [""; 0], "a stop is not mailed");
}

#[test]
fn without_mails_of_faults_the_state_before_and_after_one_is_mailed_once() {
    let mut config = with_mail(one());
    config.global.mail.faults = false;
    let (mut bench, out) = Bench::started(&config);
    assert_eq!(mails(&out).len(), 1);
    assert_eq!(mails(&bench.say(Input::Link(link(ETH0, false)), 100)), [""; 0]);
    let out = bench.say(Input::Link(link(ETH0, true)), 200);
    assert_eq!((mails(&out).len(), lines(&out).len()), (0, 1), "{:?}", logs(&out));
}

#[test]
fn without_a_relay_or_an_addressee_no_mail_is_made() {
    let lacks: [fn(&mut Config); 2] =
        [|config| config.global.mail.server = None, |config| config.global.mail.to.clear()];
    for lacks in lacks {
        let mut config = with_mail(one());
        lacks(&mut config);
        let (_, out) = Bench::started(&config);
        assert_eq!(mails(&out), [""; 0]);
    }
}

#[test]
fn without_fifos_no_line_is_made() {
    let mut config = one();
    config.global.fifos = Fifos::default();
    let (_, out) = Bench::started(&config);
    assert_eq!(told(&out), ["2", "5 INSTANCE VI_1 BACKUP 100"]);
}
