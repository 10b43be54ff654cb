//! Who is told of states, from the text of a file.

use keepwatch::conf::model::{Config, Notify, NotifyFifo, Script};

use super::*;

const PROGRAMS: [&str; 4] = ["/usr/bin/tell", "/usr/bin/read", "/usr/bin/open", "/usr/bin/close"];

fn load(text: &str) -> Loaded {
    let mut memory = Memory::default().with("k.conf", text);
    for name in PROGRAMS {
        memory = memory.with(name, "").mode(name, 0o755);
    }
    conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces)
}

fn with(global: &str, group: &str, lines: &str) -> Loaded {
    let second = GOOD.replace("VI_1", "VI_2").replace("51", "52").replace("192.0.2.100", "192.0.2.101");
    load(&format!(
        "global_defs {{\n{global}\n}}\nvrrp_sync_group G {{\ngroup {{\nVI_1\nVI_2\n}}\n{group}\n}}\n{}{second}",
        instance(lines)
    ))
}

/// What the runner would execute, and as whom.
fn runs(config: &Config, script: Option<&Script>) -> (Vec<String>, u32, u32) {
    let script = script.expect("it is configured");
    let entry = &config.scripts[script.id.0 as usize];
    (entry.words.clone(), entry.uid, entry.gid)
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn scripts_of_instances_and_groups_are_what_the_runner_executes_as_whom_the_line_says() {
    let loaded = with(
        "",
        "notify_master \"/usr/bin/tell group\" nobody adm\nnotify /usr/bin/tell",
        "notify_backup \"/usr/bin/tell a b\" nobody\nnotify_master_rx_lower_pri /usr/bin/tell\nnotify_deleted \"/usr/bin/tell gone\"",
    );
    let config = &loaded.config;
    assert_eq!(config.not_built, []);
    let (first, second) = (&config.instances[0].notify, &config.instances[1].notify);
    assert_eq!(runs(config, first.backup.as_ref()), (words("/usr/bin/tell a b"), 65534, 65534));
    assert_eq!(runs(config, first.master_rx_lower_pri.as_ref()), (words("/usr/bin/tell"), 0, 0));
    assert_eq!(runs(config, first.deleted_script.as_ref()), (words("/usr/bin/tell gone"), 0, 0));
    assert!(first.deleted && !second.deleted && first.any.is_none() && second.backup.is_none());
    let group = &config.sync_groups[0].notify;
    assert_eq!(runs(config, group.master.as_ref()), (words("/usr/bin/tell group"), 65534, 4));
    assert_eq!(runs(config, group.any.as_ref()), (words("/usr/bin/tell"), 0, 0));
}

#[test]
fn each_line_of_an_instance_or_a_group_names_the_script_of_its_own_occasion() {
    type Place = fn(&Notify) -> Option<&Script>;
    let places: [(&str, Place); 7] = [
        ("notify_master", |notify| notify.master.as_ref()),
        ("notify_backup", |notify| notify.backup.as_ref()),
        ("notify_fault", |notify| notify.fault.as_ref()),
        ("notify_stop", |notify| notify.stop.as_ref()),
        ("notify", |notify| notify.any.as_ref()),
        ("notify_deleted", |notify| notify.deleted_script.as_ref()),
        ("notify_master_rx_lower_pri", |notify| notify.master_rx_lower_pri.as_ref()),
    ];
    for (directive, place) in places {
        let line = format!("{directive} \"/usr/bin/tell {directive}\"");
        let of_instance = with("", "", &line).config;
        let mut all = vec![(&of_instance, &of_instance.instances[0].notify)];
        let of_group = with("", &line, "").config;
        // A group hears no adverts.
        if directive != "notify_master_rx_lower_pri" {
            all.push((&of_group, &of_group.sync_groups[0].notify));
        }
        for (config, notify) in all {
            assert_eq!(runs(config, place(notify)).0, words(&format!("/usr/bin/tell {directive}")));
            let named = places.iter().filter(|(_, place)| place(notify).is_some()).count();
            assert_eq!((named, notify.deleted), (1, directive == "notify_deleted"), "{directive}");
        }
    }
}

#[test]
fn mail_goes_out_where_the_instance_its_group_or_the_nearest_switch_above_says_so() {
    let mailed = |global, group, lines| {
        let config = with(global, group, lines).config;
        (config.instances.iter().map(|it| it.smtp_alert).collect::<Vec<bool>>(), config.sync_groups[0].smtp_alert)
    };
    assert_eq!(mailed("", "", ""), (vec![false, false], false));
    assert_eq!(mailed("smtp_alert", "", ""), (vec![true, true], true));
    assert_eq!(mailed("smtp_alert_vrrp", "", ""), (vec![true, true], true));
    assert_eq!(mailed("smtp_alert\nsmtp_alert_vrrp off", "", ""), (vec![false, false], false));
    assert_eq!(mailed("smtp_alert_checker", "", ""), (vec![false, false], false), "that is for real servers");
    assert_eq!(mailed("smtp_alert_vrrp", "smtp_alert off", "smtp_alert no"), (vec![false, true], false));
    assert_eq!(mailed("", "smtp_alert", "smtp_alert"), (vec![true, false], true));
}

#[test]
fn faults_are_mailed_unless_the_file_says_no() {
    let faults = |global| with(global, "", "").config.global.mail.faults;
    assert!(faults("smtp_alert") && !faults("smtp_alert\nno_email_faults"));
}

#[test]
fn a_script_that_is_not_there_or_has_no_user_is_dropped_and_the_first_of_two_counts() {
    for line in ["notify /usr/bin/missing", "notify /usr/bin/tell ghost", "notify \"/usr/bin/tell 'x\""] {
        let loaded = with("", "", line);
        assert!(loaded.config.instances[0].notify.any.is_none(), "{line}");
        assert_eq!(loaded.diagnostics.iter().filter(|each| each.severity == Severity::Error).count(), 1, "{line}");
    }
    let loaded = with("", "", "notify \"/usr/bin/tell 1\"\nnotify \"/usr/bin/tell 2\"");
    let config = &loaded.config;
    assert_eq!(runs(config, config.instances[0].notify.any.as_ref()).0, words("/usr/bin/tell 1"));
    assert!(codes(&loaded).contains(&"already-set"));
}

#[test]
fn changes_of_priority_are_told_where_the_instance_its_group_or_global_defs_say_so() {
    let told = |global, group, lines| {
        with(global, group, lines).config.instances.iter().map(|it| it.notify.priority_changes).collect::<Vec<bool>>()
    };
    assert_eq!(told("", "", ""), [false, false]);
    assert_eq!(told("vrrp_notify_priority_changes", "", ""), [true, true]);
    assert_eq!(told("vrrp_notify_priority_changes", "notify_priority_changes off", ""), [false, false]);
    assert_eq!(told("", "notify_priority_changes", "notify_priority_changes off"), [false, true]);
    assert_eq!(told("", "", "notify_priority_changes on"), [true, false]);
}

#[test]
fn fifos_have_their_owner_and_their_script() {
    let loaded = with(
        "notify_fifo /run/all nobody\nvrrp_notify_fifo /run/vrrp nobody adm\nvrrp_notify_fifo_script \"/usr/bin/read it\"\n\
         lvs_notify_fifo /run/lvs\nfifo_write_vrrp_states_on_reload",
        "",
        "",
    );
    let config = &loaded.config;
    assert_eq!(config.not_built, []);
    let fifos = &config.global.fifos;
    let fifo = |path: &str, owner| NotifyFifo { path: path.to_owned(), owner, script: None };
    assert_eq!(fifos.both, Some(fifo("/run/all", Some((65534, 65534)))));
    assert_eq!(fifos.checks, Some(fifo("/run/lvs", None)));
    let vrrp = fifos.vrrp.as_ref().unwrap();
    assert_eq!((vrrp.path.as_str(), vrrp.owner), ("/run/vrrp", Some((65534, 4))));
    assert_eq!(runs(config, vrrp.script.as_ref()).0, words("/usr/bin/read it"));
    assert!(fifos.states_on_reload);
}

#[test]
fn a_fifo_that_names_nobody_belongs_to_the_default_user_of_scripts_if_that_was_said_before() {
    let owners = |global: &str| {
        let fifos = with(global, "", "").config.global.fifos;
        [fifos.both, fifos.vrrp].map(|fifo| fifo.and_then(|fifo| fifo.owner))
    };
    let nobody = Some((65534, 65534));
    assert_eq!(
        owners("script_user nobody\nnotify_fifo /run/1\nvrrp_notify_fifo /run/2 nobody adm"),
        [nobody, Some((65534, 4))]
    );
    assert_eq!(owners("notify_fifo /run/1\nscript_user nobody\nvrrp_notify_fifo /run/2"), [None, nobody]);
    assert_eq!(owners("script_user nobody adm\nnotify_fifo /run/1"), [Some((65534, 4)), None]);
}

#[test]
fn each_fifo_has_the_script_that_is_named_for_it() {
    let scripts = |line: &str| {
        let config =
            with(&format!("notify_fifo /run/1\nvrrp_notify_fifo /run/2\nlvs_notify_fifo /run/3\n{line}"), "", "")
                .config;
        let fifos = &config.global.fifos;
        let of = |fifo: &Option<NotifyFifo>| {
            let script = fifo.as_ref().expect("it is configured").script.as_ref();
            script.map(|script| runs(&config, Some(script)))
        };
        [of(&fifos.both), of(&fifos.vrrp), of(&fifos.checks)]
    };
    let reads = || Some((words("/usr/bin/read it"), 65534, 4));
    assert_eq!(scripts("notify_fifo_script \"/usr/bin/read it\" nobody adm"), [reads(), None, None]);
    assert_eq!(scripts("vrrp_notify_fifo_script \"/usr/bin/read it\" nobody adm"), [None, reads(), None]);
    assert_eq!(scripts("lvs_notify_fifo_script \"/usr/bin/read it\" nobody adm"), [None, None, reads()]);
}

#[test]
fn a_fifo_without_a_user_that_exists_or_with_the_path_of_another_is_ignored_and_so_is_a_script_without_one() {
    let fifos = |global: &str| with(global, "", "").config.global.fifos;
    assert_eq!(fifos("notify_fifo /run/all ghost").both, None);
    let same = fifos("notify_fifo /run/all\nvrrp_notify_fifo /run/all\nlvs_notify_fifo /run/lvs");
    assert!(same.both.is_some() && same.vrrp.is_none() && same.checks.is_some());
    let loaded = with("lvs_notify_fifo_script /usr/bin/read", "", "");
    assert_eq!(loaded.config.global.fifos.checks, None);
    assert!(codes(&loaded).contains(&"fifo-script"), "{}", loaded.render());
    let twice = with("notify_fifo /run/a\nnotify_fifo /run/b", "", "");
    assert_eq!(twice.config.global.fifos.both.as_ref().unwrap().path, "/run/a");
    assert!(codes(&twice).contains(&"already-set"));
}

#[test]
fn the_scripts_around_the_daemons_life_have_their_time() {
    let config = with(
        "startup_script \"/usr/bin/open up\"\nstartup_script_timeout 20\nshutdown_script /usr/bin/close nobody\n\
         shutdown_script_timeout 30",
        "",
        "",
    )
    .config;
    let (startup, shutdown) = (config.global.startup.clone().unwrap(), config.global.shutdown.clone().unwrap());
    assert_eq!((runs(&config, Some(&startup.script)).0, startup.timeout_s), (words("/usr/bin/open up"), 20));
    assert_eq!((runs(&config, Some(&shutdown.script)).1, shutdown.timeout_s), (65534, 30));
    assert_eq!(config.not_built, []);
    let config = with("startup_script /usr/bin/open\nshutdown_script /usr/bin/close", "", "").config;
    assert_eq!([config.global.startup, config.global.shutdown].map(|it| it.unwrap().timeout_s), [10, 10]);
}
