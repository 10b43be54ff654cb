//! `disable_local_igmp`: the kernel's reports for groups of the local network, which VRRP's is among, are turned off while
//! this process runs. No router needs them: adverts do not leave the link, and snooping switches flood these groups
//! (RFC 4541 section 2.1.2).

use tracing::warn;

/// Of the network namespace; 1 unless somebody said otherwise.
const SETTING: &str = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";

/// What the setting was before, for as long as it is ours.
#[derive(Debug)]
pub struct Silence {
    before: String,
}

impl Silence {
    /// Turns reports off, if the kernel lets us (Linux 4.3).
    pub fn begin() -> Option<Silence> {
        let before = std::fs::read_to_string(SETTING).and_then(|before| {
            std::fs::write(SETTING, "0")?;
            Ok(before)
        });
        let complaint =
            |error: &std::io::Error| warn!("disable_local_igmp has no effect, cannot set {SETTING}: {error}");
        before.inspect_err(complaint).ok().map(|before| Silence { before })
    }

    pub fn end(self) {
        if let Err(error) = std::fs::write(SETTING, self.before) {
            warn!("cannot set {SETTING} back: {error}");
        }
    }
}
