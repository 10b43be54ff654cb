//! `vrrp_instance`: what its directives mean together.
//!
//! [`build`] makes one [`Instance`] per block and then checks them against each other. Corrections follow Keepalived:
//! each is reported, and the daemon runs with the corrected value.

mod addresses;
mod between;
mod timing;
mod transport;
mod vmac;

use std::collections::HashMap;
use std::net::IpAddr;

use super::global::{Defaults, version};
use super::group::{Groups, Membership};
use super::{Builder, notify};
use crate::conf::diag::{Class, Diagnostic, Span};
use crate::conf::lex::Word;
use crate::conf::model::{
    Auth, Family, InitialState, Instance, InstanceName, OldUnicastChecksum, Preempt, Priority, TrackedInterface,
    Transport, Version, Vmacs, Vrid,
};
use crate::conf::parse::Node;
use crate::conf::values::Value;

/// Adverts count addresses in one byte.
const ADDRESSES_MAX: usize = 255;
const OWNER: Priority = Priority::MAX;

/// Every instance that can run, in the order of the file.
pub fn build(builder: &mut Builder<'_>, nodes: &[Node], defaults: &Defaults, groups: &Groups<'_>) -> Vec<Instance> {
    let mut built: Vec<(Instance, &Node)> = Vec::new();
    let mut names: HashMap<&str, Span> = HashMap::new();
    for node in nodes.iter().filter(|node| node.name() == "vrrp_instance") {
        let Some(name) = node.text() else { continue };
        if let Some(first) = names.get(name) {
            builder.report(
                Diagnostic::error(
                    "duplicate-instance",
                    node.span(),
                    format!("vrrp_instance {name} is already defined"),
                )
                .related(*first, "first defined here")
                .hint("the second block is skipped; names are unique"),
            );
            continue;
        }
        names.insert(name, node.span());
        if let Some(instance) = Draft::new(builder, node, defaults, groups.of(name)).build(builder) {
            built.push((instance, node));
        }
    }
    between::between(builder, &built);
    vmac::place(builder, nodes, &mut built, defaults);
    built.into_iter().map(|(instance, _)| instance).collect()
}

struct Draft<'a> {
    node: &'a Node,
    defaults: &'a Defaults,
    group: Option<&'a Membership>,
    family: Family,
    version: Version,
    strict: bool,
    name: &'a str,
}

impl<'a> Draft<'a> {
    fn new(builder: &mut Builder<'_>, node: &'a Node, defaults: &'a Defaults, group: Option<&'a Membership>) -> Self {
        let family = family(node);
        let strict = node.child("strict_mode").and_then(Node::switch).or(defaults.strict).unwrap_or(false);
        let version = protocol(builder, node, family, strict).unwrap_or(match family {
            Family::V4 => defaults.version.unwrap_or(Version::V2),
            Family::V6 => Version::V3,
        });
        if let Some(child) = node.child("native_ipv6").filter(|_| family == Family::V4) {
            builder.report(
                Diagnostic::warning("native-ipv6", child.keyword.span, "native_ipv6 after an IPv4 address is ignored")
                    .hint("the first address decides the family; delete the line"),
            );
        }
        Draft { node, defaults, group, family, version, strict, name: node.text().unwrap_or_default() }
    }

    fn build(&self, builder: &mut Builder<'_>) -> Option<Instance> {
        let node = self.node;
        let vrid = self.vrid(builder);
        let source = self.source(builder);
        let peers = self.peers(builder);
        let interface = self.interface(builder, !peers.is_empty(), source);
        let priority_given = node.children("priority").filter_map(|child| child.int()).next_back();
        let state = self.state();
        let mut priority = priority_given.and_then(|number| u8::try_from(number).ok()).and_then(Priority::new);
        if priority.is_none() && state == Some(InitialState::Master) && node.child("priority").is_none() {
            if let Some(child) = node.child("state") {
                builder.report(
                    Diagnostic::warning(
                        "master-without-priority",
                        child.keyword.span,
                        "state MASTER without a priority means 255, the address owner: no peer can ever win",
                    )
                    .silent()
                    .hint("add a priority below 255"),
                );
            }
            priority = Some(OWNER);
        }
        let priority = priority.or(Priority::new(100))?;
        let hmac = self.hmac(builder);
        let auth = self.authentication(builder, hmac);
        let mut initial_state = match (state, priority) {
            (Some(state), _) => state,
            (None, OWNER) => InitialState::Master,
            (None, _) => InitialState::Backup,
        };
        initial_state = self.corrected_state(builder, initial_state, priority, auth.as_ref());
        let (mut addresses, mut excluded) = self.addresses(builder, interface.as_deref());
        if interface.is_none() && source.is_some() {
            self.place_everywhere(builder, &mut addresses);
            self.place_everywhere(builder, &mut excluded);
        }
        let owner = priority == OWNER;
        let preempt = self.preempt(builder, initial_state, owner);
        let advert_interval = self.advert_interval(builder);
        let transport = self.transport(builder, peers);
        if self.strict && matches!(transport, Transport::Unicast { .. }) {
            self.strict_unicast(builder, interface.as_deref());
        }
        let flag = |name: &str| node.child(name).is_some();
        let switch = |name: &str, default: bool| node.child(name).and_then(Node::switch).unwrap_or(default);
        let tracked = self.tracked(builder, interface.as_deref(), owner);
        let instance = Instance {
            tracks: vec![],
            routes: vec![],
            rules: vec![],
            name: InstanceName(self.name.to_owned()),
            location: builder.location(node.keyword.span),
            family: self.family,
            version: self.version,
            vrid: vrid?,
            vrf: self.vrf(builder, interface.as_deref(), &transport),
            interface,
            vmacs: Vmacs::default(),
            initial_state,
            priority,
            advert_interval,
            down_timer_adverts: self.down_timer_adverts(builder),
            addresses,
            excluded,
            preempt,
            accept: self.accept(builder),
            strict: self.strict,
            auth,
            hmac,
            source,
            transport,
            track_primary: !flag("dont_track_primary"),
            track_source: flag("track_src_ip"),
            tracked_interfaces: tracked,
            garp: self.garp(builder),
            lower_prio_no_advert: self.strict_switch(
                builder,
                "lower_prio_no_advert",
                self.defaults.lower_prio_no_advert,
                true,
            ),
            higher_prio_send_advert: self.strict_switch(
                builder,
                "higher_prio_send_advert",
                self.defaults.higher_prio_send_advert,
                false,
            ),
            owner_ignore_adverts: self.owner_ignores(builder, owner),
            skip_check_adv_addr: switch("skip_check_adv_addr", self.defaults.skip_check_adv_addr),
            v3_checksum_as_v2: switch("v3_checksum_as_v2", self.defaults.v3_checksum_as_v2),
            old_unicast_checksum: match node.child("old_unicast_checksum") {
                None => OldUnicastChecksum::Detect,
                Some(child) if child.values.is_empty() => OldUnicastChecksum::Always,
                Some(child) if child.text().is_some() => OldUnicastChecksum::Never,
                Some(_) => OldUnicastChecksum::Detect,
            },
            timer_expired_backup: self.timer_expired(builder, preempt),
            promote_secondaries: flag("promote_secondaries"),
            use_linkbeat: self.linkbeat(builder),
            receive_buffer: number(node, "kernel_rx_buf_size"),
            notify: notify::read(builder, node),
            sync_group: self.group.map(|group| group.name.clone()),
            lvs_sync_interface: self.sync_interface(builder),
            smtp_alert: switch("smtp_alert", self.defaults.smtp_alert),
        };
        Some(instance)
    }

    /// Without an interface of the instance's own, each address must name one.
    fn place_everywhere(&self, builder: &mut Builder<'_>, addresses: &mut Vec<crate::conf::model::Address>) {
        addresses.retain(|address| {
            let placed = !address.interface.is_empty();
            if !placed {
                let message = format!("{} has no interface to be put on, as {} has none", address.address, self.name);
                let hint = "add `dev NAME` to its line; it is ignored now";
                builder.report(Diagnostic::error("address-nowhere", self.node.keyword.span, message).hint(hint));
            }
            placed
        });
    }

    fn vrid(&self, builder: &mut Builder<'_>) -> Option<Vrid> {
        if self.node.child("virtual_router_id").is_none() {
            builder.report(
                Diagnostic::error(
                    "vrid-missing",
                    self.node.keyword.span,
                    format!("virtual_router_id is missing in {}", self.name),
                )
                .hint(
                    "add `virtual_router_id` with a number from 1 to 255, the same on every router of these addresses",
                )
                .refuses_start(),
            );
            return None;
        }
        let good = self.node.children("virtual_router_id").filter_map(|child| child.int()).next_back();
        let vrid = good.and_then(|number| u8::try_from(number).ok()).and_then(Vrid::new);
        // A bad one has been reported by its type; without any other the instance cannot run.
        builder.refused |= vrid.is_none();
        vrid
    }

    fn interface(&self, builder: &mut Builder<'_>, unicast: bool, source: Option<IpAddr>) -> Option<String> {
        let node = self.node;
        let optional = unicast && source.is_some();
        let Some(child) = node.child("interface") else {
            if !optional {
                builder.report(
                    Diagnostic::error(
                        "interface-missing",
                        node.keyword.span,
                        format!("interface is missing in {}", self.name),
                    )
                    .hint("add `interface NAME`; only unicast with unicast_src_ip works without")
                    .refuses_start(),
                );
            } else if let Some(IpAddr::V6(source)) = source
                && source.is_unicast_link_local()
            {
                builder.report(
                    Diagnostic::error(
                        "interface-missing",
                        node.keyword.span,
                        format!("the link-local source {source} needs an interface"),
                    )
                    .hint("add `interface NAME`")
                    .refuses_start(),
                );
            }
            return None;
        };
        let Some(name) = child.text() else {
            builder.refused = true;
            return None;
        };
        if builder.interface_known(name, child.span())
            && builder.interface(name).is_some_and(|interface| interface.loopback)
            && !unicast
        {
            builder.report(
                Diagnostic::error(
                    "loopback",
                    child.span(),
                    format!("VRRP cannot run on the loopback interface {name}"),
                )
                .hint("name the interface towards the other routers")
                .refuses_start(),
            );
        }
        Some(name.to_owned())
    }

    fn state(&self) -> Option<InitialState> {
        let mut state = None;
        for child in self.node.children("state") {
            match (child.text(), state) {
                (Some("MASTER"), _) => state = Some(InitialState::Master),
                (_, None) => state = Some(InitialState::Backup),
                _ => {}
            }
        }
        state
    }

    fn corrected_state(
        &self,
        builder: &mut Builder<'_>,
        state: InitialState,
        priority: Priority,
        auth: Option<&Auth>,
    ) -> InitialState {
        let Some(child) = self.node.child("state") else { return state };
        let follows = if priority == OWNER { InitialState::Master } else { InitialState::Backup };
        if self.strict && state != follows {
            builder.report(
                Diagnostic::warning("strict-state", child.span(), "in strict mode the state follows the priority")
                    .hint("MASTER goes with priority 255, BACKUP with any other"),
            );
            return follows;
        }
        if matches!(auth, Some(Auth::Ah(_))) && state == InitialState::Master {
            builder.report(
                Diagnostic::warning("ah-master", child.span(), "AH authentication does not go with state MASTER")
                    .hint("the instance starts as BACKUP"),
            );
            return InitialState::Backup;
        }
        state
    }

    /// Whether an `auth_hmac` block asks for signed adverts. Without a key to sign with it is as if it were not there, as
    /// Keepalived has it.
    fn hmac(&self, builder: &mut Builder<'_>) -> bool {
        let Some(block) = self.node.child("auth_hmac") else { return false };
        let id = block.children("active_key").filter_map(Node::int).next_back();
        let signs = block.children("key").any(|key| key.int().is_some() && key.int() == id);
        if !signs {
            let message = "auth_hmac has no effect: active_key names no key";
            let hint = "define `key ID VALUE` and name it with `active_key ID`";
            builder.report(Diagnostic::warning("auth-hmac", block.keyword.span, message).hint(hint));
        }
        signs
    }

    fn authentication(&self, builder: &mut Builder<'_>, hmac: bool) -> Option<Auth> {
        let block = self.node.child("authentication")?;
        let at = block.keyword.span;
        let drop = |builder: &mut Builder<'_>, message: &str, hint: &str| {
            builder.report(Diagnostic::warning("authentication", at, message).hint(hint));
        };
        if self.version == Version::V3 {
            drop(builder, "VRRPv3 has no authentication: the block is ignored", "use version 2, or delete the block");
            return None;
        }
        if self.strict {
            drop(builder, "strict mode has no authentication: the block is ignored", "delete the block");
            return None;
        }
        if hmac {
            drop(builder, "auth_hmac takes the place of this block: it is ignored", "delete one of the blocks");
            return None;
        }
        let kind = block.child("auth_type")?;
        let Some(word) = block.child("auth_pass").and_then(|child| child.word("secret")) else {
            // A password on the line of auth_type has been reported there.
            if kind.extra.iter().all(|word| word.text != "auth_pass") && block.child("auth_pass").is_none() {
                builder.report(
                    Diagnostic::error("authentication", at, "auth_pass is missing: adverts are not authenticated")
                        .hint("add `auth_pass` with up to eight characters"),
                );
            }
            return None;
        };
        let bytes = word.bytes();
        let mut password = [0; 8];
        for (place, byte) in password.iter_mut().zip(&bytes) {
            *place = *byte;
        }
        if bytes.len() > 8 {
            builder.report(
                Diagnostic::warning("password-length", word.span, "only the first 8 bytes of a password count")
                    .hint("shorten the password on every router"),
            );
        }
        match kind.text()? {
            "AH" if self.family == Family::V6 => {
                drop(builder, "AH authentication works with IPv4 only", "delete the block");
                None
            }
            "AH" => Some(Auth::Ah(password)),
            _ => Some(Auth::Pass(password)),
        }
    }

    fn accept(&self, builder: &mut Builder<'_>) -> bool {
        let mut accept = !self.strict;
        for child in &self.node.children {
            match child.name() {
                "accept" if self.strict && self.version == Version::V2 => builder.report(
                    Diagnostic::warning("strict-accept", child.keyword.span, "strict VRRPv2 has no accept mode")
                        .hint("delete the line"),
                ),
                "accept" => accept = true,
                "no_accept" => accept = false,
                _ => {}
            }
        }
        accept
    }

    fn strict_switch(&self, builder: &mut Builder<'_>, word: &str, default: bool, strict: bool) -> bool {
        let child = self.node.child(word);
        let wanted = child.and_then(Node::switch);
        if !self.strict {
            return wanted.unwrap_or(default);
        }
        if let Some(child) = child.filter(|_| wanted == Some(!strict)) {
            let value = if strict { "on" } else { "off" };
            builder.report(
                Diagnostic::warning("strict", child.span(), format!("in strict mode {word} is {value}"))
                    .hint("delete the line"),
            );
        }
        strict
    }

    fn owner_ignores(&self, builder: &mut Builder<'_>, owner: bool) -> bool {
        let child = self.node.child("owner_ignore_adverts");
        let wanted = child.and_then(Node::switch);
        if self.strict && owner {
            return true;
        }
        if let Some(child) = child.filter(|_| wanted == Some(true) && !owner) {
            builder.report(
                Diagnostic::warning("owner", child.keyword.span, "owner_ignore_adverts is for priority 255 only")
                    .hint("delete the line"),
            );
        }
        owner && wanted.unwrap_or(self.defaults.owner_ignore_adverts)
    }

    fn down_timer_adverts(&self, builder: &mut Builder<'_>) -> u32 {
        let own = number(self.node, "down_timer_adverts");
        if self.strict {
            if let Some(child) =
                self.node.child("down_timer_adverts").filter(|_| own.is_some_and(|adverts| adverts != 3))
            {
                builder.report(
                    Diagnostic::warning("strict", child.span(), "in strict mode down_timer_adverts is 3")
                        .hint("delete the line"),
                );
            }
            return 3;
        }
        own.unwrap_or(self.defaults.down_timer_adverts)
    }

    fn timer_expired(&self, builder: &mut Builder<'_>, preempt: Preempt) -> Option<Priority> {
        let child = self.node.child("timer_expired_backup")?;
        if preempt != Preempt::Never {
            builder.report(
                Diagnostic::warning(
                    "timer-expired",
                    child.keyword.span,
                    "timer_expired_backup has no effect without nopreempt",
                )
                .hint("delete the line"),
            );
            return None;
        }
        match child.values.first() {
            None => Priority::new(254),
            Some(_) => child.int().and_then(|priority| u8::try_from(priority).ok()).and_then(Priority::new),
        }
    }

    fn linkbeat(&self, builder: &mut Builder<'_>) -> bool {
        let Some(child) = self.node.child("linkbeat_use_polling") else { return false };
        builder.deprecated(child, "name the interface in a linkbeat_interfaces block");
        true
    }

    fn tracked(&self, builder: &mut Builder<'_>, own: Option<&str>, owner: bool) -> Vec<TrackedInterface> {
        let mut tracked: Vec<TrackedInterface> = Vec::new();
        for line in self.node.children("track_interface").flat_map(|block| &block.entries) {
            let Some(word) = line.first().map(|value| &value.word) else { continue };
            let name = word.text.as_str();
            if word.is_undefined() || !builder.interface_known(name, word.span) {
                continue;
            }
            if own == Some(name) {
                builder.report(
                    Diagnostic::note("track-own", word.span, format!("{name} is tracked anyway: this line is dropped"))
                        .class(Class::General)
                        .hint("delete the line; dont_track_primary turns that tracking off"),
                );
                continue;
            }
            if tracked_already(builder, &tracked, word) {
                continue;
            }
            let weight = line.option("weight");
            let number = match weight.and_then(|option| option.value()) {
                Some(Value::Int(weight)) => i16::try_from(*weight).unwrap_or(0),
                _ => 0,
            };
            let at = weight.map_or(word.span, |option| option.word.span);
            if number != 0 && owner {
                builder.report(
                    Diagnostic::warning("owner-weight", at, "a weight cannot change priority 255: the line is dropped")
                        .hint("use a priority below 255"),
                );
                continue;
            }
            let shared = self.group.filter(|group| group.interfaces.iter().any(|it| it == name));
            if let Some(group) = shared {
                // Keepalived's rule: weight 0 puts the instance in fault, any other is shown and gives way to the group's.
                let hint =
                    if number == 0 { "delete one of the lines" } else { "delete the line: only the group's counts" };
                let message = format!("{name} is tracked by sync group {} already", group.name);
                builder.report(Diagnostic::warning("duplicate-track", word.span, message).hint(hint));
            }
            let mut number = number;
            if number != 0
                && shared.is_none()
                && let Some(group) = self.group.filter(|group| !group.weighted)
            {
                let message = format!("{} is in sync group {}: the weight is read as 0", self.name, group.name);
                builder.report(
                    Diagnostic::warning("group-weight", at, message)
                        .hint("add sync_group_tracking_weight to the group, or delete the weight"),
                );
                number = 0;
            }
            let reverse = line.option("reverse").is_some();
            tracked.push(TrackedInterface { interface: name.to_owned(), weight: number, reverse });
        }
        tracked
    }

    fn sync_interface(&self, builder: &mut Builder<'_>) -> Option<String> {
        let global = self.defaults.sync_daemon.as_ref().filter(|(_, instance)| instance == self.name);
        let own = self.node.child("lvs_sync_daemon_interface");
        if let Some(child) = own {
            builder.deprecated(child, "write `lvs_sync_daemon INTERFACE INSTANCE` in global_defs");
        }
        global.map(|(interface, _)| interface.clone()).or_else(|| own?.text().map(str::to_owned))
    }
}

/// The family of an instance is that of the first address that appears in it; IPv4 without any.
fn family(node: &Node) -> Family {
    node.children.iter().find_map(family_of).unwrap_or(Family::V4)
}

/// The family that a directive decides.
fn family_of(node: &Node) -> Option<Family> {
    match node.name() {
        "mcast_src_ip" | "unicast_src_ip" | "mcast_dst_ip" => node.ip().map(Family::of),
        "unicast_peer" | "virtual_ipaddress" => {
            node.entries.iter().find_map(|line| match line.first()?.value.as_ref()? {
                Value::Ip(address) | Value::Prefix(address, _) => Some(Family::of(*address)),
                _ => None,
            })
        }
        "native_ipv6" => Some(Family::V6),
        _ => None,
    }
}

/// The version an instance asks for. VRRPv2 over IPv6 never became a standard: Keepalived speaks it when the version
/// stands before anything that makes the instance IPv6, and not in strict mode.
fn protocol(builder: &mut Builder<'_>, node: &Node, family: Family, strict: bool) -> Option<Version> {
    let child = node.child("version")?;
    let wanted = version(child)?;
    if wanted == Version::V3 || family == Family::V4 {
        return Some(wanted);
    }
    let before = node.children.iter().take_while(|other| other.keyword.span != child.keyword.span);
    let decided = before.into_iter().any(|other| family_of(other).is_some());
    if !decided && !strict {
        return Some(Version::V2);
    }
    builder.report(
        Diagnostic::warning("ipv6-version", child.span(), "IPv6 goes with version 3: version 2 is ignored")
            .hint("write `version 3`, or delete the line"),
    );
    None
}

fn number(node: &Node, word: &str) -> Option<u32> {
    node.children(word).filter_map(|child| child.int()).next_back().and_then(|number| u32::try_from(number).ok())
}

fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// A second line of one interface is told and dropped.
pub(super) fn tracked_already(builder: &mut Builder<'_>, tracked: &[TrackedInterface], word: &Word) -> bool {
    let name = word.text.as_str();
    let already = tracked.iter().any(|known| known.interface == name);
    if already {
        builder.report(
            Diagnostic::warning("duplicate-track", word.span, format!("{name} is tracked already"))
                .hint("delete one of the lines"),
        );
    }
    already
}
