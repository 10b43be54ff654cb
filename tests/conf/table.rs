//! The keyword table against the list of directives, and against the model.

use super::*;
use keepwatch::conf::keywords::{self, Arg, Effect, Kind, Need, Shape};

/// A value that is not the default.
fn sample(arg: &Arg) -> String {
    match arg.kind {
        Kind::Bool => "on".to_owned(),
        Kind::Int(min, max) => (min + (max - min).min(61)).to_string(),
        Kind::Dec(_, min, _) => (min / 1_000_000 + 7).to_string(),
        Kind::Word(["MASTER", ..]) => "MASTER".to_owned(),
        Kind::Word(words) => (*words.last().unwrap()).to_owned(),
        Kind::NumberOrWord(words) => words[0].to_owned(),
        Kind::Multicast4 | Kind::Multicast => "224.0.0.77".to_owned(),
        Kind::Multicast6 => "ff02::77".to_owned(),
        Kind::Ip => "192.0.2.11".to_owned(),
        Kind::Host => "192.0.2.25".to_owned(),
        Kind::IfName => "eth1".to_owned(),
        _ => "x".to_owned(),
    }
}

#[test]
fn a_directive_that_is_said_to_have_an_effect_changes_the_configuration() {
    // With what has to stand beside it, or where the value is not a matter of taste.
    let beside = |word: &str| match word {
        "vrrp_mcast_group6" => "V6",
        "timer_expired_backup" => "nopreempt",
        "owner_ignore_adverts" | "vrrp_owner_ignore_adverts" => "priority 255",
        "preempt" => "nopreempt",
        "accept" => "no_accept",
        "unicast_ttl" | "check_unicast_src" | "vrrp_check_unicast_src" => "unicast_peer {\n192.0.2.12\n}",
        "unicast_fault_no_peer" => "unicast_ttl 255",
        "vrrp_rx_bufs_multiplier" => "POLICY",
        _ => "",
    };
    // Read by the reader of files, or told where its block is tested.
    let elsewhere = [
        "include_check",
        "random_seed",
        "default_interface",
        "native_ipv6",
        "no_virtual_ipaddress",
        "script_user",
        "enable_script_security",
        "use_symlink_paths",
        "set_supplementary_groups",
        "startup_script",
        "startup_script_timeout",
        "shutdown_script",
        "shutdown_script_timeout",
        "notify",
        "notify_master",
        "notify_backup",
        "notify_fault",
        "notify_stop",
        "notify_deleted",
        "notify_master_rx_lower_pri",
        "notify_fifo_script",
        "vrrp_notify_fifo_script",
        "lvs_notify_fifo_script",
        "dbus_service_name",
        "dbus_no_interface_name",
        "umask",
        "vmac_prefix",
        "vmac_addr_prefix",
        "reload_time_file",
        "vrf",
        "vmac_xmit_base",
        "use_vmac_addr",
        "reload_file",
        "config_save_dir",
        "state_dump_file",
        "stats_dump_file",
        "json_dump_file",
        "json_version",
        // Interfaces are told apart by their index in any case.
        "nftables_ifindex",
        "iproute_etc_dir",
        "iproute_usr_dir",
    ];
    let mut without = Vec::new();
    for row in keywords::rows().filter(|row| row.effect == Effect::Built && !elsewhere.contains(&row.keyword)) {
        let values: Vec<String> = match row.shape {
            Shape::Flag => vec![],
            Shape::Words(args) => args
                .iter()
                .filter(|arg| arg.need != Need::Optional || arg.kind == Kind::Bool || args.len() == 1)
                .map(sample)
                .collect(),
            _ => continue,
        };
        let line = format!("{} {}\n", row.keyword, values.join(" "));
        let beside = beside(row.keyword);
        let text = |line: &str| {
            let (mut global, mut inner) = (String::new(), "priority 100\n".to_owned());
            match row.paths[0] {
                "global_defs" => global.push_str(line),
                "vrrp_instance" => inner.push_str(line),
                _ => return None,
            }
            match beside {
                "POLICY" => global.push_str("vrrp_rx_bufs_policy MTU\n"),
                "V6" => {}
                more => inner = format!("{more}\n{inner}"),
            }
            let inner = if beside == "priority 255" { inner.replace("priority 100\n", "") } else { inner };
            let text = format!("global_defs {{\n{global}}}\n{}", instance(&inner));
            Some(if beside == "V6" { text.replace("192.0.2.100/24", "fe80::1/64") } else { text })
        };
        let (Some(with), Some(plain)) = (text(&line), text("")) else { continue };
        let (loaded, plain) = (load(&with), load(&plain));
        if row.keyword == "interface" || row.keyword == "virtual_router_id" {
            continue;
        }
        let bare = |loaded: &Loaded| {
            let mut config = loaded.config.clone();
            config.instances.iter_mut().for_each(|instance| {
                instance.location.line = 0;
                instance.addresses.iter_mut().for_each(|address| address.location.line = 0);
            });
            config
        };
        if bare(&loaded) == bare(&plain) {
            without.push(format!("{line}{}", loaded.render()));
        }
    }
    assert!(without.is_empty(), "no effect:\n{}", without.join("\n"));
}

/// What a fuzzer puts together: every word of the table, and what else has a meaning.
fn dictionary() -> String {
    let mut words: std::collections::BTreeSet<String> = [
        "~SEQ(N, 1, 3) ",
        "~LST(N, a, b) ",
        "include a\n",
        "$N=",
        "${N}",
        "${_RANDOM 1 9}",
        "@^id ",
        " {\n",
        "\n}\n",
        "\"",
        "\\\n",
    ]
    .map(str::to_owned)
    .into();
    let named = |kind: Kind| match kind {
        Kind::Word(words) | Kind::AnyCase(words) | Kind::NumberOrWord(words) => words,
        _ => &[],
    };
    for row in keywords::rows() {
        words.extend(row.synonyms.iter().map(|synonym| synonym.word().to_owned()));
        words.extend((!row.keyword.starts_with('<')).then(|| row.keyword.to_owned()));
        let (args, options) = match row.shape {
            Shape::Words(args) | Shape::Block(args) | Shape::Entries(args, _) => (args, &[][..]),
            Shape::Options(args, options) => (args, options),
            Shape::Flag | Shape::Rest => (&[][..], &[][..]),
        };
        words.extend(options.iter().map(|option| option.word.to_owned()));
        let args = args.iter().chain(options.iter().flat_map(|option| option.args));
        words.extend(args.flat_map(|arg| named(arg.kind)).map(|word| (*word).to_owned()));
    }
    let quoted = |word: &String| {
        let octet = |octet: u8| match octet {
            b'"' | b'\\' => format!("\\{}", char::from(octet)),
            b' '..=b'~' => char::from(octet).to_string(),
            octet => format!("\\x{octet:02x}"),
        };
        format!("\"{}\"\n", word.bytes().map(octet).collect::<String>())
    };
    words.iter().filter(|word| !word.is_empty()).map(quoted).collect()
}

#[test]
fn the_dictionary_of_the_fuzzer_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/conf.dict");
    let wanted = dictionary();
    if std::env::var_os("KEEPWATCH_RENEW").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "fuzz/conf.dict is stale: KEEPWATCH_RENEW=1 cargo test --test conf renews it");
}
