//! One address line: of `static_ipaddress`, `virtual_ipaddress` or `virtual_ipaddress_excluded`.

use std::net::{IpAddr, Ipv4Addr};

use super::Builder;
use super::global::Defaults;
use crate::conf::diag::{Class, Diagnostic};
use crate::conf::model::{Address, AddressFlags};
use crate::conf::parse::{Line, Node};
use crate::conf::values::{Broadcast, Value};

/// The addresses of every `static_ipaddress` block.
pub fn statics(builder: &mut Builder<'_>, nodes: &[Node], defaults: &Defaults) -> Vec<Address> {
    let mut addresses: Vec<Address> = Vec::new();
    for line in nodes.iter().filter(|node| node.name() == "static_ipaddress").flat_map(|node| &node.entries) {
        let Some(address) = build(builder, line, Some(&defaults.interface), true) else { continue };
        if line.option("dev").is_none()
            && builder.interface(&address.interface).is_none()
            && !builder.dynamic_interfaces
        {
            builder.report(
                Diagnostic::error(
                    "no-interface",
                    line.span,
                    format!("no interface {} for this address", address.interface),
                )
                .class(Class::BadInterface)
                .hint("add `dev INTERFACE`, or set default_interface in global_defs"),
            );
            continue;
        }
        if addresses.iter().any(|known| same(known, &address)) {
            builder.report(
                Diagnostic::warning("duplicate-address", line.span, format!("{} is listed already", address.address))
                    .hint("delete one of the lines"),
            );
            continue;
        }
        addresses.push(address);
    }
    addresses
}

/// The kernel would refuse the second one.
pub fn same(left: &Address, right: &Address) -> bool {
    (left.address, left.prefix, &left.interface) == (right.address, right.prefix, &right.interface)
}

/// The address of a line; `None` when the line is dropped, with a report.
pub fn build(builder: &mut Builder<'_>, line: &Line, interface: Option<&str>, is_static: bool) -> Option<Address> {
    let Value::Prefix(ip, prefix) = *line.first()?.value.as_ref()? else { return None };
    let full = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(full);
    let mut address = Address {
        location: builder.location(line.span),
        address: ip,
        prefix,
        interface: interface.unwrap_or_default().to_owned(),
        scope: 0,
        broadcast: None,
        label: None,
        peer: None,
        flags: AddressFlags::default(),
        preferred_lifetime: (ip.is_ipv6() && prefix == 128).then_some(0),
        no_track: false,
    };
    let mut device = false;
    for option in &line.options {
        let text = match option.value() {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let v4_only = matches!(option.name, "scope" | "brd" | "label");
        if v4_only && ip.is_ipv6() {
            builder.report(
                Diagnostic::warning(
                    "ipv4-only",
                    option.word.span,
                    format!("`{}` has no meaning for an IPv6 address", option.word.text),
                )
                .hint("delete it"),
            );
            if option.name == "brd" {
                return None;
            }
            continue;
        }
        let span = option.values.first().map_or(option.word.span, |value| value.word.span);
        match option.name {
            "dev" => {
                if device {
                    builder.report(
                        Diagnostic::error("two-devices", option.word.span, "`dev` stands twice on this line")
                            .hint("the line is ignored; keep one of them"),
                    );
                    return None;
                }
                device = true;
                let name = text?;
                if !builder.interface_known(name, span) {
                    return None;
                }
                address.interface = name.to_owned();
            }
            "scope" => {
                if let Some(Value::Scope(scope)) = option.value() {
                    address.scope = *scope;
                }
            }
            "brd" => {
                if let Some(Value::Broadcast(wanted)) = option.value() {
                    address.broadcast = broadcast(builder, *wanted, ip, prefix, span);
                }
            }
            "label" => address.label = text.map(str::to_owned),
            "peer" => match option.value() {
                Some(Value::Ip(peer)) if peer.is_ipv4() == ip.is_ipv4() => address.peer = Some(*peer),
                Some(Value::Ip(peer)) => builder.report(
                    Diagnostic::error("peer-family", span, format!("peer {peer} is of another family than {ip}"))
                        .hint("the peer is ignored"),
                ),
                _ => {}
            },
            "home" => address.flags.home = true,
            "-nodad" => address.flags.dad = true,
            "mngtmpaddr" => address.flags.mngtmpaddr = true,
            "noprefixroute" => address.flags.noprefixroute = true,
            "autojoin" => address.flags.autojoin = true,
            "no_track" => address.no_track = true,
            "preferred_lft" => {
                if let Some(Value::Lifetime(seconds)) = option.value() {
                    address.preferred_lifetime = *seconds;
                }
            }
            "track_group" if !is_static => misplaced(builder, option.word.span, "track_group", "static_ipaddress"),
            "use_vmac" if is_static => misplaced(builder, option.word.span, "use_vmac", "virtual_ipaddress"),
            _ => {}
        }
    }
    if address.peer.is_some() && address.broadcast.is_some() {
        builder.report(
            Diagnostic::warning("peer-broadcast", line.span, "an address with a peer has no broadcast address")
                .hint("delete `brd`"),
        );
        address.broadcast = None;
    }
    Some(address)
}

fn misplaced(builder: &mut Builder<'_>, span: crate::conf::diag::Span, option: &str, block: &str) {
    builder.report(
        Diagnostic::warning("unknown-option", span, format!("`{option}` has no meaning here"))
            .hint(format!("it belongs in {block}")),
    );
}

fn broadcast(
    builder: &mut Builder<'_>,
    wanted: Broadcast,
    ip: IpAddr,
    prefix: u8,
    span: crate::conf::diag::Span,
) -> Option<Ipv4Addr> {
    let IpAddr::V4(ip) = ip else { return None };
    let fill = match wanted {
        Broadcast::Address(address) => return Some(address),
        Broadcast::Ones => true,
        Broadcast::Zeros => false,
    };
    if prefix > 30 {
        builder.report(
            Diagnostic::warning("broadcast", span, format!("a /{prefix} network has no broadcast address"))
                .hint("delete `brd`, or write the prefix of the network"),
        );
        return None;
    }
    let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    Some(Ipv4Addr::from_bits(if fill { ip.to_bits() | hosts } else { ip.to_bits() & !hosts }))
}
