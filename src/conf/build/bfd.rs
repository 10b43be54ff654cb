//! `bfd_instance`: BFD sessions.
//!
//! One that Keepalived's BFD process would drop is no session here either; what VRRP tracks of it stays down.

use std::net::IpAddr;

use super::{Builder, trackers};
use crate::conf::diag::Diagnostic;
use crate::conf::model::{BFD_HOPLIMIT, BfdSession};
use crate::conf::parse::Node;

/// Milliseconds that Keepalived calls the longest sensible interval.
const SENSIBLE_US: u32 = 10_000_000;

const DEFAULT_US: u32 = 10_000;
const DEFAULT_IDLE_US: u32 = 1_000_000;

/// The sessions of these blocks, whose names are unique.
pub fn build(builder: &mut Builder<'_>, blocks: &[(&str, &Node)]) -> Vec<BfdSession> {
    let mut sessions: Vec<(BfdSession, &Node)> = Vec::new();
    for (name, node) in blocks {
        let Some((line, neighbour)) = address(node, "neighbor_ip") else { continue };
        let source = address(node, "source_ip");
        let session = session(builder, name, node, neighbour, source.map(|(_, source)| source));
        if let Some((line, source)) = source.filter(|(_, source)| source.is_ipv4() != neighbour.is_ipv4()) {
            let message = format!("source {source} is of another family than the neighbour {neighbour}");
            builder.report(
                Diagnostic::error("source-family", line.span(), message).hint(format!("{name} stays down until then")),
            );
            continue;
        }
        if let Some((_, first)) = sessions.iter().find(|(other, _)| other.same_path(&session)) {
            let related = address(first, "neighbor_ip").map_or(first.span(), |(line, _)| line.span());
            builder.report(
                Diagnostic::error(
                    "duplicate-neighbor",
                    line.span(),
                    format!("{neighbour} is another session's neighbour"),
                )
                .related(related, "its first session")
                .hint(format!("{name} stays down; track the other session, or give each a source_ip of its own")),
            );
            continue;
        }
        sessions.push((session, node));
    }
    sessions.into_iter().map(|(session, _)| session).collect()
}

fn session(
    builder: &mut Builder<'_>,
    name: &str,
    node: &Node,
    neighbour: IpAddr,
    source: Option<IpAddr>,
) -> BfdSession {
    let ttl = node.child("ttl").and_then(octet);
    let says = |word| node.child(word).is_some();
    BfdSession {
        location: builder.location(node.keyword.span),
        name: name.to_owned(),
        neighbour,
        source,
        min_rx_us: interval(builder, node, "min_rx", DEFAULT_US),
        min_tx_us: interval(builder, node, "min_tx", DEFAULT_US),
        idle_tx_us: interval(builder, node, "idle_tx", DEFAULT_IDLE_US),
        multiplier: node.child("multiplier").and_then(octet).unwrap_or(5),
        passive: says("passive"),
        ttl,
        max_hops: max_hops(builder, node, ttl, neighbour),
        multihop: node.child("multihop").and_then(Node::switch).unwrap_or(false),
        for_vrrp: trackers::is_for_vrrp(node),
        for_checks: !says("vrrp") || says("checker"),
    }
}

/// Microseconds. Lines hold milliseconds with three decimals.
fn interval(builder: &mut Builder<'_>, node: &Node, word: &str, default: u32) -> u32 {
    let line = node.children(word).rfind(|line| line.micros().is_some());
    let Some((line, of_ms)) = line.and_then(|line| Some((line, line.micros()?))) else { return default };
    let us = u32::try_from(of_ms / 1000).unwrap_or(u32::MAX);
    if us > SENSIBLE_US {
        let message = format!("a failure is noticed late with a {word} of more than 10 s");
        builder.report(Diagnostic::warning("slow-bfd", line.span(), message).silent().hint("use 10000 ms or less"));
    }
    us
}

/// -1 is no limit at all, and so is what leaves nothing of the TTL.
fn max_hops(builder: &mut Builder<'_>, node: &Node, ttl: Option<u8>, neighbour: IpAddr) -> Option<u8> {
    let line = node.children("max_hops").rfind(|line| line.int().is_some());
    let Some((line, hops)) = line.and_then(|line| Some((line, line.int()?))) else { return Some(0) };
    let hops = u8::try_from(hops).ok()?;
    let ttl = ttl.unwrap_or(if neighbour.is_ipv4() { u8::MAX } else { BFD_HOPLIMIT });
    if hops > ttl {
        let message = format!("a packet that began with {ttl} hops cannot lose {hops}");
        builder.report(Diagnostic::warning("max-hops", line.span(), message).hint(format!("{ttl} is taken")));
    }
    Some(hops.min(ttl))
}

fn octet(line: &Node) -> Option<u8> {
    u8::try_from(line.int()?).ok()
}

fn address<'a>(node: &'a Node, word: &str) -> Option<(&'a Node, IpAddr)> {
    let line = node.child(word)?;
    Some((line, line.ip()?))
}
