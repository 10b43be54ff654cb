//! Whether an interface has a carrier, asked of its driver: MII registers, ethtool, or the flags of the interface.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libc::{c_int, c_ulong, c_void};

const SIOCETHTOOL: c_ulong = 0x8946;
const SIOCGMIIPHY: c_ulong = 0x8947;
const SIOCGMIIREG: c_ulong = 0x8948;
const SIOCGIFFLAGS: c_ulong = 0x8913;

/// The status register, and its bit for the link (IEEE 802.3 clause 22.2.4.2).
const MII_BMSR: u16 = 1;
const BMSR_LINK: u16 = 4;

const ETHTOOL_GLINK: u32 = 0x0a;

/// A socket to ask by. A driver may take milliseconds to answer, and the kernel's network lock is held meanwhile.
#[derive(Debug)]
pub struct Asker(OwnedFd);

/// `struct ifreq`: a name, and what the request is about.
#[repr(C)]
struct Request<T> {
    name: [u8; libc::IFNAMSIZ],
    data: T,
}

/// The kernel reads and writes a whole `struct ifreq`: the largest member of its union has 24 octets.
#[repr(C)]
struct Mii {
    phy: u16,
    register: u16,
    _written: u16,
    read: u16,
    _rest: [u64; 2],
}

#[repr(C)]
struct Pointer {
    data: *mut c_void,
    _rest: [u64; 2],
}

#[repr(C)]
struct Flags {
    flags: i16,
    _rest: [u16; 11],
}

#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

impl Asker {
    pub fn open() -> io::Result<Asker> {
        // SAFETY: no pointers; a negative result is checked.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor.
        Ok(Asker(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The link bit of the transceiver. It stays off after a loss until it is read: the second reading is how it is now.
    pub fn mii(&self, interface: &str) -> io::Result<bool> {
        let mut request =
            Request { name: name(interface)?, data: Mii { phy: 0, register: 0, _written: 0, read: 0, _rest: [0; 2] } };
        self.ask(SIOCGMIIPHY, &mut request)?;
        for _ in 0..2 {
            request.data.register = MII_BMSR;
            self.ask(SIOCGMIIREG, &mut request)?;
            if request.data.read & BMSR_LINK != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn ethtool(&self, interface: &str) -> io::Result<bool> {
        let mut value = EthtoolValue { command: ETHTOOL_GLINK, data: 0 };
        let data = Pointer { data: (&raw mut value).cast(), _rest: [0; 2] };
        self.ask(SIOCETHTOOL, &mut Request { name: name(interface)?, data })?;
        Ok(value.data != 0)
    }

    /// IFF_UP and IFF_RUNNING.
    pub fn running(&self, interface: &str) -> io::Result<bool> {
        let mut request = Request { name: name(interface)?, data: Flags { flags: 0, _rest: [0; 11] } };
        self.ask(SIOCGIFFLAGS, &mut request)?;
        let wanted = libc::IFF_UP | libc::IFF_RUNNING;
        Ok(c_int::from(request.data.flags) & wanted == wanted)
    }

    fn ask<T>(&self, question: c_ulong, request: &mut Request<T>) -> io::Result<()> {
        const { assert!(size_of::<Request<T>>() == 40, "a whole struct ifreq") };
        // SAFETY: `request` has the size of a struct ifreq, and lives until the call returns; what a pointer in it points to
        // is a local of the caller.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), question as _, std::ptr::from_mut(request)) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn name(interface: &str) -> io::Result<[u8; libc::IFNAMSIZ]> {
    let mut name = [0; libc::IFNAMSIZ];
    // With its end.
    if interface.len() >= name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    name.iter_mut().zip(interface.bytes()).for_each(|(place, byte)| *place = byte);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_asked_in_the_ways_that_they_support() {
        let asker = Asker::open().unwrap();
        assert!(asker.ethtool("lo").unwrap(), "loopback has its carrier always");
        assert!(asker.mii("lo").is_err(), "and no transceiver");
        let _either = asker.running("lo").unwrap();
        let answers = [asker.ethtool("no-such"), asker.mii("no-such"), asker.running("no-such")];
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
        assert!(asker.running("a name that is too long for an interface").is_err());
    }
}
