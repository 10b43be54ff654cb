//! `use_vmac`, `use_ipvlan` and `use_vmac_addr`: which interfaces an instance makes, what they are called, and which
//! addresses go there.
//!
//! Done when every instance is known, because names must not collide. Whether the host has something else of that name
//! is found out at run time: the daemon's own interfaces are there, too, when a file is read again.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use super::{Draft, name as family_name};
use crate::conf::build::Builder;
use crate::conf::build::global::Defaults;
use crate::conf::build::routing::names::{Kind, Names};
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{
    Address, Family, Instance, IpvlanMode, Location, Transport, Vmac, VmacKind, Vmacs, virtual_mac,
};
use crate::conf::parse::Node;
use crate::conf::values::Value;

/// Longest name of an interface, in bytes.
const NAME_MAX: usize = 15;

/// Gives instances their interfaces, and the addresses that go there their places.
pub(super) fn place(builder: &mut Builder<'_>, nodes: &[Node], built: &mut [(Instance, &Node)], defaults: &Defaults) {
    let mut planner = Planner { defaults, names: Names::new(nodes), taken: HashSet::new() };
    // Names that were asked for go before those that are made up.
    let asked: Vec<Asked> = built.iter().map(|(instance, node)| planner.ask(builder, instance, node)).collect();
    for ((instance, node), asked) in built.iter_mut().zip(asked) {
        planner.give(builder, instance, node, asked);
    }
}

impl Draft<'_> {
    /// `vrf`, for a unicast instance that has no interface.
    pub(super) fn vrf(
        &self,
        builder: &mut Builder<'_>,
        interface: Option<&str>,
        transport: &Transport,
    ) -> Option<String> {
        let mut children = self.node.children("vrf");
        let child = children.next()?;
        for second in children {
            builder.already_set(second);
        }
        let name = child.text()?;
        let problem = if interface.is_some() {
            "the interface of the instance decides about its VRF"
        } else if !matches!(transport, Transport::Unicast { .. }) {
            "a VRF is for unicast instances"
        } else if builder.interface(name).is_none() && !builder.dynamic_interfaces {
            "there is no such interface"
        } else {
            return Some(name.to_owned());
        };
        builder.report(
            Diagnostic::warning("vrf", child.span(), format!("{problem}: vrf {name} is ignored"))
                .hint("name a VRF of this host in a unicast instance without interface, or delete the line"),
        );
        None
    }
}

struct Planner<'d> {
    defaults: &'d Defaults,
    names: Names,
    taken: HashSet<String>,
}

/// What the words behind `use_vmac` or `use_ipvlan` say.
#[derive(Default)]
struct Asked {
    own: Option<Own>,
}

struct Own {
    name: Option<String>,
    kind: VmacKind,
    group: u32,
}

impl<'d> Planner<'d> {
    fn prefix(&self) -> &'d str {
        self.defaults.vmac_prefix.as_deref().unwrap_or("vrrp")
    }

    fn ask(&mut self, builder: &mut Builder<'_>, instance: &Instance, node: &Node) -> Asked {
        let (vmac, ipvlan) = (node.child("use_vmac"), node.child("use_ipvlan"));
        let Some(child) = vmac.or(ipvlan) else { return Asked::default() };
        if let (Some(_), Some(second)) = (vmac, ipvlan) {
            builder.report(
                Diagnostic::warning("vmac-and-ipvlan", second.keyword.span, "use_vmac is set: use_ipvlan is ignored")
                    .hint("keep one of the two"),
            );
        }
        if instance.interface.is_none() {
            builder.report(
                Diagnostic::warning(
                    "vmac-nowhere",
                    child.keyword.span,
                    format!("{} has no interface to make another on: the line is ignored", instance.name),
                )
                .hint("add `interface NAME`"),
            );
            return Asked::default();
        }
        let mut own = Own {
            name: None,
            kind: match vmac {
                Some(_) => VmacKind::Macvlan { mac: virtual_mac(instance.family, instance.vrid) },
                None => VmacKind::Ipvlan { mode: IpvlanMode::Bridge, address: None },
            },
            group: 0,
        };
        self.words(builder, instance, child, &mut own);
        if matches!(own.kind, VmacKind::Ipvlan { address: None, .. }) && instance.family == Family::V4 {
            builder.report(
                Diagnostic::warning(
                    "ipvlan-address",
                    child.keyword.span,
                    "an ipvlan for IPv4 needs an address of its own, which adverts are sent from",
                )
                .hint("add it to the line, with its prefix length; the instance stays in fault until then"),
            );
        }
        Asked { own: Some(own) }
    }

    fn words(&mut self, builder: &mut Builder<'_>, instance: &Instance, child: &Node, own: &mut Own) {
        let mut words = child.values.iter().map(|value| &value.word).peekable();
        let mut seen = BTreeSet::new();
        let mut once = |builder: &mut Builder<'_>, what: &'static str, at: Span| {
            let first = seen.insert(what);
            if !first {
                let message = format!("the {what} stands twice on this line: the first one counts");
                builder.report(Diagnostic::warning("vmac-word", at, message).hint("delete one of them"));
            }
            first
        };
        let is_vmac = matches!(own.kind, VmacKind::Macvlan { .. });
        while let Some(word) = words.next() {
            let at = word.span;
            match word.text.as_str() {
                "netlink_notify_msg" if is_vmac => {}
                "group" => {
                    let Some(word) = words.next() else {
                        let message = "`group` without a number or name is ignored";
                        builder.report(Diagnostic::warning("vmac-group", at, message).hint("add the group"));
                        continue;
                    };
                    let number = word.text.parse().ok();
                    let number = number.or_else(|| self.names.number(builder.files, Kind::Group, &word.text));
                    match number.or((!builder.host.is_known()).then_some(0)) {
                        Some(group) if once(builder, "group", word.span) => own.group = group,
                        Some(_) => {}
                        None => builder.report(
                            Diagnostic::warning(
                                "vmac-group",
                                word.span,
                                format!("no interface group {} in /etc/iproute2/group: ignored", word.text),
                            )
                            .hint("define it there, or use its number"),
                        ),
                    }
                }
                "name" if words.peek().is_some() => {
                    if let Some(word) = words.next()
                        && once(builder, "name", word.span)
                    {
                        own.name = self.name(builder, &word.text, word.span);
                    }
                }
                text @ ("bridge" | "private" | "vepa") if !is_vmac => {
                    if let VmacKind::Ipvlan { mode, .. } = &mut own.kind
                        && once(builder, "mode", at)
                    {
                        *mode = match text {
                            "private" => IpvlanMode::Private,
                            "vepa" => IpvlanMode::Vepa,
                            _ => IpvlanMode::Bridge,
                        };
                    }
                }
                text if is_vmac && text.contains(':') => {
                    if once(builder, "MAC", at)
                        && let Some(chosen) = mac(builder, instance, text, at)
                    {
                        own.kind = VmacKind::Macvlan { mac: chosen };
                    }
                }
                text if !is_vmac && address_of(text, instance.family).is_some() => {
                    if let VmacKind::Ipvlan { address, .. } = &mut own.kind
                        && once(builder, "address", at)
                    {
                        *address = address_of(text, instance.family);
                    }
                }
                text => {
                    if once(builder, "name", at) {
                        own.name = self.name(builder, text, at);
                    }
                }
            }
        }
    }

    /// A name that an operator wrote, unless nothing can be called so.
    fn name(&mut self, builder: &mut Builder<'_>, name: &str, at: Span) -> Option<String> {
        let problem = if name.is_empty() || name.len() > NAME_MAX {
            Some("is not from 1 to 15 bytes long")
        } else if name.contains('/') || name.contains(char::is_whitespace) || name == "." || name == ".." {
            Some("cannot be the name of an interface")
        } else if !self.taken.insert(name.to_owned()) {
            Some("is used by another instance")
        } else {
            None
        };
        if let Some(problem) = problem {
            builder.report(
                Diagnostic::warning("vmac-name", at, format!("{name} {problem}: a name is made up"))
                    .hint("choose another name"),
            );
            return None;
        }
        Some(name.to_owned())
    }

    /// `vrrp.51`; when that is taken `vrrp6.51` for IPv6, and then `vrrp1.51` and so on.
    fn make_up(&mut self, prefix: &str, family: Family, vrid: u8) -> String {
        let six = if family == Family::V6 { Some("6".to_owned()) } else { None };
        let middles = std::iter::once(String::new()).chain(six).chain((1..).map(|n: u32| n.to_string()));
        let mut names = middles.map(|middle| {
            let tail = format!("{middle}.{vrid}");
            let room = NAME_MAX.saturating_sub(tail.len());
            let kept = (0..=room.min(prefix.len())).rev().find(|at| prefix.is_char_boundary(*at)).unwrap_or(0);
            format!("{}{tail}", prefix.get(..kept).unwrap_or_default())
        });
        // There are more numbers than instances.
        let name = names.find(|name| !self.taken.contains(name)).unwrap_or_default();
        self.taken.insert(name.clone());
        name
    }

    fn give(&mut self, builder: &mut Builder<'_>, instance: &mut Instance, node: &Node, asked: Asked) {
        let (family, vrid) = (instance.family, instance.vrid);
        let mut vmacs = Vmacs::default();
        if let (Some(own), Some(base)) = (asked.own, instance.interface.clone()) {
            if let VmacKind::Ipvlan { address: Some((address, _)), .. } = own.kind
                && instance.source.is_none()
            {
                instance.source = Some(address);
            }
            let name = own.name.unwrap_or_else(|| self.make_up(self.prefix(), family, vrid.get()));
            vmacs.own = Some(Vmac { name, base, family, kind: own.kind, group: own.group });
        }
        vmacs.transmit_on_base = self.transmits_on_base(builder, instance, node, vmacs.own.as_ref());
        if let Some(child) = node.child("promote_secondaries").filter(|_| vmacs.own.is_some()) {
            builder.report(
                Diagnostic::warning(
                    "vmac-promote",
                    child.keyword.span,
                    "promote_secondaries has no meaning with an interface of the instance's own: ignored",
                )
                .hint("delete the line"),
            );
            instance.promote_secondaries = false;
        }
        let everywhere = node.child("use_vmac_addr").is_some();
        let lines = wanting_vmac(builder, node);
        let (group, own) = (vmacs.own.as_ref().map_or(0, |own| own.group), vmacs.own.clone());
        // Only adverts leave by an ipvlan: it has no MAC that addresses would have to move with, and Keepalived leaves them.
        let own = own.filter(|own| matches!(own.kind, VmacKind::Macvlan { .. }));
        for address in instance.addresses.iter_mut().chain(&mut instance.excluded) {
            let asked = lines.contains(&(address.location.clone(), address.address));
            if let Some(own) = own.as_ref().filter(|own| address.interface == own.base && address.family() == family) {
                if asked {
                    builder.report(
                        Diagnostic::warning(
                            "vmac-redundant",
                            node.keyword.span,
                            format!(
                                "{} is on {} anyway: use_vmac on its line changes nothing",
                                address.address, own.name
                            ),
                        )
                        .hint("delete it there"),
                    );
                }
                address.interface.clone_from(&own.name);
            } else if (asked || everywhere) && !address.interface.is_empty() {
                address.interface = self.other(&mut vmacs, address, vrid, group);
            }
        }
        instance.vmacs = vmacs;
    }

    /// The name of the macvlan for an address that is not where the instance's own are.
    fn other(&mut self, vmacs: &mut Vmacs, address: &Address, vrid: crate::conf::model::Vrid, group: u32) -> String {
        let family = address.family();
        let same = |it: &&Vmac| it.base == address.interface && it.family == family;
        if let Some(known) = vmacs.others.iter().find(same) {
            return known.name.clone();
        }
        let name = self.make_up(self.defaults.vmac_addr_prefix.as_deref().unwrap_or(self.prefix()), family, vrid.get());
        let kind = VmacKind::Macvlan { mac: virtual_mac(family, vrid) };
        vmacs.others.push(Vmac { name: name.clone(), base: address.interface.clone(), family, kind, group });
        name
    }

    fn transmits_on_base(
        &self,
        builder: &mut Builder<'_>,
        instance: &Instance,
        node: &Node,
        own: Option<&Vmac>,
    ) -> bool {
        let child = node.child("vmac_xmit_base");
        let unicast = matches!(instance.transport, Transport::Unicast { .. });
        let Some(own) = own else {
            if let Some(child) = child {
                let message = "vmac_xmit_base has no meaning without use_vmac or use_ipvlan";
                builder.report(Diagnostic::warning("xmit-base", child.keyword.span, message).hint("delete the line"));
            }
            return false;
        };
        match child {
            Some(child) if instance.strict => {
                let message = "in strict mode adverts come from the virtual MAC: vmac_xmit_base is ignored";
                builder.report(Diagnostic::warning("xmit-base", child.keyword.span, message).hint("delete the line"));
                unicast
            }
            Some(_) => true,
            None if unicast && matches!(own.kind, VmacKind::Macvlan { .. }) => {
                let message = "unicast adverts with use_vmac go out by the interface itself: vmac_xmit_base is set";
                let at = node.child("use_vmac").map_or(node.keyword.span, |child| child.keyword.span);
                builder.report(Diagnostic::warning("xmit-base", at, message).hint("add vmac_xmit_base"));
                true
            }
            None => false,
        }
    }
}

/// Addresses with `use_vmac` on their own line.
fn wanting_vmac(builder: &Builder<'_>, node: &Node) -> Vec<(Location, IpAddr)> {
    let blocks = ["virtual_ipaddress", "virtual_ipaddress_excluded"];
    let lines = node.children.iter().filter(|block| blocks.contains(&block.name())).flat_map(|block| &block.entries);
    let wanting = lines.filter(|line| line.option("use_vmac").is_some()).filter_map(|line| {
        let Value::Prefix(address, _) = *line.first()?.value.as_ref()? else { return None };
        Some((builder.location(line.span), address))
    });
    wanting.collect()
}

/// `address[/length]` of this family.
fn address_of(text: &str, family: Family) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok().filter(|address| Family::of(*address) == family)?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => full,
        Some(length) => length.parse().ok().filter(|length| *length <= full)?,
    };
    Some((address, length))
}

/// Six octets, or five that the VRID completes. Not a group address, and not what RFC 9568 gives to virtual routers: that
/// is the default anyway, for the right VRID.
fn mac(builder: &mut Builder<'_>, instance: &Instance, text: &str, at: Span) -> Option<[u8; 6]> {
    let octets: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let mut octets = octets.unwrap_or_default();
    if octets.len() == 5 {
        octets.push(instance.vrid.get());
    }
    let problem = match <[u8; 6]>::try_from(octets) {
        Err(_) => format!("{text} is not a MAC address"),
        Ok([first, ..]) if first & 1 != 0 => format!("{text} is a group address"),
        Ok([0, 0, 0x5e, 0, 1 | 2, _]) => {
            format!("{text} is one of the addresses that RFC 9568 gives to virtual routers")
        }
        Ok(mac) => return Some(mac),
    };
    let default = family_name(instance.family);
    builder.report(
        Diagnostic::warning("vmac-mac", at, format!("{problem}: the one for {default} and this VRID is used"))
            .hint("leave it out, or choose a locally administered unicast address"),
    );
    None
}
