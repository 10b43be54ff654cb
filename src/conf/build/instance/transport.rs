//! How adverts travel: source, peers or group.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Draft, name};
use crate::conf::build::Builder;
use crate::conf::build::global::link_local;
use crate::conf::diag::{Class, Diagnostic};
use crate::conf::model::{Family, Peer, Transport};
use crate::conf::parse::Node;
use crate::conf::values::Value;

impl Draft<'_> {
    pub(super) fn source(&self, builder: &mut Builder<'_>) -> Option<IpAddr> {
        let mut source = None;
        for child in &self.node.children {
            if !matches!(child.name(), "mcast_src_ip" | "unicast_src_ip") {
                continue;
            }
            let Some(address) = child.ip() else { continue };
            if Family::of(address) == self.family {
                source = Some(address);
            } else {
                let message =
                    format!("source {address} is of another family than the instance ({})", name(self.family));
                builder.report(Diagnostic::error("source-family", child.span(), message).hint("the line is ignored"));
            }
        }
        source
    }

    pub(super) fn peers(&self, builder: &mut Builder<'_>) -> Vec<Peer> {
        let mut peers: Vec<Peer> = Vec::new();
        let mut places = HashMap::new();
        for line in self.node.children("unicast_peer").flat_map(|block| &block.entries) {
            let (Some(first), Some(Value::Ip(address))) = (line.first(), line.value("addr")) else { continue };
            let address = *address;
            if Family::of(address) != self.family {
                let message = format!("peer {address} is of another family than the instance ({})", name(self.family));
                builder.report(
                    Diagnostic::error("peer-family", first.word.span, message)
                        .hint("one instance has one family; make another for the other one"),
                );
                continue;
            }
            if let Some(known) = places.insert(address, first.word.span) {
                places.insert(address, known);
                builder.report(
                    Diagnostic::warning("duplicate-peer", first.word.span, format!("peer {address} is listed already"))
                        .related(known, "first listed here")
                        .hint("delete one of the lines"),
                );
                continue;
            }
            if builder.interfaces.iter().any(|interface| interface.addresses.iter().any(|(own, _)| *own == address)) {
                builder.report(
                    Diagnostic::warning("own-peer", first.word.span, format!("{address} is an address of this host"))
                        .silent()
                        .hint("list the other routers only"),
                );
            }
            if !builder.host.reaches(address) {
                builder.report(
                    Diagnostic::note(
                        "unreachable-peer",
                        first.word.span,
                        format!("no route to {address} from this host now"),
                    )
                    .hint("adverts cannot be sent until there is one; is the address right?"),
                );
            }
            let ttl = |name: &str| match line.option(name).and_then(|option| option.value()) {
                Some(Value::Int(ttl)) => u8::try_from(*ttl).ok(),
                _ => None,
            };
            peers.push(Peer { address, min_ttl: ttl("min_ttl"), max_ttl: ttl("max_ttl") });
        }
        peers
    }

    pub(super) fn transport(&self, builder: &mut Builder<'_>, peers: Vec<Peer>) -> Transport {
        let node = self.node;
        let fault = node.child("unicast_fault_no_peer").is_some();
        let words = ["unicast_src_ip", "unicast_peer", "unicast_ttl"];
        let wants_unicast = words.iter().any(|word| node.child(word).is_some());
        if peers.is_empty() && !(fault && wants_unicast) {
            // Peers that were refused have been reported themselves.
            let refused = node.children("unicast_peer").any(|block| block.refused > 0 || !block.entries.is_empty());
            let words = ["unicast_src_ip", "unicast_peer", "check_unicast_src"];
            let child = words.iter().find_map(|word| node.child(word));
            if let Some(child) = child.filter(|_| !refused) {
                builder.report(
                    Diagnostic::warning("no-peer", child.keyword.span, "no unicast_peer: adverts are multicast")
                        .class(Class::Deprecated)
                        .hint("add unicast_peer; for the source of multicast adverts write mcast_src_ip"),
                );
            }
            if let Some(child) = node.child("unicast_ttl") {
                builder.report(
                    Diagnostic::warning(
                        "no-peer",
                        child.keyword.span,
                        "unicast_ttl has no meaning without unicast peers",
                    )
                    .hint("delete the line, or add unicast_peer"),
                );
            }
            return Transport::Multicast { group: self.multicast_group(builder) };
        }
        if let Some(child) = node.child("mcast_dst_ip") {
            builder.report(
                Diagnostic::warning(
                    "mcast-unicast",
                    child.keyword.span,
                    "mcast_dst_ip has no meaning with unicast peers",
                )
                .hint("delete the line"),
            );
        }
        let ttl = node.child("unicast_ttl").and_then(Node::int).and_then(|ttl| u8::try_from(ttl).ok());
        Transport::Unicast {
            peers,
            ttl: ttl.or((self.family == Family::V4).then_some(255)),
            check_source: node.child("check_unicast_src").is_some() || self.defaults.check_unicast_src,
            fault_without_peers: fault,
        }
    }

    fn multicast_group(&self, builder: &mut Builder<'_>) -> IpAddr {
        let default = match self.family {
            Family::V4 => self.defaults.group4,
            Family::V6 => self.defaults.group6,
        };
        let Some((child, group)) = self.node.child("mcast_dst_ip").and_then(|child| Some((child, child.ip()?))) else {
            return default;
        };
        if Family::of(group) != self.family {
            let message = format!("group {group} is of another family than the instance ({})", name(self.family));
            builder.report(Diagnostic::error("group-family", child.span(), message).hint("the line is ignored"));
            return default;
        }
        if !link_local(group) {
            builder.report(
                Diagnostic::error(
                    "group-scope",
                    child.span(),
                    format!("{group} is not link-local: the line is ignored"),
                )
                .hint("use a group of ff02::/16"),
            );
            return default;
        }
        group
    }

    pub(super) fn strict_unicast(&self, builder: &mut Builder<'_>, interface: Option<&str>) {
        let multicast = interface.and_then(|name| builder.interface(name)).is_some_and(|interface| interface.multicast);
        if !multicast {
            return;
        }
        let at = self.node.child("strict_mode").map(|child| child.keyword.span);
        let at = at.or(self.defaults.strict_at).unwrap_or(self.node.keyword.span);
        let message = format!("strict mode forbids unicast on a multicast interface: {} cannot start", self.name);
        builder.report(
            Diagnostic::error("strict-unicast", at, message)
                .related(self.node.child("unicast_peer").unwrap_or(self.node).keyword.span, "unicast is asked for here")
                .hint("delete strict mode, or the peers")
                .refuses_start(),
        );
    }
}
