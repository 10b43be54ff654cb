//! Interfaces of our own: macvlans and ipvlans, made, set up and deleted. Start at [`Links::make`].
//!
//! Every call here is answered inside the system call that asks, and takes as long as the kernel does: a tenth of a
//! millisecond to make an interface, and some milliseconds to delete one or all, since the kernel waits for packets in
//! flight once for each call.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NLMSG_DONE};

use super::generic::Attributes;
use super::socket::{self, Arrival, NETLINK_ROUTE, Socket};
use crate::conf::model::{Family, IpvlanMode, VmacKind};
use crate::vrrp::io::{IfIndex, WantedVmac};

/// An interface as the kernel lists it, as far as it tells whether it is one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub index: IfIndex,
    pub name: String,
    /// `macvlan`, `ipvlan`, `vrf`, ...; none for a card.
    pub kind: Option<String>,
    /// The interface below.
    pub base: Option<IfIndex>,
    pub master: Option<IfIndex>,
    pub mac: Option<[u8; 6]>,
    pub alias: Option<String>,
    /// MACVLAN_MODE_*, or IPVLAN_MODE_* and IPVLAN_F_* in the upper half.
    pub mode: Option<u32>,
}

impl Found {
    /// Whether this is what was wanted, whoever made it.
    pub fn is(&self, wanted: &WantedVmac) -> bool {
        let mac = match wanted.kind {
            VmacKind::Macvlan { mac } => self.mac == Some(mac),
            VmacKind::Ipvlan { .. } => true,
        };
        let (kind, mode) = describe(&wanted.kind);
        let there = (self.kind.as_deref(), self.base, self.mode);
        self.name == wanted.name && mac && there == (Some(kind), Some(wanted.base), Some(mode))
    }
}

/// What the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub name: String,
    pub errno: i32,
    /// Its own words, or those of the errno.
    pub text: String,
}

#[derive(Debug)]
pub struct Links {
    socket: Socket,
}

impl Links {
    pub fn open() -> io::Result<Links> {
        Ok(Links { socket: Socket::open_blocking(NETLINK_ROUTE, PATIENCE)? })
    }

    /// Every interface of the namespace.
    pub fn list(&mut self) -> io::Result<Vec<Found>> {
        let sequence = self.socket.next_sequence();
        let mut batch = Vec::new();
        socket::append_bytes(&mut batch, libc::RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, sequence, &header(0, 0, 0));
        self.socket.send(&batch)?;
        let mut found = Vec::new();
        loop {
            match self.socket.receive()? {
                Arrival::Nothing => return Err(io::ErrorKind::TimedOut.into()),
                Arrival::Overrun => {}
                Arrival::Messages(messages) => {
                    for message in messages.filter(|message| message.sequence == sequence) {
                        if let Some(errno) = message.answer().and_then(|answer| answer.errno) {
                            return Err(io::Error::from_raw_os_error(errno));
                        }
                        match message.kind {
                            NLMSG_DONE => return Ok(found),
                            libc::RTM_NEWLINK => found.extend(parse(message.payload)),
                            _ => {}
                        }
                    }
                }
            }
        }
    }

    /// Makes interfaces; they are down. With `master` the new ones are put into a VRF.
    pub fn make(&mut self, wanted: &[(&WantedVmac, Option<IfIndex>)]) -> io::Result<Vec<Refused>> {
        self.each(wanted, |(wanted, master)| {
            let mut attributes = Attributes::default();
            attributes.put_text(libc::IFLA_IFNAME, &wanted.name);
            attributes.put_u32(libc::IFLA_LINK, wanted.base);
            if let VmacKind::Macvlan { mac } = &wanted.kind {
                attributes.put(libc::IFLA_ADDRESS, mac);
            }
            if wanted.group != 0 {
                attributes.put_u32(libc::IFLA_GROUP, wanted.group);
            }
            if let Some(master) = master {
                attributes.put_u32(libc::IFLA_MASTER, *master);
            }
            attributes.put_nest(libc::IFLA_LINKINFO, &link_info(&wanted.kind));
            vec![Request {
                kind: libc::RTM_NEWLINK,
                flags: NLM_F_CREATE | NLM_F_EXCL,
                name: &wanted.name,
                payload: [&header(0, 0, 0), attributes.bytes()].concat(),
                may_fail: false,
            }]
        })
    }

    /// Gives them what they need before they come up: our mark, no address of the kernel's making, and answers to ARP for
    /// their own addresses only.
    pub fn set_up(&mut self, wanted: &[&WantedVmac], mark: &str) -> io::Result<Vec<Refused>> {
        self.each(wanted, |wanted| {
            let mut alias = Attributes::default();
            alias.put_text(libc::IFLA_IFNAME, &wanted.name).put_text(libc::IFLA_IFALIAS, mark);
            let mut requests = vec![change(wanted, &alias, false)];
            let mut settings = Attributes::default();
            settings.put_u32(IPV4_DEVCONF_ARP_IGNORE, 1);
            if wanted.family == Family::V4 {
                // Packets come in here whose answers leave by the base.
                settings.put_u32(IPV4_DEVCONF_RP_FILTER, 0);
                settings.put_u32(IPV4_DEVCONF_ACCEPT_LOCAL, 1);
                settings.put_u32(IPV4_DEVCONF_PROMOTE_SECONDARIES, 1);
            }
            requests.push(change(wanted, &for_family(wanted, libc::AF_INET, IFLA_INET_CONF, &settings), false));
            if matches!(wanted.kind, VmacKind::Macvlan { .. }) {
                let mut inner = Attributes::default();
                inner.put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
                let mut families = Attributes::default();
                families.put_nest(libc::AF_INET6 as u16, &inner);
                let mut attributes = Attributes::default();
                attributes.put_text(libc::IFLA_IFNAME, &wanted.name).put_nest(libc::IFLA_AF_SPEC, &families);
                // A kernel without IPv6 makes no addresses anyway.
                requests.push(change(wanted, &attributes, true));
            }
            requests
        })
    }

    pub fn bring_up(&mut self, wanted: &[&WantedVmac]) -> io::Result<Vec<Refused>> {
        self.each(wanted, |wanted| {
            let mut attributes = Attributes::default();
            attributes.put_text(libc::IFLA_IFNAME, &wanted.name);
            let up = libc::IFF_UP as u32;
            vec![Request {
                kind: libc::RTM_NEWLINK,
                flags: 0,
                name: &wanted.name,
                payload: [&header(0, up, up), attributes.bytes()].concat(),
                may_fail: false,
            }]
        })
    }

    /// Gives or takes the address that an interface has of its own ([`WantedVmac::own`]). An IPv6 one is deprecated, so that
    /// nothing leaves from it but what asks for it.
    pub fn address(
        &mut self,
        name: &str,
        index: IfIndex,
        address: IpAddr,
        prefix: u8,
        give: bool,
    ) -> io::Result<Vec<Refused>> {
        let mut refused = self.each(&[()], |()| {
            let mut attributes = Attributes::default();
            let octets = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            attributes.put(libc::IFA_LOCAL, &octets).put(libc::IFA_ADDRESS, &octets);
            if give && address.is_ipv6() {
                attributes.put_u32(libc::IFA_FLAGS, libc::IFA_F_NODAD);
                // ifa_cacheinfo: preferred and valid lifetime, two time stamps that are the kernel's.
                let cache: Vec<u8> = [0, u32::MAX, 0, 0].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
                attributes.put(libc::IFA_CACHEINFO, &cache);
            }
            let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
            let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
            let scope = if link_local { libc::RT_SCOPE_LINK } else { libc::RT_SCOPE_UNIVERSE };
            let mut payload = vec![family, prefix, 0, scope];
            payload.extend_from_slice(&index.to_ne_bytes());
            payload.extend_from_slice(attributes.bytes());
            let (kind, flags) =
                if give { (libc::RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE) } else { (libc::RTM_DELADDR, 0) };
            vec![Request { kind, flags, name, payload, may_fail: false }]
        })?;
        refused.retain(|it| give || !matches!(it.errno, libc::EADDRNOTAVAIL | libc::ENODEV));
        Ok(refused)
    }

    /// Deletes interfaces, however many, in one piece: they are put into a group that nobody else uses, and the kernel
    /// deletes that.
    pub fn delete(&mut self, those: &[(IfIndex, String)]) -> io::Result<Vec<Refused>> {
        if let [(index, name)] = those {
            return self.each(&[()], |()| vec![deletion(*index, &Attributes::default(), name)]);
        }
        if those.is_empty() {
            return Ok(Vec::new());
        }
        let mut group = Attributes::default();
        group.put_u32(libc::IFLA_GROUP, GROUP | std::process::id() & 0xffff);
        let mut refused = self.each(those, |(index, name)| {
            let payload = [&header(*index, 0, 0), group.bytes()].concat();
            vec![Request { kind: libc::RTM_NEWLINK, flags: 0, name, payload, may_fail: false }]
        })?;
        // Gone already is as good.
        refused.retain(|it| it.errno != libc::ENODEV);
        refused.extend(self.each(&[()], |()| vec![deletion(0, &group, "all of ours")])?);
        refused.retain(|it| it.errno != libc::ENODEV);
        Ok(refused)
    }

    /// Sends what `requests` makes of each item, some items at a time, and collects refusals: of one item the first, and
    /// those that matter.
    fn each<'a, T>(
        &mut self,
        items: &'a [T],
        requests: impl Fn(&'a T) -> Vec<Request<'a>>,
    ) -> io::Result<Vec<Refused>> {
        let mut refused: Vec<Refused> = Vec::new();
        for items in items.chunks(CHUNK) {
            let mut batch = Vec::new();
            let mut sent = Vec::new();
            for request in items.iter().flat_map(&requests) {
                let sequence = self.socket.next_sequence();
                let flags = NLM_F_REQUEST | NLM_F_ACK | request.flags;
                socket::append_bytes(&mut batch, request.kind, flags, sequence, &request.payload);
                sent.push((sequence, request));
            }
            self.socket.send(&batch)?;
            while !sent.is_empty() {
                let messages = match self.socket.receive()? {
                    Arrival::Nothing | Arrival::Overrun => return Err(io::ErrorKind::TimedOut.into()),
                    Arrival::Messages(messages) => messages,
                };
                for message in messages {
                    let Some(answer) = message.answer() else { continue };
                    let Some(at) = sent.iter().position(|(sequence, _)| *sequence == message.sequence) else {
                        continue;
                    };
                    let (_, request) = sent.swap_remove(at);
                    let Some(errno) = answer.errno.filter(|_| !request.may_fail) else { continue };
                    if refused.last().is_some_and(|last| last.name == request.name) {
                        continue;
                    }
                    let text = answer.text.unwrap_or_else(|| io::Error::from_raw_os_error(errno).to_string());
                    refused.push(Refused { name: request.name.to_owned(), errno, text });
                }
            }
        }
        Ok(refused)
    }
}

struct Request<'a> {
    kind: u16,
    flags: u16,
    /// Whom it is about.
    name: &'a str,
    payload: Vec<u8>,
    may_fail: bool,
}

/// The kernel answers inside the system call, but may wait for another holder of its lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Interfaces per system call: their answers fit a receive buffer.
const CHUNK: usize = 24;

/// Marks interfaces that are about to go; the lower half is our process id.
const GROUP: u32 = 0x6b77_0000;

// linux/ip.h, linux/if_link.h, linux/inetdevice.h
const IPV4_DEVCONF_RP_FILTER: u16 = 8;
const IPV4_DEVCONF_ARP_IGNORE: u16 = 19;
const IPV4_DEVCONF_PROMOTE_SECONDARIES: u16 = 20;
const IPV4_DEVCONF_ACCEPT_LOCAL: u16 = 23;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const MACVLAN_MODE_PRIVATE: u32 = 1;
const IPVLAN_MODE_L2: u16 = 0;
const IPVLAN_F_PRIVATE: u16 = 1;
const IPVLAN_F_VEPA: u16 = 2;

/// `ifinfomsg` (rtnetlink(7)).
fn header(index: IfIndex, flags: u32, change: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let words = [index, flags, change];
    for (place, word) in bytes.iter_mut().skip(4).zip(words.iter().flat_map(|word| word.to_ne_bytes())) {
        *place = word;
    }
    bytes
}

const HEADER: usize = 16;

fn change<'a>(wanted: &'a WantedVmac, attributes: &Attributes, may_fail: bool) -> Request<'a> {
    let payload = [&header(0, 0, 0), attributes.bytes()].concat();
    Request { kind: libc::RTM_NEWLINK, flags: 0, name: &wanted.name, payload, may_fail }
}

fn deletion<'a>(index: IfIndex, attributes: &Attributes, name: &'a str) -> Request<'a> {
    let payload = [&header(index, 0, 0), attributes.bytes()].concat();
    Request { kind: libc::RTM_DELLINK, flags: 0, name, payload, may_fail: false }
}

/// IFLA_AF_SPEC with the settings of one family.
fn for_family(wanted: &WantedVmac, family: i32, kind: u16, settings: &Attributes) -> Attributes {
    let mut inner = Attributes::default();
    inner.put_nest(kind, settings);
    let mut families = Attributes::default();
    families.put_nest(u16::try_from(family).unwrap_or(0), &inner);
    let mut attributes = Attributes::default();
    attributes.put_text(libc::IFLA_IFNAME, &wanted.name).put_nest(libc::IFLA_AF_SPEC, &families);
    attributes
}

/// Name and mode as [`Found`] has them.
fn describe(kind: &VmacKind) -> (&'static str, u32) {
    match kind {
        VmacKind::Macvlan { .. } => ("macvlan", MACVLAN_MODE_PRIVATE),
        VmacKind::Ipvlan { mode, .. } => {
            let flags = match mode {
                IpvlanMode::Bridge => 0,
                IpvlanMode::Private => IPVLAN_F_PRIVATE,
                IpvlanMode::Vepa => IPVLAN_F_VEPA,
            };
            ("ipvlan", u32::from(flags) << 16 | u32::from(IPVLAN_MODE_L2))
        }
    }
}

fn link_info(kind: &VmacKind) -> Attributes {
    let (name, mode) = describe(kind);
    let mut data = Attributes::default();
    match kind {
        VmacKind::Macvlan { .. } => {
            data.put_u32(IFLA_MACVLAN_MODE, mode);
        }
        VmacKind::Ipvlan { .. } => {
            data.put_u16(IFLA_IPVLAN_MODE, IPVLAN_MODE_L2);
            data.put_u16(IFLA_IPVLAN_FLAGS, u16::try_from(mode >> 16).unwrap_or(0));
        }
    }
    let mut info = Attributes::default();
    info.put_text(IFLA_INFO_KIND, name).put_nest(IFLA_INFO_DATA, &data);
    info
}

fn parse(payload: &[u8]) -> Option<Found> {
    let (header, attributes) = payload.split_first_chunk::<HEADER>()?;
    let index = IfIndex::from_ne_bytes(*header.get(4..)?.first_chunk()?);
    let mut found =
        Found { index, name: String::new(), kind: None, base: None, master: None, mac: None, alias: None, mode: None };
    for (kind, value) in socket::attributes(attributes) {
        match kind {
            libc::IFLA_IFNAME => found.name = text(value),
            libc::IFLA_IFALIAS => found.alias = Some(text(value)),
            libc::IFLA_LINK => found.base = word(value),
            libc::IFLA_MASTER => found.master = word(value),
            libc::IFLA_ADDRESS => found.mac = value.try_into().ok(),
            libc::IFLA_LINKINFO => (found.kind, found.mode) = parse_info(value),
            _ => {}
        }
    }
    Some(found)
}

fn parse_info(info: &[u8]) -> (Option<String>, Option<u32>) {
    let of = |attributes, wanted| socket::attributes(attributes).find(|(kind, _)| *kind == wanted).map(|(_, it)| it);
    let Some(kind) = of(info, IFLA_INFO_KIND).map(text) else { return (None, None) };
    let half = |value: &[u8]| value.first_chunk().map(|bytes| u32::from(u16::from_ne_bytes(*bytes)));
    let mode = of(info, IFLA_INFO_DATA).and_then(|data| match kind.as_str() {
        "macvlan" => of(data, IFLA_MACVLAN_MODE).and_then(word),
        "ipvlan" => {
            let flags = of(data, IFLA_IPVLAN_FLAGS).and_then(half).unwrap_or(0);
            Some(flags << 16 | of(data, IFLA_IPVLAN_MODE).and_then(half)?)
        }
        _ => None,
    });
    (Some(kind), mode)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

fn word(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(kind: VmacKind) -> WantedVmac {
        WantedVmac { name: "vrrp.51".into(), base: 7, family: Family::V4, kind, group: 0, own: None }
    }

    /// As the kernel tells of what `make` asks for.
    fn told(wanted: &WantedVmac, mac: [u8; 6]) -> Vec<u8> {
        let mut attributes = Attributes::default();
        attributes.put_text(libc::IFLA_IFNAME, &wanted.name).put(libc::IFLA_ADDRESS, &mac);
        attributes.put_u32(libc::IFLA_LINK, wanted.base).put_nest(libc::IFLA_LINKINFO, &link_info(&wanted.kind));
        [&header(12, 0, 0), attributes.bytes()].concat()
    }

    #[test]
    fn an_interface_is_taken_over_only_if_it_is_what_was_wanted() {
        let mac = [0, 0, 0x5e, 0, 1, 51];
        let macvlan = wanted(VmacKind::Macvlan { mac });
        let found = parse(&told(&macvlan, mac)).unwrap();
        assert_eq!((found.index, found.name.as_str()), (12, "vrrp.51"));
        assert!(found.is(&macvlan));
        assert!(!found.is(&WantedVmac { base: 8, ..macvlan.clone() }), "another base");
        assert!(!parse(&told(&macvlan, [2; 6])).unwrap().is(&macvlan), "another MAC");
        let ipvlan = |mode| wanted(VmacKind::Ipvlan { mode, address: None });
        let found = parse(&told(&ipvlan(IpvlanMode::Vepa), [2; 6])).unwrap();
        assert!(found.is(&ipvlan(IpvlanMode::Vepa)));
        assert!(!found.is(&ipvlan(IpvlanMode::Bridge)), "another mode");
        assert!(!found.is(&macvlan), "another kind");
    }

    #[test]
    fn a_card_has_neither_kind_nor_base() {
        let mut attributes = Attributes::default();
        attributes.put_text(libc::IFLA_IFNAME, "eth0");
        let found = parse(&[&header(2, 0, 0), attributes.bytes()].concat()).unwrap();
        assert_eq!((found.name.as_str(), found.kind, found.base, found.mode), ("eth0", None, None, None));
    }

    proptest! {
        #[test]
        fn no_news_of_a_link_panics(bytes in prop::collection::vec(any::<u8>(), 0..96)) {
            parse(&bytes);
        }
    }
}
