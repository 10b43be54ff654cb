//! Virtual servers, their groups, their servers, and what is checked of these.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::facts::{Facts, seconds_us};
use super::objects::Scripts;
use crate::conf::model::{
    BodyRegex, Check, Checker, DnsCheck, Family, FileCheck, Forwarding, GroupMember, HttpCheck, HttpVersion, MiscCheck,
    Persistence, RealServer, ServerGroup, SmtpCheck, SorryServer, Target, TlsClient, TlsSettings, Tunnel,
    TunnelChecksum, UdpCheck, Url, VirtualServer,
};

pub(super) fn group(of: &ServerGroup) -> Facts {
    let ServerGroup { name: _, location: _, members } = of;
    let mut facts = Facts::default();
    facts.each("member", members.iter().map(member));
    facts
}

fn member(of: &GroupMember) -> String {
    match of {
        GroupMember::Mark { mark, family: None } => format!("fwmark {mark}"),
        GroupMember::Mark { mark, family: Some(Family::V4) } => format!("fwmark {mark} inet"),
        GroupMember::Mark { mark, family: Some(Family::V6) } => format!("fwmark {mark} inet6"),
        GroupMember::Addresses { first, last, port } if first == last => format!("{first} {port}"),
        GroupMember::Addresses { first, last, port } => format!("{first}-{last} {port}"),
    }
}

pub(super) fn service(of: &VirtualServer, scripts: Scripts<'_>) -> Facts {
    let VirtualServer {
        key: _,
        location: _,
        family,
        scheduler,
        one_packet,
        scheduler_flags: [flag_1, flag_2, flag_3],
        forwarding: their_forwarding,
        persistence,
        persistence_engine,
        delay_loop_us,
        retry,
        delay_before_retry_us,
        warmup_us,
        connect_timeout_us,
        weight,
        inhibit_on_failure,
        ha_suspend,
        alpha,
        omega,
        quorum,
        hysteresis,
        quorum_up,
        quorum_down,
        virtual_host,
        snmp_name,
        smtp_alert,
        sorry: _,
        servers: _,
    } = of;
    let mut facts = Facts::default();
    facts.one("ip_family", if *family == Family::V4 { "inet" } else { "inet6" });
    facts.one("lvs_sched", scheduler);
    facts.flag("ops", *one_packet);
    facts.flag("flag-1", *flag_1);
    facts.flag("flag-2", *flag_2);
    facts.flag("flag-3", *flag_3);
    facts.maybe("lvs_method", their_forwarding.map(forwarding));
    if let Some(Persistence { timeout_s, granularity }) = *persistence {
        facts.one("persistence_timeout", timeout_s);
        let granularity = match family {
            Family::V4 => IpAddr::from(granularity.to_be_bytes()).to_string(),
            Family::V6 => granularity.to_string(),
        };
        facts.one("persistence_granularity", granularity);
    }
    facts.maybe("persistence_engine", persistence_engine.as_ref());
    facts.one("delay_loop", seconds_us(*delay_loop_us));
    facts.maybe("retry", *retry);
    facts.maybe("delay_before_retry", delay_before_retry_us.map(seconds_us));
    facts.maybe("warmup", warmup_us.map(seconds_us));
    facts.one("connect_timeout", seconds_us(*connect_timeout_us));
    facts.one("weight", weight);
    facts.flag("inhibit_on_failure", *inhibit_on_failure);
    facts.flag("ha_suspend", *ha_suspend);
    facts.flag("alpha", *alpha);
    facts.flag("omega", *omega);
    facts.one("quorum", quorum);
    facts.one("hysteresis", hysteresis);
    scripts.tell(&mut facts, "quorum_up", quorum_up.as_ref());
    scripts.tell(&mut facts, "quorum_down", quorum_down.as_ref());
    facts.maybe("virtualhost", virtual_host.as_ref());
    facts.maybe("snmp_name", snmp_name.as_ref());
    facts.flag("smtp_alert", *smtp_alert);
    facts
}

pub(super) fn sorry(of: &SorryServer) -> Facts {
    let SorryServer { address: _, port: _, location: _, forwarding: their_forwarding, inhibit } = of;
    let mut facts = Facts::default();
    facts.one("sorry_server_lvs_method", forwarding(*their_forwarding));
    facts.flag("sorry_server_inhibit", *inhibit);
    facts
}

pub(super) fn server(of: &RealServer, scripts: Scripts<'_>) -> Facts {
    let RealServer {
        address: _,
        port: _,
        location: _,
        weight,
        forwarding: their_forwarding,
        upper_threshold,
        lower_threshold,
        inhibit_on_failure,
        notify_up,
        notify_down,
        alpha,
        retry,
        delay_before_retry_us,
        warmup_us,
        connect_timeout_us,
        delay_loop_us,
        smtp_alert,
        virtual_host,
        snmp_name,
        checkers,
    } = of;
    let mut facts = Facts::default();
    facts.one("weight", weight);
    facts.one("lvs_method", forwarding(*their_forwarding));
    facts.one("uthreshold", upper_threshold);
    facts.one("lthreshold", lower_threshold);
    facts.flag("inhibit_on_failure", *inhibit_on_failure);
    scripts.tell(&mut facts, "notify_up", notify_up.as_ref());
    scripts.tell(&mut facts, "notify_down", notify_down.as_ref());
    facts.flag("alpha", *alpha);
    facts.maybe("retry", *retry);
    facts.maybe("delay_before_retry", delay_before_retry_us.map(seconds_us));
    facts.maybe("warmup", warmup_us.map(seconds_us));
    facts.one("connect_timeout", seconds_us(*connect_timeout_us));
    facts.one("delay_loop", seconds_us(*delay_loop_us));
    facts.flag("smtp_alert", *smtp_alert);
    facts.maybe("virtualhost", virtual_host.as_ref());
    facts.maybe("snmp_name", snmp_name.as_ref());
    match &checkers[..] {
        // Of the only one each value is told.
        [only] => {
            facts.one("checker", only.check.name());
            checker(&mut facts, only, scripts);
        }
        several => facts.each_with("checker", several.iter().map(|it| described(it, scripts))),
    }
    facts
}

/// One of several: what it is, and all the rest.
fn described(of: &Checker, scripts: Scripts<'_>) -> (String, String) {
    let mut facts = Facts::default();
    checker(&mut facts, of, scripts);
    let target = match &of.check {
        Check::Tcp(target) | Check::Ping(target) => aim(target),
        Check::Http(check) => {
            let paths: Vec<&str> = check.urls.iter().map(|url| url.path.as_str()).collect();
            format!("{} {}", aim(&check.target), paths.join(" "))
        }
        Check::Smtp(check) => aim(&check.target),
        Check::Dns(check) => format!("{} {}", aim(&check.target), check.name),
        Check::Udp(check) => aim(&check.target),
        Check::Misc(check) => check.script.text.clone(),
        Check::File(check) => check.name.clone(),
        Check::Bfd(name) => name.clone(),
    };
    (format!("{} {target}", of.check.name()), format!("{facts:?}"))
}

fn checker(facts: &mut Facts, of: &Checker, scripts: Scripts<'_>) {
    let Checker { check, location: _, delay_loop_us, retry, delay_before_retry_us, warmup_us, alpha, log_all_failures } =
        of;
    match check {
        Check::Tcp(it) => target(facts, it),
        Check::Ping(it) => target(facts, it),
        Check::Http(it) => http(facts, it),
        Check::Smtp(SmtpCheck { target: it, helo }) => {
            target(facts, it);
            facts.one("helo_name", helo);
        }
        Check::Dns(DnsCheck { target: it, record, name }) => {
            target(facts, it);
            facts.one("type", record);
            facts.one("name", name);
        }
        Check::Misc(MiscCheck { script, timeout_us, dynamic }) => {
            scripts.tell(facts, "misc_path", Some(script));
            facts.one("misc_timeout", seconds_us(*timeout_us));
            facts.flag("misc_dynamic", *dynamic);
        }
        Check::Udp(UdpCheck { target: it, payload, reply }) => {
            target(facts, it);
            facts.hidden("payload", payload.as_ref());
            facts.hidden("require_reply", reply.as_ref());
        }
        Check::File(FileCheck { path, name, weight, reverse }) => {
            facts.with("track_file", name.clone(), path.clone());
            facts.one("track_file weight", format_args!("{weight}{}", if *reverse { " reverse" } else { "" }));
        }
        Check::Bfd(name) => facts.one("BFD_CHECK name", name),
    }
    facts.one("checker delay_loop", seconds_us(*delay_loop_us));
    facts.one("checker retry", retry);
    facts.one("checker delay_before_retry", seconds_us(*delay_before_retry_us));
    facts.one("checker warmup", seconds_us(*warmup_us));
    facts.flag("checker alpha", *alpha);
    facts.flag("log_all_failures", *log_all_failures);
}

fn target(facts: &mut Facts, of: &Target) {
    let Target { address, port, bind, bind_port, interface, mark, timeout_us } = of;
    facts.one("connect_ip", address);
    facts.one("connect_port", port);
    facts.maybe("bindto", *bind);
    facts.maybe("bind_port", (*bind_port != 0).then_some(*bind_port));
    facts.maybe("bind_if", interface.as_ref());
    facts.maybe("fwmark", (*mark != 0).then_some(*mark));
    facts.one("checker connect_timeout", seconds_us(*timeout_us));
}

fn http(facts: &mut Facts, of: &HttpCheck) {
    let HttpCheck { target: it, tls, version, urls, fast_recovery } = of;
    target(facts, it);
    let version = match version {
        HttpVersion::V1_0 => "1.0",
        HttpVersion::V1_0Close => "1.0C",
        HttpVersion::V1_0CloseLower => "1.0c",
        HttpVersion::V1_1 => "1.1",
    };
    facts.one("http_protocol", version);
    facts.flag("fast_recovery", *fast_recovery);
    if let Some(TlsSettings { sni, sni_name, compliant, client }) = tls {
        facts.flag("enable_sni", *sni);
        facts.maybe("sni_name", sni_name.as_ref());
        facts.flag("tls_compliant", *compliant);
        if let Some(TlsClient { password, ca, certificate, key }) = client {
            facts.hidden("SSL password", password.as_ref());
            facts.maybe("SSL ca", ca.as_ref());
            facts.maybe("SSL certificate", certificate.as_ref());
            facts.maybe("SSL key", key.as_ref());
        }
    }
    facts.each_with("url", urls.iter().map(url));
}

fn url(of: &Url) -> (String, String) {
    let Url { path, virtual_host, digest, status, regex, tls_compliant } = of;
    let mut text = path.clone();
    // Writing to a String cannot fail.
    if let Some(host) = virtual_host {
        let _ = write!(text, " virtualhost {host}");
    }
    if let Some(digest) = digest {
        text += " digest ";
        for octet in digest {
            let _ = write!(text, "{octet:02x}");
        }
    }
    if status[..] != [(200, 299)] {
        text += " status_code";
        for (first, last) in status {
            let _ = if first == last { write!(text, " {first}") } else { write!(text, " {first}-{last}") };
        }
    }
    if let Some(BodyRegex { pattern, no_match, .. }) = regex {
        let _ = write!(text, " {} \"{pattern}\"", if *no_match { "regex_no_match" } else { "regex" });
    }
    (text, format!("{regex:?} {tls_compliant}"))
}

fn aim(target: &Target) -> String {
    match target.address {
        IpAddr::V4(address) => format!("{address}:{}", target.port),
        IpAddr::V6(address) => format!("[{address}]:{}", target.port),
    }
}

fn forwarding(of: Forwarding) -> String {
    let summed = |checksum: TunnelChecksum| match checksum {
        TunnelChecksum::None => "nocsum",
        TunnelChecksum::Checksum => "csum",
        TunnelChecksum::Remote => "remcsum",
    };
    match of {
        Forwarding::Nat => "NAT".to_owned(),
        Forwarding::Direct => "DR".to_owned(),
        Forwarding::Tunnel(Tunnel::Ipip) => "TUN type ipip".to_owned(),
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => format!("TUN type gue port {port} {}", summed(checksum)),
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => format!("TUN type gre {}", summed(checksum)),
    }
}
