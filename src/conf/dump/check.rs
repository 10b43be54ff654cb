//! `virtual_server_group`, `virtual_server` and what is inside.
//!
//! A value that a server or checker inherits is written where it first holds.

use super::{Block, Directive, Writer, data, words};
use crate::conf::model::{
    Check, Checker, Config, DnsCheck, Family, Forwarding, GroupMember, HttpCheck, HttpVersion, MiscCheck, Protocol,
    RealServer, ServiceKind, SmtpCheck, Target, TlsClient, Tunnel, TunnelChecksum, UdpCheck, Url, VirtualServer,
};

/// `SSL`: all that check by TLS have the same.
pub fn tls_client(config: &Config) -> Option<&TlsClient> {
    let servers = config.services.iter().flat_map(|service| &service.servers);
    servers.flat_map(|server| &server.checkers).find_map(|checker| match &checker.check {
        Check::Http(check) => check.tls.as_ref()?.client.as_ref(),
        _ => None,
    })
}

pub fn all(writer: &Writer<'_>, top: &mut Block) {
    for group in &writer.config.groups {
        let entries = group.members.iter().map(member).collect();
        let keyword = "virtual_server_group";
        top.push(
            Directive { block: Some(entries), ..Directive::new(keyword, vec![words::plain(&group.name)]) }
                .at(&group.location),
        );
    }
    for service in &writer.config.services {
        let head = match &service.key.kind {
            ServiceKind::Address { address, port } => endpoint(address.to_string(), *port),
            ServiceKind::Mark { mark, .. } => vec!["fwmark".to_owned(), mark.to_string()],
            ServiceKind::Group(name) => vec!["group".to_owned(), words::plain(name)],
        };
        top.named("virtual_server", head, &service.location, virtual_server(writer, service));
    }
}

/// A line of a `virtual_server_group`.
pub fn member(member: &GroupMember) -> Directive {
    match member {
        GroupMember::Mark { mark, family } => {
            let family = family.map(|family| if family == Family::V6 { "inet6" } else { "inet" });
            let words = ["fwmark".to_owned(), mark.to_string()].into_iter().chain(family.map(str::to_owned));
            data(words.collect::<Vec<_>>())
        }
        GroupMember::Addresses { first, last, port } => data(endpoint(words::range(*first, *last), *port)),
    }
}

fn endpoint(address: String, port: u16) -> Vec<String> {
    let port = (port != 0).then(|| port.to_string());
    [address].into_iter().chain(port).collect()
}

fn method(forwarding: Forwarding) -> Vec<String> {
    let words = match forwarding {
        Forwarding::Nat => "NAT".to_owned(),
        Forwarding::Direct => "DR".to_owned(),
        Forwarding::Tunnel(Tunnel::Ipip) => "TUN".to_owned(),
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => format!("TUN type gue port {port}{}", sum(checksum)),
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => format!("TUN type gre{}", sum(checksum)),
    };
    words.split(' ').map(str::to_owned).collect()
}

fn sum(checksum: TunnelChecksum) -> &'static str {
    match checksum {
        TunnelChecksum::None => "",
        TunnelChecksum::Checksum => " csum",
        TunnelChecksum::Remote => " remcsum",
    }
}

/// Values that go from a service to its servers and on to their checkers.
#[derive(Clone, Copy)]
struct Inherited {
    retry: Option<u32>,
    delay_before_retry_us: Option<u64>,
    warmup_us: Option<u64>,
    connect_timeout_us: u64,
    delay_loop_us: u64,
    alpha: bool,
}

impl Inherited {
    const DEFAULT: Inherited = Inherited {
        retry: None,
        delay_before_retry_us: None,
        warmup_us: None,
        connect_timeout_us: 5_000_000,
        delay_loop_us: 60_000_000,
        alpha: false,
    };

    fn of_service(service: &VirtualServer) -> Inherited {
        Inherited {
            retry: service.retry,
            delay_before_retry_us: service.delay_before_retry_us,
            warmup_us: service.warmup_us,
            connect_timeout_us: service.connect_timeout_us,
            delay_loop_us: service.delay_loop_us,
            alpha: service.alpha,
        }
    }

    fn of_server(server: &RealServer) -> Inherited {
        Inherited {
            retry: server.retry,
            delay_before_retry_us: server.delay_before_retry_us,
            warmup_us: server.warmup_us,
            connect_timeout_us: server.connect_timeout_us,
            delay_loop_us: server.delay_loop_us,
            alpha: server.alpha,
        }
    }

    /// The lines that make `self` out of what is around. `alpha` of a service is on or nothing.
    fn lines(self, around: Inherited, block: &mut Block) {
        block.value("delay_loop", words::seconds(self.delay_loop_us), self.delay_loop_us == around.delay_loop_us);
        block.value(
            "connect_timeout",
            words::seconds(self.connect_timeout_us),
            self.connect_timeout_us == around.connect_timeout_us,
        );
        if let Some(retry) = self.retry {
            block.value("retry", retry.to_string(), self.retry == around.retry);
        }
        for (keyword, own, around) in [
            ("delay_before_retry", self.delay_before_retry_us, around.delay_before_retry_us),
            ("warmup", self.warmup_us, around.warmup_us),
        ] {
            if let Some(own) = own {
                block.value(keyword, words::seconds(own), Some(own) == around);
            }
        }
    }
}

fn alert(writer: &Writer<'_>, default: bool) -> bool {
    let mail = &writer.config.global.mail;
    mail.alert_checker.or(mail.alert).unwrap_or(default)
}

fn virtual_server(writer: &Writer<'_>, service: &VirtualServer) -> Block {
    let mut block = writer.block();
    if !matches!(service.key.kind, ServiceKind::Address { .. }) {
        block.line("ip_family", if service.family == Family::V6 { "inet6" } else { "inet" });
    }
    block.some(
        "protocol",
        service.key.protocol.map(|protocol| match protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }),
    );
    block.line("lvs_sched", words::plain(&service.scheduler));
    let [first, second, third] = service.scheduler_flags;
    block.flag("flag-1", first);
    block.flag("flag-2", second);
    block.flag("flag-3", third);
    block.flag("ops", service.one_packet);
    if let Some(forwarding) = service.forwarding {
        block.line("lvs_method", method(forwarding));
    }
    if let Some(persistence) = service.persistence {
        block.line("persistence_timeout", persistence.timeout_s.to_string());
        let (granularity, usual) = match service.family {
            Family::V4 => (std::net::Ipv4Addr::from_bits(persistence.granularity).to_string(), u32::MAX),
            Family::V6 => (persistence.granularity.to_string(), 128),
        };
        block.value("persistence_granularity", granularity, persistence.granularity == usual);
    }
    block.some("persistence_engine", service.persistence_engine.as_deref());
    Inherited::of_service(service).lines(Inherited::DEFAULT, &mut block);
    block.value("weight", service.weight.to_string(), service.weight == 1);
    block.flag("inhibit_on_failure", service.inhibit_on_failure);
    block.flag("ha_suspend", service.ha_suspend);
    block.flag("alpha", service.alpha);
    block.flag("omega", service.omega);
    block.value("quorum", service.quorum.to_string(), service.quorum == 1);
    block.value("hysteresis", service.hysteresis.to_string(), service.hysteresis == 0);
    block.some("virtualhost", service.virtual_host.as_deref());
    block.some("snmp_name", service.snmp_name.as_deref());
    block.switch("smtp_alert", service.smtp_alert, alert(writer, false));
    if let Some(script) = &service.quorum_up {
        block.line("quorum_up", writer.script(script));
    }
    if let Some(script) = &service.quorum_down {
        block.line("quorum_down", writer.script(script));
    }
    let usual = service.forwarding.unwrap_or(Forwarding::Nat);
    if let Some(sorry) = &service.sorry {
        block.push(Directive::new("sorry_server", endpoint(sorry.address.to_string(), sorry.port)).at(&sorry.location));
        block.value("sorry_server_lvs_method", method(sorry.forwarding), sorry.forwarding == usual);
        block.flag("sorry_server_inhibit", sorry.inhibit);
    }
    for server in &service.servers {
        let head = endpoint(server.address.to_string(), server.port);
        block.named("real_server", head, &server.location, real_server(writer, service, server));
    }
    block
}

fn real_server(writer: &Writer<'_>, service: &VirtualServer, server: &RealServer) -> Block {
    let mut block = writer.block();
    block.value("weight", server.weight.to_string(), server.weight == service.weight);
    let usual = service.forwarding.unwrap_or(Forwarding::Nat);
    block.value("lvs_method", method(server.forwarding), server.forwarding == usual);
    block.value("uthreshold", server.upper_threshold.to_string(), server.upper_threshold == 0);
    block.value("lthreshold", server.lower_threshold.to_string(), server.lower_threshold == 0);
    block.switch("inhibit_on_failure", server.inhibit_on_failure, service.inhibit_on_failure);
    let around = Inherited::of_service(service);
    Inherited::of_server(server).lines(around, &mut block);
    block.switch("alpha", server.alpha, around.alpha);
    block.switch("smtp_alert", server.smtp_alert, alert(writer, true));
    block.some("virtualhost", server.virtual_host.as_deref());
    block.some("snmp_name", server.snmp_name.as_deref());
    if let Some(script) = &server.notify_up {
        block.line("notify_up", writer.script(script));
    }
    if let Some(script) = &server.notify_down {
        block.line("notify_down", writer.script(script));
    }
    let host = server.virtual_host.as_deref().or(service.virtual_host.as_deref());
    for checker in &server.checkers {
        let inner = self::checker(writer, service, server, host, checker);
        block.named(checker.check.name(), (), &checker.location, inner);
    }
    block
}

fn checker(
    writer: &Writer<'_>,
    service: &VirtualServer,
    server: &RealServer,
    host: Option<&str>,
    checker: &Checker,
) -> Block {
    let mut block = writer.block();
    match &checker.check {
        Check::Tcp(target) | Check::Ping(target) => self::target(server, target, &mut block),
        Check::Http(check) => http(writer, server, host, check, &mut block),
        Check::Smtp(SmtpCheck { target, helo }) => {
            self::target(server, target, &mut block);
            block.value("helo_name", words::plain(helo), helo == "smtpchecker.keepalived.org");
        }
        Check::Dns(DnsCheck { target, record, name }) => {
            self::target(server, target, &mut block);
            block.value("type", record_type(*record), *record == 6);
            if !name.is_empty() {
                block.line("name", words::plain(name));
            }
        }
        Check::Misc(MiscCheck { script, timeout_us, dynamic }) => {
            block.line("misc_path", writer.command(script));
            let user = writer.user(script);
            if !user.is_empty() {
                block.line("user", user);
            }
            block.value("misc_timeout", words::seconds(*timeout_us), *timeout_us == service.delay_loop_us);
            block.flag("misc_dynamic", *dynamic);
        }
        Check::Udp(check) => udp(server, check, &mut block),
        Check::File(check) => {
            block.line("track_file", words::plain(&check.name));
            let reverse = if check.reverse { "reverse" } else { "noreverse" };
            block.line("weight", vec![check.weight.to_string(), reverse.to_owned()]);
        }
        Check::Bfd(name) => block.line("name", words::plain(name)),
    }
    times(writer, server, checker, &mut block);
    block
}

/// When a check is made; files and sessions are looked at when they change.
fn times(writer: &Writer<'_>, server: &RealServer, checker: &Checker, block: &mut Block) {
    let (retry, delay) = match &checker.check {
        Check::File(_) | Check::Bfd(_) => {
            // All that such a block may say; the rest is the server's.
            if checker.alpha != server.alpha {
                block.switch("alpha", checker.alpha, server.alpha);
            }
            return;
        }
        Check::Http(_) => (1, 3_000_000),
        Check::Dns(_) => (3, checker.delay_loop_us),
        Check::Misc(_) => (0, 1_000_000),
        Check::Tcp(_) | Check::Ping(_) | Check::Udp(_) | Check::Smtp(_) => (1, 1_000_000),
    };
    let delay_loop = checker.delay_loop_us;
    block.value("delay_loop", words::seconds(delay_loop), delay_loop == server.delay_loop_us);
    block.value("retry", checker.retry.to_string(), checker.retry == server.retry.unwrap_or(retry));
    let before = checker.delay_before_retry_us;
    let usual = server.delay_before_retry_us.unwrap_or(delay);
    block.value("delay_before_retry", words::seconds(before), before == usual);
    let warmup = checker.warmup_us;
    block.value("warmup", words::seconds(warmup), warmup == server.warmup_us.unwrap_or(delay_loop));
    block.switch("alpha", checker.alpha, server.alpha);
    block.switch("log_all_failures", checker.log_all_failures, writer.config.global.log_all_failures);
}

fn target(server: &RealServer, target: &Target, block: &mut Block) {
    block.value("connect_ip", target.address.to_string(), target.address == server.address);
    if target.port != 0 {
        block.value("connect_port", target.port.to_string(), target.port == server.port);
    }
    block.some("bindto", target.bind);
    if target.bind_port != 0 {
        block.line("bind_port", target.bind_port.to_string());
    }
    block.some("bind_if", target.interface.as_deref());
    if target.mark != 0 {
        block.line("fwmark", target.mark.to_string());
    }
    let usual = target.timeout_us == server.connect_timeout_us;
    block.value("connect_timeout", words::seconds(target.timeout_us), usual);
}

fn http(writer: &Writer<'_>, server: &RealServer, host: Option<&str>, check: &HttpCheck, block: &mut Block) {
    target(server, &check.target, block);
    let version = match check.version {
        HttpVersion::V1_0 => "1.0",
        HttpVersion::V1_0Close => "1.0C",
        HttpVersion::V1_0CloseLower => "1.0c",
        HttpVersion::V1_1 => "1.1",
    };
    block.value("http_protocol", version, check.version == HttpVersion::V1_0);
    if let Some(tls) = &check.tls {
        block.switch("enable_sni", tls.sni && tls.sni_name.is_none(), false);
        block.some("sni_name", tls.sni_name.as_deref());
        block.switch("tls_compliant", tls.compliant, false);
    }
    block.switch("fast_recovery", check.fast_recovery, false);
    let compliant = check.tls.as_ref().map(|tls| tls.compliant);
    for url in &check.urls {
        let mut inner = writer.block();
        self::url(url, host, compliant, &mut inner);
        block.push(Directive { block: Some(inner.lines), ..Directive::new("url", vec![]) });
    }
}

fn url(url: &Url, host: Option<&str>, compliant: Option<bool>, block: &mut Block) {
    block.line("path", words::plain(&url.path));
    if let Some(own) = &url.virtual_host {
        block.value("virtualhost", words::plain(own), Some(own.as_str()) == host);
    }
    if let Some(digest) = url.digest {
        block.line("digest", words::hex(digest));
    }
    let codes = url.status.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    block.value("status_code", codes.collect::<Vec<_>>(), url.status == [(200, 299)]);
    if let Some(regex) = &url.regex {
        block.line("regex", words::pattern(&regex.pattern));
        if !regex.options.is_empty() {
            block.line("regex_options", regex.options.clone());
        }
        block.flag("regex_no_match", regex.no_match);
        block.value("regex_min_offset", regex.min_offset.to_string(), regex.min_offset == 0);
        block.some("regex_max_offset", regex.max_offset);
        if let Some((start, max)) = regex.stack {
            block.line("regex_stack", vec![start.to_string(), max.to_string()]);
        }
    }
    if let Some(compliant) = compliant {
        block.switch("tls_compliant", url.tls_compliant, compliant);
    }
}

fn udp(server: &RealServer, check: &UdpCheck, block: &mut Block) {
    target(server, &check.target, block);
    if let Some(payload) = &check.payload {
        block.line("payload", words::hex(payload.iter().copied()));
    }
    let Some(reply) = &check.reply else { return };
    let digit = |value: u8, mask: u8| if mask == 0 { "X".to_owned() } else { format!("{value:x}") };
    let octets = reply.prefix.iter().map(|(value, mask)| digit(value >> 4, mask >> 4) + &digit(value & 15, mask & 15));
    let octets: String = octets.collect();
    block.line("require_reply", Some(octets).filter(|octets| !octets.is_empty()).into_iter().collect::<Vec<_>>());
    block.value("min_reply_length", reply.min_length.to_string(), reply.min_length == 0);
    block.value("max_reply_length", reply.max_length.to_string(), reply.max_length == 255);
}

fn record_type(record: u16) -> &'static str {
    match record {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        46 => "RRSIG",
        48 => "DNSKEY",
        _ => "SOA",
    }
}
