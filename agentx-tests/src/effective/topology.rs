//! `SSL definitions` and `LVS Topology`: groups, virtual servers, real servers.

use std::net::Ipv4Addr;

use keepwatch::conf::model::{
    Check, Config, Family, Forwarding, GroupMember, RealServer, Script, ServerGroup, ServiceKind, TlsClient, Tunnel,
    TunnelChecksum, VirtualServer,
};

pub(super) fn tls(config: &Config) -> Vec<String> {
    let checkers = config.services.iter().flat_map(|service| &service.servers).flat_map(|server| &server.checkers);
    let mut all = checkers.filter_map(|checker| match &checker.check {
        Check::Http(http) => http.tls.as_ref(),
        _ => None,
    });
    match all.next().map(|tls| tls.client.as_ref()) {
        None => Vec::new(),
        Some(None) => vec![" Using autogen SSL context".to_owned()],
        Some(Some(TlsClient { password, ca, certificate, key })) => {
            let lines = [("Password", password), ("CA-file", ca), ("Certificate file", certificate), ("Key file", key)];
            let set = lines.into_iter().filter_map(|(name, value)| Some(format!(" {name} : {}", value.as_ref()?)));
            set.collect()
        }
    }
}

pub(super) fn lines(config: &Config) -> Vec<String> {
    let mut out = Vec::new();
    config.groups.iter().for_each(|group| self::group(group, &mut out));
    config.services.iter().for_each(|each| service(config, each, &mut out));
    out
}

fn group(group: &ServerGroup, out: &mut Vec<String>) {
    let has = |wanted: Family| {
        group.members.iter().any(|member| match member {
            GroupMember::Mark { family, .. } => *family == Some(wanted),
            GroupMember::Addresses { first, .. } => Family::of(*first) == wanted,
        })
    };
    out.push(" ------< Virtual server group >------".to_owned());
    out.push(format!(
        " Virtual Server Group = {}, IPv4 = {}, IPv6 = {}",
        group.name,
        yes(has(Family::V4)),
        yes(has(Family::V6))
    ));
    let (marks, addresses): (Vec<_>, Vec<_>) =
        group.members.iter().partition(|member| matches!(member, GroupMember::Mark { .. }));
    for member in addresses.into_iter().chain(marks) {
        out.push(match member {
            GroupMember::Addresses { first, last, port } if first == last => {
                format!("   VIP = {first}, VPORT = {port}")
            }
            GroupMember::Addresses { first, last, port } => format!("   VIP Range = {first}-{last}, VPORT = {port}"),
            GroupMember::Mark { mark, .. } => format!("   FWMARK = {mark}"),
        });
    }
}

fn service(config: &Config, service: &VirtualServer, out: &mut Vec<String>) {
    out.push(" ------< Virtual server >------".to_owned());
    out.push(match &service.key.kind {
        ServiceKind::Address { address, port } => format!(" VS VIP = {address}, VPORT = {port}"),
        ServiceKind::Mark { mark, .. } => format!(" VS FWMARK = {mark}"),
        ServiceKind::Group(name) => format!(" VS GROUP = [{name}]:0"),
    });
    let mut line = |line: String| out.push(format!("   {line}"));
    if let Some(name) = &service.snmp_name {
        line(format!("SNMP name = '{name}'"));
    }
    if let Some(host) = &service.virtual_host {
        line(format!("VirtualHost = {host}"));
    }
    line(format!("Address family = {}", if service.family == Family::V4 { "inet" } else { "inet6" }));
    line(format!("connection timeout = {}", seconds(service.connect_timeout_us)));
    line(format!("delay_loop = {}", seconds(service.delay_loop_us)));
    line(format!("lvs_sched = {}", service.scheduler));
    line("Hashed = disabled".to_owned());
    let [one, two, three] = service.scheduler_flags.map(enabled);
    match service.scheduler.as_str() {
        name @ ("sh" | "mh") => {
            line(format!("{name}-port = {two}"));
            line(format!("{name}-fallback = {one}"));
        }
        _ => [one, two, three].into_iter().zip(1..).for_each(|(on, number)| line(format!("flag-{number} = {on}"))),
    }
    line(format!("One packet scheduling = {}", enabled(service.one_packet)));
    if let Some(persistence) = service.persistence {
        line(format!("persistence timeout = {}", persistence.timeout_s));
        match service.family {
            Family::V4 if persistence.granularity != u32::MAX => {
                line(format!("persistence granularity = {}", Ipv4Addr::from(persistence.granularity)));
            }
            Family::V6 if persistence.granularity != 128 => {
                line(format!("persistence granularity = {}", persistence.granularity));
            }
            Family::V4 | Family::V6 => {}
        }
    }
    line(format!("protocol = {}", service.key.protocol.map_or("none".to_owned(), |it| it.name().to_uppercase())));
    line(format!("alpha is {}", on(service.alpha)));
    line(format!("omega is {}", on(service.omega)));
    retries(service.retry, service.delay_before_retry_us, service.warmup_us, &mut line);
    line(format!("Inhibit on failure is {}", on(service.inhibit_on_failure)));
    line(format!("quorum = {}, hysteresis = {}", service.quorum, service.hysteresis));
    if let Some(script) = &service.quorum_up {
        line(format!("Quorum up notify script = {}", self::script(config, script)));
    }
    if let Some(script) = &service.quorum_down {
        line(format!("Quorum down notify script = {}", self::script(config, script)));
    }
    if service.ha_suspend {
        line("Using HA suspend".to_owned());
    }
    line(format!("Using smtp notification = {}", yes(service.smtp_alert)));
    line(format!("forwarding method = {}", forwarding(service.forwarding.unwrap_or(Forwarding::Nat))));
    if let Some(sorry) = &service.sorry {
        let protocol = service.key.protocol_name();
        line(format!("sorry server = [{}]:{protocol}:{}", sorry.address, sorry.port));
        line(format!("  forwarding method = {}", forwarding(sorry.forwarding)));
        line(format!("  Inhibit on failure is {}", on(sorry.inhibit)));
    }
    service.servers.iter().for_each(|server| real_server(config, server, out));
}

fn real_server(config: &Config, server: &RealServer, out: &mut Vec<String>) {
    let mut line = |line: String| out.push(format!("   {line}"));
    line("------< Real server >------".to_owned());
    line(format!("RIP = {}, RPORT = {}, WEIGHT = {}", server.address, server.port, server.weight));
    line(format!("forwarding method = {}", forwarding(server.forwarding)));
    line(format!("Alpha is {}", on(server.alpha)));
    line(format!("connection timeout = {}", seconds(server.connect_timeout_us)));
    line(format!("connection limit range = {} -> {}", server.lower_threshold, server.upper_threshold));
    line(format!("Delay loop = {}", seconds(server.delay_loop_us)));
    retries(server.retry, server.delay_before_retry_us, server.warmup_us, &mut line);
    line(format!("Inhibit on failure is {}", on(server.inhibit_on_failure)));
    if let Some(script) = &server.notify_up {
        line(format!("  RS up notify script = {}", self::script(config, script)));
    }
    if let Some(script) = &server.notify_down {
        line(format!("  RS down notify script = {}", self::script(config, script)));
    }
    if let Some(host) = &server.virtual_host {
        line(format!(" VirtualHost = '{host}'"));
    }
    if let Some(name) = &server.snmp_name {
        line(format!("SNMP name = {name}"));
    }
    line(format!("Using smtp notification = {}", yes(server.smtp_alert)));
    line(format!("initial weight = {}", server.weight));
    let mut files = server.checkers.iter().filter_map(|checker| match &checker.check {
        Check::File(file) => Some(file),
        _ => None,
    });
    if let Some(first) = files.next() {
        line("Tracked Files".to_owned());
        for file in std::iter::once(first).chain(files) {
            line(format!("  {}, weight {}{}", file.name, file.weight, reverse(file.reverse)));
        }
    }
}

fn retries(retry: Option<u32>, delay_us: Option<u64>, warmup_us: Option<u64>, line: &mut impl FnMut(String)) {
    if let Some(retry) = retry {
        line(format!("Retry count = {retry}"));
    }
    if let Some(delay) = delay_us {
        line(format!("Retry delay = {}", seconds(delay)));
    }
    if let Some(warmup) = warmup_us {
        line(format!("Warmup = {}", seconds(warmup)));
    }
}

/// Keepalived's lines in one manner.
pub(super) fn normal(lines: Vec<String>) -> Vec<String> {
    let one = |line: String| {
        // The weight behind it follows from checks; and the method of a service is called in two ways.
        let line = line.split(" EFF WEIGHT").next().unwrap_or(&line).to_owned();
        line.replacen("default forwarding method", "forwarding method", 1)
    };
    lines.into_iter().map(one).collect()
}

pub(super) fn script(config: &Config, script: &Script) -> String {
    let (words, uid, gid) = command(config, script);
    format!("{words}, uid:gid {uid}:{gid}")
}

/// Every word in single quotes, and who runs it.
pub(super) fn command(config: &Config, script: &Script) -> (String, u32, u32) {
    match config.scripts.get(script.id.0 as usize) {
        Some(entry) => {
            let words: Vec<String> = entry.words.iter().map(|word| format!("'{word}'")).collect();
            (words.join(" "), entry.uid, entry.gid)
        }
        None => (format!("script {} does not exist", script.id.0), 0, 0),
    }
}

fn forwarding(of: Forwarding) -> String {
    let checksum = |of: TunnelChecksum| match of {
        TunnelChecksum::None => "",
        TunnelChecksum::Checksum => ", checksum",
        TunnelChecksum::Remote => ", remote checksum",
    };
    match of {
        Forwarding::Nat => "NAT".to_owned(),
        Forwarding::Direct => "DR".to_owned(),
        Forwarding::Tunnel(Tunnel::Ipip) => "TUN, type = IPIP".to_owned(),
        Forwarding::Tunnel(Tunnel::Gue { port, checksum: of }) => {
            format!("TUN, type = GUE, port = {port}{}", checksum(of))
        }
        Forwarding::Tunnel(Tunnel::Gre { checksum: of }) => format!("TUN, type = GRE{}", checksum(of)),
    }
}

pub(super) fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

pub(super) fn reverse(of: bool) -> &'static str {
    if of { " reverse" } else { "" }
}

pub(super) fn yes(of: bool) -> &'static str {
    if of { "yes" } else { "no" }
}

fn on(of: bool) -> &'static str {
    if of { "ON" } else { "OFF" }
}

fn enabled(of: bool) -> &'static str {
    if of { "enabled" } else { "disabled" }
}
