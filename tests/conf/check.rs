//! Virtual servers, real servers and checkers: what their directives become.

use super::*;
use keepwatch::conf::keywords::{self, Effect, Kind, Shape};
use keepwatch::conf::model::*;
use proptest::prelude::*;

/// A load balancer's host: programs of the examples, one of them only for root, one that anybody could have written.
fn programs() -> Memory {
    let mut memory = Memory::default();
    for name in ["/usr/bin/true", "/usr/bin/test", "/usr/lib/checks/tcp.sh"] {
        memory = memory.with(name, "").mode(name, 0o755);
    }
    memory.with("/root/only", "").mode("/root/only", 0o700).with("/opt/open", "").mode("/opt/open", 0o777)
}

fn read(text: &str) -> Loaded {
    let memory = programs().with("k.conf", text);
    conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces)
}

/// Complaints but the one that scripts are not secured.
fn complaints(loaded: &Loaded) -> Vec<&str> {
    codes(loaded).into_iter().filter(|code| *code != "script-security").collect()
}

/// The configuration of a text without a mistake.
fn config(text: &str) -> Config {
    let loaded = read(text);
    assert_eq!(complaints(&loaded), [] as [&str; 0], "{}", loaded.render());
    loaded.config
}

const SERVER: &str = "real_server 192.168.1.10 8080 {\nSERVER\n}\n";

/// A service at 192.0.2.80:80/tcp with NAT; lines of the service and of its one server.
fn text(service: &str, server: &str) -> String {
    let server = SERVER.replace("SERVER", server);
    format!(
        "virtual_server 192.0.2.80 80 {{\nlvs_sched rr\nlvs_method NAT\nprotocol TCP\n{service}\n{server}}}\n\
         track_file load {{\nfile /run/load\nweight 2 reverse\n}}\nbfd_instance peer {{\nneighbor_ip 192.0.2.12\n}}\n"
    )
}

fn only_service(loaded: &Loaded) -> &VirtualServer {
    assert_eq!(loaded.config.services.len(), 1, "{}", loaded.render());
    &loaded.config.services[0]
}

fn service(lines: &str) -> VirtualServer {
    let loaded = read(&text(lines, ""));
    assert_eq!(complaints(&loaded), [] as [&str; 0], "{}", loaded.render());
    only_service(&loaded).clone()
}

fn server(lines: &str) -> RealServer {
    service_with_server("", lines).servers[0].clone()
}

fn service_with_server(service: &str, server: &str) -> VirtualServer {
    let loaded = read(&text(service, server));
    // The definitions stand below, which only Keepalived minds.
    let complaints: Vec<_> = complaints(&loaded).into_iter().filter(|code| *code != "order").collect();
    assert_eq!(complaints, [] as [&str; 0], "{}", loaded.render());
    only_service(&loaded).clone()
}

fn checker(block: &str) -> Checker {
    server(block).checkers[0].clone()
}

/// Complaints about a service with these lines, and what is left of it.
fn wrong(service: &str, server: &str) -> (Vec<String>, Option<VirtualServer>) {
    let loaded = read(&text(service, server));
    let complaints = complaints(&loaded).into_iter().filter(|code| *code != "order").map(str::to_owned).collect();
    (complaints, loaded.config.services.first().cloned())
}

fn seed(name: &str, host: &dyn Host) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/seeds").join(name);
    conf::load("k.conf", &Options::default(), &programs().with("k.conf", std::fs::read(path).unwrap()), host)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const SECOND: u64 = 1_000_000;

#[test]
fn the_load_balancer_of_the_seed_has_two_services_of_four_servers() {
    let config = seed("02-seed-ipvs.conf", &AnyHost).config;
    let keys: Vec<String> = config.services.iter().map(|service| service.key.to_string()).collect();
    assert_eq!(keys, ["group:VS_GROUP_IPv4/tcp", "group:VS_GROUP_IPv6/tcp"]);
    assert_eq!(config.groups[0].name, "VS_GROUP_IPv4");
    let first = ip("1.1.1.15");
    assert_eq!(config.groups[0].members, [GroupMember::Addresses { first, last: first, port: 80 }]);
    assert_eq!([config.services[0].family, config.services[1].family], [Family::V4, Family::V6]);
    for (service, network) in config.services.iter().zip(["192.168.1.1", "fd00::1"]) {
        assert_eq!((service.scheduler.as_str(), service.forwarding), ("rr", Some(Forwarding::Nat)));
        assert_eq!(service.delay_loop_us, 10 * SECOND);
        for (number, server) in service.servers.iter().enumerate() {
            assert_eq!(server.address, ip(&format!("{network}{number}")));
            let [Checker { check: Check::Http(check), retry: 1, delay_before_retry_us, .. }] = &server.checkers[..]
            else {
                panic!("{server:?}")
            };
            assert_eq!(*delay_before_retry_us, 3 * SECOND);
            assert_eq!((check.target.address, check.target.port), (server.address, 80));
            assert_eq!(check.target.timeout_us, 10 * SECOND);
            assert_eq!((check.urls[0].path.as_str(), &check.urls[0].status[..]), ("/", &[(200, 200)][..]));
        }
        assert_eq!(service.servers.len(), 4);
    }
}

#[test]
fn the_recorded_configuration_of_marks_and_quorums_is_what_keepalived_showed_of_it() {
    let loaded = seed("06-fwmark-quorum.conf", &TwoInterfaces);
    let Config { services, groups, global, scripts, .. } = loaded.config;
    let keys: Vec<String> = services.iter().map(|service| service.key.to_string()).collect();
    assert_eq!(
        keys,
        ["fwmark:3", "10.70.0.30:53/udp", "group:G_MIX/tcp", "group:G_SIX/sctp", "[2001:db8:70::30]:80/tcp"],
        "the service without servers is no service"
    );
    // Marks first, then addresses.
    assert!(matches!(
        groups[0].members[..],
        [
            GroupMember::Mark { mark: 5, family: None },
            GroupMember::Mark { mark: 6, family: None },
            GroupMember::Addresses { port: 80, .. },
            GroupMember::Addresses { port: 8080, .. }
        ]
    ));
    let range = GroupMember::Addresses { first: ip("2001:db8:70::20"), last: ip("2001:db8:70::21"), port: 443 };
    assert_eq!(groups[1].members[1], range);

    let [mark, dns, mixed, six, tunnel] = &services[..] else { panic!() };
    assert_eq!(mark.persistence, Some(Persistence { timeout_s: 120, granularity: 0xffff_ff00 }));
    assert_eq!((mark.snmp_name.as_deref(), mark.smtp_alert), (Some("mark three"), true));
    assert_eq!((mark.servers[0].weight, mark.servers[0].port), (3, 0));
    assert!(!mark.servers[0].inhibit_on_failure && mark.servers[1].inhibit_on_failure);

    assert_eq!((dns.quorum, dns.hysteresis, dns.one_packet, dns.alpha, dns.omega), (3, 1, true, true, true));
    let script = |script: &Option<Script>| script.as_ref().map(|script| script.text.clone()).unwrap_or_default();
    assert_eq!(script(&dns.quorum_up), "'/usr/bin/true' 'quorum' 'up'");
    assert_eq!(script(&dns.quorum_down), "'/usr/bin/true' 'quorum down' 'now'");
    let entry = &scripts[usize::try_from(dns.quorum_down.as_ref().unwrap().id.0).unwrap()];
    assert_eq!(entry.words, ["/usr/bin/true", "quorum down", "now"]);
    let [first, second, third] = &dns.servers[..] else { panic!() };
    assert_eq!([first.weight, second.weight, third.weight], [2, 4, 0]);
    assert_eq!([first.retry, second.retry, third.retry], [Some(2), Some(5), Some(2)]);
    assert_eq!([first.delay_loop_us, second.delay_loop_us], [3 * SECOND, 7 * SECOND]);
    assert_eq!((first.upper_threshold, first.lower_threshold), (100, 20));
    assert_eq!([first.forwarding, second.forwarding], [Forwarding::Tunnel(Tunnel::Ipip), Forwarding::Nat]);
    assert_eq!(second.virtual_host.as_deref(), Some("rs11.example.com"));
    let sorry = dns.sorry.as_ref().unwrap();
    assert_eq!((sorry.address, sorry.port, sorry.forwarding), (ip("10.71.0.99"), 53, first.forwarding));

    assert_eq!((mixed.scheduler.as_str(), mixed.scheduler_flags), ("sh", [true, true, false]));
    assert!(!mixed.ha_suspend, "a mark has no address to wait for");
    assert!(mixed.sorry.as_ref().unwrap().inhibit);
    assert_eq!((six.scheduler.as_str(), six.scheduler_flags, six.family), ("mh", [true, true, false], Family::V6));
    assert_eq!(tunnel.persistence, Some(Persistence { timeout_s: 60, granularity: 96 }));
    assert_eq!(tunnel.servers.len(), 2, "a tunnel may lead to the other family");

    assert_eq!(global.lvs.timeouts, (Some(300), Some(60), Some(30)));
    let sync = global.lvs.sync_daemon.unwrap();
    assert_eq!((sync.interface.as_str(), sync.instance, sync.id), ("eth1", Some("VI_X".into()), 7));
    assert_eq!(
        (sync.max_length, sync.port, sync.ttl, sync.group),
        (Some(1400), Some(8849), Some(3), Some(ip("224.0.0.81")))
    );
}

#[test]
fn what_is_not_said_has_the_defaults_of_the_manual() {
    let service = service("");
    assert_eq!(service.key.to_string(), "192.0.2.80:80/tcp");
    assert_eq!((service.delay_loop_us, service.connect_timeout_us), (60 * SECOND, 5 * SECOND));
    assert_eq!((service.retry, service.delay_before_retry_us, service.warmup_us), (None, None, None));
    assert_eq!((service.quorum, service.hysteresis, service.weight, service.persistence), (1, 0, 1, None));
    assert!(!service.smtp_alert && service.servers[0].smtp_alert, "only real servers mail without being asked");
    assert_eq!((service.servers[0].weight, service.servers[0].forwarding), (1, Forwarding::Nat));

    let of = |block: &str| {
        let checker = checker(block);
        (
            checker.retry,
            checker.delay_before_retry_us / SECOND,
            checker.warmup_us / SECOND,
            checker.delay_loop_us / SECOND,
        )
    };
    let url = "url {\npath /\n}\n";
    assert_eq!(of("TCP_CHECK {\n}"), (1, 1, 60, 60));
    assert_eq!(of("PING_CHECK {\n}"), (1, 1, 60, 60));
    assert_eq!(of("UDP_CHECK {\n}"), (1, 1, 60, 60));
    assert_eq!(of("SMTP_CHECK {\n}"), (1, 1, 60, 60));
    assert_eq!(of(&format!("HTTP_GET {{\n{url}}}")), (1, 3, 60, 60));
    assert_eq!(of(&format!("SSL_GET {{\n{url}}}")), (1, 3, 60, 60));
    assert_eq!(of("DNS_CHECK {\n}"), (3, 60, 60, 60));
    assert_eq!(of("DNS_CHECK {\ndelay_loop 7\n}"), (3, 7, 7, 7));
    assert_eq!(of("MISC_CHECK {\nmisc_path /usr/bin/true\n}"), (0, 1, 60, 60));
}

#[test]
fn a_checker_takes_what_it_does_not_say_from_its_server_and_that_from_its_service() {
    let outer =
        "retry 5\ndelay_before_retry 2.5\nwarmup 0\nconnect_timeout 4\ndelay_loop 9\nalpha\nvirtualhost vs.example";
    let of = |server: &str, checker: &str| {
        let block = format!("{server}\nHTTP_GET {{\n{checker}\nurl {{\npath /\n}}\n}}");
        let service = service_with_server(outer, &block);
        let checker = service.servers[0].checkers[0].clone();
        let Check::Http(http) = checker.check else { panic!() };
        let times = [checker.delay_before_retry_us, checker.warmup_us, http.target.timeout_us, checker.delay_loop_us];
        (checker.retry, times.map(|us| us / 100_000), checker.alpha, http.urls[0].virtual_host.clone().unwrap())
    };
    assert_eq!(of("", ""), (5, [25, 0, 40, 90], true, "vs.example".to_owned()));
    let lines =
        "retry 1\ndelay_before_retry 1\nwarmup 3\nconnect_timeout 2\ndelay_loop 8\nalpha off\nvirtualhost rs.example";
    assert_eq!(of(lines, ""), (1, [10, 30, 20, 80], false, "rs.example".to_owned()));
    let own = "retry 0\ndelay_before_retry 0\nwarmup 1\nconnect_timeout 1\ndelay_loop 7\nalpha\nvirtualhost c.example";
    assert_eq!(of(lines, own), (0, [0, 10, 10, 70], true, "c.example".to_owned()));
}

#[test]
fn a_bad_line_leaves_the_one_before_it_in_force() {
    let (complaints, service) = wrong("delay_loop 7\ndelay_loop 0\nweight 5\nweight x", "");
    assert_eq!(complaints, ["number", "number"]);
    let service = service.unwrap();
    assert_eq!((service.delay_loop_us, service.servers[0].weight), (7 * SECOND, 5));
}

#[test]
fn mail_goes_out_as_the_nearest_switch_says() {
    let of = |global: &str, own: &str| {
        let text = format!("global_defs {{\nsmtp_server 192.0.2.25\n{global}\n}}\n{}", text(own, own));
        let config = config(&text);
        (config.services[0].smtp_alert, config.services[0].servers[0].smtp_alert)
    };
    assert_eq!(of("", ""), (false, true));
    assert_eq!(of("smtp_alert off", ""), (false, false));
    assert_eq!(of("smtp_alert off\nsmtp_alert_checker on", ""), (true, true));
    assert_eq!(of("smtp_alert on", "smtp_alert off"), (false, false));
}

#[test]
fn connection_options_say_where_a_probe_goes_and_from_where() {
    let options = "connect_ip 192.0.2.7\nconnect_port 81\nbindto 192.0.2.11\nbind_port 4000\nbind_if eth1\nfwmark 9\n\
                   connect_timeout 1.5\nlog_all_failures";
    let wanted = Target {
        address: ip("192.0.2.7"),
        port: 81,
        bind: Some(ip("192.0.2.11")),
        bind_port: 4000,
        interface: Some("eth1".to_owned()),
        mark: 9,
        timeout_us: 1_500_000,
    };
    for kind in ["TCP_CHECK", "PING_CHECK", "UDP_CHECK", "SMTP_CHECK", "DNS_CHECK", "HTTP_GET", "SSL_GET"] {
        let url = if kind.ends_with("GET") { "url {\npath /\n}\n" } else { "" };
        let checker = checker(&format!("{kind} {{\n{options}\n{url}}}"));
        assert!(checker.log_all_failures);
        let target = match &checker.check {
            Check::Tcp(target) | Check::Ping(target) => target,
            Check::Udp(check) => &check.target,
            Check::Smtp(check) => &check.target,
            Check::Dns(check) => &check.target,
            Check::Http(check) => &check.target,
            other => panic!("{other:?}"),
        };
        assert_eq!((checker.check.name(), target), (kind, &wanted));
    }
    let plain = checker("TCP_CHECK {\n}");
    let Check::Tcp(target) = plain.check else { panic!() };
    assert_eq!((target.address, target.port, target.bind), (ip("192.168.1.10"), 8080, None));
}

#[test]
fn both_ends_of_a_probe_are_of_one_family() {
    let bound = |lines: &str| {
        let (complaints, service) = wrong("", &format!("TCP_CHECK {{\n{lines}\n}}"));
        let Check::Tcp(target) = service.unwrap().servers.remove(0).checkers.remove(0).check else { panic!() };
        (complaints, target.address, target.bind)
    };
    let (server, v6) = (ip("192.168.1.10"), ip("2001:db8::9"));
    let told = vec!["checker-family".to_owned()];
    assert_eq!(bound("bindto 2001:db8::1"), (told.clone(), server, None));
    assert_eq!(bound("connect_ip 2001:db8::9\nbindto 192.0.2.1"), (told.clone(), v6, None));
    assert_eq!(bound("bindto 192.0.2.1\nconnect_ip 2001:db8::9"), (told, server, Some(ip("192.0.2.1"))));
    assert_eq!(bound("bindto 2001:db8::1\nconnect_ip 2001:db8::9"), (vec![], v6, Some(ip("2001:db8::1"))));
}

#[test]
fn a_link_local_target_needs_an_interface() {
    let of = |more: &str| wrong("", &format!("TCP_CHECK {{\nconnect_ip fe80::5\n{more}\n}}"));
    let (complaints, service) = of("");
    assert_eq!((complaints, service.unwrap().servers[0].checkers.len()), (vec!["link-local".to_owned()], 0));
    let (complaints, service) = of("bind_if eth0");
    assert_eq!((complaints, service.unwrap().servers[0].checkers.len()), (vec![], 1));
}

#[test]
fn an_http_check_has_all_that_its_block_says() {
    let url = "url {\npath /a?b\nvirtualhost u.example\ndigest 0123456789ABCDEF0123456789abcdef\n\
               status_code 200 301-399\nstatus_code 404\nregex \"foo\\\\d \\\"x\\\"\"\nregex_no_match\n\
               regex_options caseless dotall\nregex_options utf\nregex_min_offset 10\nregex_max_offset 20\n\
               regex_stack 1000 2000\ntls_compliant\n}\nurl {\npath /second\n}";
    let block = format!(
        "SSL_GET {{\nhttp_protocol 1.1\nenable_sni\nsni_name s.example\nfast_recovery\ntls_compliant off\n\
         virtualhost c.example\n{url}\n}}"
    );
    let config =
        config(&format!("SSL {{\npassword pw\nca /ca.pem\ncertificate /c.pem\nkey /k.pem\n}}\n{}", text("", &block)));
    let Check::Http(check) = &config.services[0].servers[0].checkers[0].check else { panic!() };
    assert_eq!((check.version, check.fast_recovery), (HttpVersion::V1_1, true));
    let file = |name: &str| Some(name.to_owned());
    let client =
        TlsClient { password: file("pw"), ca: file("/ca.pem"), certificate: file("/c.pem"), key: file("/k.pem") };
    let tls = TlsSettings { sni: true, sni_name: file("s.example"), compliant: false, client: Some(client) };
    assert_eq!(check.tls, Some(tls));
    let [first, second] = &check.urls[..] else { panic!() };
    assert_eq!((first.path.as_str(), first.virtual_host.as_deref()), ("/a?b", Some("u.example")));
    assert_eq!(first.digest.map(|digest| (digest[0], digest[7], digest[15])), Some((0x01, 0xef, 0xef)));
    assert_eq!(first.status, [(200, 200), (301, 399), (404, 404)]);
    let regex = BodyRegex {
        pattern: "foo\\d \"x\"".to_owned(),
        options: ["caseless", "dotall", "utf"].map(str::to_owned).to_vec(),
        no_match: true,
        min_offset: 10,
        max_offset: Some(20),
        stack: Some((1000, 2000)),
    };
    assert_eq!(first.regex, Some(regex));
    assert!(first.tls_compliant && !second.tls_compliant);
    assert_eq!((second.virtual_host.as_deref(), &second.status[..]), (Some("c.example"), &[(200, 299)][..]));
    assert_eq!((second.digest, &second.regex), (None, &None));
}

#[test]
fn http_protocols_and_names_of_the_handshake_are_told_apart() {
    let of = |lines: &str| {
        let Check::Http(check) = checker(&format!("SSL_GET {{\n{lines}\nurl {{\npath /\n}}\n}}")).check else {
            panic!()
        };
        check
    };
    let versions =
        [("1.0", HttpVersion::V1_0), ("1.0C", HttpVersion::V1_0Close), ("1.0c", HttpVersion::V1_0CloseLower)];
    for (word, version) in versions {
        assert_eq!(of(&format!("http_protocol {word}")).version, version);
    }
    assert_eq!(of("").tls, Some(TlsSettings::default()));
    assert_eq!(of("sni_name").tls, Some(TlsSettings { sni: true, ..TlsSettings::default() }));
    let named = TlsSettings { sni: true, sni_name: Some("n".to_owned()), ..TlsSettings::default() };
    assert_eq!(of("sni_name n").tls, Some(named));
}

#[test]
fn mistakes_of_an_http_check_cost_no_more_than_what_they_are_in() {
    let of = |url: &str| {
        let (complaints, service) = wrong("", &format!("HTTP_GET {{\nurl {{\n{url}\n}}\n}}"));
        let checkers = service.unwrap().servers.remove(0).checkers;
        let url = checkers.into_iter().next().map(|checker| match checker.check {
            Check::Http(mut check) => check.urls.remove(0),
            other => panic!("{other:?}"),
        });
        (complaints, url)
    };
    assert_eq!(of("status_code 200"), (vec!["missing-directive".to_owned()], None));
    let (complaints, url) = of("path /\nstatus_code 99 200-299 300-200");
    assert_eq!((complaints.len(), url.unwrap().status), (2, vec![(200, 299)]));
    let digest = "0123456789abcdef0123456789abcdef";
    let (complaints, url) = of(&format!("path /\ndigest abc\ndigest {digest}\ndigest {}", digest.replace('0', "1")));
    assert_eq!(
        (complaints, url.unwrap().digest.unwrap()[0]),
        (vec!["value".to_owned(), "already-set".to_owned()], 0x01)
    );
    let (complaints, url) = of("path /a\npath /b");
    assert_eq!((complaints, url.unwrap().path), (vec!["replaced".to_owned()], "/b".to_owned()));
    let (complaints, url) = of("path /\nregex_no_match");
    assert_eq!((complaints, url.unwrap().regex), (vec!["no-regex".to_owned()], None));
    let (complaints, url) =
        of("path /\nregex x\nregex_min_offset 9\nregex_max_offset 8\nregex_stack 5 4\nregex_options no");
    assert_eq!(complaints, ["regex-offset", "regex-stack", "value"]);
    let regex = url.unwrap().regex.unwrap();
    assert_eq!((regex.min_offset, regex.max_offset, regex.stack, regex.options), (0, None, None, vec![]));
    let (complaints, url) = of("path /\nregex \"(ok\"");
    assert_eq!((complaints, url.unwrap().regex.unwrap().pattern), (vec!["regex".to_owned()], "(ok".to_owned()));
    // Keepalived counts none of those.
    let loaded = read(&text("", "HTTP_GET {\nurl {\npath /\nregex x\nregex_options no\nregex_max_offset\n}\n}"));
    assert_eq!((loaded.status, loaded.diagnostics.len()), (0, 2), "{}", loaded.render());
}

#[test]
fn the_old_name_of_retry_still_counts() {
    let (complaints, service) = wrong("", "HTTP_GET {\nnb_get_retry 4\nurl {\npath /\n}\n}");
    assert_eq!((complaints, service.unwrap().servers[0].checkers[0].retry), (vec!["deprecated".to_owned()], 4));
}

#[test]
fn each_host_of_a_mail_check_is_a_checker_besides_the_block_itself() {
    let block = "SMTP_CHECK {\nhelo_name lb.example\nconnect_port 2525\nretry 7\nhost {\nconnect_ip 10.2.2.2\nretry 3\n}\n\
                 host {\nconnect_ip 10.2.2.3\nconnect_port 26\nconnect_timeout 2\n}\n}\nTCP_CHECK {\n}";
    let (complaints, service) = wrong("", block);
    assert_eq!(complaints, ["deprecated", "deprecated"]);
    let checkers = &service.unwrap().servers[0].checkers;
    let found: Vec<_> = checkers
        .iter()
        .map(|checker| match &checker.check {
            Check::Smtp(check) => {
                (check.helo.as_str(), check.target.address.to_string(), check.target.port, checker.retry)
            }
            Check::Tcp(target) => ("", target.address.to_string(), target.port, checker.retry),
            other => panic!("{other:?}"),
        })
        .collect();
    let wanted = [
        ("lb.example", "192.168.1.10", 2525, 7),
        ("lb.example", "10.2.2.2", 8080, 3),
        ("lb.example", "10.2.2.3", 26, 7),
        ("", "192.168.1.10", 8080, 1),
    ];
    assert_eq!(found, wanted.map(|(helo, address, port, retry)| (helo, address.to_owned(), port, retry)));
    let Check::Smtp(plain) = checker("SMTP_CHECK {\n}").check else { panic!() };
    assert_eq!(plain.helo, "smtpchecker.keepalived.org");
}

#[test]
fn a_dns_check_asks_for_its_type_and_name() {
    let of = |lines: &str| {
        let (complaints, service) = wrong("", &format!("DNS_CHECK {{\n{lines}\n}}"));
        let Check::Dns(check) = service.unwrap().servers.remove(0).checkers.remove(0).check else { panic!() };
        (complaints, check.record, check.name)
    };
    let good = |record, name: &str| (vec![], record, name.to_owned());
    assert_eq!(of(""), good(6, ""));
    assert_eq!(of("name ."), good(6, ""));
    assert_eq!(of("type aaaa\nname www.example.com."), good(28, "www.example.com"));
    for (word, record) in [("A", 1), ("NS", 2), ("CNAME", 5), ("MX", 15), ("TXT", 16), ("RRSIG", 46), ("DNSKEY", 48)] {
        assert_eq!(of(&format!("type {word}")), good(record, ""));
    }
    assert_eq!(
        of("name a..b\nname c\nname d"),
        (vec!["dns-name".to_owned(), "already-set".to_owned()], 6, "c".to_owned())
    );
    assert_eq!(
        of(&format!("type X\nname {}.example", "l".repeat(64))),
        (vec!["value".to_owned(), "dns-name".to_owned()], 6, String::new())
    );
}

#[test]
fn a_udp_check_sends_its_octets_and_compares_the_reply() {
    let of = |lines: &str| {
        let (complaints, service) = wrong("", &format!("UDP_CHECK {{\n{lines}\n}}"));
        let Check::Udp(check) = service.unwrap().servers.remove(0).checkers.remove(0).check else { panic!() };
        (complaints, check.payload, check.reply)
    };
    assert_eq!(of(""), (vec![], None, None));
    let reply = |prefix: &[(u8, u8)], min_length, max_length| {
        Some(UdpReply { prefix: prefix.to_vec(), min_length, max_length })
    };
    assert_eq!(of("payload 0aF b\nrequire_reply"), (vec![], Some(vec![0x0a, 0x0f, 0x0b]), reply(&[], 0, 255)));
    let masked = reply(&[(0xa0, 0xf0), (0x01, 0xff)], 2, 9);
    assert_eq!(of("require_reply aX 1\nmin_reply_length 2\nmax_reply_length 9"), (vec![], None, masked));
    assert_eq!(
        of("payload 0g\nrequire_reply 0g"),
        (vec!["value".to_owned(), "value".to_owned()], None, reply(&[], 0, 255))
    );
    assert_eq!(of("min_reply_length 9\nmax_reply_length 2").0, ["reply-length"]);
}

#[test]
fn a_file_check_reads_a_track_file() {
    let of = |lines: &str| {
        let Check::File(check) = checker(&format!("FILE_CHECK {{\ntrack_file load\n{lines}\n}}")).check else {
            panic!()
        };
        assert_eq!((check.path.as_str(), check.name.as_str()), ("/run/load", "load"));
        (check.weight, check.reverse)
    };
    assert_eq!(
        [of(""), of("weight 5"), of("weight -5 reverse"), of("weight 0 noreverse")],
        [(2, true), (5, false), (-5, true), (0, false)]
    );
    let (complaints, service) = wrong("", "FILE_CHECK {\ntrack_file laod\n}");
    assert_eq!((complaints, service.unwrap().servers[0].checkers.len()), (vec!["unknown-name".to_owned()], 0));
}

#[test]
fn a_bfd_check_names_a_session_once() {
    assert_eq!(checker("BFD_CHECK {\nname peer\nalpha\n}").check, Check::Bfd("peer".to_owned()));
    let (complaints, service) =
        wrong("", "BFD_CHECK {\nname peer\n}\nBFD_CHECK {\nname peer\n}\nBFD_CHECK {\nname x\n}");
    assert_eq!(complaints, ["duplicate-bfd", "unknown-name"]);
    assert_eq!(service.unwrap().servers[0].checkers.len(), 1);
}

#[test]
fn a_misc_check_runs_its_first_word_as_its_user() {
    let of = |lines: &str| {
        let (complaints, service) = wrong("delay_loop 9", &format!("MISC_CHECK {{\n{lines}\n}}"));
        let mut server = service.unwrap().servers.remove(0);
        let check = (!server.checkers.is_empty()).then(|| match server.checkers.remove(0).check {
            Check::Misc(check) => check,
            other => panic!("{other:?}"),
        });
        (complaints, check)
    };
    let (complaints, check) = of("misc_path \"/usr/lib/checks/tcp.sh 'a b' it\\'s\"\nmisc_timeout 3\nmisc_dynamic");
    let check = check.unwrap();
    assert_eq!((complaints, check.timeout_us, check.dynamic), (vec![], 3 * SECOND, true));
    assert_eq!(check.script.text, "'/usr/lib/checks/tcp.sh' 'a b' 'it'\\''s'");
    assert_eq!(check.script.path, "/usr/lib/checks/tcp.sh");
    let timeout = |lines: &str| of(lines).1.unwrap().timeout_us;
    assert_eq!(timeout("misc_path /usr/bin/true"), 9 * SECOND);
    assert_eq!(timeout("misc_path /usr/bin/true\nmisc_timeout 0\ndelay_loop 4"), 9 * SECOND);
    for (lines, code) in [
        ("misc_timeout 5", "missing-directive"),
        ("misc_path /no/such", "no-script"),
        ("misc_path /usr", "no-script"),
        ("misc_path /usr/bin/true\nuser nosuch", "no-user"),
        ("misc_path /usr/bin/true\nuser root nosuch", "no-user"),
        ("misc_path /root/only\nuser nobody", "not-executable"),
    ] {
        assert_eq!(of(lines), (vec![code.to_owned()], None), "{lines}");
    }
}

#[test]
fn a_script_runs_as_its_own_user_or_the_default_one() {
    let of = |global: &str, lines: &str| {
        let loaded = read(&format!("global_defs {{\n{global}\n}}\n{}", text("", &format!("notify_up {lines}"))));
        let ids = loaded.config.scripts.first().map(|script| (script.uid, script.gid));
        (loaded.config.services[0].servers[0].notify_up.is_some(), ids)
    };
    let nobody = 65534;
    assert_eq!(of("", "/usr/bin/true"), (true, Some((0, 0))));
    assert_eq!(of("", "/usr/bin/true nobody"), (true, Some((nobody, nobody))));
    assert_eq!(of("", "/usr/bin/true nobody adm"), (true, Some((nobody, 4))));
    assert_eq!(of("script_user nobody", "/usr/bin/true"), (true, Some((nobody, nobody))));
    assert_eq!(of("script_user nobody adm", "/usr/bin/true root"), (true, Some((0, 0))));
    assert_eq!(of("script_user nosuch", "/usr/bin/true"), (false, None));
    assert_eq!(of("script_user nosuch", "/usr/bin/true root"), (true, Some((0, 0))));
    assert_eq!(of("enable_script_security", "/usr/bin/true"), (false, None), "there is no keepalived_script");
}

#[test]
fn script_security_refuses_what_others_could_have_written_when_root_runs_it() {
    let of = |global: &str, command: &str| {
        let loaded = read(&format!("global_defs {{\n{global}\n}}\n{}", text("", &format!("notify_down {command}"))));
        (complaints(&loaded).join(" "), loaded.config.scripts.len())
    };
    let security = "enable_script_security\nscript_user root";
    assert_eq!(of(security, "/usr/bin/true"), (String::new(), 1));
    assert_eq!(of(security, "/opt/open"), ("insecure-script".to_owned(), 0));
    assert_eq!(of(security, "/opt/open nobody"), (String::new(), 1));
    assert_eq!(of("script_user root", "/opt/open"), (String::new(), 1));
}

#[test]
fn a_script_is_executed_without_links_in_its_directory_or_as_it_is_written_and_with_its_group_or_all_of_its_users() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().canonicalize().unwrap().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(at("real")).unwrap();
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    std::fs::write(at("real/up"), "#!/bin/sh\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(at("real/up"), executable).unwrap();
    let script = |global: &str| {
        let notify = format!("notify_up {}", at("link/up"));
        std::fs::write(at("k.conf"), format!("global_defs {{\n{global}\n}}\n{}", text("", &notify))).unwrap();
        let loaded = conf::load(&at("k.conf"), &Options::default(), &conf::Disk, &TwoInterfaces);
        let script = loaded.config.scripts.first().unwrap_or_else(|| panic!("{}", loaded.render())).clone();
        (script.words, script.all_groups)
    };
    assert_eq!(script(""), (vec![at("real/up")], false));
    assert_eq!(script("use_symlink_paths"), (vec![at("link/up")], false));
    assert_eq!(script("use_symlink_paths off\nset_supplementary_groups"), (vec![at("real/up")], true));
}

#[test]
fn every_method_and_tunnel_is_told_apart() {
    let of = |line: &str| {
        let loaded = read(&text("", &format!("lvs_method {line}")).replace("10 8080", "10"));
        (complaints_of(&loaded), only_service(&loaded).servers[0].forwarding)
    };
    let good = |line: &str, tunnel: Tunnel| assert_eq!(of(line), (String::new(), Forwarding::Tunnel(tunnel)), "{line}");
    good("TUN", Tunnel::Ipip);
    good("TUN type ipip nocsum", Tunnel::Ipip);
    good("TUN type gue port 6080", Tunnel::Gue { port: 6080, checksum: TunnelChecksum::None });
    good("TUN type gue port 6080 remcsum", Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Remote });
    good("TUN type gre csum", Tunnel::Gre { checksum: TunnelChecksum::Checksum });
    assert_eq!(of("NAT"), (String::new(), Forwarding::Nat));
    for line in ["TUN type gue", "TUN type gre port 5", "TUN csum", "TUN type gre remcsum"] {
        assert_eq!(of(line), ("tunnel".to_owned(), Forwarding::Tunnel(Tunnel::Ipip)), "{line}");
    }
    assert_eq!(of("XXX"), ("value".to_owned(), Forwarding::Nat));
}

#[test]
fn flags_of_a_scheduler_count_after_it() {
    let of = |lines: &str| {
        let (complaints, service) = wrong(lines, "");
        let service = service.unwrap();
        (complaints.join(" "), service.scheduler, service.scheduler_flags)
    };
    let flags = |code: &str, scheduler: &str, flags| (code.to_owned(), scheduler.to_owned(), flags);
    assert_eq!(of("flag-1\nflag-2\nflag-3"), flags("", "rr", [true, true, true]));
    assert_eq!(of("lvs_sched sh\nsh-port"), flags("", "sh", [false, true, false]));
    assert_eq!(of("sh-port\nlvs_sched sh"), flags("scheduler-flag", "sh", [false; 3]));
    assert_eq!(of("lvs_sched mh\nsh-fallback\nmh-fallback"), flags("scheduler-flag", "mh", [true, false, false]));
    assert_eq!(of("lvs_sched bogus"), flags("value", "rr", [false; 3]));
}

#[test]
fn persistence_has_a_time_and_a_grain() {
    let of = |lines: &str| {
        let (complaints, service) = wrong(lines, "");
        (
            complaints.join(" "),
            service.unwrap().persistence.map(|persistence| (persistence.timeout_s, persistence.granularity)),
        )
    };
    let host = u32::MAX;
    assert_eq!(of("persistence_timeout"), (String::new(), Some((360, host))));
    assert_eq!(of("persistence_timeout 7200"), (String::new(), Some((7200, host))));
    assert_eq!(of("persistence_timeout 0"), ("number".to_owned(), None));
    assert_eq!(of("persistence_granularity 255.255.0.0"), (String::new(), Some((360, 0xffff_0000))));
    assert_eq!(of("persistence_granularity 24"), ("granularity".to_owned(), Some((360, 24))));
    let engine = |line: &str| service(line).persistence_engine;
    assert_eq!(engine("persistence_engine sip"), Some("sip".to_owned()));
    let (complaints, long) = wrong("persistence_engine abcdefghijklmnopqrs", "");
    assert_eq!(
        (complaints.join(" "), long.unwrap().persistence_engine),
        ("value".to_owned(), Some("abcdefghijklmno".to_owned()))
    );
}

#[test]
fn a_service_without_a_port_is_persistent() {
    let text = text("", "").replace("192.0.2.80 80", "192.0.2.80").replace("10 8080", "10");
    let loaded = read(&text);
    assert_eq!(complaints(&loaded), ["any-port"]);
    let service = only_service(&loaded);
    assert_eq!((service.persistence.map(|persistence| persistence.timeout_s), service.servers[0].port), (Some(360), 0));
}

#[test]
fn quorum_and_hysteresis_can_always_be_reached() {
    let of = |lines: &str, weight: u32| {
        let (complaints, service) = wrong(lines, &format!("weight {weight}"));
        let service = service.unwrap();
        (complaints.join(" "), service.quorum, service.hysteresis)
    };
    assert_eq!(of("quorum 3\nhysteresis 1", 4), (String::new(), 3, 1));
    assert_eq!(of("quorum 10\nhysteresis 5", 4), ("quorum hysteresis".to_owned(), 4, 0));
    assert_eq!(of("quorum 3\nhysteresis 2", 4), ("hysteresis".to_owned(), 3, 1));
    assert_eq!(of("hysteresis 1", 4), ("hysteresis".to_owned(), 1, 0));
    assert_eq!(of("", 0), ("quorum".to_owned(), 1, 0));
    assert_eq!(of("quorum 4294967295", 2_147_483_647), ("quorum".to_owned(), 2_147_483_647, 0));
}

#[test]
fn all_failures_are_logged_where_the_checker_or_the_whole_file_says_so() {
    let logs = |global: &str, line: &str| {
        let text = format!(
            "global_defs {{\n{global}\n}}\nvirtual_server 192.0.2.80 80 {{\nlvs_sched rr\nprotocol TCP\nreal_server 10.0.0.1 80 \
             {{\nTCP_CHECK {{\n{line}\n}}\n}}\n}}\n"
        );
        only_service(&read(&text)).servers[0].checkers[0].log_all_failures
    };
    assert!(!logs("", ""));
    assert!(logs("", "log_all_failures"));
    assert!(!logs("", "log_all_failures no"));
    assert!(logs("checker_log_all_failures", ""));
    assert!(logs("checker_log_all_failures", "log_all_failures no"), "Keepalived logs them, too");
}

#[test]
fn ports_follow_the_method() {
    let of = |service: &str, server: &str| {
        let text = format!("virtual_server {service} {{\nlvs_sched rr\nprotocol TCP\nreal_server {server}\n}}\n}}\n");
        let group = "virtual_server_group one {\n192.0.2.1 80\n}\nvirtual_server_group two {\n192.0.2.1 80\n192.0.2.2 81\n}\n\
             virtual_server_group marks {\nfwmark 7\n}\nvirtual_server_group both {\nfwmark 8\n192.0.2.3 8080\n}\n";
        let loaded = read(&format!("{group}{text}"));
        let port = only_service(&loaded).servers[0].port;
        let Check::Tcp(target) = &only_service(&loaded).servers[0].checkers[0].check else { panic!() };
        let complaints: Vec<_> =
            complaints(&loaded).into_iter().filter(|code| !matches!(*code, "no-method" | "mark-protocol")).collect();
        (complaints.join(" "), port, target.port)
    };
    let check = "{\nTCP_CHECK {\n}";
    assert_eq!(of("192.0.2.80 80", &format!("10.0.0.1 {check}")), (String::new(), 80, 80));
    assert_eq!(of("192.0.2.80 80", &format!("10.0.0.1 8080 {check}")), (String::new(), 8080, 8080));
    let direct = format!("10.0.0.1 8080 {check}\nlvs_method DR");
    assert_eq!(of("192.0.2.80 80", &direct), ("port-translation".to_owned(), 80, 8080));
    assert_eq!(of("fwmark 5", &direct), ("port-translation".to_owned(), 0, 8080));
    assert_eq!(of("fwmark 5", &format!("10.0.0.1 8080 {check}")), (String::new(), 8080, 8080));
    assert_eq!(of("group one", &format!("10.0.0.1 {check}")), (String::new(), 80, 80));
    assert_eq!(of("group two", &direct), ("port-translation".to_owned(), 8080, 8080));
    assert_eq!(of("group marks", &direct), ("port-translation".to_owned(), 0, 8080));
    assert_eq!(of("group marks", &format!("10.0.0.1 8080 {check}")), (String::new(), 8080, 8080));
    assert_eq!(of("group both", &direct), ("port-translation".to_owned(), 8080, 8080));
}

#[test]
fn a_sorry_server_takes_the_method_that_stands_before_it() {
    let of = |lines: &str| {
        let (complaints, service) = wrong(lines, "");
        (
            complaints.join(" "),
            service
                .unwrap()
                .sorry
                .map(|sorry| (sorry.address.to_string(), sorry.port, sorry.forwarding, sorry.inhibit)),
        )
    };
    let sorry = |port, forwarding, inhibit| Some(("192.168.1.99".to_owned(), port, forwarding, inhibit));
    assert_eq!(of("sorry_server 192.168.1.99 81"), (String::new(), sorry(81, Forwarding::Nat, false)));
    assert_eq!(of("sorry_server 192.168.1.99"), (String::new(), sorry(80, Forwarding::Nat, false)));
    let lines = "sorry_server 192.168.1.99 81\nsorry_server_inhibit\nsorry_server_lvs_method DR";
    assert_eq!(of(lines), ("port-translation".to_owned(), sorry(80, Forwarding::Direct, true)));
    assert_eq!(
        of("sorry_server_inhibit\nsorry_server 192.168.1.99"),
        ("sorry-order".to_owned(), sorry(80, Forwarding::Nat, false))
    );
    assert_eq!(
        of("sorry_server 192.168.1.9\nsorry_server 192.168.1.99"),
        (String::new(), sorry(80, Forwarding::Nat, false))
    );
    assert_eq!(of("sorry_server 2001:db8::99"), ("server-family".to_owned(), None));
    assert_eq!(of("sorry_server 192.168.1.99 http"), ("number".to_owned(), None));
    // The method below it is not yet known to Keepalived.
    let text = text("sorry_server 192.168.1.99\nlvs_method DR", "lvs_method NAT").replacen("lvs_method NAT\n", "", 1);
    let loaded = read(&text);
    assert_eq!(only_service(&loaded).sorry.as_ref().map(|sorry| sorry.forwarding), Some(Forwarding::Direct));
}

#[test]
fn the_family_of_a_mark_comes_from_its_pool_or_is_said() {
    let of = |lines: &str, servers: &[&str]| {
        let servers: String = servers.iter().map(|server| format!("real_server {server} 0 {{\n}}\n")).collect();
        let loaded = read(&format!("virtual_server fwmark 5 {{\nlvs_sched rr\n{lines}\n{servers}}}\n"));
        let service = only_service(&loaded);
        assert_eq!(service.key.kind, ServiceKind::Mark { mark: 5, family: service.family });
        (complaints(&loaded).join(" "), service.family, service.servers.len())
    };
    let (v4, v6) = ("10.0.0.1", "2001:db8::1");
    assert_eq!(of("lvs_method NAT", &[v6]), (String::new(), Family::V6, 1));
    assert_eq!(of("lvs_method NAT", &[v6, v4]), ("server-family".to_owned(), Family::V6, 1));
    assert_eq!(of("lvs_method NAT\nip_family inet", &[v6, v4]), ("server-family".to_owned(), Family::V4, 1));
    assert_eq!(of("lvs_method TUN", &[v6]), (String::new(), Family::V6, 1));
    assert_eq!(of("lvs_method TUN", &[v6, v4]), (String::new(), Family::V4, 2));
    assert_eq!(of("lvs_method TUN\nip_family inet6", &[v6, v4]), (String::new(), Family::V6, 2));
    assert_eq!(of("lvs_method TUN\npersistence_granularity 255.255.0.0", &[v6]), (String::new(), Family::V4, 1));
    assert_eq!(of("lvs_method TUN\nip_family inet\nip_family inet6", &[v6]), ("ip-family".to_owned(), Family::V4, 1));
}

#[test]
fn a_group_holds_addresses_ranges_and_marks() {
    let of = |lines: &str| {
        let loaded = read(&format!("virtual_server_group g {{\n{lines}\n}}\n"));
        (complaints(&loaded).join(" "), loaded.config.groups.first().map(|group| group.members.clone()))
    };
    let addresses = |first, last, port| GroupMember::Addresses { first: ip(first), last: ip(last), port };
    let good = |line: &str, member| assert_eq!(of(line), (String::new(), Some(vec![member])), "{line}");
    good("192.0.2.1", addresses("192.0.2.1", "192.0.2.1", 0));
    good("192.0.2.1-5 80", addresses("192.0.2.1", "192.0.2.5", 80));
    good("192.0.2.250-192.0.3.5 80", addresses("192.0.2.250", "192.0.3.5", 80));
    good("192.0.2.16/29 80", addresses("192.0.2.16", "192.0.2.23", 80));
    good("0.0.0.0/1 80", addresses("0.0.0.0", "127.255.255.255", 80));
    good("2001:db8::fffe-ffff 80", addresses("2001:db8::fffe", "2001:db8::ffff", 80));
    good("2001:db8::/126 80", addresses("2001:db8::", "2001:db8::3", 80));
    good("fwmark 7", GroupMember::Mark { mark: 7, family: None });
    good("fwmark 7 inet6", GroupMember::Mark { mark: 7, family: Some(Family::V6) });
    assert_eq!(of("192.0.2.1/29 80"), ("range".to_owned(), None));
    assert_eq!(of(""), ("empty-group".to_owned(), None));
    assert_eq!(of("192.0.2.1\n2001:db8::1\nfwmark 7"), ("group-family".to_owned(), None));
    assert_eq!(of("192.0.2.1\n2001:db8::1\nfwmark 7 inet").0, "");
}

#[test]
fn a_group_without_a_port_makes_its_service_persistent_and_one_of_marks_has_no_protocol() {
    let of = |member: &str| {
        let text = text("", "").replace("192.0.2.80 80", "group g");
        let loaded = read(&format!("virtual_server_group g {{\n{member}\n}}\n{text}"));
        (
            complaints(&loaded).join(" "),
            only_service(&loaded).key.to_string(),
            only_service(&loaded).persistence.is_some(),
        )
    };
    assert_eq!(of("192.0.2.1"), ("any-port".to_owned(), "group:g/tcp".to_owned(), true));
    assert_eq!(of("fwmark 5"), ("mark-protocol".to_owned(), "group:g".to_owned(), false));
    assert_eq!(of("fwmark 5\n192.0.2.1 80"), (String::new(), "group:g/tcp".to_owned(), false));
}

#[test]
fn a_service_that_is_there_already_is_refused() {
    let loaded = read(&format!("{}{}", text("weight 2", ""), text("weight 3", "")));
    // The text has a file and a session of one name twice, too.
    assert_eq!(complaints(&loaded), ["duplicate-service", "duplicate-tracker", "duplicate-tracker"]);
    assert_eq!(only_service(&loaded).weight, 2, "the first counts");
    let other = text("", "").replace("protocol TCP", "protocol UDP");
    assert_eq!(read(&format!("{}{other}", text("", ""))).config.services.len(), 2);
}

#[test]
fn a_server_that_is_there_already_or_of_the_wrong_family_is_dropped() {
    let of = |second: &str| {
        let (complaints, service) = wrong(&format!("real_server {second} {{\nweight 7\n}}"), "");
        (complaints.join(" "), service.unwrap().servers.len())
    };
    assert_eq!(of("192.168.1.10 8080"), ("duplicate-server".to_owned(), 1));
    assert_eq!(of("192.168.1.10 8081"), (String::new(), 2));
    assert_eq!(of("2001:db8::1 80"), ("server-family".to_owned(), 1));
}

#[test]
fn what_only_udp_or_addresses_can_do_is_dropped_elsewhere() {
    let (complaints, service) = wrong("ops", "");
    assert_eq!((complaints.join(" "), service.unwrap().one_packet), ("one-packet".to_owned(), false));
    let text = text("ops\nha_suspend", "").replace("192.0.2.80 80", "fwmark 5").replace("protocol TCP\n", "");
    let loaded = read(&text);
    assert_eq!(complaints_of(&loaded), "ha-suspend");
    assert!(only_service(&loaded).one_packet && !only_service(&loaded).ha_suspend);
}

fn complaints_of(loaded: &Loaded) -> String {
    complaints(loaded).join(" ")
}

#[test]
fn what_is_missing_is_told_and_assumed_as_keepalived_does() {
    let loaded = read("virtual_server 192.0.2.80 80 {\nreal_server 192.168.1.10 {\n}\n}\n");
    assert_eq!(complaints(&loaded), ["no-protocol", "no-scheduler", "no-method"]);
    assert_eq!(loaded.status, 5);
    let service = only_service(&loaded);
    assert_eq!(
        (service.key.protocol, service.scheduler.as_str(), service.forwarding),
        (Some(Protocol::Udp), "wlc", None)
    );
    assert_eq!(service.servers[0].forwarding, Forwarding::Nat);
}

#[test]
fn a_server_has_all_that_its_block_says() {
    let server = server(
        "weight 70000\nuthreshold 9\nlthreshold 3\ninhibit_on_failure\nsnmp_name \"the first\"\nvirtualhost v.example\n\
         smtp_alert off\nnotify_up \"/usr/bin/true up\"\nnotify_down /usr/bin/true",
    );
    assert_eq!((server.weight, server.upper_threshold, server.lower_threshold), (70_000, 9, 3));
    assert!(server.inhibit_on_failure && !server.smtp_alert);
    assert_eq!((server.snmp_name.as_deref(), server.virtual_host.as_deref()), (Some("the first"), Some("v.example")));
    assert_eq!(server.notify_up.map(|script| script.text), Some("'/usr/bin/true' 'up'".to_owned()));
    assert!(server.notify_down.is_some());
}

#[test]
fn the_first_of_two_commands_counts() {
    let (complaints, service) = wrong("quorum_up \"/usr/bin/true 1\"\nquorum_up \"/usr/bin/true 2\"", "");
    assert_eq!(complaints, ["already-set"]);
    assert_eq!(service.unwrap().quorum_up.unwrap().text, "'/usr/bin/true' '1'");
}

#[test]
fn settings_of_the_checks_process_are_read() {
    let loaded = read(
        "net_namespace_ipvs\nglobal_defs {\nlvs_flush\nlvs_flush_on_stop VS\nlvs_timeouts udp 5\n\
         snmp_vs_stats_update_interval 2.5\nno_checker_emails\nrs_init_notifies\nchecker_log_all_failures\nlvs_netlink_cmd_rcv_bufs 1000\n\
         lvs_netlink_monitor_rcv_bufs 2000\nchecker_priority -5\nchecker_rt_priority 30\nchecker_rlimit_rttime 1\n\
         checker_no_swap\nchecker_cpu_affinity 0 1\nsmtp_server 192.0.2.25 2525\nsmtp_helo_name lb.example\n}\n",
    );
    assert_eq!(complaints(&loaded), [] as [&str; 0], "{}", loaded.render());
    let global = loaded.config.global;
    assert_eq!((global.lvs_flush, global.lvs_flush_on_stop), (true, FlushOnStop::VirtualServers));
    assert_eq!((global.log_all_failures, global.mail.helo.as_deref()), (true, Some("lb.example")));
    let realtime =
        RealTime { nice: -5, rt_priority: Some(30), rlimit_rttime_us: 2, lock_memory: true, cpus: vec![0, 1] };
    let lvs = Lvs {
        timeouts: (None, None, Some(5)),
        sync_daemon: None,
        service_statistics_us: 2_500_000,
        server_statistics_us: 2_500_000,
        namespace: Some(String::new()),
        command_buffer: Some(1000),
        monitor_buffer: Some(2000),
        no_checker_mails: true,
        init_notifies: true,
        realtime,
    };
    assert_eq!(global.lvs, lvs);
    let plain = read("global_defs {\n}\n").config.global;
    assert_eq!((plain.lvs.service_statistics_us, plain.lvs.realtime.rlimit_rttime_us), (5 * SECOND, 10_000));
    assert!(!plain.log_all_failures);
}

#[test]
fn the_synchronisation_daemon_follows_an_instance_or_none() {
    let of = |global: &str, own: &str| {
        let loaded = read(&format!("global_defs {{\n{global}\n}}\n{}", instance(&format!("    priority 100\n{own}"))));
        let sync = loaded.config.global.lvs.sync_daemon;
        (
            codes_joined(&loaded.diagnostics),
            sync.map(|sync| (sync.interface, sync.instance.map(|name| name.0), sync.id)),
        )
    };
    let daemon = |instance: Option<&str>, id| Some(("eth1".to_owned(), instance.map(str::to_owned), id));
    assert_eq!(of("lvs_sync_daemon eth1", ""), (String::new(), daemon(None, 0)));
    assert_eq!(of("lvs_sync_daemon eth1 VI_1", ""), (String::new(), daemon(Some("VI_1"), 51)));
    assert_eq!(of("lvs_sync_daemon eth1 inst VI_1 id 9", ""), (String::new(), daemon(Some("VI_1"), 9)));
    assert_eq!(of("lvs_sync_daemon eth1 VI_9", ""), ("unknown-instance".to_owned(), None));
    assert_eq!(of("lvs_sync_daemon eth1\nlvs_sync_daemon eth0", ""), ("already-set".to_owned(), daemon(None, 0)));
    assert_eq!(of("", "lvs_sync_daemon_interface eth1"), ("deprecated".to_owned(), daemon(Some("VI_1"), 51)));
}

fn codes_joined(diagnostics: &[conf::Diagnostic]) -> String {
    diagnostics.iter().map(|each| each.code).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_sample_is_without_a_mistake() {
    let config = config(include_str!("../../conf/keepalived-lvs.conf"));
    let servers: Vec<usize> = config.services.iter().map(|service| service.servers.len()).collect();
    assert_eq!(servers, [3, 2]);
    assert!(config.services.iter().flat_map(|service| &service.servers).all(|server| server.checkers.len() == 1));
    assert_eq!(config.not_built, []);
}

#[test]
fn nothing_of_a_virtual_server_is_called_unbuilt() {
    for name in ["02-seed-ipvs.conf", "06-fwmark-quorum.conf"] {
        let not_built = seed(name, &TwoInterfaces).config.not_built;
        let ours = not_built.iter().filter(|each| each.directive.starts_with("virtual_server"));
        assert_eq!(ours.collect::<Vec<_>>(), [] as [&NotBuilt; 0]);
    }
}

/// The configuration that a line of `services.tsv` was recorded with.
fn recorded(place: &str, lines: &str) -> String {
    let lines = lines.replace(" ; ", "\n");
    let of = |wanted: &str| if place == wanted { lines.as_str() } else { "" };
    let method = "lb_algo rr\nlb_kind NAT\n";
    let (head, instead) = match place {
        "head" => (lines.as_str(), format!("{method}protocol TCP")),
        "mark" => ("virtual_server fwmark 5", format!("{method}{lines}")),
        "instead" => ("virtual_server 10.0.0.3 80", lines.clone()),
        _ => ("virtual_server 10.0.0.3 80", format!("{method}protocol TCP")),
    };
    format!(
        "global_defs {{\nscript_user root\nenable_script_security\n{}\n}}\ntrack_file TF {{\nfile /run/tf\n}}\n\
         bfd_instance B {{\nneighbor_ip 10.0.0.9\n}}\nvirtual_server_group V {{\n10.1.0.1 80\n}}\n\
         {head} {{\n{instead}\n{}\nreal_server 10.1.1.3 80 {{\n{}\n{}\n}}\n}}\n{}",
        of("global"),
        of("service"),
        of("server"),
        of("checker"),
        of("top"),
    )
}

#[test]
fn the_exit_status_of_a_test_run_is_the_one_that_keepalived_gave() {
    let mut wrong = Vec::new();
    let list = include_str!("services.tsv");
    for line in list.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let loaded = read(&recorded(cells[1], cells[2]));
        if loaded.status.to_string() != cells[0] {
            wrong.push(format!("{line}: {}\n{}", loaded.status, loaded.render()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(list.lines().count() > 300);
}

/// Values that a directive may have; at least one of them is not the default.
fn samples(shape: Shape) -> Vec<String> {
    let args = match shape {
        Shape::Words(args) | Shape::Options(args, _) => args,
        _ => return vec![String::new()],
    };
    let Some(arg) = args.first() else { return vec![String::new()] };
    let words: &[&str] = match arg.kind {
        Kind::Bool => &["on", "off"],
        Kind::Script => &["/usr/bin/true"],
        Kind::User => &["nobody"],
        Kind::Ip => &["192.0.2.99"],
        Kind::Hex32 => &["0123456789abcdef0123456789abcdef"],
        Kind::HexString | Kind::HexWild => &["0a"],
        Kind::StatusCodes => &["404"],
        Kind::Granularity => &["255.0.0.0"],
        Kind::Word(words) | Kind::AnyCase(words) => words,
        Kind::Dec(..) => &["7"],
        Kind::Int(..) | Kind::U64 => &["5"],
        _ => &["load"],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The text with a line of a block, and what has to stand beside the line to let it count.
fn within(path: &str, keyword: &str, line: &str) -> Option<String> {
    let beside = match keyword {
        "hysteresis" => "quorum 9\nweight 100",
        "quorum" => "weight 100",
        "ops" => "protocol UDP",
        "sh-port" | "sh-fallback" => "lvs_sched sh",
        "mh-port" | "mh-fallback" => "lvs_sched mh",
        "sorry_server_inhibit" | "sorry_server_lvs_method" => "sorry_server 192.168.1.99",
        "regex_no_match" | "regex_options" | "regex_min_offset" | "regex_max_offset" => "regex x",
        "min_reply_length" | "max_reply_length" => "require_reply",
        "user" | "misc_timeout" | "misc_dynamic" => "misc_path /usr/bin/test",
        _ => "",
    };
    let line = format!("{beside}\n{line}");
    let (service, server) = match path {
        "virtual_server" => (line, String::new()),
        "virtual_server/real_server" => (String::new(), line),
        _ => {
            let mut parts = path.split('/').skip(2);
            let kind = parts.next()?;
            let url = |inside: &str| format!("url {{\npath /\n{inside}\n}}\n");
            let inside = match (kind, parts.next()) {
                ("HTTP_GET" | "SSL_GET", Some(_)) => url(&line),
                ("HTTP_GET" | "SSL_GET", None) => format!("{line}\n{}", url("")),
                ("SMTP_CHECK", Some(_)) => format!("host {{\n{line}\n}}"),
                ("MISC_CHECK", None) => format!("misc_path /usr/bin/test\n{line}"),
                ("FILE_CHECK", None) if keyword != "track_file" => format!("track_file load\n{line}"),
                ("BFD_CHECK", None) if keyword != "name" => format!("name load\n{line}"),
                _ => line,
            };
            (String::new(), format!("{kind} {{\n{inside}\n}}"))
        }
    };
    Some(format!("{}bfd_instance load {{\nneighbor_ip 192.0.2.13\n}}\n", text(&service, &server)))
}

#[test]
fn every_directive_of_a_service_changes_the_model() {
    // These need two values or another kind of service, and have their own tests.
    let elsewhere = ["ip_family", "regex_stack"];
    // SNI means nothing without TLS.
    let useless = |path: &str, word: &str| path.contains("HTTP_GET") && matches!(word, "enable_sni" | "sni_name");
    let mut without = Vec::new();
    let mut count = 0;
    for row in keywords::rows().filter(|row| row.effect == Effect::Built && !elsewhere.contains(&row.keyword)) {
        if matches!(row.shape, Shape::Block(_) | Shape::Entries(..)) {
            continue;
        }
        let paths = row.paths.iter().filter(|path| path.starts_with("virtual_server") && !path.contains("group"));
        for path in paths.filter(|path| !useless(path, row.keyword)) {
            let read_with = |line: &str| within(path, row.keyword, line).map(|text| read(&text).config);
            let plain = read_with("");
            let changes = |value: &String| read_with(&format!("{} {value}", row.keyword)) != plain;
            if !samples(row.shape).iter().any(changes) {
                without.push(format!("{path} {}", row.keyword));
            }
            count += 1;
        }
    }
    assert_eq!(without, [] as [String; 0]);
    assert!(count > 150, "{count}");
}

/// Lines of a service with values from a small pool, good and bad.
fn lines() -> impl Strategy<Value = String> {
    let words: Vec<&'static str> =
        keywords::rows().filter(|row| row.paths[0].starts_with("virtual_server")).map(|row| row.keyword).collect();
    let value = prop::sample::select(vec![
        "",
        "0",
        "1",
        "4294967295",
        "-1",
        "2.5",
        "x",
        "on",
        "off",
        "NAT",
        "DR",
        "TUN type gue port 5",
        "sh",
        "mh",
        "255.0.0.0",
        "96",
        "192.0.2.9 80",
        "2001:db8::9",
        "fe80::9",
        "{",
        "{\n}",
        "\"/usr/bin/true a\" root",
        "aXx 1",
        "load",
        "/",
        "200-299 x",
        "0123456789abcdef0123456789abcdef",
        "\"a\\\\b\"",
    ]);
    let line = (prop::sample::select(words), value).prop_map(|(word, value)| format!("{word} {value}\n"));
    let line = prop_oneof![5 => line, 1 => Just("}\n".to_owned())];
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_service_says_the_model_keeps_its_promises(lines in lines(), inner in lines()) {
        let loaded = read(&text(&lines, &inner));
        let mut keys: Vec<_> = loaded.config.services.iter().map(|service| service.key.clone()).collect();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), loaded.config.services.len());
        let known = |script: &Script| usize::try_from(script.id.0).is_ok_and(|id| id < loaded.config.scripts.len());
        for service in &loaded.config.services {
            prop_assert!(!service.servers.is_empty());
            let total: u64 = service.servers.iter().map(|server| u64::from(server.weight)).sum();
            prop_assert!(service.quorum >= 1 && service.hysteresis < service.quorum);
            prop_assert!(total == 0 || u64::from(service.quorum) + u64::from(service.hysteresis) <= total);
            prop_assert!(service.delay_loop_us > 0 && service.connect_timeout_us > 0);
            prop_assert!([&service.quorum_up, &service.quorum_down].into_iter().flatten().all(known));
            let mut pool: Vec<_> = service.servers.iter().map(|server| service.server_key(server)).collect();
            pool.sort();
            pool.dedup();
            prop_assert_eq!(pool.len(), service.servers.len());
            for checker in service.servers.iter().flat_map(|server| &server.checkers) {
                prop_assert!(checker.delay_loop_us > 0);
                if let Check::Http(check) = &checker.check {
                    prop_assert!(!check.urls.is_empty() && check.urls.iter().all(|url| !url.status.is_empty()));
                }
            }
        }
    }
}
