//! Each checker's probe against real server programs: nginx, OpenSSL's s_server, postfix, unbound and the kernel.
//!
//! What servers do wrong on purpose is in the unit tests of `keepwatch::check::probe`.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentx_tests::net::{Lab, Nic, Node};
use agentx_tests::process::{Process, must};
use agentx_tests::wait;
use keepwatch::check::io::{Cause, Failure, Outcome};
use keepwatch::check::probe::{self, Context};
use keepwatch::conf::model::{
    BodyRegex, Check, DnsCheck, HttpCheck, HttpVersion, SmtpCheck, Target, TlsClient, TlsSettings, UdpCheck, Url,
};

/// Nobody waits for it where the servers are well.
const LONG: Duration = Duration::from_secs(20);

/// Until a server has started.
const START: Duration = Duration::from_secs(30);

const SERVER: &str = "10.9.0.2";
const SERVER_V6: &str = "fd09::2";

/// A director and a server on one link.
struct Pair {
    lab: Lab,
    director: Node,
    server: Node,
}

impl Pair {
    fn new() -> Pair {
        let lab = Lab::new();
        let switch = lab.switch();
        let (director, server) = (lab.node("director"), lab.node("server"));
        let addresses = &["10.9.0.1/24", "10.9.0.11/24", "fd09::1/64"];
        lab.connect(&director, &switch, Nic { name: "eth0", addresses, ..Nic::default() });
        let addresses = &["10.9.0.2/24", "fd09::2/64"];
        lab.connect(&server, &switch, Nic { name: "eth0", addresses, ..Nic::default() });
        Pair { lab, director, server }
    }

    /// The probe of this check, from the director.
    fn probe(&self, check: Check) -> Outcome {
        self.director.enter(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let mut context = Context::new();
            assert_eq!(context.configure([&check]), Vec::<String>::new());
            runtime.block_on(probe::run(&context, &check, 0))
        })
    }

    #[track_caller]
    fn passes(&self, check: Check) {
        assert_eq!(self.probe(check), Outcome::Passed);
    }

    #[track_caller]
    fn fails(&self, check: Check, cause: Cause, text: &str) {
        assert_eq!(self.probe(check), Outcome::Failed(Failure::new(cause, text)));
    }

    /// Waits until a connection can be made.
    #[track_caller]
    fn wait_for(&self, server: &Process, port: u16) {
        let what = format!("{} to listen on port {port}; its log: {}", server.name(), server.log());
        wait::until(&what, START, || (self.probe(Check::Tcp(target(port))) == Outcome::Passed).then_some(()));
    }

    fn directory(&self) -> &Path {
        self.lab.directory()
    }
}

fn target(port: u16) -> Target {
    Target {
        address: address(SERVER),
        port,
        bind: None,
        bind_port: 0,
        interface: None,
        mark: 0,
        timeout_us: LONG.as_micros() as u64,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn url(path: &str) -> Url {
    Url {
        path: path.to_owned(),
        virtual_host: None,
        digest: None,
        status: vec![(200, 299)],
        regex: None,
        tls_compliant: false,
    }
}

fn http(port: u16, version: HttpVersion, url: Url) -> Check {
    Check::Http(Box::new(HttpCheck { target: target(port), tls: None, version, urls: vec![url], fast_recovery: false }))
}

fn ssl(port: u16, tls: TlsSettings, url: Url) -> Check {
    Check::Http(Box::new(HttpCheck {
        target: target(port),
        tls: Some(tls),
        version: HttpVersion::V1_0,
        urls: vec![url],
        fast_recovery: false,
    }))
}

fn regex(pattern: &str) -> Option<BodyRegex> {
    Some(BodyRegex {
        pattern: pattern.to_owned(),
        options: vec![],
        no_match: false,
        min_offset: 0,
        max_offset: None,
        stack: None,
    })
}

/// Key and certificate in one file each, made by `openssl req` with these words.
fn certificate(directory: &Path, name: &str, words: &[&str]) -> (String, String) {
    let path = |kind: &str| directory.join(format!("{name}.{kind}")).to_str().expect("UTF-8").to_owned();
    let (key, certificate) = (path("key"), path("pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-subj", "/CN=test", "-keyout", &key, "-out", &certificate]).args(words);
    must(command);
    (key, certificate)
}

#[test]
fn nginx_passes_and_fails_by_what_it_serves() {
    let pair = Pair::new();
    let directory = pair.directory();
    let (key, certificate) = certificate(directory, "nginx", &["-newkey", "rsa:2048"]);
    let root = directory.join("www");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("hello"), "hello\n").unwrap();
    fs::write(root.join("long"), "0123456789".repeat(300_000) + "needle").unwrap();
    // The workers are other users.
    must({
        let mut command = Command::new("chmod");
        command.args(["-R", "a+rX"]).arg(directory);
        command
    });
    let mut text = String::from("daemon off; error_log stderr; events {}\n");
    let _ = write!(
        text,
        "pid {d}/nginx.pid;\nhttp {{ access_log {d}/access.log; client_body_temp_path {d}/b; proxy_temp_path {d}/p;
        fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s; ssi_types text/plain;
        server {{ listen 80 default_server; listen [::]:80; root {d}/www;
          location /busy {{ return 503; }} location /chunked {{ ssi on; alias {d}/www/hello; }} }}
        server {{ listen 80; server_name www.example.com; location / {{ return 200 named; }} }}
        server {{ listen 443 ssl default_server; ssl_certificate {certificate}; ssl_certificate_key {key};
          ssl_reject_handshake on; }}
        server {{ listen 443 ssl; server_name www.example.com; ssl_certificate {certificate}; ssl_certificate_key {key};
          location / {{ return 200 named; }} }} }}\n",
        d = directory.display()
    );
    let configuration = directory.join("nginx.conf");
    fs::write(&configuration, text).unwrap();
    let configuration = configuration.to_str().unwrap();
    let nginx = pair.server.spawn("nginx", pair.server.command(&["nginx", "-c", configuration]));
    pair.wait_for(&nginx, 80);

    let md5_of_hello = [0xb1, 0x94, 0x6a, 0xc9, 0x24, 0x92, 0xd2, 0x34, 0x7c, 0x62, 0x35, 0xb4, 0xd2, 0x61, 0x11, 0x84];
    for version in [HttpVersion::V1_0, HttpVersion::V1_0Close, HttpVersion::V1_0CloseLower, HttpVersion::V1_1] {
        for path in ["/hello", "/chunked"] {
            pair.passes(http(80, version, url(path)));
            pair.passes(http(80, version, Url { digest: Some(md5_of_hello), regex: regex("^hel+o$"), ..url(path) }));
        }
        pair.fails(http(80, version, url("/busy")), Cause::Status, "HTTP status 503");
        pair.fails(http(80, version, url("/nothing")), Cause::Status, "HTTP status 404");
        pair.passes(http(80, version, Url { status: vec![(100, 199), (404, 404)], ..url("/nothing") }));
        pair.passes(http(80, version, Url { regex: regex("9needle$"), ..url("/long") }));
        let other = Url { digest: Some([0; 16]), ..url("/hello") };
        pair.fails(http(80, version, other), Cause::Digest, "MD5 of the body is b1946ac92492d2347c6235b4d2611184");
        let named = Url { virtual_host: Some("www.example.com".to_owned()), regex: regex("^named$"), ..url("/hello") };
        pair.passes(http(80, version, named));
    }
    let v6 = HttpCheck {
        target: Target { address: address(SERVER_V6), ..target(80) },
        tls: None,
        version: HttpVersion::V1_1,
        urls: vec![url("/hello")],
        fast_recovery: false,
    };
    pair.passes(Check::Http(Box::new(v6)));

    let named = Url { virtual_host: Some("www.example.com".to_owned()), regex: regex("^named$"), ..url("/") };
    let sni = TlsSettings { sni: true, ..TlsSettings::default() };
    pair.passes(ssl(443, sni.clone(), named.clone()));
    pair.passes(ssl(443, sni.clone(), Url { tls_compliant: true, ..named.clone() }));
    let by_name = TlsSettings { sni_name: Some("www.example.com".to_owned()), ..sni.clone() };
    pair.passes(ssl(443, by_name, Url { virtual_host: Some("www.example.com:443".to_owned()), ..named.clone() }));
    // Nobody is there without a name.
    let Outcome::Failed(Failure { cause: Cause::Tls, text }) = pair.probe(ssl(443, TlsSettings::default(), named))
    else {
        panic!("a handshake without a server name passed");
    };
    assert!(text.contains("unrecognized name"), "{text}");
    pair.fails(http(443, HttpVersion::V1_0, url("/")), Cause::Status, "HTTP status 400");
}

#[test]
fn every_tls_server_that_openssl_can_talk_to_passes() {
    let pair = Pair::new();
    let directory = pair.directory();
    let rsa = certificate(directory, "rsa", &["-newkey", "rsa:2048"]);
    let short = certificate(directory, "short", &["-newkey", "rsa:1024"]);
    let curve = certificate(directory, "curve", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    // OpenSSL 3.0's `req` cannot make a certificate of the past, but `x509` can shorten one to nothing.
    let expired = expired(directory);
    // Security level 0 on the server's side: it is to offer what it is asked for.
    let servers: [(&str, &(String, String), &[&str]); 8] = [
        ("TLS 1.3", &rsa, &["-tls1_3"]),
        ("TLS 1.2", &rsa, &["-tls1_2"]),
        ("RSA key exchange", &rsa, &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"]),
        ("DHE with CBC", &rsa, &["-tls1_2", "-cipher", "DHE-RSA-AES256-SHA:@SECLEVEL=0"]),
        ("1024 bit", &short, &["-cipher", "DEFAULT:@SECLEVEL=0"]),
        ("ECDSA", &curve, &[]),
        ("expired", &expired, &[]),
        ("expired, TLS 1.2", &expired, &["-tls1_2"]),
    ];
    let mut running = Vec::new();
    for (port, (name, (key, certificate), words)) in (4430..).zip(servers) {
        let accept = port.to_string();
        let mut all = vec!["openssl", "s_server", "-accept", &accept, "-key", key, "-cert", certificate, "-www"];
        all.extend(words);
        let server = pair.server.spawn(&format!("s_server-{port}"), pair.server.command(&all));
        pair.wait_for(&server, port);
        running.push((name, port, server));
    }
    for (name, port, server) in &running {
        for compliant in [false, true] {
            let tls = TlsSettings { compliant, ..TlsSettings::default() };
            let page = Url { regex: regex("s_server"), ..url("/") };
            assert_eq!(pair.probe(ssl(*port, tls, page)), Outcome::Passed, "{name}: {}", server.log());
        }
    }

    // A server that wants to see our certificate, which the SSL block names.
    let client = certificate(directory, "client", &["-newkey", "rsa:2048"]);
    let words = ["openssl", "s_server", "-accept", "4460", "-key", &rsa.0, "-cert", &rsa.1, "-www", "-Verify", "1"];
    let server = pair.server.spawn("s_server-verify", pair.server.command(&[&words[..], &["-tls1_2"]].concat()));
    pair.wait_for(&server, 4460);
    let block = TlsClient { password: None, ca: Some(rsa.1.clone()), certificate: Some(client.1), key: Some(client.0) };
    let tls = TlsSettings { client: Some(block), ..TlsSettings::default() };
    assert_eq!(pair.probe(ssl(4460, tls, url("/"))), Outcome::Passed, "{}", server.log());
    let Outcome::Failed(failure) = pair.probe(ssl(4460, TlsSettings::default(), url("/"))) else {
        panic!("passed without a certificate");
    };
    assert_eq!(failure.cause, Cause::Tls, "{failure:?}");
}

/// A key and a certificate whose time is over.
fn expired(directory: &Path) -> (String, String) {
    let (key, valid) = certificate(directory, "valid", &["-newkey", "rsa:2048"]);
    let database = directory.join("ca");
    fs::create_dir_all(&database).unwrap();
    fs::write(database.join("index"), "").unwrap();
    fs::write(database.join("serial"), "01\n").unwrap();
    let path = |name: &str| database.join(name).to_str().unwrap().to_owned();
    let text = format!(
        "[ca]\ndefault_ca = c\n[c]\ndatabase = {}\nserial = {}\nnew_certs_dir = {}\ndefault_md = sha256\npolicy = p\n\
         [p]\ncommonName = supplied\n",
        path("index"),
        path("serial"),
        database.display()
    );
    fs::write(path("config"), text).unwrap();
    let mut request = Command::new("openssl");
    request.args(["req", "-new", "-key", &key, "-subj", "/CN=old", "-out", &path("request")]);
    must(request);
    let mut sign = Command::new("openssl");
    sign.args(["ca", "-batch", "-config", &path("config"), "-in", &path("request"), "-out", &path("old.pem")]);
    sign.args(["-cert", &valid, "-keyfile", &key, "-startdate", "200101000000Z", "-enddate", "200102000000Z"]);
    must(sign);
    (key, path("old.pem"))
}

#[test]
fn postfix_passes() {
    let pair = Pair::new();
    let directory = pair.directory();
    let spool = directory.join("spool");
    let data = directory.join("data");
    let configuration = directory.join("postfix");
    for path in [&spool, &data, &configuration] {
        fs::create_dir_all(path).unwrap();
    }
    must({
        let mut command = Command::new("chown");
        command.arg("postfix").arg(&data);
        command
    });
    let text = format!(
        "compatibility_level = 3.6\nqueue_directory = {}\ndata_directory = {}\ncommand_directory = /usr/sbin\n\
         daemon_directory = /usr/lib/postfix/sbin\nmyhostname = mx.example\nmydestination =\nalias_maps =\n\
         inet_interfaces = all\nmaillog_file = /dev/stdout\nsmtpd_banner = mx.example ESMTP\n",
        spool.display(),
        data.display()
    );
    fs::write(configuration.join("main.cf"), text).unwrap();
    let services = "smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n\
                    qmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n\
                    anvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\n";
    fs::write(configuration.join("master.cf"), services).unwrap();
    let configuration = configuration.to_str().unwrap();
    let command = pair.server.command(&["postfix", "-c", configuration, "start-fg"]);
    let postfix = pair.server.spawn("postfix", command);
    pair.wait_for(&postfix, 25);
    let smtp = |target, helo: &str| Check::Smtp(SmtpCheck { target, helo: helo.to_owned() });
    assert_eq!(pair.probe(smtp(target(25), "director.example")), Outcome::Passed, "{}", postfix.log());
    let v6 = Target { address: address(SERVER_V6), ..target(25) };
    assert_eq!(pair.probe(smtp(v6, "director.example")), Outcome::Passed, "{}", postfix.log());
    // What Postfix does not take for a HELO.
    pair.fails(smtp(target(25), ""), Cause::Status, "HELO: SMTP reply 501");
}

#[test]
fn unbound_passes_and_fails_by_its_response_code() {
    let pair = Pair::new();
    let configuration = pair.directory().join("unbound.conf");
    let text = "server:\n  interface: 10.9.0.2\n  interface: fd09::2\n  access-control: 10.9.0.1/32 allow\n  access-control: fd09::/64 allow\n\
                access-control: 10.9.0.11/32 refuse\n  chroot: \"\"\n  username: \"\"\n  use-syslog: no\n  do-daemonize: no\n\
                pidfile: \"\"\n  module-config: \"iterator\"\n  local-zone: \"example.com.\" static\n\
                local-data: \"www.example.com. A 192.0.2.1\"\nremote-control:\n  control-enable: no\n";
    fs::write(&configuration, text).unwrap();
    let command = pair.server.command(&["unbound", "-d", "-c", configuration.to_str().unwrap()]);
    let unbound = pair.server.spawn("unbound", command);
    pair.wait_for(&unbound, 53);
    let dns = |target, name: &str, record| Check::Dns(DnsCheck { target, record, name: name.to_owned() });
    assert_eq!(pair.probe(dns(target(53), "www.example.com", 1)), Outcome::Passed, "{}", unbound.log());
    pair.passes(dns(Target { address: address(SERVER_V6), ..target(53) }, "www.example.com", 1));
    // No data is no error.
    pair.passes(dns(target(53), "www.example.com", 28));
    pair.fails(dns(target(53), "none.example.com", 1), Cause::Status, "DNS response code 3 (NXDOMAIN)");
    let bound = Target { bind: Some(address("10.9.0.11")), ..target(53) };
    pair.fails(dns(bound, "www.example.com", 1), Cause::Status, "DNS response code 5 (REFUSED)");
    pair.fails(dns(target(54), "www.example.com", 1), Cause::Refused, "port unreachable");
}

#[test]
fn the_kernel_of_a_host_answers_pings_and_routers_say_what_is_unreachable() {
    let pair = Pair::new();
    let to = |address: &str| Target { address: self::address(address), ..target(0) };
    for address in [SERVER, SERVER_V6] {
        pair.passes(Check::Ping(to(address)));
    }
    // Where ping sockets are allowed, they are used.
    pair.director.sysctl("net/ipv4/ping_group_range", "0 0");
    for address in [SERVER, SERVER_V6] {
        pair.passes(Check::Ping(to(address)));
        let bound = Target { interface: Some("eth0".to_owned()), ..to(address) };
        pair.passes(Check::Ping(bound));
    }
    pair.server.sysctl("net/ipv4/icmp_echo_ignore_all", "1");
    let short = Target { timeout_us: 300_000, ..to(SERVER) };
    pair.fails(Check::Ping(short), Cause::Timeout, "timed out after 300ms waiting for the echo");

    // The server as a router that says no.
    for (route, gateway, beyond) in [("10.10.0.0/24", SERVER, "10.10.0.1"), ("fd10::/64", SERVER_V6, "fd10::1")] {
        pair.director.ip(&["route", "add", route, "via", gateway]);
        pair.server.sysctl("net/ipv4/ip_forward", "1");
        pair.server.sysctl("net/ipv6/conf/all/forwarding", "1");
        pair.server.ip(&["route", "add", "unreachable", route]);
        let udp =
            |address| Check::Udp(UdpCheck { target: Target { port: 9, ..to(address) }, payload: None, reply: None });
        for check in [Check::Ping(to(beyond)), udp(beyond), Check::Tcp(Target { port: 9, ..to(beyond) })] {
            let name = check.name();
            let Outcome::Failed(failure) = pair.probe(check) else { panic!("{name} passed") };
            assert_eq!(failure.cause, Cause::Unreachable, "{name} {beyond}: {failure:?}");
        }
    }
    // No route at all.
    pair.fails(Check::Ping(to("192.0.2.1")), Cause::Unreachable, "network unreachable");
    pair.fails(Check::Tcp(Target { port: 9, ..to("192.0.2.1") }), Cause::Unreachable, "network unreachable");
}

#[test]
fn connection_options_are_on_the_wire() {
    let pair = Pair::new();
    let directory = pair.directory();
    // Each connection's peer, as the server sees it.
    let listener = pair.server.enter(|| std::net::TcpListener::bind((SERVER, 7000)).expect("a listener"));
    let _ = directory;
    let peer = |check: Target| {
        pair.passes(Check::Tcp(check));
        listener.accept().expect("a connection").1
    };
    let from = |bind: Option<&str>, bind_port| Target { bind: bind.map(address), bind_port, ..target(7000) };
    assert_eq!(peer(from(None, 0)).ip(), address("10.9.0.1"));
    assert_eq!(peer(from(Some("10.9.0.11"), 0)).ip(), address("10.9.0.11"));
    assert_eq!(peer(from(Some("10.9.0.11"), 4000)).to_string(), "10.9.0.11:4000");
    assert_eq!(peer(from(None, 4000)).to_string(), "10.9.0.1:4000");
    assert_eq!(peer(from(None, 4000)).to_string(), "10.9.0.1:4000", "at once again");
    assert_eq!(peer(Target { interface: Some("eth0".to_owned()), ..target(7000) }).ip(), address("10.9.0.1"));
    // Marked packets take another way, which is none.
    pair.director.ip(&["rule", "add", "fwmark", "7", "unreachable"]);
    let marked = Target { mark: 7, ..target(7000) };
    let Outcome::Failed(Failure { cause: Cause::Unreachable, .. }) = pair.probe(Check::Tcp(marked)) else {
        panic!("the mark did not count");
    };
    // A link-local address is one of an interface.
    let link_local = pair.server.ip(&["-6", "-o", "address", "show", "dev", "eth0", "scope", "link"]);
    let link_local = link_local.split_whitespace().find(|word| word.starts_with("fe80")).expect("an address");
    let link_local = address(link_local.split('/').next().unwrap_or_default());
    pair.passes(Check::Ping(Target { address: link_local, interface: Some("eth0".to_owned()), ..target(0) }));
}
