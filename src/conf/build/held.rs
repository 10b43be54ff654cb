//! Interfaces named outside `vrrp_instance`, held against the host. Keepalived runs without them, and `-t` says 4.

use super::Builder;
use crate::conf::diag::{Class, Diagnostic};
use crate::conf::parse::Node;

pub fn interfaces(builder: &mut Builder<'_>, nodes: &[Node]) {
    for node in nodes.iter().filter(|node| matches!(node.name(), "interface_up_down_delays" | "linkbeat_interfaces")) {
        for word in node.entries.iter().filter_map(|line| Some(&line.first()?.word)) {
            if builder.host.is_known() && builder.interface(&word.text).is_none() && !word.is_undefined() {
                let mut diagnostic = builder.no_interface(&word.text, word.span).class(Class::BadInterface);
                diagnostic.hint = Some("the line is ignored".to_owned());
                builder.report(diagnostic);
            }
        }
    }
    // Mail needs a relay.
    let global = || nodes.iter().filter(|node| node.name() == "global_defs").flat_map(|node| &node.children);
    if let Some(node) = global().find(|node| node.name() == "notification_email")
        && global().all(|node| node.name() != "smtp_server")
    {
        builder.report(
            Diagnostic::warning("no-relay", node.keyword.span, "no smtp_server: no mail will be sent")
                .silent()
                .hint("add `smtp_server ADDRESS`"),
        );
    }
    let sync = global().find(|node| node.name() == "lvs_sync_daemon");
    let instance = sync.and_then(|node| node.options.iter().find(|option| option.name == "inst"));
    if let Some(word) = instance.and_then(|option| option.values.first()).map(|value| &value.word) {
        let known = nodes.iter().any(|node| node.name() == "vrrp_instance" && node.text() == Some(word.text.as_str()));
        if !known {
            builder.report(
                Diagnostic::error("unknown-instance", word.span, format!("no vrrp_instance {}", word.text))
                    .silent()
                    .hint("the whole line is ignored"),
            );
        }
    }
}
