//! What reads well and cannot work: checks across blocks of a model that is complete. Keepalived has none of them, so
//! nothing here counts for `-t`; a warning is certainly not what was meant, a hint may be.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use super::Builder;
use super::tracking::block;
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{
    Config, Forwarding, InitialState, Instance, Location, Preempt, Priority, ServiceKind, SyncGroup, TrackScript,
    TrackerKind, Transport, Version,
};
use crate::conf::parse::Node;

pub fn check(builder: &mut Builder<'_>, nodes: &[Node], config: &Config) {
    for group in &config.sync_groups {
        group_agrees(builder, nodes, config, group);
    }
    for instance in &config.instances {
        let Some(node) = block(nodes, "vrrp_instance", &instance.name.0) else { continue };
        weights(builder, node, instance);
        slow_scripts(builder, nodes, node, instance, config);
        source(builder, node, instance);
    }
    mail(builder, nodes, config);
    services(builder, nodes, config);
    modules(builder, nodes);
}

/// Members of a sync group go up and down together, so what decides about that has to be the same in all of them.
fn group_agrees(builder: &mut Builder<'_>, nodes: &[Node], config: &Config, group: &SyncGroup) {
    let members: Vec<(&Instance, &Node)> = config
        .instances
        .iter()
        .filter(|instance| group.members.contains(&instance.name))
        .filter_map(|instance| Some((instance, block(nodes, "vrrp_instance", &instance.name.0)?)))
        .collect();
    let Some(((first, first_node), others)) = members.split_first() else { return };
    let at = |node: &Node, word: &str| node.child(word).unwrap_or(node).span();
    for (other, node) in others {
        let mut differ = |words: [&str; 2], here: String, there: String, why: &str| {
            let place = |node: &Node| words.iter().find_map(|word| node.child(word)).unwrap_or(node).span();
            let message =
                format!("{} has {here}, and {} of the same sync group {} {there}", other.name, first.name, group.name);
            builder.report(
                Diagnostic::warning("group-disagrees", place(node), message)
                    .silent()
                    .related(place(first_node), format!("{} says so here", first.name))
                    .hint(why),
            );
        };
        if other.priority != first.priority {
            differ(
                ["priority", "priority"],
                format!("priority {}", other.priority),
                format!("priority {}", first.priority),
                "another router may win one election and lose the other, and the group moves to and fro; use one priority",
            );
        }
        let never = |preempt: Preempt| if preempt == Preempt::Never { "nopreempt" } else { "preempt" };
        if never(other.preempt) != never(first.preempt) {
            differ(
                ["nopreempt", "preempt"],
                never(other.preempt).to_owned(),
                never(first.preempt).to_owned(),
                "the member that preempts takes the others with it; write the same in all members",
            );
        }
        let state = |state| if state == InitialState::Master { "state MASTER" } else { "state BACKUP" };
        let states = other.initial_state != first.initial_state;
        if other.priority == first.priority && states && !corrected(other, node) && !corrected(first, first_node) {
            differ(
                ["state", "state"],
                state(other.initial_state).to_owned(),
                state(first.initial_state).to_owned(),
                "members start in one state; write the same in all of them",
            );
        }
        let version = |version| if version == Version::V2 { "version 2" } else { "version 3" };
        if other.family == first.family && other.version != first.version {
            differ(
                ["version", "version"],
                version(other.version).to_owned(),
                version(first.version).to_owned(),
                "peers of one group speak one version; write the same in all members",
            );
        }
        if other.version == first.version && other.advert_interval != first.advert_interval {
            let message = format!(
                "{} advertises every {}, and {} of the same sync group {} every {}",
                other.name,
                seconds(other.advert_interval),
                first.name,
                group.name,
                seconds(first.advert_interval)
            );
            builder.report(
                Diagnostic::note("group-disagrees", at(node, "advert_int"), message)
                    .related(at(first_node, "advert_int"), format!("{} says so here", first.name))
                    .hint("the slowest member decides how long a failover of the group takes"),
            );
        }
    }
}

/// Whether an instance begins in another state than the one that is written, which has been told.
fn corrected(instance: &Instance, node: &Node) -> bool {
    let master = node.children("state").any(|state| state.text() == Some("MASTER"));
    node.wrote("state") && master != (instance.initial_state == InitialState::Master)
}

/// Weights that cannot move the election: the priority that is advertised stays within 1 to 254.
fn weights(builder: &mut Builder<'_>, node: &Node, instance: &Instance) {
    const HIGHEST: u8 = 254;
    const LOWEST: u8 = 1;
    if instance.priority == Priority::MAX {
        return;
    }
    // What a reversed weight adds has the other sign.
    let turned = |weight: i32, reverse: bool| if reverse { -weight } else { weight };
    let tracks = instance.tracks.iter();
    let tracks = tracks.map(|track| (list_of(track.kind), track.name.as_str(), turned(track.weight, track.reverse)));
    let interfaces = instance.tracked_interfaces.iter();
    let interfaces =
        interfaces.map(|it| ("track_interface", it.interface.as_str(), turned(i32::from(it.weight), it.reverse)));
    let weighted: Vec<_> = tracks.chain(interfaces).filter(|(.., weight)| *weight != 0).collect();
    let priority = node.child("priority").unwrap_or(node).span();
    for (list, name, weight) in &weighted {
        // What a file says is multiplied by its weight, and may have either sign.
        let stuck = *list != "track_file"
            && ((*weight > 0 && instance.priority.get() == HIGHEST)
                || (*weight < 0 && instance.priority.get() == LOWEST));
        if !stuck {
            continue;
        }
        let (number, way) = if *weight > 0 { (HIGHEST, "rise above") } else { (LOWEST, "fall below") };
        let message = format!("weight {weight} of {name} changes nothing: a priority cannot {way} {number}");
        builder.report(
            Diagnostic::warning("weight-without-effect", line_of(node, list, name), message)
                .silent()
                .related(priority, format!("the priority of {} is {number}", instance.name))
                .hint("choose a priority that leaves room for the weight, or weight 0 for a fault"),
        );
    }
    if instance.preempt == Preempt::Never
        && let (Some(nopreempt), Some((list, name, _))) = (node.child("nopreempt"), weighted.first())
    {
        let message = format!("with nopreempt a weight does not make {} take over", instance.name);
        builder.report(
            Diagnostic::note("nopreempt-weight", line_of(node, list, name), message)
                .related(nopreempt.keyword.span, "nopreempt is set here")
                .hint("a backup leaves a weaker master alone; only a fault (weight 0) makes the master give way"),
        );
    }
}

fn list_of(kind: TrackerKind) -> &'static str {
    match kind {
        TrackerKind::Script => "track_script",
        TrackerKind::File => "track_file",
        TrackerKind::Process => "track_process",
        TrackerKind::Bfd => "track_bfd",
    }
}

/// Where a block names what it tracks.
fn line_of(node: &Node, list: &str, name: &str) -> Span {
    let words = node.children(list).flat_map(|list| &list.entries).filter_map(|line| Some(&line.first()?.word));
    words.filter(|word| word.text == name).map(|word| word.span).next().unwrap_or(node.keyword.span)
}

/// Scripts that find a fault long after a dead router would have been replaced.
fn slow_scripts(builder: &mut Builder<'_>, nodes: &[Node], node: &Node, instance: &Instance, config: &Config) {
    /// Below this a check is thought to be slow on purpose.
    const SLOWER: u32 = 10;
    let down = master_down(instance);
    for track in instance.tracks.iter().filter(|track| track.kind == TrackerKind::Script) {
        let Some(script) = config.trackers.scripts.iter().find(|script| script.name == track.name) else { continue };
        let found = finds_after(script);
        if found <= down.saturating_mul(SLOWER) {
            continue;
        }
        let message = format!(
            "{} needs {} to find a fault; a dead master is replaced after {}",
            script.name,
            seconds(found),
            seconds(down)
        );
        let mut diagnostic = Diagnostic::note("slow-check", line_of(node, "track_script", &track.name), message);
        if let Some(block) = block(nodes, "vrrp_script", &script.name) {
            let at = block.child("interval").unwrap_or(block).span();
            diagnostic = diagnostic.related(at, format!("{} x every {}", script.fall, seconds(interval(script))));
        }
        builder.report(diagnostic.hint("shorten `interval`, or lower `fall`, if that is too long"));
    }
}

fn interval(script: &TrackScript) -> Duration {
    Duration::from_micros(script.interval_us)
}

fn finds_after(script: &TrackScript) -> Duration {
    interval(script).saturating_mul(script.fall.max(1))
}

/// Silence after which this router takes over, as its own interval and priority have it.
fn master_down(instance: &Instance) -> Duration {
    let interval = instance.advert_interval;
    let skew = match instance.version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    interval.saturating_mul(instance.down_timer_adverts) + skew * (256 - u32::from(instance.priority.get())) / 256
}

/// A source address that nothing has now.
fn source(builder: &mut Builder<'_>, node: &Node, instance: &Instance) {
    let Some(source) = instance.source.filter(|_| builder.host.is_known() && !builder.dynamic_interfaces) else {
        return;
    };
    let ours = instance.addresses.iter().chain(&instance.excluded).any(|address| address.address == source);
    // Of a host without any address nothing is known.
    let none = builder.interfaces.iter().all(|interface| interface.addresses.is_empty());
    if ours || none || has(builder, source) || instance.track_source {
        return;
    }
    let words = ["unicast_src_ip", "mcast_src_ip"];
    let Some(child) = words.iter().find_map(|word| node.child(word)) else { return };
    let unicast = matches!(instance.transport, Transport::Unicast { .. });
    let hint =
        if unicast { "peers drop adverts that come from elsewhere" } else { "adverts are sent from it all the same" };
    builder
        .report(Diagnostic::note("source-nowhere", child.span(), format!("no interface has {source} now")).hint(hint));
}

/// Whether an interface of this host has an address.
fn has(builder: &Builder<'_>, address: IpAddr) -> bool {
    builder.interfaces.iter().any(|interface| interface.addresses.iter().any(|(own, _)| *own == address))
}

/// Mails that nobody gets.
fn mail(builder: &mut Builder<'_>, nodes: &[Node], config: &Config) {
    if !config.global.mail.to.is_empty() {
        return;
    }
    let wants = |node: &&Node| node.name() == "smtp_alert" && node.switch() == Some(true);
    let written = nodes.iter().any(|node| node.name() == "global_defs" && node.wrote("notification_email"));
    let blocks =
        nodes.iter().filter(|node| matches!(node.name(), "vrrp_instance" | "vrrp_sync_group" | "virtual_server"));
    if let Some(alert) = blocks.flat_map(|node| &node.children).find(wants).filter(|_| !written) {
        builder.report(
            Diagnostic::note("no-recipient", alert.keyword.span, "no notification_email: nobody gets these mails")
                .hint("add `notification_email { ADDRESS }` to global_defs, or delete the line"),
        );
    }
}

fn services(builder: &mut Builder<'_>, nodes: &[Node], config: &Config) {
    // Services are in the order of their blocks, some of which make none.
    let sources = builder.sources;
    let mut blocks = nodes.iter().filter(|node| node.name() == "virtual_server");
    let mut block_of = |location: &Location| {
        blocks.find(|node| {
            let at = node.keyword.span;
            at.line == location.line && sources.name(at.file) == location.file
        })
    };
    let held = config.instances.iter().flat_map(|instance| instance.addresses.iter().chain(&instance.excluded));
    let held: HashSet<IpAddr> = held.chain(&config.static_addresses).map(|held| held.address).collect();
    let own = builder.interfaces.iter().flat_map(|interface| interface.addresses.iter().map(|(own, _)| *own));
    let own: HashSet<IpAddr> = own.collect();
    for service in &config.services {
        let Some(node) = block_of(&service.location) else { continue };
        let ServiceKind::Address { address, port } = service.key.kind else { continue };
        let nowhere = !held.contains(&address) && !own.contains(&address);
        if nowhere && !config.instances.is_empty() && builder.host.is_known() {
            let message = format!("no vrrp_instance has {address}, and neither has this host now");
            builder.report(
                Diagnostic::note("service-nowhere", node.span(), message)
                    .hint("packets for it come here only if something makes it a local address"),
            );
        }
        for server in service.servers.iter().filter(|server| (server.address, server.port) == (address, port)) {
            let at = node.children("real_server").find(|it| builder.location(it.keyword.span) == server.location);
            if server.forwarding == Forwarding::Nat {
                let message = format!("the real server {address} is the virtual server itself");
                builder.report(
                    Diagnostic::warning("server-is-service", at.unwrap_or(node).span(), message)
                        .silent()
                        .related(node.span(), "the service")
                        .hint("write the server's own address"),
                );
            }
        }
        slow_retries(builder, node, service);
    }
}

/// Servers that fail for much longer than a round of checks before they are taken out.
fn slow_retries(builder: &mut Builder<'_>, node: &Node, service: &crate::conf::model::VirtualServer) {
    /// Below this it is thought to be meant.
    const ROUNDS: u64 = 3;
    for server in &service.servers {
        for checker in &server.checkers {
            let retries = checker.delay_before_retry_us.saturating_mul(u64::from(checker.retry));
            if checker.delay_loop_us == 0 || retries <= checker.delay_loop_us.saturating_mul(ROUNDS) {
                continue;
            }
            let message = format!(
                "{} retries take {}, and a round of checks {}",
                checker.retry,
                seconds(Duration::from_micros(retries)),
                seconds(Duration::from_micros(checker.delay_loop_us))
            );
            let block = node.children("real_server").find(|it| builder.location(it.keyword.span) == server.location);
            let inside = |node: &Node| {
                let own = node.children.iter().find(|it| builder.location(it.keyword.span) == checker.location);
                own.and_then(|it| it.child("delay_before_retry").or_else(|| it.child("retry"))).map(Node::span)
            };
            let at = block.and_then(inside);
            let at = at.or_else(|| Some(block?.child("delay_before_retry")?.span()));
            let at = at.or_else(|| Some(node.child("delay_before_retry")?.span())).unwrap_or(node.span());
            builder.report(
                Diagnostic::note("slow-retries", at, message)
                    .hint("a dead server gets connections for that long; lower `retry` or `delay_before_retry`"),
            );
            // One of a service says it for all.
            return;
        }
    }
}

/// Parts of the kernel that are not there, each told at its first use.
fn modules(builder: &mut Builder<'_>, nodes: &[Node]) {
    let mut wanted: Vec<(String, Span)> = Vec::new();
    let mut schedulers: HashSet<&str> = HashSet::new();
    for node in nodes {
        match node.name() {
            "virtual_server" => {
                if schedulers.is_empty() {
                    wanted.push(("ip_vs".to_owned(), node.keyword.span));
                }
                // Of a thousand services nearly all have the same.
                let scheduler = node.child("lvs_sched").and_then(|child| Some((child.text()?, child.span())));
                let (name, at) = scheduler.unwrap_or(("", node.keyword.span));
                if schedulers.insert(name) && !name.is_empty() {
                    wanted.push((format!("ip_vs_{name}"), at));
                }
            }
            "vrrp_instance" => {
                let links = [("use_vmac", "macvlan"), ("use_ipvlan", "ipvlan")];
                let found = links.iter().filter_map(|(word, module)| Some((*module, node.child(word)?.keyword.span)));
                wanted.extend(found.map(|(module, at)| (module.to_owned(), at)));
            }
            _ => {}
        }
    }
    let mut told: Vec<String> = Vec::new();
    for (module, at) in wanted {
        // Without IPVS there is no scheduler either.
        let known = told.contains(&module) || (module.starts_with("ip_vs_") && told.iter().any(|told| told == "ip_vs"));
        if known || builder.host.has_module(&module) != Some(false) {
            continue;
        }
        builder.report(
            Diagnostic::warning("no-module", at, format!("this kernel has no module {module}"))
                .silent()
                .hint("install the kernel's extra modules, or another kernel; in a container the host has to have it"),
        );
        told.push(module);
    }
}

/// A time as people write it.
fn seconds(time: Duration) -> String {
    let rounded = format!("{:.3}", time.as_secs_f64());
    format!("{} s", rounded.trim_end_matches('0').trim_end_matches('.'))
}
