//! `Health checkers` and `Checker track files`.

use std::collections::BTreeMap;

use keepwatch::conf::model::{
    BodyRegex, Check, Checker, Config, DnsCheck, HttpCheck, HttpVersion, RealServer, ServiceKind, Target, UdpCheck,
    Url, VirtualServer,
};

use super::topology::{command, reverse, seconds, yes};

/// Keepalived has those of files at the end.
pub(super) fn lines(config: &Config) -> Vec<String> {
    let mut out = Vec::new();
    for of_files in [false, true] {
        for (service, server, checker) in all(config) {
            if matches!(checker.check, Check::File(_)) == of_files {
                out.push(format!(" {}", head(service, server)));
                self::checker(config, service, checker, &mut out);
            }
        }
    }
    out
}

fn all(config: &Config) -> impl Iterator<Item = (&VirtualServer, &RealServer, &Checker)> {
    let servers =
        config.services.iter().flat_map(|service| service.servers.iter().map(move |server| (service, server)));
    servers.flat_map(|(service, server)| server.checkers.iter().map(move |checker| (service, server, checker)))
}

fn head(service: &VirtualServer, server: &RealServer) -> String {
    let protocol = service.key.protocol_name();
    let of = match &service.key.kind {
        ServiceKind::Address { address, port } => format!("[{address}]:{protocol}:{port}"),
        ServiceKind::Mark { mark, .. } => format!("FWM {mark}"),
        ServiceKind::Group(name) => format!("[{name}]:0"),
    };
    format!("{of} -> [{}]:{protocol}:{}", server.address, server.port)
}

fn checker(config: &Config, service: &VirtualServer, checker: &Checker, out: &mut Vec<String>) {
    let mut line = |line: String| out.push(format!("   {line}"));
    if !matches!(checker.check, Check::File(_) | Check::Bfd(_)) {
        line(format!("Alpha = {}", yes(checker.alpha)));
        line(format!("Delay loop = {} us", checker.delay_loop_us));
        line(format!("Warmup = {} us", checker.warmup_us));
        line(format!("Retries = {}", checker.retry));
        if checker.retry > 0 {
            line(format!("Delay before retry = {} us", checker.delay_before_retry_us));
        }
    }
    line(format!("Log all failures = {}", yes(checker.log_all_failures)));
    match &checker.check {
        Check::Tcp(target) => connection(target, &mut line),
        Check::Ping(target) => connection(target, &mut line),
        Check::Http(check) => connection(&check.target, &mut line),
        Check::Smtp(check) => connection(&check.target, &mut line),
        Check::Dns(check) => connection(&check.target, &mut line),
        Check::Udp(check) => connection(&check.target, &mut line),
        Check::Misc(_) | Check::File(_) | Check::Bfd(_) => {}
    }
    let name = checker.check.name();
    match &checker.check {
        Check::Http(check) => {
            line(format!("Keepalive method = {name}, http protocol {}", version(check.version)));
            http(check, &mut line);
        }
        _ => line(format!("Keepalive method = {name}")),
    }
    match &checker.check {
        Check::Smtp(check) => line(format!("helo = {}", check.helo)),
        Check::Dns(check) => dns(check, &mut line),
        Check::Misc(check) => {
            let (words, uid, gid) = command(config, &check.script);
            line(format!("script = {words}"));
            // Zero is keepalived's way to say: as long as `delay_loop` of the virtual server.
            let own = if check.timeout_us == service.delay_loop_us { 0 } else { check.timeout_us / 1_000_000 };
            line(format!("timeout = {own}"));
            line(format!("dynamic = {}", if check.dynamic { "YES" } else { "NO" }));
            line(format!("uid:gid = {uid}:{gid}"));
        }
        Check::Udp(check) => udp(check, &mut line),
        Check::File(check) => line(format!("  Tracked file = {}", check.name)),
        Check::Bfd(name) => line(format!("BFD instance = {name}")),
        Check::Tcp(_) | Check::Ping(_) | Check::Http(_) => {}
    }
}

fn connection(target: &Target, line: &mut impl FnMut(String)) {
    line("Connection".to_owned());
    line(format!("  Dest = [{}]:{}", target.address, target.port));
    if let Some(bind) = target.bind {
        line(format!("  Bind to = [{bind}]:{}", target.bind_port));
    }
    if let Some(interface) = &target.interface {
        line(format!("  Bind i/f = {interface}"));
    }
    if target.mark != 0 {
        line(format!("  Mark = {}", target.mark));
    }
    line(format!("  Timeout = {}", seconds(target.timeout_us)));
}

fn version(of: HttpVersion) -> &'static str {
    match of {
        HttpVersion::V1_0 => "1.0",
        HttpVersion::V1_0Close | HttpVersion::V1_0CloseLower => "1.0C",
        HttpVersion::V1_1 => "1.1",
    }
}

fn http(check: &HttpCheck, line: &mut impl FnMut(String)) {
    let set = |on: bool| if on { "set" } else { "unset" };
    line(format!("Enable SNI {}", set(check.tls.as_ref().is_some_and(|tls| tls.sni))));
    line(format!("Fast recovery {}", set(check.fast_recovery)));
    check.urls.iter().for_each(|each| url(each, line));
}

fn url(url: &Url, line: &mut impl FnMut(String)) {
    line(format!("Checked url = {}", url.path));
    if let Some(digest) = url.digest {
        line(format!("  digest = {}", digest.map(|octet| format!("{octet:02x}")).concat()));
    }
    line("  HTTP Status Code(s)".to_owned());
    for (first, last) in &url.status {
        line(if first == last { format!("    {first}") } else { format!("    {first}-{last}") });
    }
    if let Some(host) = &url.virtual_host {
        line(format!("  Virtual host = {host}"));
    }
    if let Some(BodyRegex { pattern, no_match, min_offset, max_offset, stack, .. }) = &url.regex {
        line(format!("  Regex = \"{pattern}\""));
        if *no_match {
            line("  Regex no match".to_owned());
        }
        if *min_offset != 0 || max_offset.is_some() {
            line(format!("  Regex min offset = {min_offset}, max_offset = {}", max_offset.unwrap_or(0)));
        }
        if let Some((start, max)) = stack {
            line(format!("  Regex stack start {start}, max {max}"));
        }
    }
}

fn dns(check: &DnsCheck, line: &mut impl FnMut(String)) {
    let name = match check.record {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        46 => "RRSIG",
        48 => "DNSKEY",
        _ => "?",
    };
    line(format!("Type = {name}"));
    line(format!("Name = {}", check.name).trim_end().to_owned());
}

fn udp(check: &UdpCheck, line: &mut impl FnMut(String)) {
    match &check.payload {
        Some(payload) => line(format!("Payload len = {}", payload.len())),
        None => line("Payload specified = no".to_owned()),
    }
    line(format!("Require reply = {}", yes(check.reply.is_some())));
    if let Some(reply) = &check.reply {
        line(format!("  Min reply length = {}", reply.min_length));
        line(format!("  Max reply length = {}", reply.max_length));
        line(format!("  Reply data len = {}", reply.prefix.len()));
        if reply.prefix.iter().any(|(_, mask)| *mask != 0xff) {
            line("  Reply data mask = yes".to_owned());
        }
    }
}

/// Keepalived's lines with what they inherit: a URL's virtual host is its own, or the checker's, the server's or the
/// service's; and a name without the final dot.
pub(super) fn normal(lines: Vec<String>, config: &Config) -> Vec<String> {
    let mut hosts: BTreeMap<String, Option<&str>> = BTreeMap::new();
    for (service, server, _) in all(config) {
        let host = server.virtual_host.as_deref().or(service.virtual_host.as_deref());
        hosts.insert(head(service, server), host);
    }
    let mut out: Vec<String> = Vec::new();
    let mut host: Option<String> = None;
    let all_failures = config.global.log_all_failures;
    // Lines are the checker's as long as no URL has begun; a URL's own host stands behind its status codes.
    let mut codes = false;
    let mut lines = lines.into_iter().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim();
        if text.contains(" -> ") && line.starts_with(' ') && !line.starts_with("  ") {
            host = hosts.get(text).copied().flatten().map(str::to_owned);
            codes = false;
        }
        if let Some(own) = text.strip_prefix("Virtualhost = ") {
            host = Some(own.to_owned());
            continue;
        }
        // The global switch stands in no checker, and is looked at beside the checker's own.
        if all_failures && text == "Log all failures = no" {
            out.push("   Log all failures = yes".to_owned());
            continue;
        }
        codes |= text == "HTTP Status Code(s)";
        if text.starts_with("Name = ") || text == "Name =" {
            out.push(line.trim_end_matches('.').to_owned());
            continue;
        }
        out.push(line);
        let more_codes = lines.peek().is_some_and(|next| next.trim().starts_with(|c: char| c.is_ascii_digit()));
        if codes && !more_codes {
            codes = false;
            let own = lines.peek().is_some_and(|next| next.trim().starts_with("Virtual host = "));
            if let (Some(host), false) = (&host, own) {
                out.push(format!("     Virtual host = {host}"));
            }
        }
    }
    out
}

/// Each file with the servers that look at it.
pub(super) fn files(config: &Config) -> Vec<String> {
    let mut files: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for (service, server, checker) in all(config) {
        let Check::File(check) = &checker.check else { continue };
        let who = format!("     {}, weight {}{}", head(service, server), check.weight, reverse(check.reverse));
        match files.iter_mut().find(|(name, ..)| *name == check.name) {
            Some((.., all)) => all.push(who),
            None => files.push((&check.name, &check.path, vec![who])),
        }
    }
    let mut out = Vec::new();
    for (name, path, who) in files {
        out.push(format!(" Track file = {name}"));
        out.push(format!("   File = {path}"));
        out.push("   Tracking instances :".to_owned());
        out.extend(who);
    }
    out
}
