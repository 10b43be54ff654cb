//! What a configuration is held against: the interfaces, users and names of this host.

use std::net::IpAddr;

/// Questions to the host. Checks that need an answer are separate from those of the text.
pub trait Host {
    fn interfaces(&self) -> Vec<Interface>;
    /// A user by name or number, with the primary group.
    fn user(&self, name: &str) -> Option<Identity>;
    /// The id of a group, by name or number.
    fn group(&self, name: &str) -> Option<u32>;
    /// Whom this daemon runs as.
    fn own_identity(&self) -> Identity;
    /// What the library says is wrong with a regular expression and these of its options.
    fn pattern_error(&self, pattern: &str, options: &[String]) -> Option<String>;
    fn host_name(&self) -> String;
    fn environment(&self, name: &str) -> Option<String>;
    /// The first address of a host name.
    fn resolve(&self, name: &str) -> Option<IpAddr>;
    /// Whether the kernel knows a way to this address now.
    fn reaches(&self, address: IpAddr) -> bool;
    /// Whether the kernel has a module, loaded or not; `None` when that is not known.
    fn has_module(&self, name: &str) -> Option<bool> {
        let _ = name;
        None
    }
    /// False when the text is read for itself, wherever it will be used: nothing is told then that depends on a host.
    fn is_known(&self) -> bool {
        true
    }
}

/// User and group ids of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    pub name: String,
    pub up: bool,
    pub loopback: bool,
    pub multicast: bool,
    /// With prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
}

#[cfg(feature = "daemon")]
pub use local::{AnyHost, LocalHost};

#[cfg(feature = "daemon")]
mod local {
    use std::io::ErrorKind;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs, UdpSocket};

    use nix::ifaddrs::getifaddrs;
    use nix::net::if_::InterfaceFlags;
    use nix::sys::socket::SockaddrStorage;
    use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, gethostname};

    use super::{Host, Identity, Interface};
    use crate::sys::pcre2;

    /// The host this process runs on, in the network namespace of its thread.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct LocalHost;

    impl Host for LocalHost {
        fn interfaces(&self) -> Vec<Interface> {
            let mut found: Vec<Interface> = Vec::new();
            for entry in getifaddrs().into_iter().flatten() {
                let index = match found.iter().position(|known| known.name == entry.interface_name) {
                    Some(index) => index,
                    None => {
                        found.push(Interface {
                            name: entry.interface_name.clone(),
                            up: entry.flags.contains(InterfaceFlags::IFF_UP),
                            loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                            multicast: entry.flags.contains(InterfaceFlags::IFF_MULTICAST),
                            addresses: Vec::new(),
                        });
                        found.len() - 1
                    }
                };
                let address = entry.address.as_ref().and_then(ip);
                let mask = entry.netmask.as_ref().and_then(ip);
                if let (Some(interface), Some(address), Some(mask)) = (found.get_mut(index), address, mask) {
                    interface.addresses.push((address, ones(mask)));
                }
            }
            found
        }

        fn user(&self, name: &str) -> Option<Identity> {
            let by_number = || User::from_uid(Uid::from_raw(name.parse().ok()?)).ok()?;
            let user = User::from_name(name).ok().flatten().or_else(by_number)?;
            Some(Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
        }

        fn group(&self, name: &str) -> Option<u32> {
            let by_number = || Group::from_gid(Gid::from_raw(name.parse().ok()?)).ok()?;
            Some(Group::from_name(name).ok().flatten().or_else(by_number)?.gid.as_raw())
        }

        fn own_identity(&self) -> Identity {
            Identity { uid: geteuid().as_raw(), gid: getegid().as_raw() }
        }

        fn pattern_error(&self, pattern: &str, options: &[String]) -> Option<String> {
            let options = options.iter().filter_map(|name| pcre2::option(name)).fold(0, |all, bits| all | bits);
            pcre2::Regex::compile(pattern, options).err()
        }

        fn host_name(&self) -> String {
            gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        }

        fn environment(&self, name: &str) -> Option<String> {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        }

        fn resolve(&self, name: &str) -> Option<IpAddr> {
            (name, 25).to_socket_addrs().ok()?.next().map(|address| address.ip())
        }

        /// Asks for a route as a datagram would, rules and tables included; nothing is sent.
        fn reaches(&self, address: IpAddr) -> bool {
            let own: IpAddr = match address {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            /// The discard port; which one does not matter.
            const PORT: u16 = 9;
            let Ok(socket) = UdpSocket::bind((own, 0)) else { return true };
            let none = [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable];
            !socket.connect((address, PORT)).is_err_and(|error| none.contains(&error.kind()))
        }
    }

    /// No host in particular: whatever a file names may be there. Only what the text itself depends on (the name for `@ID`
    /// lines, the environment, the library for patterns) is this host's.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct AnyHost;

    impl Host for AnyHost {
        fn interfaces(&self) -> Vec<Interface> {
            Vec::new()
        }

        fn user(&self, _: &str) -> Option<Identity> {
            Some(Identity::default())
        }

        fn group(&self, _: &str) -> Option<u32> {
            Some(0)
        }

        fn own_identity(&self) -> Identity {
            Identity::default()
        }

        fn pattern_error(&self, pattern: &str, options: &[String]) -> Option<String> {
            LocalHost.pattern_error(pattern, options)
        }

        fn host_name(&self) -> String {
            LocalHost.host_name()
        }

        fn environment(&self, name: &str) -> Option<String> {
            LocalHost.environment(name)
        }

        fn resolve(&self, _: &str) -> Option<IpAddr> {
            Some(Ipv4Addr::UNSPECIFIED.into())
        }

        fn reaches(&self, _: IpAddr) -> bool {
            true
        }

        fn is_known(&self) -> bool {
            false
        }
    }

    fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    }

    fn ones(mask: IpAddr) -> u8 {
        let ones = match mask {
            IpAddr::V4(mask) => mask.to_bits().count_ones(),
            IpAddr::V6(mask) => mask.to_bits().count_ones(),
        };
        u8::try_from(ones).unwrap_or(0)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn this_host_has_a_loopback_interface_a_root_user_and_no_nonsense() {
            let interfaces = LocalHost.interfaces();
            assert!(interfaces.iter().any(|interface| interface.name == "lo" && interface.loopback), "{interfaces:?}");
            let mut names: Vec<_> = interfaces.iter().map(|interface| &interface.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), interfaces.len(), "one entry per interface");
            assert_eq!(LocalHost.user("root"), Some(Identity { uid: 0, gid: 0 }));
            assert_eq!((LocalHost.user("0"), LocalHost.group("0")), (LocalHost.user("root"), Some(0)));
            assert_eq!((LocalHost.user("no such user"), LocalHost.user("4000000000")), (None, None));
            assert_eq!(LocalHost.resolve("192.0.2.1"), Some(IpAddr::from([192, 0, 2, 1])));
            assert!(LocalHost.reaches(Ipv4Addr::LOCALHOST.into()));
        }
    }
}
