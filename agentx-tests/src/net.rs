//! Namespaces, switches and cables.
//!
//! A [`Lab`] has one namespace for all of its switches (bridges) and one per [`Node`]. Every cable is a veth pair from a
//! node to a bridge; the switch's end has a number ([`Port`]) by which a witness knows who sent a frame, whatever
//! the frame says.

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::janitor;
use crate::process::{Process, must, run};

/// Interface number of a switch's end of a cable, unique in its lab.
pub type Port = u32;

/// Everything of one experiment. Dropping it kills what runs in its namespaces and removes them.
#[derive(Debug)]
pub struct Lab {
    shared: Rc<Shared>,
    switches: Node,
}

#[derive(Debug)]
struct Shared {
    prefix: String,
    directory: PathBuf,
    namespaces: RefCell<Vec<String>>,
    ports: RefCell<Vec<(Port, String, String)>>,
    next: AtomicU32,
}

/// A host: one network namespace.
#[derive(Debug, Clone)]
pub struct Node {
    name: String,
    namespace: String,
    shared: Rc<Shared>,
}

/// A switch: one bridge, without spanning tree and without multicast snooping.
#[derive(Debug, Clone)]
pub struct Switch {
    bridge: String,
}

/// How one end of a cable looks to its node.
#[derive(Debug, Clone, Default)]
pub struct Nic<'a> {
    pub name: &'a str,
    pub index: Option<u32>,
    pub mac: Option<&'a str>,
    /// With prefix length.
    pub addresses: &'a [&'a str],
}

/// Bridges are numbered from here, so that frames a bridge hands to its own host are told from those on its ports.
const FIRST_BRIDGE: u32 = 10_000;

impl Lab {
    #[track_caller]
    pub fn new() -> Lab {
        assert!(geteuid().is_root(), "the lab makes network namespaces: run it as root");
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("{}{}", janitor::prefix(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = janitor::directory().join(&prefix);
        std::fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let shared = Rc::new(Shared {
            prefix,
            directory,
            namespaces: RefCell::default(),
            ports: RefCell::default(),
            next: AtomicU32::new(0),
        });
        let switches = Node::new("sw", &shared);
        Lab { shared, switches }
    }

    /// Scratch directory, removed with the lab. Short, as paths of Unix sockets must be.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    #[track_caller]
    pub fn node(&self, name: &str) -> Node {
        Node::new(name, &self.shared)
    }

    #[track_caller]
    pub fn switch(&self) -> Switch {
        let number = self.shared.number();
        let bridge = format!("br{number}");
        let index = (FIRST_BRIDGE + number).to_string();
        self.switches.ip(&["link", "add", &bridge, "index", &index, "type", "bridge", "mcast_snooping", "0"]);
        self.switches.ip(&["link", "set", &bridge, "up"]);
        Switch { bridge }
    }

    /// Plugs a new interface of `node` into `switch`.
    #[track_caller]
    pub fn connect(&self, node: &Node, switch: &Switch, nic: Nic<'_>) -> Port {
        let port = 100 + self.shared.number();
        let (end, index) = (format!("p{port}"), port.to_string());
        // iproute2 passes the peer's index on only if the first end has one, too.
        let own = nic.index.unwrap_or(1000 + port).to_string();
        let mut add = vec!["link", "add", nic.name, "index", &own];
        if let Some(mac) = nic.mac {
            add.extend(["address", mac]);
        }
        add.extend(["type", "veth", "peer", "name", &end, "netns", &self.switches.namespace, "index", &index]);
        node.ip(&add);
        for address in nic.addresses {
            let mut add = vec!["address", "add", address, "dev", nic.name];
            if address.contains(':') {
                add.push("nodad");
            }
            node.ip(&add);
        }
        self.switches.ip(&["link", "set", &end, "master", &switch.bridge]);
        self.switches.ip(&["link", "set", &end, "up"]);
        node.ip(&["link", "set", nic.name, "up"]);
        self.shared.ports.borrow_mut().push((port, node.name.clone(), nic.name.to_owned()));
        port
    }

    /// Pulls a cable at the switch: the node's interface loses its carrier.
    #[track_caller]
    pub fn unplug(&self, port: Port) {
        self.switches.ip(&["link", "set", &format!("p{port}"), "down"]);
    }

    #[track_caller]
    pub fn plug(&self, port: Port) {
        self.switches.ip(&["link", "set", &format!("p{port}"), "up"]);
    }

    /// The namespace of the switches, where a witness sees every cable.
    pub fn switches(&self) -> &Node {
        &self.switches
    }

    /// Ports of a node, in the order they were connected.
    pub fn ports(&self, node: &Node) -> Vec<Port> {
        let ports = self.shared.ports.borrow();
        ports.iter().filter(|(_, name, _)| *name == node.name).map(|(port, _, _)| *port).collect()
    }

    /// All that is connected so far: port, node, interface.
    pub fn cables(&self) -> Vec<(Port, String, String)> {
        self.shared.ports.borrow().clone()
    }
}

impl Default for Lab {
    fn default() -> Self {
        Lab::new()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in self.shared.namespaces.borrow().iter() {
            let output = run(ip_command(&["netns", "pids", namespace]));
            for pid in String::from_utf8_lossy(&output.stdout).split_whitespace().filter_map(|pid| pid.parse().ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            run(ip_command(&["netns", "del", namespace]));
        }
        if std::env::var_os("KEEPWATCH_KEEP_LOGS").is_none() {
            let _ = std::fs::remove_dir_all(&self.shared.directory);
        }
    }
}

impl Shared {
    fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Node {
    #[track_caller]
    fn new(name: &str, shared: &Rc<Shared>) -> Node {
        let namespace = format!("{}-{name}", shared.prefix);
        must(ip_command(&["netns", "add", &namespace]));
        shared.namespaces.borrow_mut().push(namespace.clone());
        let node = Node { name: name.to_owned(), namespace, shared: Rc::clone(shared) };
        node.ip(&["link", "set", "lo", "up"]);
        node.sysctl("net/ipv6/conf/all/accept_dad", "0");
        node.sysctl("net/ipv6/conf/default/accept_dad", "0");
        node
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Scratch directory of this node.
    #[track_caller]
    pub fn directory(&self) -> PathBuf {
        let directory = self.shared.directory.join(&self.name);
        std::fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        directory
    }

    /// `ip ARGUMENTS` here; gives its output.
    #[track_caller]
    pub fn ip(&self, arguments: &[&str]) -> String {
        let mut words = vec!["-n", &self.namespace];
        words.extend(arguments);
        must(ip_command(&words))
    }

    /// A command that will run here.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut all = vec!["netns", "exec", &self.namespace];
        all.extend(words);
        ip_command(&all)
    }

    /// Starts a program here; its log is `NAME.log` in [`Self::directory`].
    #[track_caller]
    pub fn spawn(&self, name: &str, command: Command) -> Process {
        Process::spawn(&format!("{name} on {}", self.name), command, &self.directory().join(format!("{name}.log")))
    }

    /// Writes below `/proc/sys` of this namespace.
    #[track_caller]
    pub fn sysctl(&self, key: &str, value: &str) {
        let (key, value) = (key.to_owned(), value.to_owned());
        let written =
            self.enter(move || std::fs::write(format!("/proc/sys/{key}"), value).map_err(|e| format!("{key}: {e}")));
        if let Err(error) = written {
            panic!("sysctl {error}");
        }
    }

    /// Runs `work` on a thread that lives in this namespace. Sockets it makes stay here wherever they are used.
    #[track_caller]
    pub fn enter<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let path = format!("/run/netns/{}", self.namespace);
        let thread = std::thread::spawn(move || {
            let namespace = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            if let Err(error) = setns(&namespace, CloneFlags::CLONE_NEWNET) {
                panic!("cannot enter {path}: {error}");
            }
            work()
        });
        match thread.join() {
            Ok(value) => value,
            Err(_) => panic!("work in namespace {} failed", self.namespace),
        }
    }

    /// Addresses of all interfaces as `INTERFACE ADDRESS/PREFIX`, link-local and loopback ones left out; sorted.
    #[track_caller]
    pub fn addresses(&self) -> Vec<String> {
        let json: serde_json::Value = match serde_json::from_str(&self.ip(&["-j", "address"])) {
            Ok(json) => json,
            Err(error) => panic!("ip -j address: {error}"),
        };
        let mut found = Vec::new();
        for link in json.as_array().into_iter().flatten() {
            let name = link["ifname"].as_str().unwrap_or_default();
            for address in link["addr_info"].as_array().into_iter().flatten() {
                if matches!(address["scope"].as_str(), Some("link" | "host")) {
                    continue;
                }
                found.push(format!(
                    "{name} {}/{}",
                    address["local"].as_str().unwrap_or_default(),
                    address["prefixlen"]
                ));
            }
        }
        found.sort();
        found
    }

    /// Whether `address` (without prefix length) is on any interface.
    #[track_caller]
    pub fn has(&self, address: &str) -> bool {
        self.addresses().iter().any(|line| line.split([' ', '/']).nth(1) == Some(address))
    }

    /// Processes of this namespace.
    pub fn pids(&self) -> Vec<Pid> {
        let output = run(ip_command(&["netns", "pids", &self.namespace]));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
    }
}

fn ip_command(arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(arguments);
    command
}
