//! Situations whose cause must be named: prepared here on fixtures, and by tests of the whole program on real ones.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    pub name: &'static str,
    /// What is explained.
    pub of: Kind,
    /// `state` of the explanation.
    pub state: &'static str,
    /// Words that `because` must have, whatever the figures are.
    pub says: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Instance,
    RealServer,
    VirtualServer,
}

const fn instance(name: &'static str, state: &'static str, says: &'static [&'static str]) -> Situation {
    Situation { name, of: Kind::Instance, state, says }
}

const fn server(name: &'static str, state: &'static str, says: &'static [&'static str]) -> Situation {
    Situation { name, of: Kind::RealServer, state, says }
}

/// All of them.
pub const SITUATIONS: &[Situation] = &[
    instance("better-master-heard", "backup", &["a better master is heard", "has priority"]),
    instance("equal-master-heard", "backup", &["the same priority", "the master stays"]),
    instance("nopreempt", "backup", &["nopreempt is configured", "is master with priority"]),
    instance("preempt-delay", "backup", &["it waits for preempt_delay"]),
    instance("priority-lowered", "backup", &["its priority is lowered from", "is down and takes"]),
    instance("not-yet-heard", "backup", &["no master was heard"]),
    instance("stood-down", "backup", &["an operator stood it down"]),
    instance("sync-group-waits", "backup", &["its sync group", "waits"]),
    instance("interface-down", "fault", &["interface", "is down"]),
    instance("script-lowers", "backup", &["its priority is lowered from", "fails and takes"]),
    instance("script-fails", "fault", &["script", "fails", "with weight 0"]),
    instance("file-forbids", "fault", &["the number in file", "not 0"]),
    instance("process-missing", "fault", &["process", "misses its quorum"]),
    instance("session-down", "fault", &["BFD session", "is down"]),
    instance("carried-interface-down", "fault", &["addresses, routes or rules", "is down"]),
    instance("group-interface-down", "fault", &["interface", "its track group needs", "is down"]),
    instance("static-route-lost", "fault", &["static route", "cannot be put back"]),
    instance("static-rule-lost", "fault", &["static rule", "cannot be put back"]),
    instance("tracked-interface-down", "fault", &["which it tracks with weight 0", "is down"]),
    instance("no-source-address", "fault", &["there is no source address for adverts"]),
    instance("no-peers", "fault", &["there are no unicast peers"]),
    instance("sync-group-fault", "fault", &["another member of its sync group"]),
    instance("master-fell-silent", "master", &["nothing was heard of the master for"]),
    instance("master-resigned", "master", &["the master resigned"]),
    instance("weaker-preempted", "master", &["a master of a lower priority was heard"]),
    instance("owner", "master", &["it owns the addresses"]),
    instance("two-masters", "master", &["Two routers are master"]),
    instance("address-missing", "master", &["missing"]),
    instance("route-missing", "master", &["route", "missing"]),
    instance("rule-missing", "master", &["rule", "missing"]),
    instance("script-awaited", "init", &["it waits for the first word of script"]),
    instance("startup-delay", "init", &["vrrp_startup_delay"]),
    server("http-status", "down", &["HTTP status", "instead of", "asked for"]),
    server("connection-refused", "down", &["connection refused"]),
    server("not-yet-checked", "down", &["has not run yet and counts as failed"]),
    server("drained", "drained", &["drained by an operator"]),
    server("sorry-server-instead", "up", &["the quorum is lost", "sorry server serves"]),
    Situation {
        name: "quorum-lost",
        of: Kind::VirtualServer,
        state: "quorum-lost",
        says: &["quorum is lost", "is needed", "sorry server", "serves"],
    },
];
