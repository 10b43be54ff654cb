//! Who is told of states: notify scripts, FIFOs, and the scripts around the daemon's life.
//!
//! [`read`] looks at one block, [`build`] at the whole file once it is known which scripts can run.

use super::Builder;
use super::scripts::{DEFAULT_USER, Scripts, identity};
use super::tracking::block;
use crate::conf::diag::Diagnostic;
use crate::conf::host::Identity;
use crate::conf::lex;
use crate::conf::model::{Config, Fifos, Notify, NotifyFifo, Script, TimedScript};
use crate::conf::parse::Node;

/// Keepalived's `startup_script_timeout` and `shutdown_script_timeout`, seconds.
const TIMEOUT_S: u32 = 10;

/// What is said twice or not closed in an instance or a sync group, and what needs no script.
pub fn read(builder: &mut Builder<'_>, node: &Node) -> Notify {
    let mut seen = Vec::new();
    let mut notify = Notify::default();
    for child in &node.children {
        if place(&mut notify, child.name()).is_none() {
            continue;
        }
        notify.deleted |= child.name() == "notify_deleted";
        if seen.contains(&child.name()) {
            builder.already_set(child);
            continue;
        }
        let Some(word) = child.word("cmd") else { continue };
        match lex::command(&word.text) {
            Ok(_) => seen.push(child.name()),
            Err(quote) => builder.report(
                Diagnostic::error("unclosed-quote", word.span, format!("a {quote} in this command is not closed"))
                    .silent()
                    .hint("the command is ignored"),
            ),
        }
    }
    notify
}

/// Fills in everything that is run or written to.
pub fn build(builder: &mut Builder<'_>, nodes: &[Node], scripts: &mut Scripts, config: &mut Config) {
    let global: Vec<&Node> =
        nodes.iter().filter(|node| node.name() == "global_defs").flat_map(|node| &node.children).collect();
    let everywhere = global.iter().filter(|node| node.name() == "vrrp_notify_priority_changes");
    let everywhere = everywhere.filter_map(|node| node.switch()).next_back().unwrap_or(false);
    let changes = |node: &Node| node.child("notify_priority_changes").and_then(Node::switch);

    for group in &mut config.sync_groups {
        let Some(node) = block(nodes, "vrrp_sync_group", &group.name) else { continue };
        take_all(builder, node, scripts, &mut group.notify);
        group.notify.priority_changes = changes(node).unwrap_or(everywhere);
    }
    for instance in &mut config.instances {
        let Some(node) = block(nodes, "vrrp_instance", &instance.name.0) else { continue };
        take_all(builder, node, scripts, &mut instance.notify);
        let group = config.sync_groups.iter().find(|group| group.members.contains(&instance.name));
        let above = group.map_or(everywhere, |group| group.notify.priority_changes);
        instance.notify.priority_changes = changes(node).unwrap_or(above);
    }
    config.global.fifos = fifos(builder, &global, scripts);
    config.global.startup = timed(builder, &global, scripts, "startup_script", "startup_script_timeout");
    config.global.shutdown = timed(builder, &global, scripts, "shutdown_script", "shutdown_script_timeout");
}

fn place<'a>(notify: &'a mut Notify, directive: &str) -> Option<&'a mut Option<Script>> {
    Some(match directive {
        "notify_master" => &mut notify.master,
        "notify_backup" => &mut notify.backup,
        "notify_fault" => &mut notify.fault,
        "notify_stop" => &mut notify.stop,
        "notify" => &mut notify.any,
        "notify_master_rx_lower_pri" => &mut notify.master_rx_lower_pri,
        "notify_deleted" => &mut notify.deleted_script,
        _ => return None,
    })
}

fn take_all(builder: &Builder<'_>, node: &Node, scripts: &mut Scripts, notify: &mut Notify) {
    for child in &node.children {
        if let Some(place) = place(notify, child.name()).filter(|place| place.is_none()) {
            *place = scripts.take(builder, child);
        }
    }
}

/// Of a directive that counts once, the first; others are told.
fn only<'a>(builder: &mut Builder<'_>, global: &[&'a Node], name: &str) -> Option<&'a Node> {
    let mut all = global.iter().copied().filter(|node| node.name() == name);
    let first = all.next();
    all.for_each(|other| builder.already_set(other));
    first
}

fn fifos(builder: &mut Builder<'_>, global: &[&Node], scripts: &mut Scripts) -> Fifos {
    let both = fifo(builder, global, scripts, "notify_fifo", "notify_fifo_script", &[]);
    let vrrp = fifo(builder, global, scripts, "vrrp_notify_fifo", "vrrp_notify_fifo_script", &[&both]);
    let checks = fifo(builder, global, scripts, "lvs_notify_fifo", "lvs_notify_fifo_script", &[&both, &vrrp]);
    let states_on_reload = global.iter().any(|node| node.name() == "fifo_write_vrrp_states_on_reload");
    Fifos { both, vrrp, checks, states_on_reload }
}

fn fifo(
    builder: &mut Builder<'_>,
    global: &[&Node],
    scripts: &mut Scripts,
    name: &str,
    script: &str,
    others: &[&Option<NotifyFifo>],
) -> Option<NotifyFifo> {
    let reader = only(builder, global, script);
    let node = only(builder, global, name);
    let Some((node, path)) = node.and_then(|node| Some((node, node.text()?.to_owned()))) else {
        if let Some(reader) = reader {
            let message = format!("{script} without {name}: there is nothing that it could read");
            builder.report(
                Diagnostic::warning("fifo-script", reader.keyword.span, message)
                    .silent()
                    .hint(format!("add {name}, or delete the line")),
            );
        }
        return None;
    };
    if others.iter().any(|other| other.as_ref().is_some_and(|other| other.path == path)) {
        let mut diagnostic =
            Diagnostic::warning("same-fifo", node.span(), format!("{path} is the path of another FIFO"))
                .silent()
                .hint("the line is ignored; give each FIFO a path of its own");
        let fifos = global.iter().filter(|other| other.name().ends_with("notify_fifo") && other.name() != name);
        if let Some(first) = fifos.clone().find(|other| other.text() == Some(path.as_str())) {
            diagnostic = diagnostic.related(first.span(), format!("`{}` has it here", first.name()));
        }
        builder.report(diagnostic);
        return None;
    }
    let owner = match node.word("user").map(|user| identity(builder, user, node.word("group"))).transpose() {
        Ok(owner) => owner.or_else(|| usual_owner(builder, global, node)).map(|identity| (identity.uid, identity.gid)),
        Err(diagnostic) => {
            builder.report(diagnostic.silent().hint("the FIFO is ignored"));
            return None;
        }
    };
    let script = reader.and_then(|reader| scripts.take(builder, reader));
    Some(NotifyFifo { path, owner, script })
}

/// Of a FIFO that names nobody: the default user of scripts, as far as the file has said by then who that is.
fn usual_owner(builder: &Builder<'_>, global: &[&Node], fifo: &Node) -> Option<Identity> {
    let before = global.iter().take_while(|node| !std::ptr::eq(**node, fifo));
    let lines = before.filter(|node| node.name() == "script_user");
    match lines.filter_map(|node| Some((node, node.word("user")?))).last() {
        Some((node, user)) => identity(builder, user, node.word("group")).ok(),
        None => builder.host.user(DEFAULT_USER),
    }
}

fn timed(
    builder: &mut Builder<'_>,
    global: &[&Node],
    scripts: &mut Scripts,
    name: &str,
    timeout: &str,
) -> Option<TimedScript> {
    let node = only(builder, global, name)?;
    let script = scripts.take(builder, node)?;
    let timeout = global.iter().filter(|node| node.name() == timeout).filter_map(|node| node.int()).next_back();
    let timeout_s = timeout.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(TIMEOUT_S);
    Some(TimedScript { script, timeout_s })
}
