//! From a [`Look`] to the values of all objects.

use super::layout::Object;
use super::wire::{Update, Value};
use crate::bus::rows::{InstanceRow, ServerConfig, ServerRow, ServiceRow, State};
use crate::check::table::Stats;
use crate::conf::model::RrdSettings;
use crate::control::snmp::SessionState;
use crate::export::Look;
use crate::export::graph::GraphKind;

/// How many real servers have files when the settings do not say: with more, their history would fill a disk.
pub const REAL_SERVERS_MAX: usize = 200;

/// What is to be written now. What is not known, as that of a process which is not there, is unknown in the file, too.
pub fn updates(look: &Look, settings: &RrdSettings) -> Vec<Update> {
    let mut updates: Vec<Update> = look.snapshot.vrrp.instances.rows().map(|row| instance(look, row)).collect();
    let checks = &look.snapshot.checks;
    updates.extend(checks.services.rows().map(|row| service(look, row)));
    let servers = checks.servers.rows().filter(|row| matches!(row.config, ServerConfig::Real(_))).count();
    if settings.real_servers.unwrap_or(servers <= REAL_SERVERS_MAX) {
        let rows = checks.servers.rows().filter_map(|row| Some((checks.services.get(&[row.service_index])?, row)));
        updates.extend(rows.map(|(of, row)| server(look, of, row)));
    }
    if !checks.services.is_empty() || checks.ipvs.totals.is_some() {
        let totals = checks.ipvs.totals.filter(|_| look.checks_connected);
        updates.push(Update { object: Object::new(GraphKind::Ipvs, ""), values: stats(totals).to_vec() });
    }
    updates.push(daemon(look));
    updates
}

fn instance(look: &Look, row: &InstanceRow) -> Update {
    let object = Object::new(GraphKind::Vrrp, row.config.name.to_string());
    if !look.vrrp_connected {
        return unknown(object);
    }
    let counters = look.instance_counters(row);
    let dropped = [
        counters.packet_length_errors,
        counters.checksum_errors,
        counters.version_errors,
        counters.advert_interval_errors,
        counters.ttl_errors,
        counters.invalid_type,
        counters.address_list_errors,
        counters.invalid_auth_type,
        counters.auth_type_mismatch,
        counters.auth_failures,
        counters.unknown_source,
    ];
    let transitions = [counters.became_master, counters.entered_init, counters.entered_backup, counters.entered_fault];
    let master = row.state == State::Master;
    let addresses = look.snapshot.vrrp.addresses.from(&[row.index], true);
    let own = addresses.take_while(|(index, _)| index.first() == Some(&row.index));
    let missing = if master { own.filter(|(_, address)| !address.installed).count() as u64 } else { 0 };
    let rival = row.other_master.filter(|_| master);
    let rival = rival.is_some_and(|rival| look.at.0.saturating_sub(rival.at.0) <= row.master_down_ns);
    let state = match row.state {
        State::Shutdown | State::Deleted => Value::Unknown,
        State::Init | State::Backup | State::Master | State::Fault => Value::Count(row.state as u64),
    };
    let values = vec![
        state,
        Value::flag(master),
        Value::Count(row.effective_priority.get().into()),
        Value::Count(counters.adverts_sent),
        Value::Count(counters.adverts_received),
        Value::Count(dropped.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))),
        Value::Count(transitions.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))),
        Value::Count(missing),
        Value::flag(rival),
    ];
    Update { object, values }
}

fn service(look: &Look, row: &ServiceRow) -> Update {
    let object = Object::new(GraphKind::Vs, row.key().to_string());
    if !look.checks_connected {
        return unknown(object);
    }
    let mut values = stats(Some(look.service_stats(row))).to_vec();
    values.extend([Value::Count(row.servers_up.into()), Value::Count(row.weight_up), Value::flag(row.quorum_met)]);
    Update { object, values }
}

fn server(look: &Look, of: &ServiceRow, row: &ServerRow) -> Update {
    let (address, port, sorry) = match &row.config {
        ServerConfig::Real(server) => (server.address, server.port, ""),
        ServerConfig::Sorry(server) => (server.address, server.port, "sorry:"),
    };
    let name = format!("{sorry}{}", std::net::SocketAddr::new(address, port));
    let object = Object::server(&of.key().to_string(), &name);
    if !look.checks_connected {
        return unknown(object);
    }
    let mut values = stats(Some(look.server_totals(of, row).stats)).to_vec();
    let took = row.checkers.iter().filter(|checker| checker.has_run).map(|checker| checker.took_us).max();
    values.extend([
        Value::Count(row.load.active.into()),
        Value::Count(row.load.inactive.into()),
        Value::Count(row.load.persistent.into()),
        Value::Count(row.weight.into()),
        Value::flag(row.alive),
        took.map_or(Value::Unknown, |us| Value::Gauge(us as f64 / 1e3)),
    ]);
    Update { object, values }
}

fn daemon(look: &Look) -> Update {
    let ms = |ns: u64| Value::Gauge(ns as f64 / 1e6);
    let vrrp = look.snapshot.vrrp.pulse.as_deref().filter(|_| look.vrrp_connected);
    let checks = look.snapshot.checks.pulse.as_deref().filter(|_| look.checks_connected);
    let lag = [vrrp, checks].into_iter().flatten().map(|pulse| pulse.lag_max_ns).max();
    let delay = vrrp.map(|_| look.vrrp_times().advert_delay_max_ns);
    let resident: u64 = look.daemon.processes.iter().map(|process| process.resident_bytes).sum();
    let values = vec![
        delay.map_or(Value::Unknown, ms),
        lag.map_or(Value::Unknown, ms),
        Value::flag(look.snmp.agentx.state == SessionState::Up),
        look.scrapes.map_or(Value::Unknown, Value::Count),
        if resident > 0 { Value::Count(resident) } else { Value::Unknown },
    ];
    Update { object: Object::new(GraphKind::Daemon, ""), values }
}

fn stats(stats: Option<Stats>) -> [Value; 5] {
    let Some(stats) = stats else { return [Value::Unknown; 5] };
    [stats.connections, stats.packets_in, stats.packets_out, stats.bytes_in, stats.bytes_out].map(Value::Count)
}

fn unknown(object: Object) -> Update {
    let values = vec![Value::Unknown; super::layout::sources(object.kind).len()];
    Update { object, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::model::{Family, Protocol};
    use crate::export::rrd::layout::sources;
    use crate::mib::fixture::check::address_key;
    use crate::mib::fixture::check::{committed, seed_rows, server as real, service as virtual_server, service_rows};

    fn look(rows: Vec<(crate::bus::rows::RowKey, crate::bus::rows::Row)>) -> Look {
        let snapshot = committed(rows).snapshot();
        Look { snapshot, checks_connected: true, vrrp_connected: true, ..Look::default() }
    }

    #[test]
    fn every_object_has_a_value_for_each_of_its_data_sources() {
        let updates = updates(&look(seed_rows()), &RrdSettings::default());
        for update in &updates {
            assert_eq!(update.values.len(), sources(update.object.kind).len(), "{}", update.object);
        }
        let names: Vec<String> = updates.iter().map(|update| update.object.to_string()).collect();
        assert!(names.contains(&"vs group:VS_GROUP_IPv4/tcp".to_owned()), "{names:?}");
        assert!(names.contains(&"rs group:VS_GROUP_IPv6/tcp,[fd00::11]:80".to_owned()), "{names:?}");
        assert!(names.contains(&"ipvs".to_owned()) && names.contains(&"daemon".to_owned()), "{names:?}");
        let group = updates.iter().find(|update| update.object.name == "group:VS_GROUP_IPv4/tcp").unwrap();
        assert_eq!(group.values[..3], [6, 36, 36].map(Value::Count));
        assert_eq!(group.values[5..], [4, 4, 1].map(Value::Count));
    }

    #[test]
    fn nothing_is_made_up_for_a_process_that_is_not_there() {
        let gone = Look { checks_connected: false, ..look(seed_rows()) };
        let updates = updates(&gone, &RrdSettings::default());
        assert!(updates.iter().any(|update| update.object.kind == GraphKind::Rs));
        for update in updates.iter().filter(|update| update.object.kind != GraphKind::Daemon) {
            assert!(update.values.iter().all(|value| *value == Value::Unknown), "{update:?}");
        }
    }

    #[test]
    fn real_servers_are_left_out_when_there_are_many_unless_they_are_asked_for() {
        let config = virtual_server(address_key("192.0.2.10", 80, Protocol::Tcp), Family::V4);
        let servers = |count: usize| {
            let servers = (0..count)
                .map(|n| (real(&config, &format!("10.0.{}.{}", n / 250, n % 250), 80, 1), Default::default()));
            look(service_rows(1, config.clone(), Default::default(), servers.collect()))
        };
        let count = |look: &Look, wanted: Option<bool>| {
            let settings = RrdSettings { real_servers: wanted, ..RrdSettings::default() };
            updates(look, &settings).iter().filter(|update| update.object.kind == GraphKind::Rs).count()
        };
        let (few, many) = (servers(REAL_SERVERS_MAX), servers(REAL_SERVERS_MAX + 1));
        assert_eq!((count(&few, None), count(&few, Some(false))), (200, 0));
        assert_eq!((count(&many, None), count(&many, Some(true))), (0, 201));
    }
}
