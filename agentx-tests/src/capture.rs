//! The witness: what was on the wire, by tcpdump, with the kernel's time stamps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::net::{Lab, Port};
use crate::process::Process;
use crate::wait;

/// tcpdump on every cable of a lab, at the switches' side: each frame once, as it comes in from the node that sent it.
#[derive(Debug)]
pub struct Witness {
    process: Process,
    file: PathBuf,
}

/// One frame of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Nanoseconds since 1970, taken by the kernel.
    pub at: u64,
    /// The cable it came in from: who really sent it.
    pub port: Port,
    pub mac: [u8; 6],
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Advert(Advert),
    Arp {
        request: bool,
        sender: Ipv4Addr,
        target: Ipv4Addr,
    },
    /// ICMPv6 neighbour advertisement; `target` is the address advertised.
    Neighbour {
        target: Ipv6Addr,
        unsolicited: bool,
        overrides: bool,
        router: bool,
    },
}

/// A VRRP advertisement, as far as its header can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    pub version: u8,
    pub vrid: u8,
    pub priority: u8,
    pub count: u8,
    /// Seconds in version 2, hundredths in version 3.
    pub interval: u16,
    /// All of it, from the version on.
    pub bytes: Vec<u8>,
}

impl Witness {
    #[track_caller]
    pub fn start(lab: &Lab) -> Witness {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let node = lab.switches();
        let file = node.directory().join(format!("witness{number}.pcap"));
        let path = file.to_string_lossy().into_owned();
        let filter = "ip proto 112 or ip proto 51 or ip6 proto 112 or arp or (icmp6 and ip6[40] == 136)";
        let words = [
            "tcpdump",
            "-i",
            "any",
            "-Q",
            "in",
            "-n",
            "-U",
            "-Z",
            "root",
            "--immediate-mode",
            // In immediate mode libpcap keeps a slot of this length for each frame: with the default, a burst of
            // announcements finds eight.
            "-s",
            "2048",
            "-B",
            "8192",
            "--time-stamp-precision=nano",
            "-w",
            &path,
            filter,
        ];
        let process = node.spawn(&format!("tcpdump{number}"), node.command(&words));
        process.wait_for_log("listening on", Duration::from_secs(20));
        Witness { process, file }
    }

    /// All frames so far, oldest first.
    pub fn frames(&self) -> Vec<Frame> {
        let mut frames = parse(&std::fs::read(&self.file).unwrap_or_default());
        frames.sort_by_key(|frame| frame.at); // two cables' frames may be written in either order
        frames
    }

    /// Adverts that came in from `port`, with their times.
    pub fn adverts_from(&self, port: Port) -> Vec<(u64, Advert)> {
        let frames = self.frames().into_iter().filter(|frame| frame.port == port);
        frames
            .filter_map(
                |frame| if let Content::Advert(advert) = frame.content { Some((frame.at, advert)) } else { None },
            )
            .collect()
    }

    /// Frames that the kernel could not hand to tcpdump; only known after the end.
    #[track_caller]
    pub fn stop(mut self) -> Vec<Frame> {
        self.process.signal(Signal::SIGTERM);
        self.process.wait_for_exit(Duration::from_secs(20));
        let log = self.process.log();
        let dropped = log.lines().find_map(|line| line.strip_suffix(" packets dropped by kernel"));
        assert_eq!(dropped, Some("0"), "the witness missed frames: {log}");
        self.frames()
    }

    /// Waits for an advert from `port` after `after` (ns) that fits.
    #[track_caller]
    pub fn wait_for_advert(
        &self,
        what: &str,
        port: Port,
        after: u64,
        limit: Duration,
        fits: impl Fn(&Advert) -> bool,
    ) -> (u64, Advert) {
        wait::until(what, limit, || {
            self.adverts_from(port).into_iter().find(|(at, advert)| *at > after && fits(advert))
        })
    }
}

/// Longest time between two adverts in a row, nanoseconds; with the moment it began. `None` for fewer than two.
pub fn longest_gap(adverts: &[(u64, Advert)]) -> Option<(u64, u64)> {
    adverts.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[0].0)).max()
}

/// A capture file with nanoseconds and Linux cooked headers version 2; a record still being written is left for later.
fn parse(file: &[u8]) -> Vec<Frame> {
    const NANOSECONDS: u32 = 0xa1b2_3c4d;
    let word = |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
    if word(file, 0) != Some(NANOSECONDS) {
        return Vec::new();
    }
    let mut rest = &file[file.len().min(24)..];
    let mut frames = Vec::new();
    while let (Some(seconds), Some(fraction), Some(length)) = (word(rest, 0), word(rest, 4), word(rest, 8)) {
        let Some(frame) = rest.get(16..16 + length as usize) else { break };
        rest = &rest[16 + length as usize..];
        let at = u64::from(seconds) * 1_000_000_000 + u64::from(fraction);
        frames.extend(cooked(at, frame));
    }
    frames
}

/// One frame with its cooked header: protocol, (2), interface, (4), address length and address.
fn cooked(at: u64, frame: &[u8]) -> Option<Frame> {
    let (header, payload) = frame.split_at_checked(20)?;
    let port = u32::from_be_bytes(header[4..8].try_into().ok()?);
    if port >= 10_000 {
        return None; // the bridge's own copy of what a port has received
    }
    let mac = header[12..18].try_into().ok()?;
    let content = match u16::from_be_bytes([header[0], header[1]]) {
        0x0800 => ipv4(payload)?,
        0x86dd => ipv6(payload)?,
        0x0806 => Content::Arp {
            request: payload.get(7)? == &1,
            sender: Ipv4Addr::from(<[u8; 4]>::try_from(payload.get(14..18)?).ok()?),
            target: Ipv4Addr::from(<[u8; 4]>::try_from(payload.get(24..28)?).ok()?),
        },
        _ => return None,
    };
    Some(Frame { at, port, mac, content })
}

fn ipv4(packet: &[u8]) -> Option<Content> {
    let header = usize::from(packet.first()? & 15) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let body = packet.get(header..total)?;
    let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let body = match packet.get(9)? {
        112 => body,
        // Inside an authentication header with a value of 12 octets.
        51 if body.first()? == &112 => body.get(24..)?,
        _ => return None,
    };
    advert(address(12)?, address(16)?, *packet.get(8)?, body)
}

fn ipv6(packet: &[u8]) -> Option<Content> {
    let body = packet.get(40..)?;
    let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
    match packet.get(6)? {
        112 => advert(address(8)?, address(24)?, *packet.get(7)?, body),
        58 if body.first() == Some(&136) => {
            let flags = *body.get(4)?;
            let target = Ipv6Addr::from(<[u8; 16]>::try_from(body.get(8..24)?).ok()?);
            Some(Content::Neighbour {
                target,
                unsolicited: flags & 0x40 == 0,
                overrides: flags & 0x20 != 0,
                router: flags & 0x80 != 0,
            })
        }
        _ => None,
    }
}

fn advert(source: IpAddr, destination: IpAddr, ttl: u8, bytes: &[u8]) -> Option<Content> {
    let version = bytes.first()? >> 4;
    let interval =
        if version == 2 { u16::from(*bytes.get(5)?) } else { u16::from_be_bytes([bytes.get(4)? & 15, *bytes.get(5)?]) };
    Some(Content::Advert(Advert {
        source,
        destination,
        ttl,
        version,
        vrid: *bytes.get(1)?,
        priority: *bytes.get(2)?,
        count: *bytes.get(3)?,
        interval,
        bytes: bytes.to_vec(),
    }))
}
