//! HTTP: what is served, to whom, and what hostile clients get. Whatever they do, the local socket answers meanwhile.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::http::{self, Answer};
use agentx_tests::net::Node;
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::process::run;
use agentx_tests::wait;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

const FLAVOUR: Flavour = Flavour::V3;
const PATIENCE: Duration = Duration::from_secs(20);
const TCP: &str = "127.0.0.1:9959";
/// `maplesyrup`
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuubhXgrOamRlJe3VB2k3kf6J3JS4FGDMK";

struct Site {
    daemon: Daemon,
    node: Node,
    socket: PathBuf,
}

impl Site {
    /// A router, master soon, with these settings beside its configuration.
    fn start(node: &Node, settings: &str) -> Site {
        node.ip(&["link", "set", "lo", "up"]);
        write_settings(node, settings);
        let configuration = FLAVOUR.configuration(1, "MASTER", 150);
        let daemon = Daemon::start(node, Program::Keepwatch, &configuration, Options::default());
        let socket = daemon.directory().join("main.metrics.sock");
        let site = Site { daemon, node: node.clone(), socket };
        site.daemon.wait_for_address("10.0.0.100", true, PATIENCE);
        site.wait("/readyz", 200);
        site
    }

    fn get(&self, path: &str) -> Answer {
        http::get_unix(&self.socket, path, &[]).unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.daemon.log()))
    }

    fn wait(&self, path: &str, status: u16) {
        let mut last = String::new();
        let answered = wait::within(PATIENCE, || {
            last = match http::get_unix(&self.socket, path, &[]) {
                Ok(answer) if answer.status == status => return Some(()),
                Ok(answer) => format!("{} {}", answer.status, answer.text()),
                Err(error) => error,
            };
            None
        });
        assert!(answered.is_some(), "{path} is not {status} but {last}; the log says:\n{}", self.daemon.log());
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{path}");
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.text()))
    }

    fn tcp(&self) -> TcpStream {
        let address: SocketAddr = TCP.parse().unwrap();
        let stream = self.node.enter(move || TcpStream::connect(address)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// All that comes after `octets` were sent over TCP.
    fn say(&self, octets: &[u8]) -> String {
        let mut stream = self.tcp();
        // It may be cut off before it has said everything.
        let _ = stream.write_all(octets);
        rest(&mut stream)
    }
}

fn rest(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn write_settings(node: &Node, settings: &str) {
    let directory = node.directory().join(Program::Keepwatch.name());
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("keepwatch.yaml"), settings).unwrap();
}

/// The statuses of all answers in a text.
fn statuses(text: &str) -> Vec<u16> {
    let marks = text.match_indices("HTTP/1.1 ");
    marks.filter_map(|(at, mark)| text.get(at + mark.len()..)?.get(..3)?.parse().ok()).collect()
}

/// Scrapes over the local socket again and again, until it is dropped or asked for the longest scrape.
struct Bystander {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<(u32, Duration, Vec<String>)>>,
}

impl Bystander {
    fn start(site: &Site) -> Bystander {
        let stop = Arc::new(AtomicBool::new(false));
        let (until, socket) = (Arc::clone(&stop), site.socket.clone());
        let thread = std::thread::spawn(move || {
            let (mut count, mut longest, mut failures) = (0, Duration::ZERO, vec![]);
            while !until.load(Ordering::Relaxed) {
                let began = Instant::now();
                match http::get_unix(&socket, "/metrics", &[]) {
                    Ok(answer) if answer.status == 200 => count += 1,
                    Ok(answer) => failures.push(format!("{} {}", answer.status, answer.text())),
                    Err(error) => failures.push(error),
                }
                longest = longest.max(began.elapsed());
                std::thread::sleep(Duration::from_millis(50));
            }
            (count, longest, failures)
        });
        Bystander { stop, thread: Some(thread) }
    }

    #[track_caller]
    fn was_served(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let (count, longest, failures) = self.thread.take().unwrap().join().unwrap();
        assert_eq!(failures, Vec::<String>::new(), "every scrape over the local socket is answered");
        assert!(count > 0 && longest < Duration::from_secs(1), "{count} scrapes, the longest took {longest:?}");
    }
}

#[test]
fn everything_is_there_over_the_local_socket_without_any_settings() {
    let link = Link::new();
    let site = Site::start(&link.nodes[0], "");
    let mode = std::fs::metadata(&site.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/status", "text/html; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/metrics/compat?names=mehdy", "text/plain; version=0.0.4; charset=utf-8"),
        ("/api/v1/status", "application/json"),
        ("/livez", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/healthz/vip", "text/plain; charset=utf-8"),
    ] {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(
            answer.header("content-security-policy").is_some_and(|it| it.starts_with("default-src 'none'")),
            "{path}"
        );
    }
    assert!(site.get("/status").text().contains("VI_1"));
    assert_eq!(site.json("/api/v1/vrrp")["instances"][0]["state"], "master");
    assert!(site.json("/api/v1/ipvs")["services"].is_array());
    assert!(site.json("/api/v1/checkers")["checkers"].is_array());
    assert!(site.json("/api/v1/events")["events"].is_array());

    let text = site.get("/metrics").text();
    assert!(text.contains("\nkeepwatch_vrrp_state{") && !text.contains("# EOF"), "{text}");
    let open =
        http::get_unix(&site.socket, "/metrics", &[("Accept", "application/openmetrics-text;version=1.0.0")]).unwrap();
    assert!(open.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")));
    assert!(open.text().ends_with("# EOF\n"));
    let packed = http::get_unix(&site.socket, "/metrics", &[("Accept-Encoding", "gzip")]).unwrap();
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() * 3 < text.len());

    for (path, status) in [
        ("/nothing", 404),
        ("/../etc/passwd", 400),
        ("/%2e%2e/etc/passwd", 400),
        ("/graph/vrrp/%00.svg", 400),
        ("/graph/vrrp/%ff.svg", 400),
        ("/metrics/compat?names=nobody", 400),
        ("/graph/vrrp/VI_1.svg?span=forever", 400),
        ("/graph/vrrp/VI_1.svg", 503),
    ] {
        let answer = site.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().lines().count() == 1, "{path} says why in a line: {}", answer.text());
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let stream = UnixStream::connect(&site.socket).unwrap();
        let answer = http::ask(stream, method, "/api/v1/status", b"{}").unwrap();
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let head = http::ask(UnixStream::connect(&site.socket).unwrap(), "HEAD", "/metrics", b"").unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("content-length").is_some_and(|length| length.len() > 3));
}

#[test]
fn hostile_clients_get_their_status_and_the_local_socket_answers_meanwhile() {
    let link = Link::new();
    let site = Site::start(&link.nodes[0], "http: {listen: [127.0.0.1]}");
    let bystander = Bystander::start(&site);

    // A megabyte of headers, with and without an end; a path that never ends.
    let megabyte = "y".repeat(1_000_000);
    let fields: String = (0..20_000).map(|n| format!("x-{n}: {}\r\n", "y".repeat(40))).collect();
    assert_eq!(statuses(&site.say(format!("GET / HTTP/1.1\r\nx: {megabyte}\r\n\r\n").as_bytes())), [431]);
    assert_eq!(statuses(&site.say(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes())), [431]);
    assert_eq!(statuses(&site.say(format!("GET /{megabyte} HTTP/1.1\r\n\r\n").as_bytes())), [414]);
    assert_eq!(statuses(&site.say(b"GET /../../etc/shadow HTTP/1.1\r\nConnection: close\r\n\r\n")), [400]);
    // Bodies are not read, and what stands in them is no request.
    let smuggled = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 31\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(statuses(&site.say(smuggled.as_bytes())), [405]);
    let endless = format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{megabyte}");
    assert_eq!(statuses(&site.say(endless.as_bytes())), [405]);
    // Requests in a row are answered in turn, up to the garbage behind them.
    let row = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3) + "\x01\x02garbage\r\n\r\nGET /livez HTTP/1.1\r\n\r\n";
    assert_eq!(statuses(&site.say(row.as_bytes())), [200, 200, 200, 400]);
    assert_eq!(statuses(&site.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")), [400], "TLS, where there is none");
    assert_eq!(statuses(&site.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), [505]);

    // One that stops in the middle, one that never comes to an end, one that never reads.
    let mut slow = site.tcp();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHo").unwrap();
    let mut endless = site.tcp();
    endless.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let mut deaf = site.tcp();
    let asked = deaf.write_all("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(300).as_bytes());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(40) && endless.write_all(b"x: y\r\n").is_ok() {
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(began.elapsed() < Duration::from_secs(40), "who never comes to an end is left");
    assert_eq!(statuses(&rest(&mut slow)), [408]);
    if asked.is_ok() {
        let text = rest(&mut deaf);
        assert!(statuses(&text).len() < 300, "who does not read is left: {} octets came", text.len());
    }

    // A hundred may be there at once; more are told that there is no room.
    let mut crowd: Vec<TcpStream> = (0..100).map(|_| site.tcp()).collect();
    let refused = |text: &str| statuses(text) == [503];
    wait::until("the hundred to be accepted", PATIENCE, || {
        let mut one = site.tcp();
        let _ = one.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        refused(&rest(&mut one)).then_some(())
    });
    let first = crowd.first_mut().unwrap();
    first.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(statuses(&rest(first)), [200], "who is inside is served");
    drop(crowd);
    wait::until("room again", PATIENCE, || {
        let text = site.say(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        (statuses(&text) == [200]).then_some(())
    });
    bystander.was_served();
    assert_eq!(site.daemon.process.log().matches("this is a fault in keepwatch").count(), 0);
}

/// Certificates for a test, made with openssl.
struct Authority {
    directory: PathBuf,
}

impl Authority {
    fn new(directory: &Path) -> Authority {
        std::fs::create_dir_all(directory).unwrap();
        let authority = Authority { directory: directory.to_owned() };
        for name in ["ca", "stranger"] {
            authority.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}"
            ));
        }
        authority
    }

    fn sign(&self, name: &str, by: &str, san: &str) {
        std::fs::write(self.directory.join("san"), format!("subjectAltName={san}\n")).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -days 2 -extfile san -out {name}.pem"
        ));
    }

    fn openssl(&self, words: &str) {
        let mut command = std::process::Command::new("openssl");
        let output = command.args(words.split(' ')).current_dir(&self.directory).output().unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What curl says: the status (0: none) and everything else.
fn curl(site: &Site, words: &[&str]) -> (u16, String) {
    let mut all = vec!["curl", "-sS", "-m", "20", "-i", "-w", "\n%{http_code}"];
    all.extend(words);
    let output = run(site.node.command(&all));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let status = text.lines().last().and_then(|line| line.parse().ok()).unwrap_or(0);
    (status, text + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn tls_certificates_passwords_and_patience_are_asked_for_as_the_web_config_says() {
    let link = Link::new();
    let node = &link.nodes[0];
    let directory = node.directory().join(Program::Keepwatch.name());
    let authority = Authority::new(&directory);
    authority.sign("server", "ca", "IP:127.0.0.1");
    authority.sign("client", "ca", "DNS:prometheus.example.com");
    authority.sign("other", "ca", "DNS:other.example.com");
    authority.sign("false", "stranger", "DNS:prometheus.example.com");
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca_file: ca.pem\n  \
               client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [prometheus.example.com]\n  min_version: TLS12\n";
    let web = format!(
        "{tls}basic_auth_users:\n  alice: {HASH}\nhttp_server_config:\n  headers:\n    X-Frame-Options: deny\n"
    );
    std::fs::write(directory.join("web.yml"), &web).unwrap();
    // What only root may read is read nevertheless.
    for secret in ["server.key", "web.yml"] {
        std::fs::set_permissions(directory.join(secret), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let site = Site::start(node, "http: {listen: [127.0.0.1], web_config: web.yml}");
    let bystander = Bystander::start(&site);
    let file = |name: &str| directory.join(name).display().to_string();
    let (ca, url) = (file("ca.pem"), format!("https://{TCP}/livez"));
    let with = |name: &str| [file(&format!("{name}.pem")), file(&format!("{name}.key"))];
    let ask = |client: Option<&str>, user: Option<&str>, more: &[&str]| {
        let pair = client.map(with);
        let mut words = vec!["--cacert", ca.as_str()];
        if let Some([certificate, key]) = &pair {
            words.extend(["--cert", certificate, "--key", key]);
        }
        if let Some(user) = user {
            words.extend(["-u", user]);
        }
        words.extend(more);
        words.push(&url);
        curl(&site, &words)
    };
    const ALICE: Option<&str> = Some("alice:maplesyrup");
    let (status, text) = ask(Some("client"), ALICE, &[]);
    assert_eq!(status, 200, "{text}\n{}", site.daemon.log());
    assert!(text.to_lowercase().contains("x-frame-options: deny"), "{text}");

    // No certificate, a stranger's, one with another name; a wrong password, none, an unknown name.
    for client in [None, Some("false"), Some("other")] {
        let (status, text) = ask(client, ALICE, &[]);
        assert_eq!(status, 0, "{client:?}: {text}");
    }
    for user in [Some("alice:wrong"), None, Some("bob:maplesyrup"), Some("alice:")] {
        let (status, text) = ask(Some("client"), user, &[]);
        assert_eq!(status, 401, "{user:?}: {text}");
        assert!(text.to_lowercase().contains("www-authenticate: basic realm="), "{text}");
    }
    let (status, text) = ask(Some("client"), ALICE, &["--tls-max", "1.1"]);
    assert_eq!(status, 0, "what is older than `min_version` is not spoken: {text}");
    let (status, text) = ask(Some("client"), ALICE, &["-X", "POST", "-d", "x"]);
    assert_eq!(status, 405, "{text}");
    // Plain HTTP, and garbage, where TLS is spoken.
    let plain = site.say(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(statuses(&plain) == [400] && plain.contains("https://"), "{plain}");
    assert_eq!(statuses(&site.say(b"\x16\x03\x01\xff\xffgarbage that is no handshake\r\n\r\n")), [0; 0]);

    // A renewed certificate is shown without a reload.
    let serial = || {
        let command = format!(
            "openssl s_client -connect {TCP} -cert {} -key {} </dev/null 2>/dev/null | openssl x509 -noout -serial",
            with("client")[0],
            with("client")[1]
        );
        let output = run(site.node.command(&["sh", "-c", &command]));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.starts_with("serial=").then_some(said)
    };
    let before = serial().expect("a certificate");
    authority.sign("server", "ca", "IP:127.0.0.1");
    let renewed =
        wait::until("the renewed certificate to be shown", PATIENCE, || serial().filter(|now| *now != before));
    site.daemon.process.wait_for_log("has changed, and is in force", PATIENCE);
    // A broken one changes nothing, and the log says so.
    std::fs::write(directory.join("server.pem"), "nonsense").unwrap();
    wait::until("the broken certificate to be noticed", PATIENCE, || {
        let _ = serial();
        site.daemon.log().contains("server.pem: ").then_some(())
    });
    assert_eq!(serial(), Some(renewed));
    authority.sign("server", "ca", "IP:127.0.0.1");
    // Another password in the file, without a reload: one that nobody knows.
    std::fs::write(directory.join("web.yml"), web.replace("alice:", "bob:")).unwrap();
    wait::until("the new list of users", PATIENCE, || (ask(Some("client"), ALICE, &[]).0 == 401).then_some(()));
    assert_eq!(ask(Some("client"), Some("bob:maplesyrup"), &[]).0, 200);
    // A rate limit.
    std::fs::write(directory.join("web.yml"), format!("{tls}rate_limit: {{interval: 1h, burst: 3}}\n")).unwrap();
    // It asks for no password any more: that takes a reload.
    wait::until("the open file to be refused", PATIENCE, || {
        let status = ask(Some("client"), Some("bob:maplesyrup"), &[]).0;
        (status == 200 && ask(Some("client"), None, &[]).0 == 401 && site.daemon.log().contains("reload")).then_some(())
    });
    site.daemon.process.signal(Signal::SIGHUP);
    let mut seen = vec![];
    wait::until("requests that are too many", PATIENCE, || {
        seen.push(ask(Some("client"), None, &[]).0);
        (seen.last() == Some(&429)).then_some(())
    });
    assert_eq!(seen.iter().filter(|status| **status == 200).count(), 3, "{seen:?}");
    bystander.was_served();
}

#[test]
fn an_event_is_told_to_those_who_watch_and_the_status_page_follows() {
    let link = Link::new();
    let site = Site::start(&link.nodes[0], "");
    let watch = |path: &str| {
        let mut stream = UnixStream::connect(&site.socket).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut heard = String::new();
        move |wanted: &str| {
            let found = wait::within(PATIENCE, || {
                let mut buffer = [0; 65536];
                if let Ok(count) = stream.read(&mut buffer) {
                    heard += &String::from_utf8_lossy(&buffer[..count]);
                }
                heard.contains(wanted).then_some(())
            });
            assert!(found.is_some(), "{wanted} did not come, only:\n{heard}");
            std::mem::take(&mut heard)
        }
    };
    let next = site.json("/api/v1/events")["next"].as_u64().unwrap();
    let mut events = watch(&format!("/api/v1/events?watch=1&since={next}"));
    let mut page = watch("/status/events");
    let head = page("master");
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    assert!(events("retry:").contains("HTTP/1.1 200 OK"));
    link.lab.unplug(link.ports[0]);
    let told = events("\ndata: {");
    assert!(told.contains(&format!("id: {next}\n")), "{told}");
    page("fault");
    // Many may watch, and there is room for those who ask.
    let more: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = UnixStream::connect(&site.socket).unwrap();
            stream.write_all(b"GET /status/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream
        })
        .collect();
    site.wait("/status/events", 503);
    assert_eq!(site.get("/livez").status, 200);
    drop(more);
}

#[test]
fn health_says_what_is_the_matter() {
    let link = Link::new();
    let site = Site::start(&link.nodes[0], "");
    site.wait("/livez", 200);
    site.wait("/healthz/vip", 200);
    let vrrp = site.daemon.wait_for_child("vrrp", PATIENCE);
    kill(vrrp, Signal::SIGSTOP).unwrap();
    site.wait("/livez", 503);
    assert!(site.get("/livez").text().contains("the vrrp process was last heard of"), "{}", site.get("/livez").text());
    kill(vrrp, Signal::SIGCONT).unwrap();
    site.wait("/livez", 200);
    let bridge = site.daemon.wait_for_child("bridge", PATIENCE);
    kill(bridge, Signal::SIGKILL).unwrap();
    site.wait("/readyz", 200);
}

#[test]
fn sockets_move_with_a_reload_and_one_that_is_taken_is_tried_again() {
    let link = Link::new();
    let node = &link.nodes[0];
    node.ip(&["link", "set", "lo", "up"]);
    let taken = node.enter(|| std::net::TcpListener::bind("127.0.0.1:8080").unwrap());
    write_settings(node, "http: {listen: ['127.0.0.1:8080']}");
    let configuration = FLAVOUR.configuration(1, "MASTER", 150);
    let daemon = Daemon::start(node, Program::Keepwatch, &configuration, Options::default());
    let site = Site { socket: daemon.directory().join("main.metrics.sock"), daemon, node: node.clone() };
    site.daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    site.daemon.process.wait_for_log("HTTP cannot be served at 127.0.0.1:8080", PATIENCE);
    site.wait("/readyz", 503);
    assert!(site.get("/readyz").text().contains("127.0.0.1:8080"), "{}", site.get("/readyz").text());
    drop(taken);
    site.wait("/readyz", 200);
    let there = |port: u16| {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        http::get(node, address, "/livez", &[]).is_ok_and(|answer| answer.status == 200)
    };
    assert!(there(8080));
    // Who is connected has his answer, and then the connection ends.
    let mut before = node.enter(|| TcpStream::connect("127.0.0.1:8080")).unwrap();
    before.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let socket = node.directory().join("other.sock");
    write_settings(node, &format!("http: {{unix: {{path: {}, mode: 0600}}, listen: [127.0.0.1]}}", socket.display()));
    site.daemon.reload(&configuration);
    wait::until("the new port", PATIENCE, || there(9959).then_some(()));
    wait::until("the old port to be closed", PATIENCE, || (!there(8080)).then_some(()));
    assert_eq!(statuses(&rest(&mut before)), [200]);
    assert!(http::get_unix(&socket, "/livez", &[]).is_ok_and(|answer| answer.status == 200));
    assert!(!site.socket.exists(), "the name of the old socket is gone");
    write_settings(node, "http: {unix: false}");
    site.daemon.reload(&configuration);
    wait::until("everything to be closed", PATIENCE, || (!there(9959) && !socket.exists()).then_some(()));
}

#[test]
fn the_textfile_is_whole_whenever_it_is_looked_at() {
    let link = Link::new();
    let node = &link.nodes[0];
    let path = node.directory().join("keepwatch.prom");
    let site = Site::start(node, &format!("metrics: {{textfile: {{path: {}, interval: 1s}}}}", path.display()));
    let text = wait::until("the textfile with an instance", PATIENCE, || {
        std::fs::read_to_string(&path).ok().filter(|text| text.contains("keepwatch_vrrp_state{"))
    });
    let whole = |text: &str| text.ends_with('\n') && text.contains("keepwatch_exporter_series ");
    assert!(whole(&text), "{text}");
    // Each text is a file of its own, renamed into place: the one that is open stays what it was.
    let first = std::fs::File::open(&path).and_then(|file| file.metadata()).unwrap();
    wait::until("five more texts", PATIENCE, {
        let (mut last, mut more) = (first.modified().unwrap(), 0);
        let path = &path;
        move || {
            let now = std::fs::read_to_string(path).unwrap();
            assert!(whole(&now), "{now}");
            let written = std::fs::metadata(path).and_then(|data| data.modified()).unwrap();
            more += u32::from(written != last);
            last = written;
            (more == 5).then_some(())
        }
    });
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    drop(site);
}

/// A client that goes away in the middle harms nobody.
#[test]
fn a_client_that_hangs_up_in_the_middle_of_an_answer_is_forgotten() {
    let link = Link::new();
    let site = Site::start(&link.nodes[0], "http: {listen: [127.0.0.1]}");
    for _ in 0..50 {
        let mut stream = site.tcp();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let _ = stream.shutdown(Shutdown::Both);
    }
    site.wait("/livez", 200);
}
