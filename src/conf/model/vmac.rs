//! Interfaces that VRRP makes for itself: macvlans with the virtual router's MAC (`use_vmac`) and ipvlans (`use_ipvlan`).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Family, Vrid};

/// The interfaces of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vmacs {
    /// `use_vmac` or `use_ipvlan`: has the addresses of the instance's family that were on its interface. Adverts go out
    /// by it, unless [`Self::transmit_on_base`].
    pub own: Option<Vmac>,
    /// `vmac_xmit_base`, and any unicast instance: adverts are sent and heard on the interface below.
    pub transmit_on_base: bool,
    /// `use_vmac_addr`, and `use_vmac` on the line of an address: for addresses on other interfaces or of the other family.
    pub others: Vec<Vmac>,
}

impl Vmacs {
    pub fn all(&self) -> impl Iterator<Item = &Vmac> {
        self.own.iter().chain(&self.others)
    }

    /// The interface that adverts go out by, where that is not the instance's own.
    pub fn port(&self) -> Option<&Vmac> {
        self.own.as_ref().filter(|_| !self.transmit_on_base)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vmac {
    /// At most 15 bytes.
    pub name: String,
    /// The interface below.
    pub base: String,
    pub family: Family,
    pub kind: VmacKind,
    /// `group`: the kernel's interface group, 0 unless set.
    pub group: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VmacKind {
    /// In private mode: interfaces beside it on the same base do not hear it.
    Macvlan { mac: [u8; 6] },
    /// With the MAC of its base. `address` is put on it: IPv4 adverts need a source there.
    Ipvlan { mode: IpvlanMode, address: Option<(IpAddr, u8)> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IpvlanMode {
    Bridge,
    Private,
    Vepa,
}

/// The MAC address of a virtual router: 00-00-5E-00-01-VRID for IPv4, 00-00-5E-00-02-VRID for IPv6 (RFC 9568 section
/// 7.3).
pub fn virtual_mac(family: Family, vrid: Vrid) -> [u8; 6] {
    let family = match family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    [0, 0, 0x5e, 0, family, vrid.get()]
}
