//! Virtual servers: what their directives mean together. Nothing of it has an effect yet; `-t` answers all the same.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Builder;
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::parse::{Line, Node};
use crate::conf::values::Value;

pub fn check(builder: &mut Builder<'_>, nodes: &[Node]) {
    let mut seen: HashMap<String, Span> = HashMap::new();
    for node in nodes.iter().filter(|node| node.name() == "virtual_server") {
        if let Some(service) = Service::of(node) {
            service.check(builder, nodes, &mut seen);
        }
    }
    routes(builder, nodes);
}

enum Kind<'a> {
    Address(IpAddr, Option<i64>),
    Mark,
    Group(&'a str),
}

struct Service<'a> {
    node: &'a Node,
    kind: Kind<'a>,
}

impl<'a> Service<'a> {
    fn of(node: &'a Node) -> Option<Self> {
        let first = node.values.first()?;
        let kind = match (first.name, first.value.as_ref()?) {
            ("address", Value::Ip(address)) => {
                let port = match node.value("port") {
                    Some(Value::Int(port)) => Some(*port).filter(|port| *port != 0),
                    _ => None,
                };
                Kind::Address(*address, port)
            }
            ("group", Value::Text(name)) => Kind::Group(name),
            _ => Kind::Mark,
        };
        Some(Service { node, kind })
    }

    fn protocol(&self) -> Option<&'a str> {
        self.node.child("protocol")?.text()
    }

    fn check(&self, builder: &mut Builder<'_>, nodes: &[Node], seen: &mut HashMap<String, Span>) {
        let at = self.node.keyword.span;
        match &self.kind {
            Kind::Group(name) => {
                let groups = nodes.iter().filter(|node| node.name() == "virtual_server_group");
                // A group with refused lines has been reported itself.
                if groups.clone().all(|group| group.text() != Some(name)) {
                    let names: Vec<_> = groups.filter_map(Node::text).collect();
                    builder.report(
                        Diagnostic::error("unknown-group", self.node.span(), format!("no virtual_server_group {name}"))
                            .silent()
                            .hint(if names.is_empty() {
                                format!("define `virtual_server_group {name} {{ ... }}`")
                            } else {
                                format!("known: {}", names.join(", "))
                            }),
                    );
                }
            }
            Kind::Mark => {
                if let Some(protocol) = self.node.child("protocol") {
                    builder.report(
                        Diagnostic::note("mark-protocol", protocol.keyword.span, "a service by mark has no protocol")
                            .class(crate::conf::diag::Class::General)
                            .hint("delete the line; the mark selects the packets"),
                    );
                }
            }
            Kind::Address(address, port) => {
                let written = self.node.child("protocol").is_some();
                if !written {
                    let tcp = self.node.children("real_server").any(|server| {
                        ["TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK"]
                            .iter()
                            .any(|check| server.child(check).is_some())
                    });
                    let hint = if tcp {
                        "with these checks, TCP was surely meant"
                    } else {
                        "add `protocol TCP` or `protocol UDP`"
                    };
                    builder
                        .report(Diagnostic::error("no-protocol", at, "protocol is missing: UDP is assumed").hint(hint));
                }
                let protocol = self.protocol().unwrap_or("UDP");
                let name = format!("{address} port {} {protocol}", port.unwrap_or(0));
                match seen.get(&name) {
                    Some(first) => builder.report(
                        Diagnostic::error("duplicate-service", at, format!("{name} is already defined"))
                            .silent()
                            .related(*first, "first defined here")
                            .hint("put all real servers of a service in one block"),
                    ),
                    None => {
                        seen.insert(name, at);
                    }
                }
            }
        }
        if !self.node.wrote("real_server") {
            builder.report(
                Diagnostic::error("no-servers", at, "the service has no real_server: it is dropped")
                    .hint("add a real_server block, or delete the service"),
            );
            return;
        }
        self.servers(builder);
    }

    fn servers(&self, builder: &mut Builder<'_>) {
        let method = |node: &'a Node| node.child("lvs_method").and_then(Node::text);
        let default_method = method(self.node).unwrap_or("NAT");
        let mut pool: HashMap<(IpAddr, i64), Span> = HashMap::new();
        let mut total = 0;
        for server in self.node.children("real_server") {
            let Some(address) = server.ip() else { continue };
            let method = method(server).unwrap_or(default_method);
            let written = server.values.iter().find(|value| value.name == "port");
            let port = match written.and_then(|value| value.value.as_ref()) {
                Some(Value::Int(port)) => *port,
                _ => 0,
            };
            total += server.child("weight").and_then(Node::int).unwrap_or(1);
            if let Kind::Address(service, service_port) = &self.kind {
                if service.is_ipv4() != address.is_ipv4() && method != "TUN" {
                    builder.report(
                        Diagnostic::error(
                            "server-family",
                            server.span(),
                            format!("{address} is of another family than the service"),
                        )
                        .hint("only TUN can forward to the other family"),
                    );
                    continue;
                }
                let other = port != 0 && service_port.is_some_and(|service_port| service_port != port);
                if let Some(written) = written.filter(|_| other && method != "NAT") {
                    let to = service_port.unwrap_or(0);
                    builder.report(
                        Diagnostic::error(
                            "port-translation",
                            written.word.span,
                            format!("{method} cannot translate ports: {port} is read as {to}"),
                        )
                        .hint(format!("write {to}, or use NAT")),
                    );
                }
            }
            match pool.get(&(address, port)) {
                Some(first) => builder.report(
                    Diagnostic::error(
                        "duplicate-server",
                        server.span(),
                        format!("{address} port {port} is already in this pool"),
                    )
                    .related(*first, "first listed here")
                    .hint("the second block is dropped; use `weight` to give a server more"),
                ),
                None => {
                    pool.insert((address, port), server.span());
                }
            }
        }
        if let Some((quorum, wanted)) = self.node.child("quorum").and_then(|node| Some((node, node.int()?)))
            && wanted > total
        {
            builder.report(
                Diagnostic::warning(
                    "quorum",
                    quorum.span(),
                    format!("quorum {wanted} is above the total weight {total}"),
                )
                .hint(format!("{total} is used")),
            );
        }
    }
}

/// Interfaces and tables that routes and rules name.
fn routes(builder: &mut Builder<'_>, nodes: &[Node]) {
    let inner = nodes.iter().flat_map(|node| &node.children);
    let blocks = nodes.iter().chain(inner);
    let lines: Vec<&Line> = blocks
        .filter(|node| matches!(node.name(), "static_routes" | "virtual_routes" | "static_rules" | "virtual_rules"))
        .flat_map(|node| &node.entries)
        .collect();
    for line in lines {
        for option in &line.options {
            let Some(word) = option.values.first().map(|value| &value.word) else { continue };
            match (option.name, option.value()) {
                ("dev" | "oif" | "iif", Some(Value::Text(name))) => {
                    builder.interface_known(name, word.span);
                }
                ("table", Some(Value::Text(name))) if !table_known(builder, name) => builder.report(
                    Diagnostic::error("unknown-table", word.span, format!("no table {name} in rt_tables"))
                        .hint("define it in /etc/iproute2/rt_tables, or use its number"),
                ),
                _ => {}
            }
        }
    }
}

fn table_known(builder: &Builder<'_>, name: &str) -> bool {
    if matches!(name, "main" | "local" | "default") {
        return true;
    }
    ["/etc/iproute2/rt_tables", "/usr/share/iproute2/rt_tables", "/usr/lib/iproute2/rt_tables"].iter().any(|path| {
        let bytes = builder.files.read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.lines().any(|line| {
            let line = line.split('#').next().unwrap_or_default();
            line.split_whitespace().nth(1) == Some(name)
        })
    })
}
