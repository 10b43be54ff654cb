//! Instances, sync groups, and static lines.

use super::facts::{Facts, seconds};
use super::objects::Scripts;
use super::track;
use crate::conf::model::{
    Address, AddressFlags, Auth, Family, Garp, InitialState, Instance, Location, Notify, OldUnicastChecksum, Peer,
    Preempt, Route, Rule, SyncGroup, TrackGroup, Transport, Version, Vmac, VmacKind, Vmacs, lines,
};

pub(super) fn statics(addresses: &[Address], routes: &[Route], rules: &[Rule]) -> Facts {
    let mut facts = Facts::default();
    facts.each_with("static_ipaddress", addresses.iter().map(address));
    facts.each_with("static_routes", routes.iter().map(route));
    facts.each_with("static_rules", rules.iter().map(rule));
    facts
}

pub(super) fn track_group(of: &TrackGroup) -> Facts {
    let TrackGroup { name: _, members, addresses, routes, rules } = of;
    let mut facts = Facts::default();
    facts.each("group", members);
    // Places in other blocks.
    facts.hidden("its lines", Some(&(addresses, routes, rules)));
    facts
}

pub(super) fn instance(of: &Instance, scripts: Scripts<'_>) -> Facts {
    let Instance {
        name: _,
        location: _,
        family,
        version,
        vrid,
        interface,
        vmacs,
        vrf,
        initial_state,
        priority,
        advert_interval,
        down_timer_adverts,
        addresses,
        excluded,
        preempt,
        accept,
        strict,
        auth,
        hmac,
        source,
        transport,
        track_primary,
        track_source,
        tracked_interfaces,
        tracks,
        routes,
        rules,
        garp: their_garp,
        lower_prio_no_advert,
        higher_prio_send_advert,
        owner_ignore_adverts,
        skip_check_adv_addr,
        v3_checksum_as_v2,
        old_unicast_checksum,
        timer_expired_backup,
        promote_secondaries,
        use_linkbeat,
        receive_buffer,
        notify: their_notify,
        // The group says who its members are.
        sync_group: _,
        lvs_sync_interface,
        smtp_alert,
    } = of;
    let mut facts = Facts::default();
    facts.maybe("interface", interface.as_ref());
    facts.one("virtual_router_id", vrid);
    facts.one("family", if *family == Family::V4 { "inet" } else { "inet6" });
    facts.one("version", if *version == Version::V2 { 2 } else { 3 });
    facts.maybe("vrf", vrf.as_ref());
    their_vmacs(&mut facts, vmacs);
    facts.one("state", if *initial_state == InitialState::Master { "MASTER" } else { "BACKUP" });
    facts.one("priority", priority);
    facts.one("advert_int", seconds(*advert_interval));
    facts.one("down_timer_adverts", down_timer_adverts);
    facts.each_with("virtual_ipaddress", addresses.iter().map(address));
    facts.each_with("virtual_ipaddress_excluded", excluded.iter().map(address));
    match preempt {
        Preempt::Never => facts.flag("nopreempt", true),
        Preempt::After(delay) => facts.maybe("preempt_delay", (!delay.is_zero()).then(|| seconds(*delay))),
    }
    facts.flag("no_accept", !accept);
    facts.flag("strict_mode", *strict);
    let kind = auth.as_ref().map(|auth| match auth {
        Auth::Pass(key) => ("PASS", key),
        Auth::Ah(key) => ("AH", key),
    });
    facts.maybe("auth_type", kind.map(|(kind, _)| kind));
    facts.hidden("auth_pass", kind.map(|(_, key)| key));
    facts.flag("auth_hmac", *hmac);
    let sent_from = matches!(transport, Transport::Unicast { .. });
    facts.maybe(if sent_from { "unicast_src_ip" } else { "mcast_src_ip" }, *source);
    match transport {
        Transport::Multicast { group } => facts.one("mcast_dst_ip", group),
        Transport::Unicast { peers, ttl, check_source, fault_without_peers } => {
            facts.each("unicast_peer", peers.iter().map(peer));
            facts.maybe("unicast_ttl", *ttl);
            facts.flag("check_unicast_src", *check_source);
            facts.flag("unicast_fault_no_peer", *fault_without_peers);
        }
    }
    facts.flag("dont_track_primary", !track_primary);
    facts.flag("track_src_ip", *track_source);
    track::lines(&mut facts, tracked_interfaces, tracks);
    facts.each_with("virtual_routes", routes.iter().map(route));
    facts.each_with("virtual_rules", rules.iter().map(rule));
    garp(&mut facts, their_garp);
    facts.flag("lower_prio_no_advert", *lower_prio_no_advert);
    facts.flag("higher_prio_send_advert", *higher_prio_send_advert);
    facts.flag("owner_ignore_adverts", *owner_ignore_adverts);
    facts.flag("skip_check_adv_addr", *skip_check_adv_addr);
    facts.flag("v3_checksum_as_v2", *v3_checksum_as_v2);
    let checksum = match old_unicast_checksum {
        OldUnicastChecksum::Detect => None,
        OldUnicastChecksum::Always => Some(""),
        OldUnicastChecksum::Never => Some("never"),
    };
    facts.maybe("old_unicast_checksum", checksum);
    facts.maybe("timer_expired_backup", *timer_expired_backup);
    facts.flag("promote_secondaries", *promote_secondaries);
    facts.flag("linkbeat_use_polling", *use_linkbeat);
    facts.maybe("kernel_rx_buf_size", *receive_buffer);
    notify(&mut facts, their_notify, scripts);
    facts.maybe("lvs_sync_daemon_interface", lvs_sync_interface.as_ref());
    facts.flag("smtp_alert", *smtp_alert);
    facts
}

pub(super) fn sync_group(of: &SyncGroup, scripts: Scripts<'_>) -> Facts {
    let SyncGroup {
        location: _,
        name: _,
        members,
        tracking_weight,
        tracks,
        tracked_interfaces,
        notify: their_notify,
        smtp_alert,
    } = of;
    let mut facts = Facts::default();
    facts.each("group", members);
    facts.flag("sync_group_tracking_weight", *tracking_weight);
    track::lines(&mut facts, tracked_interfaces, tracks);
    notify(&mut facts, their_notify, scripts);
    facts.flag("smtp_alert", *smtp_alert);
    facts
}

fn their_vmacs(facts: &mut Facts, of: &Vmacs) {
    let Vmacs { own, transmit_on_base, others } = of;
    let word = |vmac: &Vmac| match vmac.kind {
        VmacKind::Macvlan { .. } => "use_vmac",
        VmacKind::Ipvlan { .. } => "use_ipvlan",
    };
    let line = |vmac: &Vmac| {
        let Vmac { name, base, family: _, kind: _, group: _ } = vmac;
        (format!("{name} on {base}"), format!("{vmac:?}"))
    };
    if let Some(own) = own {
        let (text, print) = line(own);
        facts.with(word(own), text, print);
    }
    facts.flag("vmac_xmit_base", *transmit_on_base);
    facts.each_with("use_vmac_addr", others.iter().map(line));
}

fn garp(facts: &mut Facts, of: &Garp) {
    let Garp {
        delay,
        repeat,
        refresh,
        refresh_repeat,
        lower_prio_delay,
        lower_prio_repeat,
        interval,
        gna_interval,
        extra_interval,
        extra_all,
    } = of;
    facts.one("garp_master_delay", seconds(*delay));
    facts.one("garp_master_repeat", repeat);
    facts.one("garp_master_refresh", seconds(*refresh));
    facts.one("garp_master_refresh_repeat", refresh_repeat);
    facts.one("garp_lower_prio_delay", seconds(*lower_prio_delay));
    facts.one("garp_lower_prio_repeat", lower_prio_repeat);
    facts.one("garp_interval", seconds(*interval));
    facts.one("gna_interval", seconds(*gna_interval));
    let all = if *extra_all { "all " } else { "" };
    facts.one("garp_extra_if", format_args!("{all}{}", seconds(*extra_interval)));
}

fn notify(facts: &mut Facts, of: &Notify, scripts: Scripts<'_>) {
    let Notify { master, backup, fault, stop, any, master_rx_lower_pri, deleted_script, deleted, priority_changes } =
        of;
    for (keyword, script) in [
        ("notify_master", master),
        ("notify_backup", backup),
        ("notify_fault", fault),
        ("notify_stop", stop),
        ("notify", any),
        ("notify_master_rx_lower_pri", master_rx_lower_pri),
        ("notify_deleted", deleted_script),
    ] {
        scripts.tell(facts, keyword, script.as_ref());
    }
    if deleted_script.is_none() {
        facts.flag("notify_deleted", *deleted);
    }
    facts.flag("notify_priority_changes", *priority_changes);
}

fn peer(of: &Peer) -> String {
    let Peer { address, min_ttl, max_ttl } = of;
    let mut text = address.to_string();
    for (word, ttl) in [("min_ttl", min_ttl), ("max_ttl", max_ttl)] {
        if let Some(ttl) = ttl {
            text += &format!(" {word} {ttl}");
        }
    }
    text
}

/// Its line, without what goes without saying.
pub(in crate::conf) fn address(of: &Address) -> (String, String) {
    let Address {
        location: _,
        address,
        prefix,
        interface,
        scope,
        broadcast,
        label,
        peer,
        flags: AddressFlags { home, dad, mngtmpaddr, noprefixroute, autojoin },
        preferred_lifetime,
        no_track,
    } = of;
    let mut text = format!("{address}/{prefix} dev {interface}");
    let mut word = |word: &str, value: Option<String>| {
        if let Some(value) = value {
            text += &format!(" {word} {value}");
        }
    };
    word("label", label.clone());
    word("peer", peer.map(|peer| peer.to_string()));
    word("brd", broadcast.map(|broadcast| broadcast.to_string()));
    word("scope", (*scope != 0).then(|| scope.to_string()));
    let flags = (home, dad, mngtmpaddr, noprefixroute, autojoin, preferred_lifetime, no_track);
    (text, format!("{flags:?}"))
}

fn route(of: &Route) -> (String, String) {
    (lines::route(of), format!("{:?}", Route { location: Location::default(), ..of.clone() }))
}

fn rule(of: &Rule) -> (String, String) {
    (lines::rule(of), format!("{:?}", Rule { location: Location::default(), ..of.clone() }))
}
