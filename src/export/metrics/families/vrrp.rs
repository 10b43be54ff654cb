//! Virtual routers and sync groups.

use super::super::family::{Family, Samples, counter, gauge, histogram, info};
use super::super::view::{Router, STATES, View, seconds};
use crate::bus::rows::{Counters, State};
use crate::conf::model::{InitialState, Preempt, Transport, Version};

/// Which router: its name here, and what the wire calls it.
pub const ROUTER: &[&str] = &["vrrp_instance", "vrid", "family"];

const ROUTER_AND_STATE: &[&str] = &["vrrp_instance", "vrid", "family", "state"];

fn gauge_of(view: &View<'_>, out: &mut Samples, value: fn(&Router<'_>) -> f64) {
    for router in &view.instances {
        out.put(&router.labels(), value(router));
    }
}

fn count_of(view: &View<'_>, out: &mut Samples, value: fn(&Counters) -> u64) {
    for router in &view.instances {
        out.count(&router.labels(), value(&router.counters));
    }
}

pub static FAMILIES: &[Family] = &[
    info("keepwatch_vrrp_instance_info", "Always 1; what else is configured, to join on.")
        .labels(&[
            "vrrp_instance",
            "vrid",
            "family",
            "interface",
            "version",
            "sync_group",
            "initial_state",
            "preempt",
            "vmac",
            "unicast",
        ])
        .from(|view, out| {
            for router in &view.instances {
                let config = &router.row.config;
                let [name, vrid, family] = router.labels();
                let yes_no = |yes: bool| if yes { "true" } else { "false" };
                let version = if config.version == Version::V2 { "2" } else { "3" };
                let initial = if config.initial_state == InitialState::Master { "master" } else { "backup" };
                let values = [
                    name,
                    vrid,
                    family,
                    config.interface.as_deref().unwrap_or_default(),
                    version,
                    config.sync_group.as_deref().unwrap_or_default(),
                    initial,
                    yes_no(config.preempt != Preempt::Never),
                    yes_no(config.vmacs.own.is_some()),
                    yes_no(matches!(config.transport, Transport::Unicast { .. })),
                ];
                out.put(&values, 1.0);
            }
        }),
    gauge("keepwatch_vrrp_state", "1 for the state that it is in, 0 for the others: init, backup, master, fault.")
        .labels(ROUTER_AND_STATE)
        .from(|view, out| {
            for router in &view.instances {
                for (state, name) in STATES {
                    out.flag(&router.and(name), router.row.state == state);
                }
            }
        }),
    gauge("keepwatch_vrrp_priority", "Priority in the election, with the weights of what is tracked.")
        .labels(ROUTER)
        .from(|view, out| gauge_of(view, out, |router| router.row.effective_priority.get().into())),
    gauge("keepwatch_vrrp_base_priority", "Priority without these weights: configured, or set by an operator.")
        .labels(ROUTER)
        .from(|view, out| gauge_of(view, out, |router| router.row.base_priority.get().into())),
    gauge("keepwatch_vrrp_priority_overridden", "1 while an operator or a SET has replaced the configured priority.")
        .labels(ROUTER)
        .from(|view, out| gauge_of(view, out, |router| flag(router.row.priority_overridden))),
    gauge("keepwatch_vrrp_master_priority", "Priority in the last accepted advert; 0 when there is none, and while master.")
        .labels(ROUTER)
        .from(|view, out| {
            gauge_of(view, out, |router| router.row.master.map_or(0.0, |(_, priority)| priority.into()));
        }),
    counter("keepwatch_vrrp_transitions_total", "Entries into a state: init, backup, master, fault.")
        .labels(&["vrrp_instance", "vrid", "family", "to"])
        .from(|view, out| {
            for router in &view.instances {
                let counters = &router.counters;
                for (state, name) in STATES {
                    let entered = match state {
                        State::Backup => counters.entered_backup,
                        State::Master => counters.became_master,
                        State::Fault => counters.entered_fault,
                        State::Init | State::Shutdown | State::Deleted => counters.entered_init,
                    };
                    out.count(&router.and(name), entered);
                }
            }
        }),
    counter("keepwatch_vrrp_master_releases_total", "Times it stopped being master.")
        .labels(ROUTER)
        .from(|view, out| count_of(view, out, |counters| counters.released_master)),
    gauge("keepwatch_vrrp_last_transition_timestamp_seconds", "When the state changed last.")
        .labels(ROUTER)
        .seconds()
        .from(|view, out| gauge_of(view, out, |router| seconds(router.row.since))),
    counter("keepwatch_vrrp_adverts_sent_total", "Adverts sent.")
        .labels(ROUTER)
        .from(|view, out| count_of(view, out, |counters| counters.adverts_sent)),
    counter("keepwatch_vrrp_adverts_received_total", "Adverts received and accepted.")
        .labels(ROUTER)
        .from(|view, out| count_of(view, out, |counters| counters.adverts_received)),
    counter(
        "keepwatch_vrrp_adverts_dropped_total",
        "Adverts refused: packet_length, interval, ttl, type, address_list, auth_type, auth_mismatch, auth_failure, source.",
    )
    .labels(&["vrrp_instance", "vrid", "family", "reason"])
    .from(|view, out| {
        for router in &view.instances {
            for (reason, count) in dropped(&router.counters) {
                out.count(&router.and(reason), count);
            }
        }
    }),
    counter(
        "keepwatch_vrrp_router_errors_total",
        "Packets refused before it was known for which router: checksum, version, vrid, packet_length.",
    )
    .labels(&["reason"])
    .from(|view, out| {
        let router = view.look.router_counters();
        out.count(&["checksum"], router.checksum_errors);
        out.count(&["version"], router.version_errors);
        out.count(&["vrid"], router.vrid_errors);
        out.count(&["packet_length"], router.truncated);
    }),
    counter("keepwatch_vrrp_priority_zero_sent_total", "Adverts of priority 0 sent: it gave up being master.")
        .labels(ROUTER)
        .from(|view, out| count_of(view, out, |counters| counters.priority_zero_sent)),
    counter("keepwatch_vrrp_priority_zero_received_total", "Adverts of priority 0 received: a master gave up.")
        .labels(ROUTER)
        .from(|view, out| count_of(view, out, |counters| counters.priority_zero_received)),
    gauge("keepwatch_vrrp_last_advert_received_timestamp_seconds", "When an advert was accepted last; 0 when never.")
        .labels(ROUTER)
        .seconds()
        .from(|view, out| gauge_of(view, out, |router| router.row.last_advert.map_or(0.0, seconds))),
    gauge("keepwatch_vrrp_advert_interval_seconds", "Own interval between adverts.")
        .labels(ROUTER)
        .seconds()
        .from(|view, out| gauge_of(view, out, |router| router.row.config.advert_interval.as_secs_f64())),
    gauge("keepwatch_vrrp_master_down_interval_seconds", "Silence after which a backup takes over, as it is in use.")
        .labels(ROUTER)
        .seconds()
        .from(|view, out| gauge_of(view, out, |router| router.row.master_down_ns as f64 / 1e9)),
    gauge("keepwatch_vrrp_preempt_delay_seconds", "Configured delay before a weaker master is preempted.")
        .labels(ROUTER)
        .seconds()
        .from(|view, out| {
            gauge_of(view, out, |router| match router.row.config.preempt {
                Preempt::After(delay) => delay.as_secs_f64(),
                Preempt::Never => 0.0,
            });
        }),
    gauge("keepwatch_vrrp_garp_delay_seconds", "Configured delay of the second burst of gratuitous ARP.")
        .labels(ROUTER)
        .seconds()
        .from(|view, out| gauge_of(view, out, |router| router.row.config.garp.delay.as_secs_f64())),
    counter("keepwatch_vrrp_garps_sent_total", "Gratuitous ARP messages and unsolicited neighbour advertisements sent.")
        .labels(ROUTER)
        .from(|view, out| count_of(view, out, |counters| counters.announcements_sent)),
    gauge(
        "keepwatch_vrrp_other_master",
        "1 while this node is master and has heard another one within the master down interval: split brain, seen from here.",
    )
    .labels(ROUTER)
    .from(|view, out| {
        let now = view.look.at;
        for router in &view.instances {
            let row = router.row;
            let lately = |at: u64| now.0.saturating_sub(at) <= row.master_down_ns;
            let other = row.other_master.is_some_and(|other| lately(other.at.0));
            out.flag(&router.labels(), other && row.state == State::Master);
        }
    }),
    counter("keepwatch_vrrp_other_master_adverts_total", "Adverts of another router heard while master.")
        .labels(ROUTER)
        .from(|view, out| count_of(view, out, |counters| counters.other_master_adverts)),
    gauge(
        "keepwatch_vrrp_addresses",
        "Virtual addresses: configured, and assigned, which are on an interface as the kernel says.",
    )
    .labels(&["vrrp_instance", "vrid", "family", "status"])
    .from(|view, out| {
        for router in &view.instances {
            let (all, there) = view.addresses(router).fold((0u32, 0u32), |(all, there), address| {
                (all + 1, there + u32::from(address.installed))
            });
            out.put(&router.and("configured"), all.into());
            out.put(&router.and("assigned"), there.into());
        }
    }),
    gauge("keepwatch_vrrp_address_assigned", "1 while that address is on an interface.")
    .detail()
    .labels(&["vrrp_instance", "vrid", "family", "address"])
    .from(|view, out| {
        for router in &view.instances {
            for address in view.addresses(router) {
                let name = format!("{}/{}", address.config.address, address.config.prefix);
                out.put_first(&router.and(&name), flag(address.installed));
            }
        }
    }),
    gauge(
        "keepwatch_vrrp_routes",
        "Virtual routes of instances that have some: configured; assigned, which the kernel has; missing, which a master should have.",
    )
    .labels(&["vrrp_instance", "vrid", "family", "status"])
    .from(|view, out| {
        for router in &view.instances {
            let routes = view.routes(router.row.index);
            lines(router, routes.map(|row| (row.installed, row.config.no_track)), out);
        }
    }),
    gauge(
        "keepwatch_vrrp_rules",
        "Virtual rules of instances that have some: configured; assigned, which the kernel has; missing, which a master should have.",
    )
    .labels(&["vrrp_instance", "vrid", "family", "status"])
    .from(|view, out| {
        for router in &view.instances {
            let rules = view.rules(router.row.index);
            lines(router, rules.map(|row| (row.installed, row.config.no_track)), out);
        }
    }),
    gauge(
        "keepwatch_vrrp_static",
        "Static addresses, routes and rules by kind (address, route, rule): configured, assigned, missing.",
    )
    .labels(&["kind", "status"])
    .from(|view, out| {
        let addresses = Tally::of(view.static_addresses().map(|row| (row.installed, row.config.no_track)));
        let routes = Tally::of(view.routes(0).map(|row| (row.installed, row.config.no_track)));
        let rules = Tally::of(view.rules(0).map(|row| (row.installed, row.config.no_track)));
        for (kind, tally) in [("address", addresses), ("route", routes), ("rule", rules)] {
            for (status, count) in tally.statuses(true) {
                out.put(&[kind, status], count.into());
            }
        }
    }),
    histogram("keepwatch_vrrp_advert_send_delay_seconds", "How late adverts left, all routers together.")
        .from(|view, out| out.histogram(&[], &view.look.vrrp_times().advert_delay)),
    histogram(
        "keepwatch_vrrp_takeover_duration_seconds",
        "From the end of a master's time until the last address was set and the first announcement sent.",
    )
    .from(|view, out| out.histogram(&[], &view.look.vrrp_times().takeover)),
    gauge("keepwatch_vrrp_sync_group_state", "1 for the state that the group is in, 0 for the others.")
        .labels(&["sync_group", "state"])
        .from(|view, out| {
            for group in view.sync_groups() {
                for (state, name) in STATES {
                    out.flag(&[&group.config.name, name], group.state == state);
                }
            }
        }),
];

/// Of routes, rules or static addresses.
#[derive(Default)]
struct Tally {
    all: u32,
    there: u32,
    /// Not there, but for those that anybody may remove (`no_track`).
    gone: u32,
}

impl Tally {
    /// Of each: whether the kernel has it, and whether it has `no_track`.
    fn of(those: impl Iterator<Item = (bool, bool)>) -> Tally {
        those.fold(Tally::default(), |tally, (installed, no_track)| Tally {
            all: tally.all + 1,
            there: tally.there + u32::from(installed),
            gone: tally.gone + u32::from(!installed && !no_track),
        })
    }

    /// Nothing where there are none.
    fn statuses(self, wanted: bool) -> impl Iterator<Item = (&'static str, u32)> {
        let missing = if wanted { self.gone } else { 0 };
        let all = [("configured", self.all), ("assigned", self.there), ("missing", missing)];
        all.into_iter().filter(move |_| self.all > 0)
    }
}

fn lines(router: &Router<'_>, those: impl Iterator<Item = (bool, bool)>, out: &mut Samples) {
    for (status, count) in Tally::of(those).statuses(router.row.state == State::Master) {
        out.put(&router.and(status), count.into());
    }
}

fn dropped(counters: &Counters) -> [(&'static str, u64); 9] {
    [
        ("packet_length", counters.packet_length_errors),
        ("interval", counters.advert_interval_errors),
        ("ttl", counters.ttl_errors),
        ("type", counters.invalid_type),
        ("address_list", counters.address_list_errors),
        ("auth_type", counters.invalid_auth_type),
        ("auth_mismatch", counters.auth_type_mismatch),
        ("auth_failure", counters.auth_failures),
        ("source", counters.unknown_source),
    ]
}

fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}
