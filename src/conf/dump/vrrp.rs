//! `vrrp_instance`, `vrrp_sync_group`, `track_group`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Block, Directive, Writer, address, data, global, route, words};
use crate::conf::model::{
    Auth, Family, Garp, InitialState, Instance, IpvlanMode, Notify, OldUnicastChecksum, Preempt, Priority, Script,
    Track, TrackedInterface, TrackerKind, Transport, Version, Vmac, VmacKind, virtual_mac,
};

pub fn all(writer: &Writer<'_>, top: &mut Block) {
    let config = writer.config;
    for group in &config.sync_groups {
        let mut block = writer.block();
        block.entries("group", group.members.iter().map(|member| data(words::plain(&member.0))).collect());
        block.flag("sync_group_tracking_weight", group.tracking_weight);
        interfaces(&group.tracked_interfaces, &mut block);
        tracks(writer, &group.tracks, &mut block);
        notify(writer, &group.notify, false, &mut block);
        block.switch("smtp_alert", group.smtp_alert, alert(writer));
        top.named("vrrp_sync_group", words::plain(&group.name), &group.location, block);
    }
    for instance in &config.instances {
        top.named(
            "vrrp_instance",
            words::plain(&instance.name.0),
            &instance.location,
            self::instance(writer, instance),
        );
    }
    for group in &config.track_groups {
        let mut block = writer.block();
        block.entries("group", group.members.iter().map(|member| data(words::plain(&member.0))).collect());
        top.push(Directive {
            block: Some(block.lines),
            ..Directive::new("track_group", vec![words::plain(&group.name)])
        });
    }
}

fn alert(writer: &Writer<'_>) -> bool {
    let mail = &writer.config.global.mail;
    mail.alert_vrrp.or(mail.alert).unwrap_or(false)
}

fn instance(writer: &Writer<'_>, instance: &Instance) -> Block {
    let mut block = writer.block();
    let (strict, owner) = (instance.strict, instance.priority == Priority::MAX);
    block.switch("strict_mode", strict, false);
    // Before anything that makes it an IPv6 instance: only there is version 2 heard.
    let (version, usual) = match instance.version {
        Version::V2 => ("2", instance.family == Family::V4),
        Version::V3 => ("3", instance.family == Family::V6),
    };
    block.value("version", version, usual);
    block.some("interface", instance.interface.as_deref());
    vmacs(instance, &mut block);
    block.some("vrf", instance.vrf.as_deref());
    block.line("virtual_router_id", instance.vrid.to_string());
    let (state, master) = match instance.initial_state {
        InitialState::Master => ("MASTER", true),
        InitialState::Backup => ("BACKUP", false),
    };
    block.value("state", state, master == owner);
    // Without a priority MASTER means the owner.
    block.value("priority", instance.priority.to_string(), instance.priority.get() == 100 && !master);
    block.value("advert_int", words::duration(instance.advert_interval), instance.advert_interval.as_millis() == 1000);
    block.value("down_timer_adverts", instance.down_timer_adverts.to_string(), instance.down_timer_adverts == 3);
    match instance.preempt {
        Preempt::Never => block.line("nopreempt", ()),
        Preempt::After(delay) => block.value("preempt_delay", words::duration(delay), delay.is_zero()),
    }
    if let Some(priority) = instance.timer_expired_backup {
        block.line("timer_expired_backup", priority.to_string());
    }
    match (instance.accept, strict) {
        (true, true) => block.line("accept", ()),
        (true, false) => block.value("accept", (), true),
        (false, strict) => block.value("no_accept", (), strict),
    }
    authentication(writer, instance, &mut block);
    transport(writer, instance, &mut block);
    block.flag("dont_track_primary", !instance.track_primary);
    block.flag("track_src_ip", instance.track_source);
    garp(writer, &instance.garp, strict, &mut block);
    block.switch("lower_prio_no_advert", instance.lower_prio_no_advert, strict);
    block.switch("higher_prio_send_advert", instance.higher_prio_send_advert, false);
    block.switch("owner_ignore_adverts", instance.owner_ignore_adverts, strict && owner);
    block.switch("skip_check_adv_addr", instance.skip_check_adv_addr, false);
    block.switch("v3_checksum_as_v2", instance.v3_checksum_as_v2, writer.config.global.v3_checksum_as_v2);
    block.flag("promote_secondaries", instance.promote_secondaries);
    block.flag("linkbeat_use_polling", instance.use_linkbeat);
    block.some("kernel_rx_buf_size", instance.receive_buffer);
    interfaces(&instance.tracked_interfaces, &mut block);
    tracks(writer, &instance.tracks, &mut block);
    let entries = |addresses| address::of_instance(instance, addresses);
    block.entries("virtual_ipaddress", entries(&instance.addresses));
    if instance.addresses.is_empty() {
        block.line("no_virtual_ipaddress", ());
    }
    block.entries("virtual_ipaddress_excluded", entries(&instance.excluded));
    block.entries("virtual_routes", instance.routes.iter().map(|it| route::route(it, vec![])).collect());
    block.entries("virtual_rules", instance.rules.iter().map(route::rule).collect());
    let group = writer.config.sync_groups.iter().find(|group| Some(&group.name) == instance.sync_group.as_ref());
    notify(writer, &instance.notify, group.is_some_and(|group| group.notify.priority_changes), &mut block);
    block.switch("smtp_alert", instance.smtp_alert, alert(writer));
    sync_daemon(writer, instance, &mut block);
    block
}

fn vmacs(instance: &Instance, block: &mut Block) {
    let Some(Vmac { name, family, kind, group, .. }) = &instance.vmacs.own else { return };
    let mut line = vec!["name".to_owned(), words::plain(name)];
    let keyword = match kind {
        VmacKind::Macvlan { mac } => {
            if *mac != virtual_mac(*family, instance.vrid) {
                line.push(mac.map(|octet| format!("{octet:02x}")).join(":"));
            }
            "use_vmac"
        }
        VmacKind::Ipvlan { mode, address } => {
            match mode {
                IpvlanMode::Bridge => {}
                IpvlanMode::Private => line.push("private".to_owned()),
                IpvlanMode::Vepa => line.push("vepa".to_owned()),
            }
            line.extend(address.map(|(address, length)| format!("{address}/{length}")));
            "use_ipvlan"
        }
    };
    if *group != 0 {
        line.extend(["group".to_owned(), group.to_string()]);
    }
    block.line(keyword, line);
    // In strict mode only an ipvlan is asked whether it wants this.
    block.flag("vmac_xmit_base", instance.vmacs.transmit_on_base && (!instance.strict || keyword == "use_ipvlan"));
}

fn authentication(writer: &Writer<'_>, instance: &Instance, block: &mut Block) {
    let Some(auth) = &instance.auth else { return };
    let (kind, password) = match auth {
        Auth::Pass(password) => ("PASS", password),
        Auth::Ah(password) => ("AH", password),
    };
    let length = password.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    let text = crate::conf::lex::decode(password.get(..length).unwrap_or_default().to_vec());
    let mut inner = writer.block();
    inner.line("auth_type", kind);
    inner.line("auth_pass", writer.secret(&text));
    block.push(Directive { block: Some(inner.lines), ..Directive::new("authentication", vec![]) });
}

fn transport(writer: &Writer<'_>, instance: &Instance, block: &mut Block) {
    let unicast = matches!(instance.transport, Transport::Unicast { .. });
    if let Some(source) = instance.source {
        block.line(if unicast { "unicast_src_ip" } else { "mcast_src_ip" }, source.to_string());
    }
    match &instance.transport {
        Transport::Multicast { group } => {
            let usual: IpAddr = match instance.family {
                Family::V4 => Ipv4Addr::new(224, 0, 0, 18).into(),
                Family::V6 => {
                    let usual = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
                    global::wide_group(writer).unwrap_or(usual.into())
                }
            };
            block.value("mcast_dst_ip", group.to_string(), *group == usual);
        }
        Transport::Unicast { peers, ttl, check_source, fault_without_peers } => {
            let peers = peers.iter().map(|peer| {
                let ttl = |word: &str, ttl: Option<u8>| ttl.map(|ttl| [word.to_owned(), ttl.to_string()]);
                let ttls = ttl("min_ttl", peer.min_ttl).into_iter().chain(ttl("max_ttl", peer.max_ttl)).flatten();
                data([peer.address.to_string()].into_iter().chain(ttls).collect::<Vec<_>>())
            });
            // Empty, too: it is what asks for unicast.
            block.push(Directive { block: Some(peers.collect()), ..Directive::new("unicast_peer", vec![]) });
            if let Some(ttl) = ttl {
                block.value("unicast_ttl", ttl.to_string(), instance.family == Family::V4 && *ttl == 255);
            }
            block.flag("check_unicast_src", *check_source);
            block.flag("unicast_fault_no_peer", *fault_without_peers);
        }
    }
    match instance.old_unicast_checksum {
        OldUnicastChecksum::Detect => {}
        OldUnicastChecksum::Always => block.line("old_unicast_checksum", ()),
        OldUnicastChecksum::Never => block.line("old_unicast_checksum", "never"),
    }
    // Otherwise something with an address says so.
    let peers = matches!(&instance.transport, Transport::Unicast { peers, .. } if !peers.is_empty());
    let known = instance.source.is_some() || peers || !instance.addresses.is_empty();
    block.flag("native_ipv6", instance.family == Family::V6 && !known);
}

fn garp(writer: &Writer<'_>, garp: &Garp, strict: bool, block: &mut Block) {
    let minimal = global::minimal_garp(writer);
    let (delay, repeat) = if minimal { (0, 1) } else { (5, 5) };
    let lower = |usual| if strict { 0 } else { usual };
    let mut seconds = |keyword, value: std::time::Duration, usual: u64| {
        block.value(keyword, value.as_secs().to_string(), value.as_secs() == usual);
    };
    seconds("garp_master_delay", garp.delay, delay);
    seconds("garp_lower_prio_delay", garp.lower_prio_delay, lower(delay));
    seconds("garp_master_refresh", garp.refresh, 0);
    let repeat = u32::try_from(repeat).unwrap_or(1);
    block.value("garp_master_repeat", garp.repeat.to_string(), garp.repeat == repeat);
    let usual = if strict { 0 } else { repeat };
    block.value("garp_lower_prio_repeat", garp.lower_prio_repeat.to_string(), garp.lower_prio_repeat == usual);
    // None at all is asked for by vrrp_min_garp.
    if garp.refresh_repeat != 0 {
        block.value(
            "garp_master_refresh_repeat",
            garp.refresh_repeat.to_string(),
            !minimal && garp.refresh_repeat == 1,
        );
    }
    let extra = garp.extra_interval.as_secs().to_string();
    if garp.extra_all {
        block.line("garp_extra_if", vec!["all".to_owned(), extra]);
    } else {
        block.value("garp_extra_if", extra, garp.extra_interval.is_zero());
    }
}

fn interfaces(tracked: &[TrackedInterface], block: &mut Block) {
    let entries = tracked.iter().map(|it| {
        let mut line = vec![words::plain(&it.interface)];
        if it.weight != 0 {
            line.extend(["weight".to_owned(), it.weight.to_string()]);
        }
        if it.reverse {
            line.push("reverse".to_owned());
        }
        data(line)
    });
    block.entries("track_interface", entries.collect());
}

fn tracks(writer: &Writer<'_>, tracks: &[Track], block: &mut Block) {
    let kinds = [
        ("track_script", TrackerKind::Script),
        ("track_file", TrackerKind::File),
        ("track_process", TrackerKind::Process),
        ("track_bfd", TrackerKind::Bfd),
    ];
    for (keyword, kind) in kinds {
        let entries = tracks.iter().filter(|track| track.kind == kind).map(|track| {
            let mut line = vec![words::plain(&track.name)];
            let own = writer.config.trackers.weight(kind, &track.name);
            if own != Some((track.weight, track.reverse)) {
                line.extend(["weight".to_owned(), track.weight.to_string()]);
                let own = own.is_some_and(|(_, reverse)| reverse);
                match (track.reverse, own) {
                    (true, false) => line.push("reverse".to_owned()),
                    (false, true) => line.push("noreverse".to_owned()),
                    _ => {}
                }
            }
            data(line)
        });
        block.entries(keyword, entries.collect());
    }
}

/// Scripts in the order of their numbers, which they keep that way.
fn notify(writer: &Writer<'_>, notify: &Notify, priority_changes: bool, block: &mut Block) {
    let scripts: [(&'static str, &Option<Script>); 7] = [
        ("notify_master", &notify.master),
        ("notify_backup", &notify.backup),
        ("notify_fault", &notify.fault),
        ("notify_stop", &notify.stop),
        ("notify", &notify.any),
        ("notify_master_rx_lower_pri", &notify.master_rx_lower_pri),
        ("notify_deleted", &notify.deleted_script),
    ];
    let mut scripts: Vec<(&'static str, &Script)> =
        scripts.into_iter().filter_map(|(keyword, script)| Some((keyword, script.as_ref()?))).collect();
    scripts.sort_by_key(|(_, script)| script.id);
    for (keyword, script) in scripts {
        block.line(keyword, writer.script(script));
    }
    block.flag("notify_deleted", notify.deleted && notify.deleted_script.is_none());
    block.switch("notify_priority_changes", notify.priority_changes, priority_changes);
}

/// The old form, where another instance has the daemon's.
fn sync_daemon(writer: &Writer<'_>, instance: &Instance, block: &mut Block) {
    let Some(interface) = &instance.lvs_sync_interface else { return };
    let global = writer.config.global.lvs.sync_daemon.as_ref();
    let said = global.is_some_and(|it| it.instance.as_ref() == Some(&instance.name) && it.interface == *interface);
    if !said {
        block.line("lvs_sync_daemon_interface", words::plain(interface));
    }
}
