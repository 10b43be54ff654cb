//! FRR's bfdd, with the zebra that tells it of interfaces.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::net::Node;
use crate::process::{Process, run};
use crate::wait;

const PROGRAMS: &str = "/usr/lib/frr";

#[derive(Debug)]
pub struct Bfdd {
    _zebra: Process,
    process: Process,
    directory: PathBuf,
}

impl Bfdd {
    /// `peers`: what stands in the block `bfd` of its configuration.
    #[track_caller]
    pub fn start(node: &Node, peers: &str) -> Bfdd {
        assert!(Path::new(PROGRAMS).exists(), "FRR is not installed: `make setup` does that");
        let directory = node.directory().join("frr");
        std::fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        // They run as a user of their own, and make their sockets here.
        let _ = std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o1777));
        let configuration = directory.join("bfdd.conf");
        let written = std::fs::write(&configuration, format!("bfd\n{peers}\n!\n"));
        written.unwrap_or_else(|error| panic!("{}: {error}", configuration.display()));
        let zebra = launch(node, &directory, "zebra", &[]);
        let socket = directory.join("zserv.api");
        wait::until("zebra to listen", Duration::from_secs(20), || socket.exists().then_some(()));
        let control = directory.join("bfdd.sock").to_string_lossy().into_owned();
        let process = launch(node, &directory, "bfdd", &["--bfdctl", &control]);
        let bfdd = Bfdd { _zebra: zebra, process, directory };
        wait::until("bfdd to answer", Duration::from_secs(20), || bfdd.peers());
        bfdd
    }

    /// What `show bfd peers json` says; `None` while it does not answer.
    pub fn peers(&self) -> Option<Value> {
        let mut command = Command::new("vtysh");
        command.arg("--vty_socket").arg(&self.directory).args(["-d", "bfdd", "-c", "show bfd peers json"]);
        serde_json::from_slice(&run(command).stdout).ok()
    }

    /// Of the only peer: `up`, `down`, `init`, `shutdown`.
    pub fn status(&self) -> Option<String> {
        Some(self.peers()?.get(0)?.get("status")?.as_str()?.to_owned())
    }

    #[track_caller]
    pub fn wait_for(&self, status: &str, limit: Duration) {
        let there = wait::within(limit, || (self.status().as_deref() == Some(status)).then_some(()));
        assert!(there.is_some(), "bfdd is not {status}: {:#?}; it said:\n{}", self.peers(), self.process.log());
    }

    /// It hangs: nothing is sent, nothing is read.
    pub fn hang(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    pub fn go_on(&self) {
        self.process.signal(Signal::SIGCONT);
    }
}

fn launch(node: &Node, directory: &Path, name: &str, more: &[&str]) -> Process {
    let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let (program, here) = (format!("{PROGRAMS}/{name}"), directory.to_string_lossy().into_owned());
    let (socket, pid, configuration) = (file("zserv.api"), file(&format!("{name}.pid")), file(&format!("{name}.conf")));
    let mut words = vec![program.as_str(), "-u", "frr", "-g", "frr", "-P", "0", "--log", "stdout"];
    words.extend(["--vty_socket", &here, "-z", &socket, "-i", &pid, "-f", &configuration]);
    words.extend(more);
    node.spawn(name, node.command(&words))
}
