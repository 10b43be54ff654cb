//! The checkers of a real server, all but HTTP.

use std::net::IpAddr;

use super::timing::Timing;
use super::{Context, hex, http, last, number, text, text_once};
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{
    Check, Checker, DnsCheck, Family, FileCheck, MiscCheck, SmtpCheck, Target, UdpCheck, UdpReply,
};
use crate::conf::parse::{Node, Val};
use crate::conf::values::Value;

/// What checkers take from their real server.
pub struct Server<'a> {
    pub address: IpAddr,
    pub port: u16,
    pub timing: Timing,
    /// The server's own, else its service's.
    pub virtual_host: Option<&'a str>,
    /// Of the service: the longest that a MISC_CHECK may take by default.
    pub service_delay_loop_us: u64,
}

/// Longest reply of UDP_CHECK, octets.
const MAX_REPLY: u16 = 255;

/// The checkers of a server in the order of the file. One that is dropped has been reported.
pub fn build_all(context: &mut Context<'_, '_>, node: &Node, server: &Server<'_>) -> Vec<Checker> {
    let mut checkers = Vec::new();
    for child in node.children.iter().filter(|child| !child.skipped) {
        let timing = server.timing.inside(child);
        let usual = Retries { retry: 1, delay_us: 1_000_000 };
        let (check, retries) = match child.name() {
            "TCP_CHECK" => (target(context, child, server, timing).map(Check::Tcp), usual),
            "PING_CHECK" => (target(context, child, server, timing).map(Check::Ping), usual),
            "UDP_CHECK" => (udp(context, child, server, timing), usual),
            "HTTP_GET" | "SSL_GET" => {
                (http::build(context, child, server, timing), Retries { delay_us: 3_000_000, ..usual })
            }
            "DNS_CHECK" => (dns(context, child, server, timing), Retries { retry: 3, delay_us: timing.delay_loop_us }),
            "MISC_CHECK" => (misc(context, child, server), Retries { retry: 0, ..usual }),
            "FILE_CHECK" => (file(context, child), usual),
            "BFD_CHECK" => (bfd(context, child, &checkers), usual),
            "SMTP_CHECK" => {
                smtp(context, child, server, timing, &mut checkers);
                continue;
            }
            _ => continue,
        };
        let Some(check) = check else { continue };
        if checkers.is_empty() {
            // One is the rule, and a vector that grows by itself has room for four.
            checkers.reserve_exact(1);
        }
        checkers.push(finish(context, child, check, timing, retries));
    }
    checkers
}

/// What a kind of checker does when nothing around it says anything.
#[derive(Clone, Copy)]
struct Retries {
    retry: u32,
    delay_us: u64,
}

fn finish(context: &Context<'_, '_>, node: &Node, check: Check, timing: Timing, retries: Retries) -> Checker {
    let log_all_failures = last(node, "log_all_failures", Node::switch);
    Checker {
        check,
        location: context.builder.location(node.keyword.span),
        delay_loop_us: timing.delay_loop_us,
        // The old name of HTTP_GET's directive.
        retry: number(node, "nb_get_retry").or(timing.retry).unwrap_or(retries.retry),
        delay_before_retry_us: timing.delay_before_retry_us.unwrap_or(retries.delay_us),
        warmup_us: timing.warmup_us.unwrap_or(timing.delay_loop_us),
        alpha: timing.alpha,
        // A checker cannot except itself from the global switch.
        log_all_failures: log_all_failures.unwrap_or(false) || context.global.log_all_failures,
    }
}

/// Where a probe goes; `None` when it can get nowhere, with a report.
pub fn target(context: &mut Context<'_, '_>, node: &Node, server: &Server<'_>, timing: Timing) -> Option<Target> {
    let (address, bind) = addresses(context, node, server.address);
    let interface = text(node, "bind_if");
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    if link_local && interface.is_none() {
        let at = node.children("connect_ip").next_back().map_or(node.keyword.span, Node::span);
        let message = format!("{address} is link-local, and no interface is named: the check is dropped");
        context.report(Diagnostic::error("link-local", at, message).hint("add `bind_if INTERFACE`"));
        return None;
    }
    let own_port = |name| number(node, name).and_then(|port| u16::try_from(port).ok());
    Some(Target {
        address,
        port: own_port("connect_port").unwrap_or(server.port),
        bind,
        bind_port: own_port("bind_port").unwrap_or(0),
        interface,
        mark: number(node, "fwmark").unwrap_or(0),
        timeout_us: timing.connect_timeout_us,
    })
}

/// `connect_ip` and `bindto` in the order of the file: one of another family than what is known by then is ignored.
fn addresses(context: &mut Context<'_, '_>, node: &Node, server: IpAddr) -> (IpAddr, Option<IpAddr>) {
    let (mut connect, mut bind) = (None, None);
    for child in &node.children {
        let Some(address) = child.ip() else { continue };
        let other = match child.name() {
            "connect_ip" => bind,
            "bindto" => connect,
            _ => continue,
        };
        if other.is_some_and(|other: IpAddr| Family::of(other) != Family::of(address)) {
            family_differs(context, child, address);
        } else if child.name() == "connect_ip" {
            connect = Some(address);
        } else {
            bind = Some(address);
        }
    }
    let address = connect.unwrap_or(server);
    // Both orders are possible, so the address of the server itself is looked at last.
    let fits = bind.filter(|bind| Family::of(*bind) == Family::of(address));
    if let (Some(bind), None) = (bind, fits)
        && let Some(child) = node.children("bindto").next_back()
    {
        family_differs(context, child, bind);
    }
    (address, fits)
}

fn family_differs(context: &mut Context<'_, '_>, node: &Node, address: IpAddr) {
    let message = format!("{address} is of another family than the other end: the line is ignored");
    context.report(
        Diagnostic::error("checker-family", node.span(), message)
            .hint("bindto and the address that is checked are of one family"),
    );
}

/// The block is a checker, and each `host` in it is another one, whose lines replace those around it.
fn smtp(context: &mut Context<'_, '_>, node: &Node, server: &Server<'_>, timing: Timing, checkers: &mut Vec<Checker>) {
    let helo = text_once(context.builder, node, "helo_name");
    let helo = helo.unwrap_or_else(|| "smtpchecker.keepalived.org".to_owned());
    let hosts = node.children("host").map(|host| (host, timing.inside(host)));
    for (block, timing) in std::iter::once((node, timing)).chain(hosts) {
        if block.name() == "host" {
            context.report(
                Diagnostic::warning("deprecated", block.keyword.span, "a `host` block is a checker of its own")
                    .silent()
                    .hint("write a second SMTP_CHECK"),
            );
        }
        let Some(target) = target(context, block, server, timing) else { continue };
        let check = Check::Smtp(SmtpCheck { target, helo: helo.clone() });
        checkers.push(finish(context, block, check, timing, Retries { retry: 1, delay_us: 1_000_000 }));
    }
}

fn dns(context: &mut Context<'_, '_>, node: &Node, server: &Server<'_>, timing: Timing) -> Option<Check> {
    let record = match text(node, "type").as_deref() {
        Some("A") => 1,
        Some("NS") => 2,
        Some("CNAME") => 5,
        Some("MX") => 15,
        Some("TXT") => 16,
        Some("AAAA") => 28,
        Some("RRSIG") => 46,
        Some("DNSKEY") => 48,
        _ => 6,
    };
    let mut name: Option<String> = None;
    for line in node.children("name") {
        let Some(written) = line.text() else { continue };
        if name.is_some() {
            context.builder.already_set(line);
        } else if let Some(problem) = bad_name(written) {
            let message = format!("`{written}` {problem}: the line is ignored");
            let diagnostic = Diagnostic::error("dns-name", line.span(), message);
            // Keepalived sends the rest as it is.
            let diagnostic = if problem == EMPTY_LABEL { diagnostic } else { diagnostic.silent() };
            context.report(diagnostic.hint("write labels of up to 63 characters with single dots between them"));
        } else {
            name = Some(written.strip_suffix('.').unwrap_or(written).to_owned());
        }
    }
    let target = target(context, node, server, timing)?;
    Some(Check::Dns(DnsCheck { target, record, name: name.unwrap_or_default() }))
}

const EMPTY_LABEL: &str = "has an empty label";

/// RFC 1035 section 2.3.4: what no question can hold.
fn bad_name(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return None;
    }
    if name.split('.').any(str::is_empty) {
        Some(EMPTY_LABEL)
    } else if name.split('.').any(|label| label.len() > 63) {
        Some("has a label of more than 63 octets")
    } else if name.len() > 253 {
        Some("is longer than 253 octets")
    } else {
        None
    }
}

fn misc(context: &mut Context<'_, '_>, node: &Node, server: &Server<'_>) -> Option<Check> {
    let path = node.children("misc_path").rfind(|line| !line.values.is_empty())?;
    let script = context.scripts.take(context.builder, path)?;
    let seconds = number(node, "misc_timeout").filter(|seconds| *seconds != 0);
    Some(Check::Misc(MiscCheck {
        script,
        timeout_us: seconds.map_or(server.service_delay_loop_us, |seconds| u64::from(seconds) * 1_000_000),
        dynamic: node.child("misc_dynamic").is_some(),
    }))
}

fn udp(context: &mut Context<'_, '_>, node: &Node, server: &Server<'_>, timing: Timing) -> Option<Check> {
    let octets = |name| last(node, name, |line| hex::octets(&line.values));
    let payload: Option<Vec<u8>> = octets("payload").map(|octets| octets.into_iter().map(|(value, _)| value).collect());
    let length = |name, default| number(node, name).and_then(|length| u16::try_from(length).ok()).unwrap_or(default);
    let (min_length, max_length) = (length("min_reply_length", 0), length("max_reply_length", MAX_REPLY));
    if min_length > max_length {
        let line = node.child("min_reply_length").or_else(|| node.child("max_reply_length"));
        let at = line.map_or(node.keyword.span, Node::span);
        let message = format!("no reply has {min_length} octets or more and {max_length} or less");
        context.report(Diagnostic::error("reply-length", at, message).hint("the check fails whatever the reply is"));
    }
    // Octets that could not be read are not compared.
    let reply = node.child("require_reply").map(|line| UdpReply {
        prefix: hex::octets(&line.values).unwrap_or_default(),
        min_length,
        max_length,
    });
    let target = target(context, node, server, timing)?;
    Some(Check::Udp(UdpCheck { target, payload: payload.filter(|payload| !payload.is_empty()), reply }))
}

fn file(context: &mut Context<'_, '_>, node: &Node) -> Option<Check> {
    let line = node.children("track_file").rfind(|line| !line.values.is_empty())?;
    let name = line.text()?;
    let found = named(context, line.values.first()?, "track_file", &["track_file", "vrrp_track_file"])?;
    let (path, its_weight) = crate::conf::build::trackers::watched(found)?;
    let own = node.children("weight").rev().find(|line| line.int().is_some());
    let weight = own.or(its_weight);
    let reversed = |line: &Node| line.values.iter().any(|value| value.word.text == "reverse");
    Some(Check::File(FileCheck {
        path: path.to_owned(),
        name: name.to_owned(),
        weight: weight.and_then(Node::int).and_then(|weight| i32::try_from(weight).ok()).unwrap_or(1),
        reverse: weight.is_some_and(reversed),
    }))
}

fn bfd(context: &mut Context<'_, '_>, node: &Node, before: &[Checker]) -> Option<Check> {
    let line = node.children("name").rfind(|line| !line.values.is_empty())?;
    let name = line.text()?;
    named(context, line.values.first()?, "bfd_instance", &["bfd_instance"])?;
    if before.iter().any(|checker| checker.check == Check::Bfd(name.to_owned())) {
        let message = format!("this server is checked by {name} already: the block is dropped");
        context.report(Diagnostic::error("duplicate-bfd", line.span(), message).hint("delete one of the blocks"));
        return None;
    }
    Some(Check::Bfd(name.to_owned()))
}

/// The block that a checker names. Keepalived wants it before its use; here either order works.
fn named<'n>(context: &mut Context<'n, '_>, value: &Val, kind: &str, keywords: &[&str]) -> Option<&'n Node> {
    let Some(Value::Text(name)) = &value.value else { return None };
    let place = |span: Span| (span.file, span.line);
    let found = keywords.iter().filter_map(|keyword| context.names.get(&(*keyword, name.as_str())).copied());
    match found.min_by_key(|node| node.keyword.span.place()) {
        None => {
            let blocks = context.nodes.iter().filter(|node| keywords.contains(&node.name()));
            let near = context.builder.suggestions.closest(name, blocks.filter_map(Node::text));
            let message = format!("no {kind} {name}: the check is dropped");
            let diagnostic = Diagnostic::error("unknown-name", value.word.span, message);
            context.report(match near {
                Some(near) => diagnostic.suggest(near),
                None => diagnostic.hint(format!("define `{kind} {name} {{ ... }}`")),
            });
            None
        }
        Some(block) => {
            if place(block.span()) > place(value.word.span) {
                context.report(
                    Diagnostic::warning("order", value.word.span, format!("{name} is defined after this line"))
                        .related(block.span(), "defined here")
                        .hint("Keepalived needs the definition first; either order works here"),
                );
            }
            Some(block)
        }
    }
}
