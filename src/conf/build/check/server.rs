//! `real_server` and `sorry_server`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::service::{Kind, Outline, smtp_alert};
use super::{Context, checkers, first_of, last, method, number, port, snmp_name, text_once};
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{Family, Forwarding, RealServer, SorryServer};
use crate::conf::parse::Node;

/// The pool. A server that is dropped has been reported.
pub fn build_all(context: &mut Context<'_, '_>, node: &Node, service: &mut Outline<'_>) -> Vec<RealServer> {
    let mut pool: BTreeMap<(IpAddr, u16), Span> = BTreeMap::new();
    let mut servers = Vec::with_capacity(node.children("real_server").count());
    for child in node.children("real_server") {
        let Some(server) = build(context, child, service) else { continue };
        match pool.get(&(server.address, server.port)) {
            Some(first) => context.report(
                Diagnostic::error(
                    "duplicate-server",
                    child.span(),
                    format!("{} port {} is already in this pool", server.address, server.port),
                )
                .related(*first, "first listed here")
                .hint("the second block is dropped; use `weight` to give a server more"),
            ),
            None => {
                pool.insert((server.address, server.port), child.span());
                servers.push(server);
            }
        }
    }
    servers
}

fn build(context: &mut Context<'_, '_>, node: &Node, service: &mut Outline<'_>) -> Option<RealServer> {
    let address = node.ip()?;
    let mut own = None;
    for line in node.children("lvs_method") {
        own = method::read(context, line).or(own);
    }
    let forwarding = own.or(service.forwarding).unwrap_or(Forwarding::Nat);
    let family = Family::of(address);
    if !matches!(forwarding, Forwarding::Tunnel(_)) && *service.family.get_or_insert(family) != family {
        context.report(
            Diagnostic::error("server-family", node.span(), format!("{address} is of another family than the service"))
                .hint("only TUN can forward to the other family"),
        );
        return None;
    }
    let port = server_port(context, node, service, forwarding);
    let timing = service.timing.inside(node);
    let virtual_host = text_once(context.builder, node, "virtualhost");
    let pool = checkers::Server {
        address,
        // A port that the method cannot use is still where the checks go.
        port: super::port(node, "port").unwrap_or(port),
        timing,
        virtual_host: virtual_host.as_deref().or(service.virtual_host.as_deref()),
        service_delay_loop_us: service.timing.delay_loop_us,
    };
    let checkers = checkers::build_all(context, node, &pool);
    let mut script = |name| {
        let node = first_of(context.builder, node, name)?;
        context.scripts.take(context.builder, node)
    };
    let (notify_up, notify_down) = (script("notify_up"), script("notify_down"));
    Some(RealServer {
        address,
        port,
        location: context.builder.location(node.keyword.span),
        weight: number(node, "weight").unwrap_or(service.weight),
        forwarding,
        upper_threshold: number(node, "uthreshold").unwrap_or(0),
        lower_threshold: number(node, "lthreshold").unwrap_or(0),
        inhibit_on_failure: last(node, "inhibit_on_failure", Node::switch).unwrap_or(service.inhibit_on_failure),
        notify_up,
        notify_down,
        alpha: timing.alpha,
        retry: timing.retry,
        delay_before_retry_us: timing.delay_before_retry_us,
        warmup_us: timing.warmup_us,
        connect_timeout_us: timing.connect_timeout_us,
        delay_loop_us: timing.delay_loop_us,
        smtp_alert: smtp_alert(context, node, true),
        virtual_host,
        snmp_name: snmp_name(context.builder, node),
        checkers,
    })
}

/// Only NAT translates ports: with the other methods a server has the port of its service, and a mark has none.
fn server_port(context: &mut Context<'_, '_>, node: &Node, service: &Outline<'_>, forwarding: Forwarding) -> u16 {
    let written = port(node, "port");
    let default = match service.kind.ports()[..] {
        [only] => only,
        _ => 0,
    };
    let Some(written) = written else { return default };
    let name = match forwarding {
        Forwarding::Nat => return written,
        Forwarding::Direct => "DR",
        Forwarding::Tunnel(_) => "TUN",
    };
    let at = node.values.iter().find(|value| value.name == "port").map_or(node.span(), |value| value.word.span);
    match service.kind {
        Kind::Address(..) if written == default => written,
        Kind::Address(..) => {
            let (message, hint) = if node.name() == "real_server" {
                let message = format!(
                    "{name} cannot translate ports: clients get to port {default}, and {written} is only checked"
                );
                (message, format!("write {default}, and {written} as connect_port of the checkers; or use NAT"))
            } else {
                let message = format!("{name} cannot translate ports: {written} is read as {default}");
                (message, format!("write {default}, or use NAT"))
            };
            context.report(Diagnostic::error("port-translation", at, message).hint(hint));
            default
        }
        Kind::Mark(_) => {
            let message = format!("{name} cannot translate ports, and a mark has none: {written} is only checked");
            let hint = "write the port as connect_port of the checkers, or use NAT";
            context.report(Diagnostic::warning("port-translation", at, message).hint(hint));
            0
        }
        Kind::Group(group) if service.kind.has_marks() => {
            let message = format!(
                "{name} cannot translate ports, and marks of group {} have none: {written} is ignored",
                group.name
            );
            let hint = "write the port as connect_port of the checkers, or use NAT";
            context.report(Diagnostic::warning("port-translation", at, message).hint(hint));
            if service.kind.has_addresses() { written } else { 0 }
        }
        Kind::Group(group) => {
            if service.kind.ports().iter().any(|port| *port != written) {
                let message = format!("{name} cannot translate ports, and group {} has others", group.name);
                let hint = "packets keep their port; use NAT, or one service per port";
                context.report(Diagnostic::warning("port-translation", at, message).hint(hint));
            }
            written
        }
    }
}

/// The last `sorry_server`, with the lines that belong to it.
pub fn sorry(context: &mut Context<'_, '_>, node: &Node, service: &Outline<'_>) -> Option<SorryServer> {
    let mut sorry: Option<(&Node, IpAddr)> = None;
    // The service's method so far: a sorry server takes the one that stands before it.
    let mut so_far = None;
    let mut own = None;
    let mut inhibit = false;
    for child in &node.children {
        match child.name() {
            "lvs_method" if sorry.is_none() => so_far = method::of(child).or(so_far),
            "sorry_server" => {
                // With a port that cannot be read there is no sorry server, and that has been reported.
                let readable = child.values.iter().all(|value| value.value.is_some());
                if let Some(address) = child.ip().filter(|_| readable) {
                    sorry = Some((child, address));
                    (own, inhibit) = (None, false);
                }
            }
            "sorry_server_inhibit" | "sorry_server_lvs_method" if sorry.is_none() => context.report(
                Diagnostic::error(
                    "sorry-order",
                    child.keyword.span,
                    format!("`{}` stands before sorry_server: it is ignored", child.name()),
                )
                .hint("write it after the sorry_server line"),
            ),
            "sorry_server_inhibit" => inhibit = true,
            "sorry_server_lvs_method" => own = method::read(context, child).or(own),
            _ => {}
        }
    }
    let (child, address) = sorry?;
    let forwarding = own.or(so_far).or(service.forwarding).unwrap_or(Forwarding::Nat);
    if !matches!(forwarding, Forwarding::Tunnel(_)) && service.family != Some(Family::of(address)) {
        context.report(
            Diagnostic::error(
                "server-family",
                child.span(),
                format!("{address} is of another family than the service: there is no sorry server"),
            )
            .hint("only TUN can forward to the other family"),
        );
        return None;
    }
    Some(SorryServer {
        address,
        port: server_port(context, child, service, forwarding),
        location: context.builder.location(child.keyword.span),
        forwarding,
        inhibit,
    })
}
