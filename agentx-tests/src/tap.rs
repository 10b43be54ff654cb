//! What programs of a namespace ask the kernel's IPVS for: generic netlink as an `nlmon` device hears it. Start at [`Tap`].

use std::path::PathBuf;
use std::time::Duration;

use crate::ipvsadm::ipvsadm;
use crate::net::Node;
use crate::process::Process;
use crate::wait;

/// Hears every request for IPVS from here on.
#[derive(Debug)]
pub struct Tap {
    _process: Process,
    node: Node,
    file: PathBuf,
}

/// `IPVS_CMD_*`: what changes something in the kernel.
pub mod command {
    pub const NEW_SERVICE: u8 = 1;
    pub const SET_SERVICE: u8 = 2;
    pub const DEL_SERVICE: u8 = 3;
    pub const NEW_DEST: u8 = 5;
    pub const SET_DEST: u8 = 6;
    pub const DEL_DEST: u8 = 7;
    pub const SET_CONFIG: u8 = 12;
}

/// Those that only read: services, destinations, daemons, time-outs, the version.
const READS: [u8; 5] = [4, 8, 11, 13, 15];

impl Tap {
    /// Listens when it returns. One for each node.
    #[track_caller]
    pub fn start(node: &Node) -> Tap {
        node.ip(&["link", "add", "nlmon0", "type", "nlmon"]);
        node.ip(&["link", "set", "nlmon0", "up"]);
        let file = node.directory().join("nlmon.pcap");
        let path = file.to_string_lossy().into_owned();
        let words = ["tcpdump", "-i", "nlmon0", "-U", "-Z", "root", "--immediate-mode", "-B", "8192", "-w", &path];
        let process = node.spawn("tcpdump-nlmon", node.command(&words));
        process.wait_for_log("listening on", Duration::from_secs(60));
        Tap { _process: process, node: node.clone(), file }
    }

    /// What changed the kernel's table, or was to, while `work` ran; in order.
    #[track_caller]
    pub fn changes(&self, work: impl FnOnce()) -> Vec<u8> {
        let before = self.mark();
        work();
        let after = self.mark();
        self.heard().get(before..after.saturating_sub(1)).unwrap_or_default().to_vec()
    }

    /// Makes a mark in what is heard, by a command that changes nothing, and waits until it is there. Gives how many
    /// changes were heard, the mark included.
    #[track_caller]
    fn mark(&self) -> usize {
        let marks = |heard: &[u8]| heard.iter().filter(|it| **it == command::SET_CONFIG).count();
        let before = marks(&self.heard());
        ipvsadm(&self.node, "--set 0 0 0");
        wait::until("the tap to hear a mark", Duration::from_secs(60), || {
            let heard = self.heard();
            (marks(&heard) > before).then_some(heard.len())
        })
    }

    fn heard(&self) -> Vec<u8> {
        let commands = commands(&std::fs::read(&self.file).unwrap_or_default());
        commands.into_iter().filter(|command| !READS.contains(command)).collect()
    }
}

/// Commands of generic netlink requests in a capture file of LINKTYPE_NETLINK, those to its controller left out: IPVS is
/// the only other family that anybody speaks in a lab.
fn commands(file: &[u8]) -> Vec<u8> {
    const GENERIC: [u8; 2] = [0, 16];
    const CONTROLLER: u16 = 16;
    const REQUEST: u16 = 1;
    let word = |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
    let half = |bytes: &[u8], at: usize| bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    let mut found = Vec::new();
    let mut rest = &file[file.len().min(24)..];
    while let Some(length) = word(rest, 8) {
        let Some(packet) = rest.get(16..16 + length as usize) else { break };
        rest = &rest[16 + length as usize..];
        if packet.get(14..16) != Some(&GENERIC) {
            continue;
        }
        let mut messages = &packet[16..];
        while let (Some(length), Some(kind), Some(flags)) = (word(messages, 0), half(messages, 4), half(messages, 6)) {
            if kind > CONTROLLER && flags & REQUEST != 0 {
                found.extend(messages.get(16));
            }
            let next = (length.max(16) as usize).next_multiple_of(4);
            messages = messages.get(next..).unwrap_or_default();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, command: u8) -> Vec<u8> {
        let mut bytes = 20_u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend([command, 1, 0, 0]);
        bytes
    }

    fn packet(family: u8, messages: &[Vec<u8>]) -> Vec<u8> {
        let payload = messages.concat();
        let mut bytes = [0; 8].to_vec();
        let length = 16 + payload.len() as u32;
        bytes.extend([length.to_ne_bytes(), length.to_ne_bytes()].concat());
        bytes.extend([0; 15]);
        bytes.push(family);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn requests_to_ipvs_are_heard_and_nothing_else() {
        let (ours, answer, controller) = (message(30, 5, 6), message(30, 0, 4), message(16, 1, 3));
        let mut file = [0; 24].to_vec();
        file.extend(packet(16, &[ours.clone(), message(30, 5, 5)]));
        file.extend(packet(16, &[answer]));
        file.extend(packet(16, &[controller]));
        file.extend(packet(0, std::slice::from_ref(&ours)));
        let whole = file.clone();
        file.extend(&packet(16, &[ours])[..30]);
        assert_eq!((commands(&whole), commands(&file)), (vec![6, 5], vec![6, 5]));
    }
}
