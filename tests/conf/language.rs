//! What each form of the language means.

use super::*;
use keepwatch::conf::model::{Family, Preempt, Priority};
use std::time::Duration;

fn priority(loaded: &Loaded) -> u8 {
    loaded.config.instances[0].priority.get()
}

fn with_id(text: &str, id: &str) -> Loaded {
    let options = Options { config_id: Some(id.to_owned()), ..Options::default() };
    conf::load("k.conf", &options, &Memory::default().with("k.conf", text), &TwoInterfaces)
}

#[test]
fn a_condition_keeps_the_line_of_its_node_only() {
    let text = instance("    @lb1 priority 200\n    @^lb1 priority 50");
    assert_eq!(priority(&with_id(&text, "lb1")), 200);
    let other = with_id(&text, "lb2");
    assert_eq!(priority(&other), 50);
    assert_eq!(codes(&other), [] as [&str; 0]);
}

#[test]
fn the_config_id_is_the_host_name_up_to_its_first_dot() {
    assert_eq!(priority(&load(&instance("    @node3 priority 7"))), 7);
}

#[test]
fn parameters_are_replaced_as_text_and_when_they_are_used() {
    let text = format!("$NET=${{A}}.2\n$A=192.0\n{}", GOOD.replace("192.0.2.100", "${NET}.77"));
    let loaded = load(&text);
    assert_eq!(loaded.config.instances[0].addresses[0].address, IpAddr::from([192, 0, 2, 77]));
    assert_eq!(codes(&loaded), [] as [&str; 0]);
}

#[test]
fn a_mistake_in_a_replacement_points_at_its_definition_and_its_use() {
    let loaded = load(&format!("$P=300\n{}", instance("    priority $P")));
    let diagnostic = &loaded.diagnostics[0];
    assert_eq!((diagnostic.span.line, diagnostic.span.column, diagnostic.span.length), (1, 4, 3));
    let used = diagnostic.related[0].0;
    assert_eq!((used.line, used.column, used.length), (5, 14, 2));
}

#[test]
fn a_definition_of_several_lines_is_several_lines_where_it_is_used() {
    let text =
        format!("$BODY= \\\n    priority 77 \\ \n    advert_int 3 # note \\\n    nopreempt\n{}", instance("    $BODY"));
    let loaded = load(&text);
    let instance = &loaded.config.instances[0];
    assert_eq!(instance.priority.get(), 77, "{}", loaded.render());
    assert_eq!(instance.advert_interval, Duration::from_secs(3));
    assert_eq!(instance.preempt, Preempt::Never);
}

#[test]
fn a_definition_inside_itself_ends() {
    let loaded = load(&format!("$A=${{A}}${{A}}x\n$B=$C\n$C=$B\n{}", instance("    priority ${A}\n    advert_int $B")));
    assert!(codes(&loaded).contains(&"parameter-loop"), "{}", loaded.render());
}

#[test]
fn built_in_parameters_have_their_values() {
    let text =
        "global_defs {\n router_id ${_INSTANCE}-${_ENV SITE}-${_RANDOM 7 7}\n snmp_socket \"${_PWD}${_HASH}\"\n}\n";
    let memory = Memory::default().with("/etc/kw/k.conf", text);
    let loaded = conf::load("/etc/kw/k.conf", &Options::default(), &memory, &TwoInterfaces);
    assert_eq!(loaded.config.global.router_id, "node3-west-7", "{}", loaded.render());
    assert_eq!(loaded.config.global.snmp.socket.as_deref(), Some("/etc/kw/#"));
}

#[test]
fn random_numbers_repeat_with_their_seed() {
    let draw = |text: &str, seed| {
        let options = Options { random_seed: seed, ..Options::default() };
        let memory = Memory::default().with("k.conf", text);
        conf::load("k.conf", &options, &memory, &TwoInterfaces).config.global.router_id
    };
    let plain = "global_defs {\nrouter_id ${_RANDOM}\n}";
    assert_eq!(draw(plain, 1), draw(plain, 1));
    assert_ne!(draw(plain, 1), draw(plain, 2));
    let seeded = "global_defs {\nrandom_seed 5\nrouter_id ${_RANDOM}\n}";
    assert_eq!(draw(seeded, 1), draw(seeded, 2));
}

#[test]
fn sequences_and_lists_repeat_the_rest_of_their_line() {
    let text = GOOD.replace(
        "192.0.2.100/24",
        "~SEQ(N, 10, 10, 30) 192.0.2.${N}/24\n~LST({A,B}, {1,24}, {2,25}) 198.51.100.$A/${B}\n~LST(C, 7) 198.51.100.${C}/24",
    );
    let text = text.replace("$A/", "${A}/");
    let loaded = load(&text);
    let found: Vec<String> =
        loaded.config.instances[0].addresses.iter().map(|each| format!("{}/{}", each.address, each.prefix)).collect();
    assert_eq!(
        found,
        ["192.0.2.10/24", "192.0.2.20/24", "192.0.2.30/24", "198.51.100.1/24", "198.51.100.2/25", "198.51.100.7/24"],
        "{}",
        loaded.render()
    );
}

#[test]
fn sequences_nest_with_the_leftmost_slowest_and_count_down() {
    let text = GOOD.replace("192.0.2.100/24", "~SEQ(A, 2) ~SEQ(B, 3, 2) 192.0.${A}.${B}/24");
    let loaded = load(&text);
    let found: Vec<_> = loaded.config.instances[0].addresses.iter().map(|each| each.address.to_string()).collect();
    assert_eq!(found, ["192.0.1.3", "192.0.1.2", "192.0.2.3", "192.0.2.2"]);
}

#[test]
fn a_sequence_without_end_is_refused() {
    let loaded = load("~SEQ(A, 4000000000) ~SEQ(B, 4000000000) x\n~SEQ(A, 999999) ~SEQ(B, 999999) $C=1\n");
    assert!(codes(&loaded).contains(&"repetition"));
}

#[test]
fn an_escaped_comment_sign_is_literal() {
    let loaded = load("global_defs {\nrouter_id a\\#b\n}");
    assert_eq!(loaded.config.global.router_id, "a#b");
    assert_eq!(loaded.status, 0);
}

#[test]
fn included_files_are_found_beside_the_file_that_names_them() {
    let memory = Memory::default()
        .with("/etc/kw/k.conf", "include conf.d/{b,a}*.conf\n")
        .with("/etc/kw/conf.d/a1.conf", GOOD.replace("VI_1", "A"))
        .with("/etc/kw/conf.d/b1.conf", "include sub/c.conf")
        .with("/etc/kw/conf.d/sub/c.conf", instance("    oops 1").replace("VI_1", "C").replace("51", "52"));
    let loaded = conf::load("/etc/kw/k.conf", &Options::default(), &memory, &TwoInterfaces);
    let names: Vec<_> = loaded.config.instances.iter().map(|each| each.name.to_string()).collect();
    assert_eq!(names, ["A", "C"]);
    assert!(loaded.render().contains("/etc/kw/conf.d/sub/c.conf:4:5"), "{}", loaded.render());
}

#[test]
fn each_kind_of_include_refuses_what_keepalived_refuses() {
    // Rows: variant; columns: missing name, empty wildcard, missing alternative, directory. As measured, but that a
    // missing file is never 0.
    let table = [
        ("include", [6, 0, 6, 0]),
        ("includer", [6, 0, 6, 6]),
        ("includem", [6, 0, 6, 6]),
        ("includew", [6, 6, 6, 6]),
        ("includeb", [6, 0, 6, 6]),
        ("includea", [6, 6, 6, 6]),
    ];
    let starts = [
        ("include", [true, true, true, true]),
        ("includer", [true, true, true, false]),
        ("includem", [false, true, true, false]),
        ("includew", [false, false, true, false]),
        ("includeb", [true, true, false, false]),
        ("includea", [false, false, false, false]),
    ];
    for ((variant, statuses), (_, starts)) in table.into_iter().zip(starts) {
        let names = ["nope.conf", "nope*.conf", "{good,nope}.conf", "directory"];
        for ((name, status), start) in names.into_iter().zip(statuses).zip(starts) {
            let memory = Memory::default()
                .with("k.conf", format!("{GOOD}{variant} {name}\n"))
                .with("good.conf", "use_pid_dir\n")
                .with("directory/x", "");
            let loaded = conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces);
            assert_eq!(loaded.status, status, "{variant} {name}\n{}", loaded.render());
            assert_eq!(loaded.can_start, start, "{variant} {name}");
            assert!(start || loaded.start_status == 6);
        }
    }
}

#[test]
fn every_include_check_is_in_force_with_its_option_or_directive() {
    let text = format!("{GOOD}include nope*.conf\n");
    let memory = Memory::default().with("k.conf", text.clone());
    let options = Options { all_config_checks: true, ..Options::default() };
    assert_eq!(conf::load("k.conf", &options, &memory, &TwoInterfaces).status, 6);
    assert_eq!(load(&format!("global_defs {{\ninclude_check wildcard_match\n}}\n{text}")).status, 6);
    assert_eq!(load(&format!("global_defs {{\ninclude_check\ninclude_check -wildcard_match\n}}\n{text}")).status, 0);
}

#[test]
fn a_condition_that_would_swallow_a_brace_is_refused() {
    let loaded = load(
        &GOOD.replace("virtual_ipaddress {\n", "virtual_ipaddress { @x 192.0.2.9 }\n@node3 virtual_ipaddress {\n"),
    );
    assert_eq!(codes(&loaded), ["condition-swallows-brace"]);
}

#[test]
fn every_line_of_a_block_may_be_conditional() {
    let block = "@x vrrp_instance V2 {\n@x interface eth0\n@x virtual_router_id 9\n@x }\n";
    assert_eq!(codes(&load(&format!("{GOOD}@node3 use_pid_dir\n{block}"))), [] as [&str; 0]);
}

#[test]
fn global_settings_are_defaults_wherever_they_stand() {
    let globals = "global_defs {\n vrrp_garp_master_repeat 2\n vrrp_version 3\n vrrp_down_timer_adverts 4\n}\n";
    for text in [format!("{globals}{GOOD}"), format!("{GOOD}{globals}")] {
        let instance = load(&text).config.instances[0].clone();
        assert_eq!((instance.garp.repeat, instance.down_timer_adverts), (2, 4));
        assert_eq!(instance.version, keepwatch::conf::model::Version::V3);
    }
}

#[test]
fn addresses_of_the_other_family_are_excluded_with_one_warning() {
    let loaded = load(&GOOD.replace("192.0.2.100/24", "192.0.2.100/24\n2001:db8:1::a/64\n2001:db8:1::b/64"));
    let instance = &loaded.config.instances[0];
    assert_eq!(instance.family, Family::V4);
    assert_eq!((instance.addresses.len(), instance.excluded.len()), (1, 2));
    assert_eq!(codes(&loaded), ["mixed-families"]);
    assert_eq!((loaded.status, loaded.can_start), (5, true));
}

#[test]
fn an_address_line_takes_all_its_arguments() {
    let line = "192.0.2.5/24 dev eth1 label eth1:vip scope link brd + noprefixroute no_track preferred_lft 60";
    let loaded = load(&GOOD.replace("192.0.2.100/24", line));
    assert_eq!(codes(&loaded), [] as [&str; 0], "{}", loaded.render());
    let address = &loaded.config.instances[0].addresses[0];
    assert_eq!((address.interface.as_str(), address.scope, address.prefix), ("eth1", 253, 24));
    assert_eq!(address.label.as_deref(), Some("eth1:vip"));
    assert_eq!(address.broadcast, Some([192, 0, 2, 255].into()));
    assert!(address.flags.noprefixroute && address.no_track);
    assert_eq!(address.preferred_lifetime, Some(60));
}

#[test]
fn an_ipv6_host_address_is_deprecated_unless_it_says_otherwise() {
    let lifetimes = |lines: &str| {
        let loaded = load(&GOOD.replace("192.0.2.100/24", lines));
        let addresses = &loaded.config.instances[0].addresses;
        addresses.iter().map(|each| each.preferred_lifetime).collect::<Vec<_>>()
    };
    assert_eq!(lifetimes("fe80::1\n2001:db8::1/64\n2001:db8::2/128 preferred_lft forever"), [Some(0), None, None]);
}

#[test]
fn unicast_peers_carry_their_bounds() {
    use keepwatch::conf::model::Transport;
    let loaded = load(&instance(
        "    unicast_src_ip 192.0.2.11\n    unicast_peer {\n192.0.2.12 min_ttl 64 max_ttl 255\n192.0.2.13\n}",
    ));
    let Transport::Unicast { peers, ttl, .. } = &loaded.config.instances[0].transport else { panic!("multicast") };
    assert_eq!((peers.len(), *ttl), (2, Some(255)));
    assert_eq!((peers[0].min_ttl, peers[0].max_ttl, peers[1].min_ttl), (Some(64), Some(255), None));
}

#[test]
fn tracked_interfaces_carry_weight_and_direction() {
    let loaded = load(&instance("    track_interface {\neth1 weight -20 reverse\n}"));
    let tracked = &loaded.config.instances[0].tracked_interfaces[0];
    assert_eq!((tracked.interface.as_str(), tracked.weight, tracked.reverse), ("eth1", -20, true));
}

#[test]
fn notify_commands_are_kept_as_the_mib_shows_them() {
    let text = instance("    notify_master \"/usr/bin/x 'it is' don\\'t\" root\n    notify_deleted");
    let memory = Memory::default().with("k.conf", text).with("/usr/bin/x", "").mode("/usr/bin/x", 0o755);
    let loaded = conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces);
    let notify = &loaded.config.instances[0].notify;
    assert_eq!(notify.master.as_ref().map(|script| script.text.as_str()), Some("'/usr/bin/x' 'it is' 'don'\\''t'"));
    assert!(notify.deleted && notify.deleted_script.is_none());
}

#[test]
fn interfaces_have_delays_and_up_is_at_once_unless_it_is_said() {
    let loaded = load(&format!("{}interface_up_down_delays {{\n eth0 1.5 2\n eth1 3\n eth1 4\n}}\n", instance("")));
    let delays = loaded.config.global.interface_delays.iter();
    let delays: Vec<_> = delays.map(|it| (it.interface.as_str(), it.down_ns, it.up_ns)).collect();
    assert_eq!(delays, [("eth0", 1_500_000_000, 2_000_000_000), ("eth1", 4_000_000_000, 0)]);
}

#[test]
fn what_has_no_effect_yet_is_listed_once_with_its_place() {
    let loaded = load(&format!("{}global_defs {{\n    nftables_ipvs\n    nftables_ipvs other\n}}\n", instance("")));
    let listed: Vec<_> =
        loaded.config.not_built.iter().map(|each| (each.directive.as_str(), each.location.line)).collect();
    let line = instance("").lines().count() as u32 + 2;
    assert_eq!(listed, [("global_defs/nftables_ipvs", line)]);
}

#[test]
fn links_are_polled_as_their_line_says_and_of_two_lines_the_last_counts() {
    use keepwatch::conf::model::LinkbeatMethod::{Ethtool, Ioctl};
    let block = "linkbeat_interfaces {\n eth0 MII\n eth1 IOCTL\n eth0 ETHTOOL\n}\n";
    let loaded = load(&format!("{}{block}", instance("    linkbeat_use_polling")));
    let polled = &loaded.config.global.linkbeat;
    let polled: Vec<_> = polled.iter().map(|it| (it.interface.as_str(), it.method)).collect();
    assert_eq!(polled, [("eth1", Some(Ioctl)), ("eth0", Some(Ethtool))]);
    assert!(loaded.config.instances[0].use_linkbeat && !loaded.config.global.linkbeat_polling);
    let loaded = load(&format!("{}linkbeat_use_polling\nlinkbeat_interfaces {{\n eth0\n}}\n", instance("")));
    assert!(loaded.config.global.linkbeat_polling);
    assert_eq!(loaded.config.global.linkbeat[0].method, None);
}

#[test]
fn start_is_refused_where_keepalived_refuses_it() {
    for text in [
        GOOD.replace("    virtual_router_id 51\n", ""),
        GOOD.replace("51", "300"),
        GOOD.replace("    interface eth0\n", ""),
        GOOD.replace("eth0", "eth7"),
        GOOD.replace("eth0", "lo"),
        format!("{GOOD}{}", GOOD.replace("VI_1", "VI_2")),
        instance("    version 3").replace("    virtual_ipaddress {\n        192.0.2.100/24\n    }\n", ""),
        instance("    priority"),
    ] {
        let loaded = load(&text);
        assert!(!loaded.can_start, "{text}{}", loaded.render());
        assert_eq!(loaded.start_status, 2);
    }
    for text in [
        GOOD.to_owned(),
        instance("    priority 300"),
        instance("    frobnicate"),
        format!("global_defs {{\ndynamic_interfaces\n}}\n{}", GOOD.replace("eth0", "eth7")),
        format!("{GOOD}{}", GOOD.replace("VI_1", "VI_2").replace("eth0", "eth1")),
    ] {
        let loaded = load(&text);
        assert!(loaded.can_start, "{text}{}", loaded.render());
    }
}

#[test]
fn reading_goes_on_after_a_missing_argument() {
    let loaded = load(&instance("    priority\n    advert_int x\n    frob"));
    assert_eq!(codes(&loaded), ["missing-value", "number", "unknown-keyword"]);
    assert_eq!(loaded.status, 2);
}

#[test]
fn strict_mode_makes_the_state_follow_the_priority_and_drops_what_the_rfc_has_not() {
    let loaded = load(&instance(
        "    strict_mode\n    state MASTER\n    priority 100\n    garp_lower_prio_repeat 4\n    authentication {\nauth_type PASS\nauth_pass x\n}",
    ));
    let instance = &loaded.config.instances[0];
    assert_eq!(instance.initial_state, keepwatch::conf::model::InitialState::Backup);
    assert!(instance.auth.is_none() && instance.lower_prio_no_advert && !instance.accept);
    assert_eq!(instance.garp.lower_prio_repeat, 0);
    assert_eq!(codes(&loaded), ["strict-state", "strict", "authentication"]);
}

#[test]
fn a_header_for_authentication_goes_with_ipv4_and_version_2_and_starts_as_backup() {
    use keepwatch::conf::model::{Auth, InitialState};
    let ah = "authentication {\n auth_type AH\n auth_pass secret\n}";
    let loaded = load(&instance(&format!("    state MASTER\n    priority 150\n    {ah}")));
    let one = &loaded.config.instances[0];
    assert_eq!((&one.auth, one.initial_state), (&Some(Auth::Ah(*b"secret\0\0")), InitialState::Backup));
    assert_eq!(codes(&loaded), ["ah-master"]);
    assert!(loaded.config.not_built.is_empty(), "{:?}", loaded.config.not_built);
    let loaded = load(&instance(&format!("    version 3\n    {ah}")));
    assert_eq!((&loaded.config.instances[0].auth, &codes(&loaded)[..]), (&None, &["authentication"][..]));
}

#[test]
fn signed_adverts_are_asked_for_when_there_is_a_key_to_sign_with() {
    let block = |lines: &str| format!("    auth_hmac {{\n{lines}\n    }}");
    let key = "key 1 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let asked = |text: &str| {
        let loaded = load(&instance(text));
        let instance = &loaded.config.instances[0];
        assert_eq!(instance.auth, None);
        (instance.hmac, codes(&loaded).join(" "))
    };
    let good = block(&format!("{key}\nactive_key 1"));
    assert_eq!(asked(&good), (true, String::new()));
    for lines in [key.to_owned(), "active_key 1".to_owned(), format!("{key}\nactive_key 2")] {
        assert_eq!(asked(&block(&lines)), (false, "auth-hmac".to_owned()), "{lines}");
    }
    let both = format!("{good}\n    authentication {{\nauth_type PASS\nauth_pass x\n}}");
    assert_eq!(asked(&both), (true, "authentication".to_owned()));
}

#[test]
fn what_holds_for_every_instance_is_said_once_and_an_instance_may_say_otherwise() {
    use keepwatch::conf::model::{Transport, Version};
    let global = "global_defs {\n vrrp_mcast_group4 224.0.0.77\n vrrp_mcast_group6 ff02::77\n vrrp_version 3\n \
                  vrrp_skip_check_adv_addr\n vrrp_lower_prio_no_advert\n vrrp_higher_prio_send_advert\n \
                  vrrp_down_timer_adverts 5\n vrrp_owner_ignore_adverts\n vrrp_check_unicast_src\n v3_checksum_as_v2\n}\n";
    let one = |lines: &str| {
        let loaded = load(&format!("{global}{}", instance(lines)));
        loaded.config.instances.into_iter().next().expect("one")
    };
    let plain = one("    priority 100");
    assert_eq!(plain.transport, Transport::Multicast { group: "224.0.0.77".parse().unwrap() });
    assert_eq!((plain.version, plain.down_timer_adverts), (Version::V3, 5));
    assert!(plain.skip_check_adv_addr && plain.lower_prio_no_advert && plain.higher_prio_send_advert);
    assert!(plain.v3_checksum_as_v2 && !plain.owner_ignore_adverts, "which is for owners");
    assert!(one("    priority 255").owner_ignore_adverts);
    let unicast = one("    unicast_peer {\n192.0.2.12\n}");
    assert!(matches!(unicast.transport, Transport::Unicast { check_source: true, .. }));
    let other = one(
        "    version 2\n    mcast_dst_ip 224.0.0.78\n    skip_check_adv_addr off\n    lower_prio_no_advert off\n    \
         higher_prio_send_advert off\n    down_timer_adverts 4\n    v3_checksum_as_v2 off",
    );
    assert_eq!(other.transport, Transport::Multicast { group: "224.0.0.78".parse().unwrap() });
    assert_eq!((other.version, other.down_timer_adverts), (Version::V2, 4));
    assert!(!other.skip_check_adv_addr && !other.lower_prio_no_advert && !other.higher_prio_send_advert);
    assert!(!other.v3_checksum_as_v2);
    let six = load(&format!("{global}{}", GOOD.replace("192.0.2.100/24", "fe80::1/64")));
    assert_eq!(six.config.instances[0].transport, Transport::Multicast { group: "ff02::77".parse().unwrap() });
    let strict = load(&format!("global_defs {{\n vrrp_strict\n}}\n{GOOD}")).config.instances[0].clone();
    assert!(strict.strict && strict.lower_prio_no_advert && !strict.accept);
    assert!(
        !load(&format!("global_defs {{\n vrrp_strict\n}}\n{}", instance("    strict_mode off"))).config.instances[0]
            .strict
    );
}

#[test]
fn announcements_follow_the_instance_or_else_the_global_settings() {
    let garp = |global: &str, lines: &str| {
        let loaded = load(&format!("global_defs {{\n{global}\n}}\n{}", instance(lines)));
        loaded.config.instances.into_iter().next().expect("one").garp
    };
    let seconds = Duration::from_secs;
    let plain = garp("", "    priority 100");
    assert_eq!((plain.delay, plain.repeat, plain.refresh, plain.refresh_repeat), (seconds(5), 5, Duration::ZERO, 1));
    assert_eq!(
        (plain.interval, plain.gna_interval, plain.extra_interval),
        (Duration::ZERO, Duration::ZERO, Duration::ZERO)
    );
    let all = "vrrp_garp_master_delay 7\nvrrp_garp_master_repeat 3\nvrrp_garp_master_refresh 60\n\
               vrrp_garp_master_refresh_repeat 2\nvrrp_garp_lower_prio_delay 9\nvrrp_garp_lower_prio_repeat 4\n\
               vrrp_garp_interval 0.01\nvrrp_gna_interval 0.02\nvrrp_garp_extra_if all 30";
    let global = garp(all, "    priority 100");
    assert_eq!((global.delay, global.repeat, global.refresh, global.refresh_repeat), (seconds(7), 3, seconds(60), 2));
    assert_eq!((global.lower_prio_delay, global.lower_prio_repeat), (seconds(9), 4));
    assert_eq!((global.interval, global.gna_interval), (Duration::from_millis(10), Duration::from_millis(20)));
    assert_eq!((global.extra_interval, global.extra_all), (seconds(30), true));
    let own = garp(
        all,
        "    garp_master_delay 1\n    garp_master_repeat 2\n    garp_master_refresh 3\n    garp_master_refresh_repeat 4\n    \
         garp_lower_prio_delay 5\n    garp_lower_prio_repeat 6\n    garp_extra_if 7",
    );
    assert_eq!((own.delay, own.repeat, own.refresh, own.refresh_repeat), (seconds(1), 2, seconds(3), 4));
    assert_eq!((own.lower_prio_delay, own.lower_prio_repeat), (seconds(5), 6));
    assert_eq!((own.extra_interval, own.extra_all), (seconds(7), false));
    let least = garp("vrrp_min_garp", "    priority 100");
    assert_eq!((least.delay, least.repeat), (Duration::ZERO, 1));
}

#[test]
fn a_relay_and_those_who_hear_of_it_are_read() {
    let loaded = load(&format!(
        "global_defs {{\n router_id lb1\n smtp_server 192.0.2.25 2525\n smtp_helo_name lb.example\n \
         smtp_connect_timeout 12\n notification_email_from lb@example.net\n notification_email {{\n  a@example.net\n  \
         b@example.net\n }}\n}}\n{GOOD}"
    ));
    let global = loaded.config.global;
    assert_eq!((global.router_id.as_str(), global.mail.server), ("lb1", "192.0.2.25:2525".parse().ok()));
    assert_eq!((global.mail.helo.as_deref(), global.mail.connect_timeout_s), (Some("lb.example"), 12));
    assert_eq!(global.mail.from.as_deref(), Some("lb@example.net"));
    assert_eq!(global.mail.to, ["a@example.net", "b@example.net"]);
}

#[test]
fn an_interface_may_come_later_when_the_file_says_so_and_is_the_default_one_of_static_addresses() {
    let later = GOOD.replace("eth0", "eth7");
    assert!(!load(&later).can_start);
    let loaded = load(&format!("global_defs {{\n dynamic_interfaces\n}}\n{later}"));
    assert!(loaded.can_start, "{}", loaded.render());
    assert_eq!(loaded.config.instances[0].interface.as_deref(), Some("eth7"));
    let statics = |global: &str| {
        let text = format!("global_defs {{\n{global}\n}}\nstatic_ipaddress {{\n 192.0.2.7/24\n}}\n{GOOD}");
        load(&text).config.static_addresses[0].interface.clone()
    };
    assert_eq!((statics("").as_str(), statics("default_interface eth1").as_str()), ("eth0", "eth1"));
}

#[test]
fn an_owner_starts_as_master() {
    let instance = load(&instance("    priority 255")).config.instances[0].clone();
    assert_eq!(instance.initial_state, keepwatch::conf::model::InitialState::Master);
    assert_eq!(instance.priority, Priority::MAX);
}

#[test]
fn intervals_are_those_of_the_wire() {
    let interval = |lines: &str| load(&instance(lines)).config.instances[0].advert_interval;
    assert_eq!(interval("    advert_int 1.5"), Duration::from_secs(2));
    assert_eq!(interval("    version 3\n    advert_int 0.105"), Duration::from_millis(110));
    assert_eq!(interval("    version 3\n    advert_int 60"), Duration::from_millis(40_950));
    assert_eq!(interval("    advert_int 60"), Duration::from_secs(60));
}

#[test]
fn ipv6_speaks_version_3_unless_version_2_is_asked_for_first() {
    use keepwatch::conf::model::Version;
    let six = |lines: &str| {
        let loaded = load(&instance(lines).replace("192.0.2.100/24", "fe80::5/64"));
        loaded.config.instances[0].version
    };
    assert_eq!(six(""), Version::V3);
    assert_eq!(six("    version 2"), Version::V2);
    assert_eq!(six("    native_ipv6\n    version 2"), Version::V3);
    assert_eq!(six("    strict_mode\n    version 2"), Version::V3);
}

#[test]
fn the_second_burst_after_a_weaker_advert_follows_the_global_settings() {
    let text = "global_defs {\nvrrp_garp_master_delay 7\nvrrp_garp_master_repeat 3\n}\n";
    let loaded = load(&format!("{text}{}", instance("    garp_master_delay 9\n    garp_master_repeat 0")));
    let garp = &loaded.config.instances[0].garp;
    assert_eq!((garp.delay, garp.repeat), (Duration::from_secs(9), 1));
    assert_eq!((garp.lower_prio_delay, garp.lower_prio_repeat), (Duration::from_secs(7), 3));
}

#[test]
fn a_configuration_survives_the_journey_to_another_process() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/seeds");
    for entry in std::fs::read_dir(root).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let config = conf::load("k", &Options::default(), &Memory::default().with("k", text), &AnyHost).config;
        let bytes = postcard::to_allocvec(&config).unwrap();
        assert_eq!(postcard::from_bytes::<conf::model::Config>(&bytes).unwrap(), config);
    }
}

#[test]
fn values_that_keepalived_corrects_are_corrected_the_same_way() {
    let loaded = load("global_defs {\nsmtp_server 192.0.2.25\nvrrp_rt_priority 150\nvrrp_mcast_group6 ff05::5\n}");
    let global = &loaded.config.global;
    assert_eq!(global.realtime.rt_priority, Some(99));
    assert_eq!(global.mail.from.as_deref(), Some("root@node3.example.com"));
    assert_eq!((global.mail.connect_timeout_s, global.mail.server), (30, Some(([192, 0, 2, 25], 25).into())));
    assert_eq!(codes(&loaded), ["number", "group-scope"]);
}

#[test]
fn an_address_is_dropped_with_what_it_cannot_have_and_kept_without_what_it_can_miss() {
    let lines = [
        ("192.0.2.5/24 label eth0:averyveryverylongname", 0),
        ("192.0.2.5/24 dev", 0),
        ("192.0.2.5/24 dev eth7", 0),
        ("2001:db8::5/64 brd +", 0),
        ("192.0.2.5/24 scope foo", 1),
        ("192.0.2.5/24 frob 3", 1),
        ("192.0.2.5/24 peer 10.0.0.1/24", 1),
        ("192.0.2.5/31 brd +", 1),
    ];
    for (line, kept) in lines {
        let loaded = load(&GOOD.replace("192.0.2.100/24", line));
        assert_eq!(loaded.config.instances[0].addresses.len(), kept, "{line}");
        assert_eq!(loaded.status, 5, "{line}\n{}", loaded.render());
    }
}

#[test]
fn an_unknown_option_takes_its_value_with_it() {
    let loaded = load(&GOOD.replace("192.0.2.100/24", "192.0.2.100/24 frob 3 dev eth1"));
    assert_eq!(codes(&loaded), ["unknown-option"]);
    assert_eq!(loaded.config.instances[0].addresses[0].interface, "eth1");
}

#[test]
fn the_legs_and_tunnels_of_a_route_are_read() {
    let good = "10.0.0.0/8 no_track nexthop via 192.0.2.1 dev eth0 weight 2 nexthop via 198.51.100.1 dev eth1 onlink\n\
                10.1.0.0/16 encap ip id 5 dst 192.0.2.9 dev eth0\n10.2.0.0/16 encap mpls 100/200 via inet 192.0.2.1 dev eth0";
    let of = |lines: &str| load(&format!("static_routes {{\n{lines}\n}}"));
    assert_eq!(codes(&of(good)), [] as [&str; 0], "{}", of(good).render());
    assert_eq!(codes(&of("10.0.0.0/8 no_track nexthop via 192.0.2.1 wait 2")), ["unknown-option"]);
    assert_eq!(codes(&of("10.0.0.0/8 no_track nexthop via 192.0.2.1 weight 300")), ["number"]);
    assert_eq!(codes(&of("10.0.0.0/8 dev eth0 encap udp")), ["unknown-option"]);
}

#[test]
fn a_block_without_braces_does_not_take_those_of_others() {
    let service = "virtual_server 192.0.2.100 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\nreal_server 192.0.2.6 80 {\nPING_CHECK\n}\n}\n";
    let loaded = load(&format!("{service}{GOOD}"));
    assert_eq!(codes(&loaded), ["missing-brace"]);
    assert_eq!(loaded.config.instances.len(), 1);
}

#[test]
fn every_error_says_what_to_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/diagnostics");
    for entry in std::fs::read_dir(root).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        let loaded = conf::load("k", &Options::default(), &Memory::default().with("k", text), &TwoInterfaces);
        let mute: Vec<_> = loaded.diagnostics.iter().filter(|each| each.hint.is_none()).collect();
        assert!(mute.is_empty(), "{mute:?}");
    }
}

#[test]
fn the_exit_status_is_the_one_that_keepalived_was_seen_to_give() {
    // Lines inside an instance, and inside global_defs, with the status of `keepalived -t` 2.2.7 for them.
    let inside = [
        ("unicast_peer {\n}", 5),
        ("virtual_ipaddress_excluded {\n192.0.2.100/24\n}", 0),
        ("notify_master", 2),
        ("priority 12x", 5),
        ("state master", 5),
        ("nopreempt\npriority 255", 5),
        ("track_interface {\neth1 weight 254\n}", 5),
        ("authentication {\nauth_pass foo\n}", 0),
        ("dont_track_primary yes", 0),
        ("priority 100 200", 0),
        ("garp_extra_if all", 5),
        ("@foo priority 3", 0),
        ("$X", 5),
    ];
    let global = [
        ("snmp_socket a b", 5),
        ("smtp_connect_timeout 0", 5),
        ("notification_email {\n}", 5),
        ("vrrp_version", 2),
        ("router_id", 5),
        ("router_id a b", 0),
        ("vrrp_rt_priority 0", 5),
        ("nftables a\nnftables b", 5),
    ];
    for (line, status) in inside {
        let loaded = load(&instance(line));
        assert_eq!(loaded.status, status, "{line}\n{}", loaded.render());
    }
    for (line, status) in global {
        let loaded = load(&format!("global_defs {{\n{line}\n}}\n{GOOD}"));
        assert_eq!(loaded.status, status, "{line}\n{}", loaded.render());
    }
}

#[test]
fn the_command_line_beats_the_file() {
    let options = Options {
        snmp_all: true,
        agent_socket: Some("tcp:localhost:705".to_owned()),
        namespace: Some("red".to_owned()),
        ..Options::default()
    };
    let text = "net_namespace blue\nglobal_defs {\nsnmp_socket unix:/x\n}";
    let loaded = conf::load("k.conf", &options, &Memory::default().with("k.conf", text), &TwoInterfaces);
    let global = &loaded.config.global;
    assert!(global.snmp.vrrp && global.snmp.checker && global.snmp.rfcv2 && global.snmp.rfcv3 && !global.snmp.traps);
    assert_eq!(global.snmp.socket.as_deref(), Some("tcp:localhost:705"));
    assert_eq!(global.net_namespace.as_deref(), Some("red"));
    assert_eq!(codes(&loaded), ["already-set"]);
}

#[test]
fn a_password_is_eight_bytes_and_stays_out_of_debug_output() {
    let loaded = load(&instance("    authentication {\nauth_type PASS\nauth_pass \"a#b\"\n}"));
    let auth = loaded.config.instances[0].auth.clone();
    assert_eq!(auth, Some(keepwatch::conf::model::Auth::Pass(*b"a#b\0\0\0\0\0")));
    assert!(!format!("{:?}", loaded.config).contains("a#b"));
}

#[test]
fn chains_of_iptables_are_left_alone_and_the_line_that_names_some_is_told() {
    let loaded =
        load(&format!("global_defs {{\nvrrp_iptables IN OUT\nvrrp_ipsets a b\n}}\n{}", instance("no_accept\n")));
    let told: Vec<_> = loaded.diagnostics.iter().map(|it| (it.code, it.severity, it.span.line)).collect();
    assert_eq!(told, [("iptables", Severity::Hint, 2)], "{}", loaded.render());
    assert_eq!((loaded.status, loaded.config.global.nftables_table.as_str()), (0, "keepalived"));
}
