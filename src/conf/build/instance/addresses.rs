//! The addresses of an instance: announced, excluded, of the other family, too many or none.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{ADDRESSES_MAX, Draft, name};
use crate::conf::build::{Builder, address};
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{Address, Version};
use crate::conf::parse::{Line, Node};
use crate::conf::values::Value;

impl Draft<'_> {
    pub(super) fn addresses(&self, builder: &mut Builder<'_>, interface: Option<&str>) -> (Vec<Address>, Vec<Address>) {
        let mut addresses: Vec<Address> = Vec::new();
        let mut excluded: Vec<Address> = Vec::new();
        let mut seen: HashMap<(IpAddr, u8, String), (Span, bool)> = HashMap::new();
        let mut mixed = false;
        for block in &self.node.children {
            let announced = block.name() == "virtual_ipaddress";
            if !announced && block.name() != "virtual_ipaddress_excluded" {
                continue;
            }
            for line in &block.entries {
                let Some(address) = address::build(builder, line, interface, false) else { continue };
                let at = line.first().map_or(line.span, |value| value.word.span);
                let key = (address.address, address.prefix, address.interface.clone());
                if let Some(first) = seen.get(&key) {
                    // Keepalived looks for duplicates in each list alone.
                    let (first, listed) = *first;
                    let diagnostic =
                        Diagnostic::warning("duplicate-address", at, format!("{} is listed already", address.address))
                            .related(first, "first listed here")
                            .hint("delete one of the lines");
                    builder.report(if listed == announced { diagnostic } else { diagnostic.silent() });
                    continue;
                }
                seen.insert(key, (at, announced));
                self.remark(builder, line, &address, at);
                if announced && address.family() != self.family {
                    if !mixed {
                        let message = format!(
                            "{} is {}, but {} is an {} instance: addresses of the other family are moved, and not announced",
                            address.address,
                            name(address.family()),
                            self.name,
                            name(self.family)
                        );
                        builder.report(Diagnostic::warning("mixed-families", at, message).hint(
                            "Keepalived ignores them; list them in virtual_ipaddress_excluded, or in a second instance",
                        ));
                    }
                    mixed = true;
                    excluded.push(address);
                } else if announced && addresses.len() == ADDRESSES_MAX {
                    builder.report(
                        Diagnostic::warning(
                            "too-many-addresses",
                            at,
                            "an advert holds 255 addresses: this one is moved, and not announced",
                        )
                        .hint("list it in virtual_ipaddress_excluded, on every router"),
                    );
                    excluded.push(address);
                } else if announced {
                    addresses.push(address);
                } else {
                    excluded.push(address);
                }
            }
        }
        self.no_addresses(builder, addresses.is_empty());
        if self.strict
            && let Some(first) = addresses.first()
            && let IpAddr::V6(ip) = first.address
            && !ip.is_unicast_link_local()
        {
            builder.report(
                Diagnostic::warning(
                    "link-local-first",
                    self.node.child("virtual_ipaddress").map_or(self.node.keyword.span, |block| block.keyword.span),
                    "in strict mode the first IPv6 address is a link-local one",
                )
                .hint("put an address of fe80::/10 first"),
            );
        }
        (addresses, excluded)
    }

    /// Remarks that compare an address with those of the host.
    fn remark(&self, builder: &mut Builder<'_>, line: &Line, address: &Address, at: Span) {
        let Some(interface) = builder.interface(&address.interface).cloned() else { return };
        let own = interface.addresses.iter().any(|(own, _)| *own == address.address);
        let owner = self.node.child("priority").and_then(Node::int) == Some(255);
        if own && !owner {
            builder.report(
                Diagnostic::warning(
                    "own-address",
                    at,
                    format!("{} is already configured on {}", address.address, interface.name),
                )
                .silent()
                .hint("only the address owner, with priority 255, should have it there"),
            );
            return;
        }
        if !matches!(line.value("addr"), Some(Value::Prefix(_, None))) {
            return;
        }
        let near = interface.addresses.iter().find(|(own, prefix)| in_network(address.address, *own, *prefix));
        if let Some((own, prefix)) = near {
            let full = if address.address.is_ipv4() { 32 } else { 128 };
            builder.report(
                Diagnostic::note("no-prefix", at, format!("no prefix is given: /{full} is used"))
                    .hint(format!("{} has {own}/{prefix}; maybe /{prefix} was meant", interface.name)),
            );
        }
    }

    fn no_addresses(&self, builder: &mut Builder<'_>, none: bool) {
        // Lines that were refused have been reported; that nothing is left follows from them.
        let written =
            self.node.children("virtual_ipaddress").any(|block| block.refused > 0 || !block.entries.is_empty());
        if !none {
            return;
        }
        let required = self.version == Version::V3 || self.strict;
        let accepted = self.node.child("no_virtual_ipaddress").is_some() && !self.strict;
        if accepted {
            return;
        }
        if required {
            builder.refused = true;
        }
        if written {
            return;
        }
        let at = self.node.keyword.span;
        let message = format!("{} has no virtual_ipaddress", self.name);
        builder.report(if required {
            Diagnostic::error("no-address", at, message)
                .hint("add virtual_ipaddress; version 3 and strict mode need at least one address")
                .refuses_start()
        } else {
            Diagnostic::warning("no-address", at, message).hint("add virtual_ipaddress, or no_virtual_ipaddress")
        });
    }
}

fn in_network(address: IpAddr, own: IpAddr, prefix: u8) -> bool {
    let kept = |bits: u128, width: u32| bits.checked_shr(width.saturating_sub(u32::from(prefix))).unwrap_or(0);
    match (address, own) {
        (IpAddr::V4(address), IpAddr::V4(own)) => {
            kept(u128::from(address.to_bits()), 32) == kept(u128::from(own.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(own)) => kept(address.to_bits(), 128) == kept(own.to_bits(), 128),
        _ => false,
    }
}
