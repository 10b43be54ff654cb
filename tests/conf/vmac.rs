//! `use_vmac` and what goes with it, from the text of a file: names, MACs, places of addresses, and what is told.

use keepwatch::conf::model::{Config, IpvlanMode, Vmac, VmacKind};

use super::*;

fn load(text: &str) -> Loaded {
    let files = Memory::default().with("k.conf", text).with("/etc/iproute2/group", "0\tdefault\n7\tvirtual\n");
    conf::load("k.conf", &Options::default(), &files, &AnyHost)
}

/// One instance with these lines and one address.
fn one(lines: &str) -> Loaded {
    load(&format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n {lines}\n virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n"
    ))
}

fn ids(loaded: &Loaded) -> Vec<&str> {
    loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

fn own(config: &Config) -> &Vmac {
    config.instances[0].vmacs.own.as_ref().expect("an interface of its own")
}

fn mac(vmac: &Vmac) -> [u8; 6] {
    match vmac.kind {
        VmacKind::Macvlan { mac } => mac,
        VmacKind::Ipvlan { .. } => panic!("an ipvlan"),
    }
}

#[test]
fn a_bare_word_makes_a_macvlan_with_the_virtual_mac_and_the_addresses_go_there() {
    let loaded = one("use_vmac");
    assert_eq!(ids(&loaded), [] as [&str; 0]);
    assert!(loaded.config.not_built.is_empty(), "{:?}", loaded.config.not_built);
    let own = own(&loaded.config);
    assert_eq!((own.name.as_str(), own.base.as_str(), mac(own)), ("vrrp.51", "eth0", [0, 0, 0x5e, 0, 1, 51]));
    assert_eq!(loaded.config.instances[0].addresses[0].interface, "vrrp.51");
}

#[test]
fn name_mac_and_group_are_taken_in_any_order() {
    for line in [
        "use_vmac mine 02:00:00:00:01",
        "use_vmac 2:0:0:0:1 name mine group virtual",
        "use_vmac group 7 mine 02:00:00:00:01:33",
    ] {
        let loaded = one(line);
        assert_eq!(ids(&loaded), [] as [&str; 0], "{line}");
        let own = own(&loaded.config);
        assert_eq!((own.name.as_str(), mac(own)), ("mine", [2, 0, 0, 0, 1, 51]), "{line}");
        assert_eq!(own.group, if line.contains("group") { 7 } else { 0 });
    }
}

#[test]
fn what_keepalived_ignores_on_the_line_is_ignored_and_told() {
    for (line, id) in [
        ("use_vmac 01:00:5e:00:00:01", "vmac-mac"),
        ("use_vmac 00:00:5e:00:01:07", "vmac-mac"),
        ("use_vmac 00:11:22:33", "vmac-mac"),
        ("use_vmac name_that_is_too_long_for_linux", "vmac-name"),
        ("use_vmac a/b", "vmac-name"),
        ("use_vmac group nobody", "vmac-group"),
        ("use_vmac one two", "vmac-word"),
        ("vmac_xmit_base", "xmit-base"),
        ("use_vmac\n promote_secondaries", "vmac-promote"),
        ("use_vmac\n use_ipvlan", "vmac-and-ipvlan"),
        ("use_vmac\n unicast_peer {\n 10.0.0.2\n }", "xmit-base"),
        ("use_ipvlan", "ipvlan-address"),
    ] {
        let loaded = one(line);
        assert_eq!(ids(&loaded), [id], "{line}");
        if line.starts_with("use_vmac") && !line.contains("one") {
            assert_eq!(own(&loaded.config).name, "vrrp.51", "{line}");
            assert_eq!(mac(own(&loaded.config)), [0, 0, 0x5e, 0, 1, 51], "{line}");
        }
    }
}

#[test]
fn unicast_adverts_leave_by_the_base() {
    let loaded = one("use_vmac\n vmac_xmit_base\n unicast_peer {\n 10.0.0.2\n }");
    assert_eq!(ids(&loaded), [] as [&str; 0]);
    let vmacs = &loaded.config.instances[0].vmacs;
    assert!(vmacs.transmit_on_base && vmacs.port().is_none());
}

#[test]
fn an_ipvlan_has_an_address_that_adverts_come_from() {
    let loaded = one("use_ipvlan ipv 10.0.0.7/24 vepa");
    assert_eq!(ids(&loaded), [] as [&str; 0]);
    let address = "10.0.0.7".parse().unwrap();
    assert_eq!(own(&loaded.config).name, "ipv");
    assert_eq!(own(&loaded.config).kind, VmacKind::Ipvlan { mode: IpvlanMode::Vepa, address: Some((address, 24)) });
    assert_eq!(loaded.config.instances[0].source, Some(address));
    assert_eq!(loaded.config.instances[0].addresses[0].interface, "eth0", "virtual addresses stay on the base");
}

#[test]
fn names_that_are_made_up_do_not_collide() {
    let block = |name: &str, interface: &str, more: &str, address: &str| {
        format!(
            "vrrp_instance {name} {{\n interface {interface}\n virtual_router_id 51\n use_vmac {more}\n virtual_ipaddress {{\n {address}\n }}\n}}\n"
        )
    };
    let text = [
        "global_defs {\n vmac_prefix a_very_long_prefix\n vmac_addr_prefix va\n}\n".to_owned(),
        block("A", "eth0", "", "10.0.0.1"),
        block("B", "eth0", "", "fe80::1"),
        block("C", "eth1", "", "10.0.0.2\n 10.0.0.3 dev eth0 use_vmac\n 10.0.0.4 dev eth0 use_vmac"),
        block("D", "eth1", "a_very_long_.51", "fe80::2"),
    ];
    let loaded = load(&text.concat());
    let names: Vec<Vec<&str>> =
        loaded.config.instances.iter().map(|it| it.vmacs.all().map(|vmac| vmac.name.as_str()).collect()).collect();
    assert_eq!(names[3], ["a_very_long_.51"], "what was asked for comes first");
    assert_eq!(names[2][1], "va.51");
    assert_eq!(names[2].len(), 2, "one for all addresses there");
    let mut all: Vec<&str> = names.concat();
    assert!(all.iter().all(|name| name.len() <= 15 && name.ends_with(".51")), "{all:?}");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 5, "{names:?}");
}

#[test]
fn use_vmac_addr_takes_addresses_of_other_interfaces_and_of_the_other_family_along() {
    let text = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n use_vmac\n use_vmac_addr\n virtual_ipaddress {\n \
                10.0.0.1\n 10.0.0.2 dev eth1\n }\n virtual_ipaddress_excluded {\n fe80::1\n }\n}\n";
    let loaded = load(text);
    let [it] = &loaded.config.instances[..] else { panic!("{:?}", loaded.config.instances) };
    let places: Vec<&str> = it.addresses.iter().chain(&it.excluded).map(|address| address.interface.as_str()).collect();
    assert_eq!(places, ["vrrp.51", "vrrp1.51", "vrrp6.51"]);
    let macs: Vec<[u8; 6]> = it.vmacs.all().map(mac).collect();
    assert_eq!(macs.iter().map(|mac| mac[4]).collect::<Vec<_>>(), [1, 1, 2]);
}

#[test]
fn a_vrf_is_for_unicast_instances_without_an_interface() {
    let unicast = "unicast_src_ip 10.0.0.1\n unicast_peer {\n 10.0.0.2\n }";
    let text = |lines: &str| {
        format!(
            "vrrp_instance VI_1 {{\n virtual_router_id 51\n {lines}\n virtual_ipaddress {{\n 10.0.0.100/24 dev eth1\n }}\n}}\n"
        )
    };
    let loaded = load(&text(&format!("vrf eth3\n {unicast}")));
    assert_eq!(ids(&loaded), [] as [&str; 0]);
    assert_eq!(loaded.config.instances[0].vrf.as_deref(), Some("eth3"));
    for lines in [
        format!("vrf nowhere\n {unicast}"),
        format!("interface eth0\n vrf eth3\n {unicast}"),
        "interface eth0\n vrf eth3".to_owned(),
    ] {
        let loaded = load(&text(&lines));
        assert_eq!((ids(&loaded), loaded.config.instances[0].vrf.as_ref()), (vec!["vrf"], None), "{lines}");
    }
}
