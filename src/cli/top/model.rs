//! What is on the screen: rows made of two looks.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;

use crate::report::{InstanceReport, Status};

/// Order of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// New connections per second
    Rate,
    /// Active connections
    Active,
    /// Weight
    Weight,
    /// Down ones first, then by how long
    State,
    /// As in the configuration
    File,
}

impl Sort {
    pub fn next(self) -> Sort {
        match self {
            Sort::Rate => Sort::Active,
            Sort::Active => Sort::Weight,
            Sort::Weight => Sort::State,
            Sort::State => Sort::File,
            Sort::File => Sort::Rate,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Sort::Rate => "rate",
            Sort::Active => "active",
            Sort::Weight => "weight",
            Sort::State => "state",
            Sort::File => "file",
        }
    }
}

/// The last look, and the one that it is compared with.
#[derive(Debug)]
pub struct Model {
    pub sort: Sort,
    pub reverse: bool,
    now: Option<Status>,
    /// Counters of instances, and when.
    instances: Rates,
    /// Counters of servers, and when they were read from the kernel.
    servers: Rates,
}

/// Counters that go up, and how fast.
#[derive(Debug, Default)]
struct Rates {
    at: f64,
    counted: BTreeMap<String, u64>,
    per_second: BTreeMap<String, f64>,
}

/// One screen.
#[derive(Debug, Clone, Serialize)]
pub struct Frame {
    pub host: String,
    pub version: String,
    pub at: f64,
    pub up_for: f64,
    pub troubles: usize,
    pub worst: Option<String>,
    pub instances: Vec<InstanceLine>,
    pub servers: Vec<ServerLine>,
    pub sort: &'static str,
    /// Over all servers.
    pub connections_per_second: Option<f64>,
    pub active_connections: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct InstanceLine {
    pub name: String,
    pub state: String,
    pub since: f64,
    pub priority: u8,
    pub interface: String,
    pub vrid: u8,
    /// `self`, an address, or nothing.
    pub master: String,
    /// `None` until there are two looks.
    pub sent_per_second: Option<f64>,
    pub received_per_second: Option<f64>,
    pub became_master: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct ServerLine {
    pub service: String,
    pub server: String,
    pub state: String,
    pub since: f64,
    pub weight: u32,
    pub active: u32,
    pub inactive: u32,
    pub connections_per_second: Option<f64>,
    pub connections: u64,
}

impl Rates {
    /// Counts from the same moment as before are the same counts. One that went down began anew, and has no rate; when the
    /// moment is an earlier one, as after a restart or when the clock was put back, all of them have.
    fn count(&mut self, at: f64, counted: BTreeMap<String, u64>) {
        let seconds = at - self.at;
        if self.at > 0.0 && seconds == 0.0 {
            return;
        }
        if seconds < 0.0 {
            self.per_second.clear();
        } else if self.at > 0.0 {
            let rate = |(key, now): (&String, &u64)| {
                let more = now.checked_sub(*self.counted.get(key)?)?;
                Some((key.clone(), more as f64 / seconds))
            };
            self.per_second = counted.iter().filter_map(rate).collect();
        }
        (self.at, self.counted) = (at, counted);
    }

    fn get(&self, key: &str) -> Option<f64> {
        self.per_second.get(key).copied()
    }
}

impl Model {
    pub fn new(sort: Sort) -> Model {
        Model { sort, reverse: false, now: None, instances: Rates::default(), servers: Rates::default() }
    }

    pub fn look(&mut self, status: Status) {
        let instances = status.vrrp.iter().flat_map(|instance| {
            let counters = &instance.counters;
            [(sent(instance), counters.adverts_sent), (received(instance), counters.adverts_received)]
        });
        self.instances.count(status.at, instances.collect());
        let servers = status.ipvs.services.iter().flat_map(|report| &report.servers);
        let servers = servers.map(|server| (key(&server.service, &server.server, server.sorry), server.connections));
        self.servers.count(status.ipvs.counted_at, servers.collect());
        self.now = Some(status);
    }

    pub fn frame(&self) -> Frame {
        let Some(status) = &self.now else {
            return Frame {
                host: String::new(),
                version: String::new(),
                at: 0.0,
                up_for: 0.0,
                troubles: 0,
                worst: None,
                instances: vec![],
                servers: vec![],
                sort: self.sort.name(),
                connections_per_second: None,
                active_connections: 0,
            };
        };
        let servers = self.servers(status);
        let rates: Vec<f64> = servers.iter().filter_map(|server| server.connections_per_second).collect();
        let worst = status.troubles.first().map(|trouble| format!("{}: {}", trouble.subject, trouble.text));
        Frame {
            host: status.host.clone(),
            version: status.version.clone(),
            at: status.at,
            up_for: (status.at - status.daemon.started).max(0.0),
            troubles: status.troubles.len(),
            worst,
            instances: status.vrrp.iter().map(|instance| self.instance(instance)).collect(),
            sort: self.sort.name(),
            connections_per_second: (!rates.is_empty()).then(|| rates.iter().sum()),
            active_connections: servers.iter().map(|server| u64::from(server.active)).sum(),
            servers,
        }
    }

    fn instance(&self, instance: &InstanceReport) -> InstanceLine {
        let master = match (&instance.other_master, &instance.master) {
            (Some(other), _) => format!("ALSO {}", other.address),
            (None, _) if instance.state == "master" => "self".to_owned(),
            (None, Some(master)) => master.address.clone(),
            (None, None) => "-".to_owned(),
        };
        InstanceLine {
            name: instance.name.clone(),
            state: instance.state.clone(),
            since: instance.since,
            priority: instance.priority.effective,
            interface: instance.interface.clone(),
            vrid: instance.vrid,
            master,
            sent_per_second: self.instances.get(&sent(instance)),
            received_per_second: self.instances.get(&received(instance)),
            became_master: instance.counters.became_master,
        }
    }

    fn servers(&self, status: &Status) -> Vec<ServerLine> {
        let all = status.ipvs.services.iter().flat_map(|report| &report.servers);
        let mut lines: Vec<ServerLine> = all
            .map(|server| {
                let state = match (server.sorry, server.alive, server.weight) {
                    (true, true, _) => "sorry, serves",
                    (true, false, _) => "sorry",
                    (false, false, _) => "DOWN",
                    (false, true, 0) => "drained",
                    (false, true, _) => "up",
                };
                ServerLine {
                    service: server.service_name.clone().unwrap_or_else(|| server.service.clone()),
                    server: server.name.clone().unwrap_or_else(|| server.server.clone()),
                    state: state.to_owned(),
                    since: server.since as f64,
                    weight: server.weight,
                    active: server.active_connections,
                    inactive: server.inactive_connections,
                    connections_per_second: self.servers.get(&key(&server.service, &server.server, server.sorry)),
                    connections: server.connections,
                }
            })
            .collect();
        let rate = |line: &ServerLine| line.connections_per_second.unwrap_or(-1.0);
        // Stable: what is equal stays in the order of the file.
        match self.sort {
            Sort::Rate => lines.sort_by(|a, b| rate(b).total_cmp(&rate(a))),
            Sort::Active => lines.sort_by_key(|line| std::cmp::Reverse(line.active)),
            Sort::Weight => lines.sort_by_key(|line| std::cmp::Reverse(line.weight)),
            Sort::State => {
                let down = |line: &ServerLine| line.state == "DOWN";
                lines.sort_by(|a, b| down(b).cmp(&down(a)).then(b.since.total_cmp(&a.since)));
            }
            Sort::File => {}
        }
        if self.reverse {
            lines.reverse();
        }
        lines
    }
}

fn sent(instance: &InstanceReport) -> String {
    format!("{} sent", instance.name)
}

fn received(instance: &InstanceReport) -> String {
    format!("{} received", instance.name)
}

fn key(service: &str, server: &str, sorry: bool) -> String {
    format!("{service} {server}{}", if sorry { " sorry" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;

    fn later(seconds: f64, more: u64) -> Status {
        let mut status = fixture::status();
        status.at += seconds;
        status.ipvs.counted_at += seconds;
        status.vrrp.iter_mut().for_each(|instance| instance.counters.adverts_sent += more);
        for (place, report) in status.ipvs.services.iter_mut().enumerate() {
            report.servers.iter_mut().for_each(|server| server.connections += more * (place as u64 + 1));
        }
        status
    }

    #[test]
    fn rates_lie_between_two_looks() {
        let mut model = Model::new(Sort::Rate);
        model.look(later(0.0, 0));
        assert!(model.frame().servers.iter().all(|server| server.connections_per_second.is_none()));
        model.look(later(4.0, 20));
        let frame = model.frame();
        assert_eq!(frame.instances[0].sent_per_second, Some(5.0));
        assert_eq!(frame.instances[0].received_per_second, Some(0.0));
        let rates: Vec<Option<f64>> = frame.servers.iter().map(|server| server.connections_per_second).collect();
        assert_eq!(rates, [Some(10.0), Some(10.0), Some(5.0), Some(5.0), Some(5.0)], "the busiest first");
        assert_eq!(frame.connections_per_second, Some(35.0));
    }

    #[test]
    fn counts_of_the_same_moment_give_no_new_rate_and_counters_that_begin_anew_none() {
        let mut model = Model::new(Sort::File);
        model.look(later(0.0, 10));
        model.look(later(1.0, 20));
        let mut same = later(2.0, 20);
        same.ipvs.counted_at = later(1.0, 0).ipvs.counted_at;
        model.look(same);
        assert_eq!(model.frame().servers[0].connections_per_second, Some(10.0));
        model.look(later(3.0, 0));
        assert_eq!(model.frame().servers[0].connections_per_second, None);
    }

    #[test]
    fn a_moment_before_the_last_one_begins_anew() {
        let mut model = Model::new(Sort::File);
        model.look(later(100.0, 1000));
        model.look(later(101.0, 1010));
        let rate = |model: &Model| model.frame().servers[0].connections_per_second;
        assert_eq!(rate(&model), Some(10.0));
        // The clock was put back, or nothing was read yet.
        model.look(later(1.0, 1020));
        assert_eq!((rate(&model), model.frame().instances[0].sent_per_second), (None, None));
        model.look(later(3.0, 1060));
        assert_eq!(rate(&model), Some(20.0));
        let mut unread = later(4.0, 0);
        unread.ipvs.counted_at = 0.0;
        model.look(unread);
        model.look(later(5.0, 10));
        assert_eq!(rate(&model), None, "there was none to compare with");
        model.look(later(6.0, 20));
        assert_eq!(rate(&model), Some(10.0));
    }

    #[test]
    fn servers_are_sorted_by_what_is_wanted() {
        let mut model = Model::new(Sort::State);
        model.look(fixture::status());
        assert_eq!(model.frame().servers[0].server, "w2", "the one that is down");
        model.sort = Sort::File;
        model.reverse = true;
        assert_eq!(model.frame().servers[4].server, "10.0.0.1:80");
        let mut sort = Sort::Rate;
        for _ in 0..5 {
            sort = sort.next();
        }
        assert_eq!(sort, Sort::Rate);
    }
}
