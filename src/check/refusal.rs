//! What the kernel means by refusing a change: an errno in words for an operator.

use super::plan::errno;
use super::table::{Daemon, Destination, Op, Service, ServiceId, SyncRole, flags};
use crate::conf::model::{Family, Forwarding, Protocol};

/// Why the kernel refused `op`. A phrase to follow a colon, with what to do where that is known.
///
/// IPVS sends no text with its errors, and uses one errno for many things: where several causes are possible, those
/// that the change itself shows are named.
pub fn explain(op: &Op, errno: i32) -> String {
    match errno {
        errno::EPERM => return "CAP_NET_ADMIN is missing".into(),
        errno::ENOMEM => return "the kernel is out of memory".into(),
        errno::ENOBUFS | errno::EIO | errno::ETIMEDOUT => return "the kernel's answer got lost".into(),
        errno::EOPNOTSUPP => return "this kernel's IPVS cannot do that".into(),
        errno::EAFNOSUPPORT => return "this kernel's IPVS has no IPv6".into(),
        _ => {}
    }
    let known = match op {
        Op::AddService(service) | Op::EditService(service) => explain_service(service, errno),
        Op::DeleteService(id) => explain_missing(id, errno),
        Op::AddDestination(id, destination) | Op::EditDestination(id, destination) => {
            explain_destination(id, destination, errno)
        }
        Op::DeleteDestination(id, destination) => match errno {
            errno::ENOENT => Some(format!("the kernel has no real server {destination} in {id}")),
            _ => explain_missing(id, errno),
        },
        Op::Flush => None,
        Op::Timeouts { .. } => (errno == errno::EINVAL).then(|| "a time-out is too long for the kernel".to_owned()),
        Op::StartDaemon(daemon) => explain_daemon(daemon, errno),
        Op::StopDaemon { role, .. } => {
            (errno == errno::ESRCH).then(|| format!("no {} synchronisation runs", role_name(*role)))
        }
    };
    known.unwrap_or_else(|| std::io::Error::from_raw_os_error(errno).to_string())
}

fn explain_missing(id: &ServiceId, errno: i32) -> Option<String> {
    (errno == errno::ESRCH).then(|| format!("the kernel has no virtual server {id}"))
}

fn explain_service(service: &Service, errno: i32) -> Option<String> {
    let scheduler = &service.scheduler;
    let without_scheduler = || format!("scheduler {scheduler} is not known to the kernel (module ip_vs_{scheduler})");
    Some(match errno {
        errno::EEXIST => format!("the kernel has a virtual server {} already", service.id),
        errno::ESRCH => format!("the kernel has no virtual server {}", service.id),
        errno::ENOENT => match &service.engine {
            None => without_scheduler(),
            Some(engine) => {
                format!("{}, or persistence engine {engine} is not (module ip_vs_pe_{engine})", without_scheduler())
            }
        },
        errno::EINVAL | errno::ERANGE if scheduler.len() > NAME_MAX => {
            format!("scheduler {scheduler} has a name that is too long for the kernel")
        }
        errno::EINVAL if service.flags & flags::ONE_PACKET != 0 && !is_datagram(&service.id) => {
            "one-packet scheduling is for UDP".into()
        }
        errno::EINVAL if service.id.family() == Family::V6 && !(1..=128).contains(&service.netmask) => {
            format!("{} is no prefix length of persistence for IPv6", service.netmask)
        }
        errno::EINVAL => format!("the kernel does not take this combination of settings with scheduler {scheduler}"),
        errno::EPROTONOSUPPORT => "this kernel's IPVS does not know the protocol".into(),
        _ => return None,
    })
}

/// Of a scheduler, without the NUL.
const NAME_MAX: usize = 15;

fn is_datagram(id: &ServiceId) -> bool {
    match id {
        ServiceId::Address { protocol, .. } => *protocol == Protocol::Udp,
        ServiceId::Mark { .. } => true,
    }
}

fn explain_destination(id: &ServiceId, destination: &Destination, errno: i32) -> Option<String> {
    let mixed = Family::of(destination.id.address) != id.family();
    let tunnel = matches!(destination.forwarding, Forwarding::Tunnel(_));
    Some(match errno {
        errno::EEXIST => format!("the kernel has a real server {} in {id} already", destination.id),
        errno::ENOENT => format!("the kernel has no real server {} in {id}", destination.id),
        errno::ERANGE if destination.weight > WEIGHT_MAX => {
            format!("weight {} is above {WEIGHT_MAX}", destination.weight)
        }
        errno::ERANGE if destination.lower_threshold > destination.upper_threshold => format!(
            "the lower threshold {} is above the upper one {}",
            destination.lower_threshold, destination.upper_threshold
        ),
        errno::EINVAL if mixed && !tunnel => {
            "a real server of the other address family can be reached by a tunnel only".into()
        }
        errno::EINVAL if mixed => "real servers of the other address family exclude connection synchronisation".into(),
        errno::EINVAL => {
            format!("{} is no unicast address, or the loopback interface is down", destination.id.address)
        }
        _ => return explain_missing(id, errno),
    })
}

/// The kernel's weights are signed.
const WEIGHT_MAX: u32 = i32::MAX.cast_unsigned();

fn explain_daemon(daemon: &Daemon, errno: i32) -> Option<String> {
    let interface = &daemon.interface;
    Some(match errno {
        errno::EEXIST => format!("{} synchronisation runs already", role_name(daemon.role)),
        errno::ENODEV => format!("there is no interface {interface}"),
        errno::EADDRNOTAVAIL => format!("interface {interface} has no address of the group's family"),
        errno::ERANGE => format!("the name of interface {interface} is too long"),
        errno::EINVAL => format!(
            "interface {interface} is not up or cannot send multicast, or real servers of another address family exist"
        ),
        _ => return None,
    })
}

fn role_name(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::table::{DestinationId, SyncRole};

    fn service(scheduler: &str) -> Service {
        let id =
            ServiceId::Address { protocol: Protocol::Tcp, address: "192.0.2.1".parse().expect("an address"), port: 80 };
        Service { id, scheduler: scheduler.into(), flags: 0, timeout_s: 0, netmask: u32::MAX, engine: None }
    }

    fn destination(address: &str) -> Destination {
        Destination {
            id: DestinationId { address: address.parse().expect("an address"), port: 80 },
            forwarding: Forwarding::Nat,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            local: false,
        }
    }

    #[test]
    fn an_unknown_scheduler_names_the_module_that_is_missing() {
        let said = explain(&Op::AddService(service("wrr")), errno::ENOENT);
        assert_eq!(said, "scheduler wrr is not known to the kernel (module ip_vs_wrr)");
    }

    #[test]
    fn enoent_of_a_service_with_an_engine_may_mean_either() {
        let service = Service { engine: Some("sip".into()), ..service("rr") };
        let said = explain(&Op::AddService(service), errno::ENOENT);
        assert!(said.contains("ip_vs_rr") && said.contains("ip_vs_pe_sip"), "{said}");
    }

    #[test]
    fn the_numbers_at_fault_are_named() {
        let id = service("rr").id;
        let heavy = Destination { weight: 1 << 31, ..destination("192.0.2.9") };
        assert_eq!(explain(&Op::AddDestination(id, heavy), errno::ERANGE), "weight 2147483648 is above 2147483647");
        let upside_down = Destination { upper_threshold: 5, lower_threshold: 9, ..destination("192.0.2.9") };
        let said = explain(&Op::EditDestination(id, upside_down), errno::ERANGE);
        assert_eq!(said, "the lower threshold 9 is above the upper one 5");
    }

    #[test]
    fn a_real_server_of_the_other_family_is_told_to_use_a_tunnel() {
        let said = explain(&Op::AddDestination(service("rr").id, destination("2001:db8::9")), errno::EINVAL);
        assert!(said.contains("tunnel"), "{said}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let id = service("rr").id;
        let gone = destination("192.0.2.9");
        assert_eq!(explain(&Op::DeleteService(id), errno::ESRCH), "the kernel has no virtual server 192.0.2.1:80/tcp");
        assert_eq!(
            explain(&Op::EditDestination(id, gone), errno::ENOENT),
            "the kernel has no real server 192.0.2.9:80 in 192.0.2.1:80/tcp"
        );
        let stop = Op::StopDaemon { role: SyncRole::Backup, id: 1 };
        assert_eq!(explain(&stop, errno::ESRCH), "no backup synchronisation runs");
    }

    #[test]
    fn an_errno_that_nobody_expects_is_told_as_the_system_does() {
        assert!(explain(&Op::Flush, errno::EBUSY).contains("busy"));
    }
}
