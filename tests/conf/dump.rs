//! The canonical dump: read again, it is the same model.

use std::fmt::Write as _;

use super::*;
use keepwatch::conf::dump::{self, HIDDEN};
use keepwatch::conf::keywords::{self, Arg, Kind, Need, Row, Shape};
use serde_json::Value;

/// A host that knows users and groups by their numbers, as a real one does.
struct Numbered<'a>(&'a dyn Host);

impl Host for Numbered<'_> {
    fn interfaces(&self) -> Vec<Interface> {
        self.0.interfaces()
    }

    fn user(&self, name: &str) -> Option<Identity> {
        let by_number = || name.parse().ok().map(|uid| Identity { uid, gid: uid });
        self.0.user(name).or_else(by_number)
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.0.group(name).or_else(|| name.parse().ok())
    }

    fn own_identity(&self) -> Identity {
        self.0.own_identity()
    }

    fn pattern_error(&self, pattern: &str, options: &[String]) -> Option<String> {
        self.0.pattern_error(pattern, options)
    }

    fn host_name(&self) -> String {
        self.0.host_name()
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.0.environment(name)
    }

    fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.0.resolve(name)
    }

    fn reaches(&self, address: IpAddr) -> bool {
        self.0.reaches(address)
    }
}

const SECRETS: dump::Options =
    dump::Options { defaults: false, secrets: true, users: BTreeMap::new(), groups: BTreeMap::new() };

/// A model without what a dump cannot or need not keep: places in files, numbers of scripts, what is not built.
fn essence(config: &conf::model::Config) -> Value {
    let scripts = serde_json::to_value(&config.scripts).unwrap();
    let mut value = serde_json::to_value(config).unwrap();
    let top = value.as_object_mut().unwrap();
    top.remove("scripts");
    top.remove("not_built");
    if config.services.is_empty() {
        top.remove("has_virtual_servers");
    }
    strip(&mut value, &scripts);
    value
}

fn strip(value: &mut Value, scripts: &Value) {
    match value {
        Value::Object(map) => {
            map.remove("location");
            // `auth_hmac` is not built: only that it was there is known.
            map.remove("hmac");
            if map.contains_key("text")
                && map.contains_key("path")
                && let Some(id) = map.get("id").and_then(Value::as_u64)
            {
                map.insert("id".to_owned(), scripts[usize::try_from(id).unwrap()].clone());
            }
            map.values_mut().for_each(|inner| strip(inner, scripts));
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| strip(inner, scripts)),
        _ => {}
    }
}

/// The first place where two models differ.
fn difference(left: &Value, right: &Value, path: &str) -> Option<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => left.keys().chain(right.keys()).find_map(|key| {
            difference(
                &left.get(key).cloned().unwrap_or_default(),
                &right.get(key).cloned().unwrap_or_default(),
                &format!("{path}/{key}"),
            )
        }),
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(at, (left, right))| difference(left, right, &format!("{path}/{at}"))),
        _ => (left != right).then(|| format!("{path}: {left} is read again as {right}")),
    }
}

/// The files of a host, and a dump.
struct Beside<'a> {
    files: &'a dyn Files,
    text: &'a [u8],
}

impl Files for Beside<'_> {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        if path == "dump.conf" { Ok(self.text.to_vec()) } else { self.files.read(path) }
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        if pattern == "dump.conf" { vec![pattern.to_owned()] } else { self.files.glob(pattern) }
    }

    fn canonicalize(&self, path: &str) -> std::io::Result<String> {
        if path == "dump.conf" { Ok("/etc/dump.conf".to_owned()) } else { self.files.canonicalize(path) }
    }

    fn stat(&self, path: &str) -> Option<Stat> {
        if path == "dump.conf" {
            return Some(Stat { kind: FileKind::Regular, mode: 0o644, owner: 0, group: 0 });
        }
        self.files.stat(path)
    }
}

/// What is wrong with the dump of a file, if anything.
pub fn problem(name: &str, files: &dyn Files, host: &dyn Host) -> Option<String> {
    problem_of(name, files, host, &[false, true])
}

fn problem_of(name: &str, files: &dyn Files, host: &dyn Host, defaults: &[bool]) -> Option<String> {
    let host = Numbered(host);
    let first = conf::load(name, &Options::default(), files, &host);
    let wanted = essence(&first.config);
    for defaults in defaults.iter().copied() {
        let text = dump::dump(&first.config, &dump::Options { defaults, ..SECRETS }).text();
        let again = Beside { files, text: &text };
        let second = conf::load("dump.conf", &Options::default(), &again, &host);
        if let Some(difference) = difference(&wanted, &essence(&second.config), "") {
            let text = String::from_utf8_lossy(&text).into_owned();
            return Some(format!("{name} (defaults {defaults}): {difference}\n{text}\n{}", second.render()));
        }
        let once_more = dump::dump(&second.config, &dump::Options { defaults, ..SECRETS }).text();
        let without_remarks = |text: &[u8]| -> String {
            let text = String::from_utf8_lossy(text);
            text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").trim().to_owned()
        };
        if without_remarks(&once_more) != without_remarks(&text) {
            return Some(format!("{name}: the dump of the dump is another one"));
        }
    }
    None
}

fn programs(memory: Memory) -> Memory {
    let names = [
        "/usr/bin/true",
        "/usr/bin/test",
        "/usr/bin/logger",
        "/usr/bin/pgrep",
        "/bin/sh",
        "/bin/true",
        "/usr/bin/killall",
    ];
    names.into_iter().fold(memory, |memory, name| memory.with(name, "").mode(name, 0o755))
}

fn all_of(directory: &str) -> (Memory, Vec<String>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut memory = programs(Memory::default());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_file() {
            memory = memory.with(&name, std::fs::read(entry.path()).unwrap());
            names.push(name);
        }
    }
    names.sort();
    (memory, names)
}

fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} wrong:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn the_dump_of_a_recorded_configuration_is_read_as_the_same_model() {
    let (memory, names) = all_of("tests/conf/seeds");
    let problems = names.iter().filter(|name| name.ends_with(".conf"));
    none(problems.filter_map(|name| problem(name, &memory, &AnyHost)).collect());
}

#[test]
fn the_dump_of_a_file_with_a_mistake_is_what_is_left_of_it() {
    let (memory, names) = all_of("tests/conf/diagnostics");
    let problems = names.iter().filter(|name| name.ends_with(".conf"));
    none(problems.filter_map(|name| problem(name, &memory, &TwoInterfaces)).collect());
}

#[test]
fn every_keyword_of_the_table_survives_in_the_dump() {
    let mut problems = Vec::new();
    let mut tried = 0;
    for row in keywords::rows().filter(|row| !row.paths.iter().any(|path| path.starts_with('<'))) {
        for path in row.paths {
            let Some(text) = file_with(path, row) else { continue };
            tried += 1;
            problems.extend(problem_of(
                "k.conf",
                &programs(Memory::default()).with("k.conf", text),
                &TwoInterfaces,
                &[false],
            ));
        }
    }
    assert!(tried > 250, "only {tried} keywords were tried");
    none(problems);
}

#[test]
fn options_of_addresses_routes_and_rules_survive_in_the_dump() {
    let routes = "192.0.2.0/24 via 198.51.100.1 dev eth0 metric 7 mtu lock 1400 rtt 300ms rto_min lock 1s hoplimit 9 \
                  features ecn quickack 1 congctl lock cubic add
        default via 192.0.2.1 dev eth0 table 100 scope 253 tos 4 src 192.0.2.5 realms 3/4 no_track protocol 9
        2001:db8::/32 dev eth1 pref high expires 30 from 2001:db8:1::/48 append
        blackhole 203.0.113.0/24 no_track
        203.0.113.0/25 nexthop via 192.0.2.1 dev eth0 weight 3 onlink nexthop via 192.0.2.2 encap ip id 7 dst 1.2.3.4 tos 1
        198.51.100.0/24 dev eth0 encap mpls 100/200 ttl-propagate enabled
        10.9.0.0/16 dev eth1 encap ila 1:2:3:4
        10.8.0.0/16 via 192.0.2.1 or 192.0.2.2 dev eth0
        unreachable default6";
    let rules = "from 192.0.2.0/24 to 198.51.100.0/24 table 100 preference 7 tos 4 fwmark 0x10/0xff iif eth0 oif eth1
        not from 2001:db8::/32 unreachable preference 8 uidrange 5-9 ipproto 6 sport 1-9 dport 80-90
        inet6 goto 30 preference 9 tunnel-id 4
        from all table 5 suppress_prefixlength 0 realms 2 suppress_ifgroup 3 preference 10
        to default l3mdev no_track
        inet6 nop no_track protocol 4";
    let addresses = "192.0.2.9/24 brd + scope link label eth0:1
        192.0.2.10 dev eth1 peer 192.0.2.11 no_track noprefixroute
        2001:db8::1 preferred_lft forever -nodad home mngtmpaddr autojoin
        2001:db8::2/64 preferred_lft 30";
    let text = format!(
        "track_group g {{\n group {{\n a\n}}\n}}
         static_ipaddress {{\n {addresses}\n 192.0.2.99 dev eth0 track_group g\n}}
         static_routes {{\n {routes}\n}}
         static_rules {{\n {rules}\n from 192.0.2.3 table 9 track_group g iif eth0\n}}
         vrrp_instance a {{\n interface eth0\n virtual_router_id 5\n use_vmac\n use_vmac_addr\n
         virtual_ipaddress {{\n {addresses}\n}}\n virtual_ipaddress_excluded {{\n 10.0.0.1/8 dev eth1 use_vmac\n}}\n
         virtual_routes {{\n {routes}\n}}\n virtual_rules {{\n {rules}\n}}\n}}\n"
    );
    none(problem("k.conf", &Memory::default().with("k.conf", text), &TwoInterfaces).into_iter().collect());
}

#[test]
fn bytes_and_signs_that_mean_something_survive_in_the_dump() {
    let mut text = b"vrrp_instance \"a b\" {\n interface eth0\n virtual_router_id 5\n authentication {\n auth_type PASS\n auth_pass \"s#!{".to_vec();
    text.extend(b"\xE9}\"\n}\n virtual_ipaddress {\n 192.0.2.1\n}\n notify_master \"/bin/sh -c 'echo \\\"x y\\\" \\\\$HOME #!'\" nobody adm\n}\n");
    none(problem("k.conf", &programs(Memory::default()).with("k.conf", text), &TwoInterfaces).into_iter().collect());
}

#[test]
fn a_dump_hides_secrets_and_says_so() {
    let text = instance("    authentication {\n auth_type PASS\n auth_pass s3cret\n }");
    let loaded = load(&text);
    let shown = String::from_utf8(dump::dump(&loaded.config, &dump::Options::default()).text()).unwrap();
    assert!(shown.contains(&format!("auth_pass {HIDDEN}")) && !shown.contains("s3cret"), "{shown}");
    assert!(shown.starts_with("# Secrets are written as"), "{shown}");
    let shown = String::from_utf8(dump::dump(&loaded.config, &SECRETS).text()).unwrap();
    assert!(shown.contains("auth_pass s3cret") && !shown.starts_with('#'), "{shown}");
}

/// A small file in which a keyword has a value; `None` where that is no directive with a value of its own.
fn file_with(path: &str, row: &'static Row) -> Option<String> {
    if row.keyword.starts_with('<')
        || matches!(row.keyword, "include" | "includer" | "includem" | "includew" | "includeb" | "includea")
    {
        return None;
    }
    let line = match row.shape {
        Shape::Flag => row.keyword.to_owned(),
        Shape::Words(args) | Shape::Options(args, _) => format!("{} {}", row.keyword, values(row, args)?),
        Shape::Block(_) | Shape::Entries(..) | Shape::Rest => return None,
    };
    let basic = "global_defs {\n router_id r\n GLOBAL\n}\nTOP\n\
        track_file f {\n file /tmp/f\n TRACKFILE\n}\nvrrp_script s {\n script /bin/true\n SCRIPT\n}\n\
        vrrp_track_process p {\n process sleep 30\n PROCESS\n}\nbfd_instance b {\n neighbor_ip 192.0.2.50\n BFD\n}\n\
        garp_group {\n garp_interval 0.5\n interface eth1\n GARP\n}\nSSL {\n SSL\n}\n\
        vrrp_sync_group g {\n group {\n v\n w\n}\n SYNC\n}\n\
        vrrp_instance v {\n interface eth0\n virtual_router_id 9\n INSTANCE\n authentication {\n auth_type PASS\n auth_pass x\n AUTH\n}\n\
        track_script {\n s\n}\n track_file {\n f\n}\n track_process {\n p\n}\n track_bfd {\n b\n}\n virtual_ipaddress {\n 192.0.2.77\n}\n}\n\
        vrrp_instance w {\n interface eth1\n virtual_router_id 9\n virtual_ipaddress {\n 192.0.2.78\n}\n}\n\
        virtual_server 192.0.2.77 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n SERVICE\n\
        real_server 10.0.0.1 80 {\n SERVER\n\
        TCP_CHECK {\n TCP_CHECK\n}\n HTTP_GET {\n HTTP_GET\n url {\n path /\n URLHTTP\n}\n}\n SSL_GET {\n SSL_GET\n url {\n path /\n URLSSL\n}\n}\n\
        SMTP_CHECK {\n SMTP_CHECK\n}\n DNS_CHECK {\n DNS_CHECK\n}\n MISC_CHECK {\n misc_path /bin/true\n MISC_CHECK\n}\n\
        UDP_CHECK {\n UDP_CHECK\n}\n PING_CHECK {\n PING_CHECK\n}\n FILE_CHECK {\n track_file f\n FILE_CHECK\n}\n BFD_CHECK {\n name b\n BFD_CHECK\n}\n}\n}\n";
    let place = match path {
        "/" => "TOP",
        "global_defs" => "GLOBAL",
        "track_file" | "vrrp_track_file" => "TRACKFILE",
        "vrrp_script" => "SCRIPT",
        "vrrp_track_process" => "PROCESS",
        "bfd_instance" => "BFD",
        "garp_group" => "GARP",
        "SSL" => "SSL",
        "vrrp_sync_group" => "SYNC",
        "vrrp_instance" => "INSTANCE",
        "vrrp_instance/authentication" => "AUTH",
        "virtual_server" => "SERVICE",
        "virtual_server/real_server" => "SERVER",
        "virtual_server/real_server/HTTP_GET/url" => "URLHTTP",
        "virtual_server/real_server/SSL_GET/url" => "URLSSL",
        path => path.strip_prefix("virtual_server/real_server/").filter(|rest| !rest.contains('/'))?,
    };
    let mut out = String::new();
    for word in basic.lines() {
        let word = word.trim();
        let marker = !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        match marker {
            true if word == place => writeln!(out, "{line}").unwrap(),
            true => {}
            false => writeln!(out, "{word}").unwrap(),
        }
    }
    Some(out)
}

fn values(row: &Row, args: &[Arg]) -> Option<String> {
    let words: Option<Vec<String>> =
        args.iter().filter(|arg| arg.need != Need::Any).map(|arg| value(row, arg.kind)).collect();
    Some(words?.join(" "))
}

fn value(row: &Row, kind: Kind) -> Option<String> {
    Some(match kind {
        Kind::Int(min, max) if row.keyword != "virtual_router_id" => (min + (max - min).min(7)).to_string(),
        Kind::Int(..) | Kind::U64 | Kind::AnyBase(_) => "7".to_owned(),
        Kind::Dec(digits, min, _) => {
            let step = if digits == 3 { 1000 } else { 10_000 };
            let value = min.max(1_000_000) / step * step + 3 * step;
            format!("{}.{:06}", value / 1_000_000, value % 1_000_000).trim_end_matches('0').to_owned()
        }
        Kind::Bool => if row.default.starts_with("on") { "off" } else { "on" }.to_owned(),
        Kind::Word(words) | Kind::AnyCase(words) | Kind::NumberOrWord(words) => (*words.last()?).to_owned(),
        Kind::Ip => "192.0.2.60".to_owned(),
        Kind::Multicast | Kind::Multicast4 => "224.0.0.99".to_owned(),
        Kind::Multicast6 => "ff05::99".to_owned(),
        Kind::IfName => "eth1".to_owned(),
        Kind::Script => "\"/bin/sh -c 'x y'\"".to_owned(),
        Kind::User => "nobody".to_owned(),
        Kind::Group => "adm".to_owned(),
        Kind::Path | Kind::AbsPath => "/tmp/some.file".to_owned(),
        Kind::Email => "a@example.com".to_owned(),
        Kind::Host => "192.0.2.25".to_owned(),
        Kind::Hex32 => "0123456789abcdef0123456789abcdef".to_owned(),
        Kind::HexString | Kind::HexWild => "0aff".to_owned(),
        Kind::StatusCodes => "200-204".to_owned(),
        Kind::Granularity => "255.255.255.0".to_owned(),
        Kind::Regex => "\"^a\\\\d+$\"".to_owned(),
        Kind::Str if row.keyword == "umask" => "IWGRP|IWOTH".to_owned(),
        Kind::Str | Kind::Name(_) => "text".to_owned(),
        Kind::IncludeCheck => "match".to_owned(),
        _ => return None,
    })
}

/// Comments of the lines that begin with a word, inside the blocks that are named before it.
fn origins<'a>(text: &'a str, keyword: &str) -> Vec<&'a str> {
    let lines = text.lines().filter(|line| line.trim_start().starts_with(&format!("{keyword} ")));
    lines.filter_map(|line| line.split_once(" # ")).map(|(_, origin)| origin).collect()
}

#[test]
fn every_value_is_explained_by_the_line_that_says_it() {
    let main = "$PRIO=150\nglobal_defs {\n router_id here\n vrrp_garp_master_delay 9\n smtp_alert on\n}\ninclude part.conf\n\
        vrrp_instance a {\n interface eth0\n virtual_router_id 5\n priority $PRIO\n advert_int 1.7\n virtual_ipaddress {\n 192.0.2.9/24\n}\n}\n\
        virtual_server 192.0.2.9 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n delay_loop 7\n quorum 5\n\
        real_server 10.0.0.1 80 {\n TCP_CHECK {\n connect_timeout 2\n}\n}\n}\n";
    let part = "vrrp_instance b {\n interface eth1\n virtual_router_id 6\n virtual_ipaddress {\n 192.0.2.10/24\n}\n}\n";
    let memory = Memory::default().with("k.conf", main).with("part.conf", part);
    let options = Options { snmp_all: true, ..Options::default() };
    let (loaded, explanation) = conf::explain("k.conf", &options, &memory, &TwoInterfaces, &SECRETS);
    let text = String::from_utf8(explanation.text()).unwrap();
    let of = |keyword: &str| origins(&text, keyword);
    assert_eq!(of("router_id"), ["k.conf:3"], "{text}");
    assert_eq!(of("virtual_router_id"), ["part.conf:3", "k.conf:10"]);
    assert_eq!(of("priority"), ["default", "k.conf:11, through $PRIO, which is defined at k.conf:1"]);
    assert_eq!(of("advert_int"), ["default", "k.conf:12, corrected: VRRPv2 sends whole seconds: 1.7 is read as 2"]);
    assert_eq!(of("garp_master_delay"), ["k.conf:4, inherited from vrrp_garp_master_delay"; 2]);
    assert_eq!(of("enable_snmp_vrrp"), ["command line, -x"]);
    assert_eq!(of("192.0.2.9/24"), ["k.conf:14"]);
    assert_eq!(of("quorum"), ["k.conf:22, corrected: quorum 5 is above the total weight 1"]);
    assert_eq!(
        of("delay_loop"),
        ["k.conf:21", "k.conf:21, inherited from virtual_server", "k.conf:21, inherited from virtual_server"]
    );
    assert_eq!(of("connect_timeout"), ["default", "default", "k.conf:25"]);
    assert_eq!(of("real_server"), ["k.conf:23"]);
    assert_eq!(of("hysteresis"), ["default"]);
    // What it prints is a configuration itself.
    let again = conf::load("k.conf", &Options::default(), &Memory::default().with("k.conf", text), &TwoInterfaces);
    assert_eq!(difference(&essence(&loaded.config), &essence(&again.config), ""), None);
}

#[test]
fn ranges_and_marks_of_a_group_and_hosts_of_a_check_are_explained_by_their_lines() {
    let text = "virtual_server_group g {\n 192.0.2.1-5 80\n fwmark 7 inet\n 192.0.2.16/30 81\n 192.0.2.9 82\n}\n\
        virtual_server group g {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 10.0.0.1 25 {\n SMTP_CHECK {\n \
        helo_name lb.example\n retry 7\n connect_timeout 9\n host {\n connect_ip 10.2.2.2\n connect_timeout 2\n}\n}\n}\n}\n";
    let memory = Memory::default().with("k.conf", text);
    let (loaded, explanation) = conf::explain("k.conf", &Options::default(), &memory, &TwoInterfaces, &SECRETS);
    let text = String::from_utf8(explanation.text()).unwrap();
    let of = |keyword: &str| origins(&text, keyword);
    assert_eq!(of("192.0.2.1-192.0.2.5"), ["k.conf:2"], "{text}");
    assert_eq!(of("fwmark"), ["k.conf:3"], "{text}");
    assert_eq!(of("192.0.2.16-192.0.2.19"), ["k.conf:4"], "{text}");
    assert_eq!(of("192.0.2.9"), ["k.conf:5"], "{text}");
    assert_eq!(of("SMTP_CHECK"), ["k.conf:12", "k.conf:16"], "{text}");
    assert_eq!(of("connect_ip"), ["default", "k.conf:17"], "{text}");
    assert_eq!(of("helo_name"), ["k.conf:13", "k.conf:13, inherited from SMTP_CHECK"], "{text}");
    assert_eq!(of("retry")[..], ["k.conf:14", "k.conf:14, inherited from SMTP_CHECK"], "{text}");
    assert_eq!(of("connect_timeout")[2..], ["k.conf:15", "k.conf:18"], "{text}");
    let again = conf::load("k.conf", &Options::default(), &Memory::default().with("k.conf", text), &TwoInterfaces);
    assert_eq!(difference(&essence(&loaded.config), &essence(&again.config), ""), None);
}
