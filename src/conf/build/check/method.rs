//! `lvs_method` and its tunnel options.

use super::Context;
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{Forwarding, Tunnel, TunnelChecksum};
use crate::conf::parse::Node;
use crate::conf::values::Value;

/// What tunnel options are wrong about: where, what, and what to do.
type Problem = (Span, &'static str, &'static str);

/// The method of a line; `None` when it was refused. Tunnel options that do not fit together leave a plain IPIP
/// tunnel, with a report.
pub fn read(context: &mut Context<'_, '_>, node: &Node) -> Option<Forwarding> {
    let (forwarding, problem) = parse(node)?;
    if let Some((at, message, hint)) = problem {
        context.report(Diagnostic::error("tunnel", at, format!("{message}: a plain ipip tunnel is used")).hint(hint));
    }
    Some(forwarding)
}

/// As [`read`], for a line that is reported elsewhere.
pub fn of(node: &Node) -> Option<Forwarding> {
    parse(node).map(|(forwarding, _)| forwarding)
}

fn parse(node: &Node) -> Option<(Forwarding, Option<Problem>)> {
    match node.text()? {
        "DR" => return Some((Forwarding::Direct, None)),
        "NAT" => return Some((Forwarding::Nat, None)),
        _ => {}
    }
    let option = |name: &str| node.options.iter().rev().find(|option| option.name == name);
    let kind = match option("type").and_then(|option| option.value()) {
        Some(Value::Text(kind)) => kind.as_str(),
        _ => "ipip",
    };
    let port = match option("port").and_then(|option| option.value()) {
        Some(Value::Int(port)) => u16::try_from(*port).ok(),
        _ => None,
    };
    let sum = if option("remcsum").is_some() {
        TunnelChecksum::Remote
    } else if option("csum").is_some() {
        TunnelChecksum::Checksum
    } else {
        TunnelChecksum::None
    };
    let (tunnel, problem) = match (kind, port, sum) {
        ("gue", Some(port), checksum) => (Tunnel::Gue { port, checksum }, None),
        // A port that could not be read has been reported.
        ("gue", None, _) if option("port").is_some() => (Tunnel::Ipip, None),
        ("gue", None, _) => (Tunnel::Ipip, Some(("gue tunnels need a port", "write `type gue port N`"))),
        (_, Some(_), _) => (Tunnel::Ipip, Some(("only gue tunnels have a port", "delete it, or write `type gue`"))),
        ("gre", None, TunnelChecksum::Remote) => {
            (Tunnel::Ipip, Some(("gre tunnels know no remcsum", "write csum or nocsum")))
        }
        ("gre", None, checksum) => (Tunnel::Gre { checksum }, None),
        (_, None, TunnelChecksum::None) => (Tunnel::Ipip, None),
        (_, None, _) => {
            let hint = "delete it, or write `type gue port N` or `type gre`";
            (Tunnel::Ipip, Some(("ipip tunnels have no checksum", hint)))
        }
    };
    let at = option("type").map_or(node.span(), |option| option.word.span);
    Some((Forwarding::Tunnel(tunnel), problem.map(|(message, hint)| (at, message, hint))))
}
