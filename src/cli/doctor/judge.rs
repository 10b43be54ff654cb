//! What the facts mean for this configuration.

use super::facts::{Capabilities, Facts};
use super::{Finding, Verdict};
use crate::cli::text::count;
use crate::conf::model::{Config, Family, Forwarding};
use crate::control::snmp::SessionState;
use crate::report::{RouteReport, RuleReport};

/// 2025-01-01, seconds since 1970: a clock before that was never set.
const PLAUSIBLE: f64 = 1_735_689_600.0;

/// Schedulers that every kernel with IPVS has, by their names in keepalived.conf, are modules of that name.
const SCHEDULER_PREFIX: &str = "ip_vs_";

pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut doctor = Judge { facts, findings: Vec::new() };
    doctor.daemon();
    doctor.configuration();
    doctor.capabilities();
    doctor.modules();
    doctor.forwarding();
    doctor.addresses();
    doctor.ipvs_sysctls();
    doctor.agentx();
    doctor.network();
    doctor.clock();
    doctor.files();
    doctor.keepalived();
    doctor.findings
}

struct Judge<'a> {
    facts: &'a Facts,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn ok(&mut self, area: &'static str, text: impl Into<String>) {
        self.findings.push(Finding { verdict: Verdict::Ok, area, text: text.into(), advice: String::new() });
    }

    fn note(&mut self, area: &'static str, text: impl Into<String>, advice: impl Into<String>) {
        self.findings.push(Finding { verdict: Verdict::Note, area, text: text.into(), advice: advice.into() });
    }

    fn problem(&mut self, area: &'static str, text: impl Into<String>, advice: impl Into<String>) {
        self.findings.push(Finding { verdict: Verdict::Problem, area, text: text.into(), advice: advice.into() });
    }

    fn config(&self) -> &Config {
        &self.facts.config
    }

    /// A number; `None` where the kernel has no such setting.
    fn sysctl(&self, key: &str) -> Option<i64> {
        self.facts.sysctls.get(key)?.parse().ok()
    }

    fn daemon(&mut self) {
        let facts = self.facts;
        let Some(status) = &facts.status else {
            return match facts.forbidden {
                true => {
                    self.note("daemon", facts.unreachable.clone(), "run this as root to have the daemon looked at, too")
                }
                false => self.problem(
                    "daemon",
                    facts.unreachable.clone(),
                    "start it: systemctl start keepwatch, or keepwatchd",
                ),
            };
        };
        let down: Vec<&str> = status
            .daemon
            .processes
            .iter()
            .filter(|process| !process.up)
            .map(|process| process.report.name.as_str())
            .collect();
        if down.is_empty() {
            self.ok("daemon", format!("pid {}, {}", status.daemon.pid, processes(status.daemon.processes.len())));
        } else {
            let text = format!("does not answer: {}", down.join(", "));
            self.problem("daemon", text, "the log says why; the supervisor starts again what has died");
        }
        for process in status.daemon.processes.iter().filter(|process| process.report.restarts > 0) {
            let text =
                format!("{} was restarted {}", process.report.name, count(process.report.restarts as usize, "time"));
            self.note("daemon", text, "the log says how it died");
        }
        let reload = &status.daemon.reload;
        if !reload.successful && reload.tried_at.0 > 0 {
            self.problem(
                "daemon",
                "the last reload was refused: an older configuration is in force",
                "`keepwatch reload` says what is wrong",
            );
        }
    }

    fn configuration(&mut self) {
        let facts = self.facts;
        let file = &facts.file;
        if !facts.readable {
            let text = format!("{file} cannot be read");
            return self.problem("configuration", text, "say which one with -f, or look at its permissions");
        }
        match (facts.errors, facts.warnings) {
            (0, 0) => self.ok("configuration", format!("{file} is clean")),
            (0, warnings) => {
                let text = format!("{file} has {}", count(warnings, "warning"));
                self.note("configuration", text, format!("keepwatch check {file}"));
            }
            (errors, _) => {
                let text = format!("{file} has {}: {}", count(errors, "error"), facts.first_error);
                self.problem("configuration", text, format!("keepwatch check {file}"));
            }
        }
    }

    fn capabilities(&mut self) {
        for (name, has) in &self.facts.of_daemon {
            if let Some(missing) = missing(*has) {
                let text = format!("the {name} process lacks {missing}");
                self.problem(
                    "capabilities",
                    text,
                    "start the daemon as root, or give the unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW",
                );
            } else if has.known {
                self.ok("capabilities", format!("the {name} process has CAP_NET_ADMIN and CAP_NET_RAW"));
            }
        }
        if self.facts.status.is_none()
            && let Some(missing) = missing(self.facts.own)
        {
            self.note(
                "capabilities",
                format!("this process lacks {missing}, and so would a daemon that it starts"),
                "run keepwatchd as root",
            );
        }
    }

    fn modules(&mut self) {
        let facts = self.facts;
        let services = &facts.config.services;
        if services.is_empty() {
            return;
        }
        if let Some(status) = &facts.status
            && !status.ipvs.unavailable.is_empty()
        {
            let text = format!("no IPVS: {}", status.ipvs.unavailable);
            self.problem("modules", text, "modprobe ip_vs; in a container the host must do that");
            return;
        }
        let mut wanted = vec!["ip_vs".to_owned()];
        wanted.extend(services.iter().map(|service| format!("{SCHEDULER_PREFIX}{}", service.scheduler)));
        wanted.sort();
        wanted.dedup();
        for module in wanted {
            let there = facts.loaded.contains(&module) || module == "ip_vs" && facts.ipvs_there;
            match (&facts.loadable, there) {
                (_, true) => self.ok("modules", format!("{module} is there")),
                (Some(loadable), false) if loadable.contains(&module) => {
                    self.ok("modules", format!("{module} can be loaded, and will be when it is needed"));
                }
                (Some(_), false) => {
                    let advice = match &*module {
                        "ip_vs" => "this kernel was built without IPVS: install another",
                        _ => "choose another lvs_sched, or install the kernel's extra modules",
                    };
                    self.problem("modules", format!("{module} is not there, and cannot be loaded"), advice);
                }
                (None, false) => {
                    let text =
                        format!("whether {module} can be loaded is unknown: no /lib/modules of this kernel here");
                    self.note("modules", text, format!("modprobe {module}, on the host of a container"));
                }
            }
        }
    }

    fn forwarding(&mut self) {
        let needs = |family: Family| {
            let servers = self.config().services.iter().flat_map(|service| &service.servers);
            let mut nat = servers.filter(|server| server.forwarding == Forwarding::Nat);
            nat.any(|server| server.address.is_ipv4() == (family == Family::V4))
        };
        let (nat4, nat6) = (needs(Family::V4), needs(Family::V6));
        for (key, nat, family) in
            [("net/ipv4/ip_forward", nat4, "IPv4"), ("net/ipv6/conf/all/forwarding", nat6, "IPv6")]
        {
            let name = key.replace('/', ".");
            match (self.sysctl(key), nat) {
                (Some(0), true) => self.problem(
                    "sysctl",
                    format!("{name} is 0: answers of {family} real servers behind NAT stop here"),
                    format!("sysctl -w {name}=1"),
                ),
                (Some(0), false) if key.contains("ipv4") && self.routes() => self.note(
                    "sysctl",
                    format!("{name} is 0: this host is nobody's router"),
                    format!("a gateway needs sysctl -w {name}=1; addresses of local services do not"),
                ),
                (Some(value), _) if value > 0 => self.ok("sysctl", format!("{name} is {value}")),
                _ => {}
            }
        }
        let direct = self.config().services.iter().flat_map(|service| &service.servers);
        if direct.filter(|server| server.forwarding == Forwarding::Direct).count() > 0 {
            self.note(
                "sysctl",
                "real servers are reached directly (DR)",
                "there, not here: the virtual address on lo, arp_ignore=1 and arp_announce=2",
            );
        }
    }

    /// Instances without virtual servers may be a gateway's.
    fn routes(&self) -> bool {
        !self.config().instances.is_empty() && self.config().services.is_empty()
    }

    fn addresses(&mut self) {
        let config = self.config();
        if config.instances.is_empty() {
            return;
        }
        let has = |family| config.instances.iter().any(|instance| instance.family == family);
        for (key, used) in
            [("net/ipv4/ip_nonlocal_bind", has(Family::V4)), ("net/ipv6/ip_nonlocal_bind", has(Family::V6))]
        {
            let name = key.replace('/', ".");
            match self.sysctl(key) {
                Some(0) if used => self.note(
                    "sysctl",
                    format!("{name} is 0: a program cannot listen on a virtual address while this router is backup"),
                    format!("sysctl -w {name}=1, if one does; or let it listen on all addresses"),
                ),
                Some(1) if used => self.ok("sysctl", format!("{name} is 1")),
                _ => {}
            }
        }
        let mut interfaces: Vec<String> =
            self.config().instances.iter().filter_map(|instance| instance.interface.clone()).collect();
        interfaces.sort();
        interfaces.dedup();
        let unicast = self
            .config()
            .instances
            .iter()
            .any(|instance| matches!(instance.transport, crate::conf::model::Transport::Unicast { .. }));
        for interface in interfaces {
            // The kernel takes the larger of the two.
            let all = self.sysctl("net/ipv4/conf/all/rp_filter").unwrap_or(0);
            let filter = self.sysctl(&format!("net/ipv4/conf/{interface}/rp_filter")).unwrap_or(0).max(all);
            if filter == 1 && unicast {
                self.note(
                    "sysctl",
                    format!("rp_filter is strict on {interface}: adverts of a peer that is reached through another interface are dropped"),
                    format!("sysctl -w net.ipv4.conf.{interface}.rp_filter=2, if routes are asymmetric"),
                );
            }
            let own = self.sysctl(&format!("net/ipv4/conf/{interface}/arp_ignore")).unwrap_or(0);
            let ignore = own.max(self.sysctl("net/ipv4/conf/all/arp_ignore").unwrap_or(0));
            if ignore >= 3 {
                self.problem(
                    "sysctl",
                    format!(
                        "arp_ignore is {ignore} on {interface}: neighbours may get no answer for a virtual address"
                    ),
                    "0 to 2 is right for a router that holds virtual addresses",
                );
            }
        }
        let lost = "net.ipv4.conf.all.promote_secondaries";
        if self.sysctl("net/ipv4/conf/all/promote_secondaries") == Some(0) && self.has_whole_networks() {
            self.note(
                "sysctl",
                format!("{lost} is 0, and virtual addresses have the prefix length of their network"),
                format!(
                    "sysctl -w {lost}=1, or write them with /32: the first of a network takes the others away with it"
                ),
            );
        }
    }

    fn has_whole_networks(&self) -> bool {
        let addresses = self.config().instances.iter().flat_map(|instance| &instance.addresses);
        addresses.filter(|address| address.address.is_ipv4() && address.prefix < 32).count() > 1
    }

    fn ipvs_sysctls(&mut self) {
        let services = &self.config().services;
        if services.is_empty() {
            return;
        }
        let persistent = services.iter().any(|service| service.persistence.is_some());
        if self.sysctl("net/ipv4/vs/expire_quiescent_template") == Some(0) && persistent {
            self.note(
                "sysctl",
                "net.ipv4.vs.expire_quiescent_template is 0: clients with persistence go on to reach a drained server",
                "sysctl -w net.ipv4.vs.expire_quiescent_template=1",
            );
        }
        if self.sysctl("net/ipv4/vs/expire_nodest_conn") == Some(0) {
            self.note(
                "sysctl",
                "net.ipv4.vs.expire_nodest_conn is 0: packets of connections to a server that was taken out are dropped in silence",
                "sysctl -w net.ipv4.vs.expire_nodest_conn=1 lets clients connect anew at once",
            );
        }
        if self.sysctl("net/ipv4/vs/run_estimation") == Some(0) {
            self.note(
                "sysctl",
                "net.ipv4.vs.run_estimation is 0: the kernel counts no rates",
                "sysctl -w net.ipv4.vs.run_estimation=1",
            );
        }
        if self.sysctl("net/ipv4/vs/conntrack") == Some(1) {
            self.note(
                "sysctl",
                "net.ipv4.vs.conntrack is 1: each connection is tracked twice",
                "0, unless firewall rules need it",
            );
        }
    }

    fn agentx(&mut self) {
        let facts = self.facts;
        let snmp = &facts.config.global.snmp;
        let session = facts.status.as_ref().map(|status| status.snmp.agentx.state);
        let wanted = snmp.vrrp || snmp.checker || snmp.rfcv2 || snmp.rfcv3;
        let wanted = session.map_or(wanted, |state| state != SessionState::Off);
        if !wanted {
            return;
        }
        let address = &facts.agentx;
        match (session, &facts.agentx_error) {
            (Some(SessionState::Up), _) => self.ok("agentx", format!("session with {address}")),
            (_, None) => {
                self.note(
                    "agentx",
                    format!("{address} accepts, and there is no session yet"),
                    "`keepwatch snmp` says why",
                );
            }
            (_, Some(error)) if facts.snmpd_runs => {
                let advice = "snmpd.conf needs `master agentx`, and agentXSocket and agentXPerms if it is elsewhere or not root's";
                self.problem("agentx", format!("snmpd runs, and {address}: {error}"), advice);
            }
            (_, Some(error)) => {
                let advice = "start snmpd, or let keepwatchd answer itself: `responder` in keepwatch.yaml";
                self.problem("agentx", format!("{address}: {error}"), advice);
            }
        }
    }

    fn network(&mut self) {
        let instances = self.facts.status.iter().flat_map(|status| &status.vrrp);
        let mut found = Vec::new();
        for instance in instances {
            if let Some(other) = &instance.other_master {
                found.push((
                    Verdict::Problem,
                    format!("{}: {} is master of id {} on {}, too", instance.name, other.address, instance.vrid, instance.interface),
                    "one link, one meaning of an id: give one of two different routers another virtual_router_id; if it is the \
                     peer, it does not hear us (firewall, IGMP snooping, auth)",
                ));
            }
            if instance.counters.adverts_dropped > 0 {
                let dropped = instance.counters.adverts_dropped;
                found.push((
                    Verdict::Note,
                    format!("{}: {} refused", instance.name, count(dropped as usize, "advert")),
                    "another router has this id with other settings (version, auth, interval, addresses): `keepwatch explain` and the log say which",
                ));
            }
            for address in instance.addresses.iter().filter(|address| address.wanted && !address.present) {
                found.push((
                    Verdict::Problem,
                    format!("{}: {} is not on {}", instance.name, address.address, address.interface),
                    "somebody took it away, or the kernel refused it: the log says which",
                ));
            }
        }
        for (name, routes, rules) in self.lines() {
            let routes = routes.iter().filter(|it| it.wanted && !it.present && !it.no_track).map(|it| &it.route);
            let rules = rules.iter().filter(|it| it.wanted && !it.present && !it.no_track).map(|it| &it.rule);
            for line in routes.chain(rules) {
                found.push((
                    Verdict::Problem,
                    format!("{name}: {line} is not in the kernel"),
                    "somebody took it away, or the kernel refused it: the log says which; `no_track` lets it be gone",
                ));
            }
        }
        for session in self.facts.status.iter().flat_map(|status| &status.bfd).filter(|session| session.state != "up") {
            let why = if session.diagnostic.is_empty() { "" } else { ": " };
            found.push((
                Verdict::Problem,
                format!("BFD session {} to {} is {}{why}{}", session.name, session.neighbour, session.state, session.diagnostic),
                "`keepwatch explain` and the session's name say what would change that; both sides and every firewall between \
                 them must let UDP ports 3784 (one hop) or 4784 pass",
            ));
        }
        if self.facts.status.is_some() && found.is_empty() && !self.facts.config.instances.is_empty() {
            self.ok("network", "no other master, no refused advert, every address in its place");
        }
        for (verdict, text, advice) in found {
            self.findings.push(Finding { verdict, area: "network", text, advice: advice.to_owned() });
        }
    }

    /// Routes and rules: static ones, then those of each instance.
    fn lines(&self) -> Vec<(&str, &[RouteReport], &[RuleReport])> {
        let Some(status) = &self.facts.status else { return Vec::new() };
        let statics = ("static", &status.statics.routes[..], &status.statics.rules[..]);
        let own = status.vrrp.iter().map(|it| (it.name.as_str(), &it.routes[..], &it.rules[..]));
        std::iter::once(statics).chain(own).collect()
    }

    fn clock(&mut self) {
        if self.facts.now < PLAUSIBLE {
            return self.problem("clock", "it is years behind", "set it: times of events and SNMPv3 go by it");
        }
        match &self.facts.clock_keeper {
            Some(keeper) => self.ok("clock", format!("kept by {keeper}")),
            None => self.note(
                "clock",
                "nothing here keeps it (chronyd, ntpd, systemd-timesyncd)",
                "events of two routers are compared by it; in a virtual machine or a container the host may keep it",
            ),
        }
    }

    fn files(&mut self) {
        for (path, error) in &self.facts.directories {
            match error {
                None => self.ok("files", format!("{} can be written", path.display())),
                Some(error) => {
                    let text = format!("{}: {error}", path.display());
                    self.problem(
                        "files",
                        text,
                        "make it, or give the daemon another one; not as root this says little",
                    );
                }
            }
        }
        if self.config().settings.rrd.is_some() {
            match &self.facts.rrd_program {
                Some(path) => self.ok("files", format!("{} is there", path.display())),
                None => self.problem(
                    "files",
                    "keepwatch-rrd is not there, and keepwatch.yaml wants RRD files",
                    "install it beside keepwatchd",
                ),
            }
        }
    }

    fn keepalived(&mut self) {
        let pids = |pids: &[u32]| pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let facts = self.facts;
        if !facts.keepalived.is_empty() {
            let text = format!("Keepalived runs here, too (pid {})", pids(&facts.keepalived));
            self.problem(
                "keepalived",
                text,
                "stop and disable it: two programs with one configuration take each other's addresses away",
            );
        } else if !facts.keepalived_elsewhere.is_empty() {
            let text =
                format!("Keepalived runs in another network namespace (pid {})", pids(&facts.keepalived_elsewhere));
            self.note("keepalived", text, "no matter, unless it is meant to be the same router");
        } else {
            self.ok("keepalived", "Keepalived does not run beside keepwatchd");
        }
    }
}

fn processes(number: usize) -> String {
    if number == 1 { "1 process".to_owned() } else { format!("{number} processes") }
}

fn missing(has: Capabilities) -> Option<&'static str> {
    match has {
        Capabilities { known: false, .. } | Capabilities { admin: true, raw: true, .. } => None,
        Capabilities { admin: false, raw: true, .. } => Some("CAP_NET_ADMIN"),
        Capabilities { admin: true, raw: false, .. } => Some("CAP_NET_RAW"),
        Capabilities { admin: false, raw: false, .. } => Some("CAP_NET_ADMIN and CAP_NET_RAW"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::fixture;
    use crate::cli::text::Page;
    use crate::conf;

    const CONFIGURATION: &str = "
        global_defs {\n enable_snmp_vrrp\n }
        vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 100\n unicast_peer {\n 10.0.0.2\n }
          virtual_ipaddress {\n 10.0.0.100/24\n 10.0.0.101/24\n }\n }
        virtual_server 192.0.2.10 80 {\n lb_algo wlc\n lb_kind NAT\n protocol TCP\n persistence_timeout 60
          real_server 10.0.0.1 80 {\n }\n }
        virtual_server 192.0.2.11 80 {\n lb_algo mh\n lb_kind DR\n protocol TCP\n real_server 10.0.0.1 80 {\n }\n }";

    fn config(text: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("k.conf");
        std::fs::write(&file, text).unwrap();
        conf::load(file.to_str().unwrap(), &conf::Options::default(), &conf::Disk, &conf::LocalHost).config
    }

    /// A host on which everything is in order.
    fn healthy() -> Facts {
        let mut status = fixture::status();
        status.daemon.processes.iter_mut().for_each(|process| {
            process.up = true;
            process.report.restarts = 0;
        });
        status.daemon.reload.successful = true;
        status.vrrp.truncate(1);
        status.statics.routes.clear();
        status.bfd.truncate(1);
        let has = Capabilities { known: true, admin: true, raw: true };
        let sysctls = [
            ("net/ipv4/ip_forward", "1"),
            ("net/ipv4/ip_nonlocal_bind", "1"),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/all/promote_secondaries", "1"),
            ("net/ipv4/vs/expire_nodest_conn", "1"),
            ("net/ipv4/vs/expire_quiescent_template", "1"),
            ("net/ipv4/vs/run_estimation", "1"),
            ("net/ipv4/vs/conntrack", "0"),
        ];
        Facts {
            status: Some(status),
            own: has,
            of_daemon: vec![("vrrp".to_owned(), has)],
            file: "/etc/keepalived/keepalived.conf".to_owned(),
            readable: true,
            config: config(CONFIGURATION),
            loaded: BTreeSet::from(["ip_vs".to_owned(), "ip_vs_wlc".to_owned()]),
            loadable: Some(BTreeSet::from(["ip_vs_mh".to_owned()])),
            sysctls: sysctls.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            agentx: "/var/agentx/master".to_owned(),
            clock_keeper: Some("chronyd".to_owned()),
            now: PLAUSIBLE + 1.0,
            directories: vec![("/var/lib/keepwatch".into(), None)],
            ..Facts::default()
        }
    }

    fn shown(facts: &Facts) -> String {
        super::super::shown(&judge(facts), false, &Page::plain(0.0))
    }

    /// What `break_it` adds to what is not in order.
    #[track_caller]
    fn finds(break_it: impl FnOnce(&mut Facts), verdict: Verdict, words: &str) {
        let mut facts = healthy();
        let before = judge(&facts);
        break_it(&mut facts);
        let found: Vec<Finding> = judge(&facts).into_iter().filter(|finding| !before.contains(finding)).collect();
        let bad: Vec<&Finding> = found.iter().filter(|finding| finding.verdict > Verdict::Ok).collect();
        assert!(
            bad.iter().any(|finding| finding.verdict == verdict && finding.text.contains(words)),
            "{words}: {found:#?}"
        );
        assert!(bad.iter().all(|finding| !finding.advice.is_empty()), "{bad:#?}");
    }

    fn set(facts: &mut Facts, key: &str, value: &str) {
        facts.sysctls.insert(key.to_owned(), value.to_owned());
    }

    #[test]
    fn a_route_that_is_gone_and_a_session_that_is_down_are_problems() {
        let broken = fixture::status();
        let (statics, bfd) = (broken.statics.clone(), broken.bfd.clone());
        let words = "static: 10.7.0.0/16 via 10.0.0.9 is not in the kernel";
        finds(|facts| facts.status.as_mut().unwrap().statics = statics, Verdict::Problem, words);
        let words = "BFD session B_EDGE to fd00:1::2 is down: control detection time expired";
        finds(|facts| facts.status.as_mut().unwrap().bfd = bfd, Verdict::Problem, words);
    }

    #[test]
    fn a_host_in_order_has_nothing_but_what_only_others_can_see_to() {
        fixture::golden("doctor", &shown(&healthy()));
    }

    #[test]
    fn what_is_wrong_with_the_daemon_and_its_files_is_a_problem() {
        use Verdict::{Note, Problem};
        finds(|facts| facts.status = None, Problem, "");
        finds(|facts| (facts.status, facts.forbidden) = (None, true), Note, "");
        finds(|facts| facts.readable = false, Problem, "cannot be read");
        finds(|facts| facts.errors = 2, Problem, "2 errors");
        finds(|facts| facts.warnings = 1, Note, "1 warning");
        finds(|facts| facts.of_daemon[0].1.raw = false, Problem, "lacks CAP_NET_RAW");
        finds(|facts| facts.directories[0].1 = Some("Read-only file system".to_owned()), Problem, "Read-only");
        finds(|facts| facts.keepalived.push(7), Problem, "Keepalived runs here, too (pid 7)");
        finds(|facts| facts.keepalived_elsewhere.push(7), Note, "another network namespace");
        finds(|facts| facts.now = 86_400.0, Problem, "years behind");
        finds(|facts| facts.clock_keeper = None, Note, "nothing here keeps it");
        let process = |facts: &mut Facts| facts.status.as_mut().unwrap().daemon.processes[1].up = false;
        finds(process, Problem, "does not answer: checks");
        finds(
            |facts| facts.status.as_mut().unwrap().daemon.processes[1].report.restarts = 2,
            Note,
            "restarted 2 times",
        );
        finds(|facts| facts.status.as_mut().unwrap().daemon.reload.successful = false, Problem, "refused");
    }

    #[test]
    fn modules_and_sysctls_are_judged_by_what_the_configuration_needs() {
        use Verdict::{Note, Problem};
        finds(|facts| facts.loadable = Some(BTreeSet::new()), Problem, "ip_vs_mh is not there");
        finds(|facts| facts.loadable = None, Note, "ip_vs_mh");
        finds(|facts| facts.status.as_mut().unwrap().ipvs.unavailable = "no ip_vs".to_owned(), Problem, "no ip_vs");
        finds(|facts| set(facts, "net/ipv4/ip_forward", "0"), Problem, "net.ipv4.ip_forward is 0");
        finds(|facts| set(facts, "net/ipv4/ip_nonlocal_bind", "0"), Note, "while this router is backup");
        finds(|facts| set(facts, "net/ipv4/conf/all/rp_filter", "1"), Note, "rp_filter is strict on eth0");
        finds(|facts| set(facts, "net/ipv4/conf/eth0/arp_ignore", "8"), Problem, "arp_ignore is 8");
        finds(|facts| set(facts, "net/ipv4/conf/all/promote_secondaries", "0"), Note, "promote_secondaries");
        finds(|facts| set(facts, "net/ipv4/vs/expire_nodest_conn", "0"), Note, "expire_nodest_conn");
        finds(|facts| set(facts, "net/ipv4/vs/expire_quiescent_template", "0"), Note, "drained");
        finds(|facts| set(facts, "net/ipv4/vs/conntrack", "1"), Note, "conntrack");
        let mut gateway = healthy();
        gateway.config.services.clear();
        set(&mut gateway, "net/ipv4/ip_forward", "0");
        set(&mut gateway, "net/ipv4/vs/conntrack", "1");
        let text = shown(&gateway);
        assert!(
            text.contains("this host is nobody's router") && !text.contains("conntrack") && text.contains("0 problems"),
            "{text}"
        );
    }

    #[test]
    fn the_master_agent_matters_where_snmp_is_wanted() {
        use Verdict::{Note, Problem};
        let session = |facts: &mut Facts, state| facts.status.as_mut().unwrap().snmp.agentx.state = state;
        finds(|facts| session(facts, SessionState::Waiting), Note, "no session yet");
        let away = |facts: &mut Facts| {
            session(facts, SessionState::Waiting);
            facts.agentx_error = Some("Connection refused".to_owned());
        };
        finds(away, Problem, "/var/agentx/master: Connection refused");
        let dumb = |facts: &mut Facts| {
            away(facts);
            facts.snmpd_runs = true;
        };
        finds(dumb, Problem, "snmpd runs, and");
        let mut off = healthy();
        away(&mut off);
        session(&mut off, SessionState::Off);
        assert!(!shown(&off).contains("agentx"));
    }

    #[test]
    fn what_is_heard_on_the_link_is_told() {
        use Verdict::{Note, Problem};
        let all = fixture::status().vrrp;
        finds(
            |facts| facts.status.as_mut().unwrap().vrrp.push(all[2].clone()),
            Problem,
            "10.0.0.3 is master of id 53 on eth0, too",
        );
        finds(
            |facts| facts.status.as_mut().unwrap().vrrp.push(all[2].clone()),
            Problem,
            "10.0.2.100/24 is not on eth0",
        );
        finds(|facts| facts.status.as_mut().unwrap().vrrp[0].counters.adverts_dropped = 3, Note, "3 adverts refused");
    }
}
