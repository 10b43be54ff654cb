//! net-snmp around the daemon: `snmpd` as AgentX master, `snmptrapd`, and the command line tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::net::Node;
use crate::process::{Process, run};
use crate::wait;

/// `snmpd` with its own configuration, persistent directory and AgentX socket.
#[derive(Debug)]
pub struct Snmpd {
    pub process: Process,
    /// For `-A`, as net-snmp writes addresses.
    agentx: String,
}

impl Snmpd {
    /// Serves UDP port 161 of all addresses of `node`; traps go to `traps_to`, if given.
    /// Community `public` reads, `private` writes.
    #[track_caller]
    pub fn start(node: &Node, traps_to: Option<&str>) -> Snmpd {
        let socket = node.directory().join("agentx");
        Snmpd::start_at(node, traps_to, &format!("unix:{}", socket.display()))
    }

    /// As [`start`](Self::start), with the AgentX master listening at `agentx`, as net-snmp writes it.
    #[track_caller]
    pub fn start_at(node: &Node, traps_to: Option<&str>, agentx: &str) -> Snmpd {
        let sink = traps_to.map(|to| format!("trapcommunity public\ntrap2sink {to}\n")).unwrap_or_default();
        let configuration = format!(
            "agentaddress udp:161\nrocommunity public\nrwcommunity private\nmaster agentx\nagentXSocket {agentx}\n{sink}"
        );
        Snmpd::start_with(node, &configuration, agentx, SYS_UPTIME)
    }

    /// With a configuration of one's own; it is there when it answers to a question after `visible`.
    #[track_caller]
    pub fn start_with(node: &Node, configuration: &str, agentx: &str, visible: &str) -> Snmpd {
        let directory = node.directory();
        let file = directory.join("snmpd.conf");
        std::fs::write(&file, configuration).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let file = file.to_string_lossy().into_owned();
        let mut command = node.command(&["snmpd", "-f", "-r", "-C", "-c", &file, "-Le"]);
        command.env("SNMP_PERSISTENT_DIR", persistent(&directory, "snmpd")).env("MIBS", "");
        let process = node.spawn("snmpd", command);
        let snmpd = Snmpd { process, agentx: agentx.to_owned() };
        let manager = Manager::on(node, "127.0.0.1");
        let answers = wait::within(Duration::from_secs(20), || manager.get(&[visible]).ok());
        assert!(answers.is_some(), "snmpd does not answer; it said:\n{}", snmpd.process.log());
        snmpd
    }

    /// For `-A`.
    pub fn agentx(&self) -> String {
        self.agentx.clone()
    }
}

/// sysUpTime.0
pub const SYS_UPTIME: &str = ".1.3.6.1.2.1.1.3.0";
/// Root of KEEPALIVED-MIB.
pub const KEEPALIVED: &str = ".1.3.6.1.4.1.9586.100.5";

/// A management station: net-snmp's tools run on `node` against `agent`.
#[derive(Debug, Clone)]
pub struct Manager {
    node: Node,
    agent: String,
    directory: PathBuf,
}

impl Manager {
    pub fn on(node: &Node, agent: &str) -> Manager {
        Manager { node: node.clone(), agent: agent.to_owned(), directory: node.directory() }
    }

    /// All below `root`, numerically, one line per value (`-m '' -One`).
    pub fn walk(&self, root: &str) -> Vec<String> {
        let output = run(self.tool("snmpwalk", "public", &["-r", "2", "-t", "5", "-m", "", "-One"], &[root]));
        lines(&output.stdout).into_iter().filter(|line| !line.contains("No Such ")).collect()
    }

    /// All below `root`, with names from KEEPALIVED-MIB.
    pub fn walk_by_name(&self, root: &str) -> Vec<String> {
        let output = run(self.tool("snmpwalk", "public", &["-m", "KEEPALIVED-MIB", "-OQUs", "-Pu"], &[root]));
        let mut all = lines(&output.stdout);
        all.extend(lines(&output.stderr));
        all
    }

    /// One GET without retries and with one second of patience; an error is what the tool said.
    pub fn get(&self, oids: &[&str]) -> Result<Vec<String>, String> {
        let output = run(self.tool("snmpget", "public", &["-r", "0", "-t", "1", "-m", "", "-One"], oids));
        if output.status.success() { Ok(lines(&output.stdout)) } else { Err(said(&output)) }
    }

    /// The value of one GET as a number; `None` when there is no answer or no number.
    pub fn number(&self, oid: &str) -> Option<i64> {
        let lines = self.get(&[oid]).ok()?;
        lines.first()?.rsplit(' ').next()?.parse().ok()
    }

    /// What `snmpset` (or another tool) prints with numeric names, as the recordings have it, and its exit status.
    pub fn raw(&self, tool: &str, community: &str, words: &[&str]) -> (String, i32) {
        let output = run(self.tool(tool, community, &["-r", "0", "-t", "10", "-m", "", "-One"], words));
        (said(&output), output.status.code().unwrap_or(-1))
    }

    /// What a tool prints with options of one's own instead of a community.
    pub fn output(&self, tool: &str, options: &[&str], words: &[&str]) -> String {
        let mut command = vec![tool];
        command.extend(options);
        command.extend(["-m", "", "-One", &self.agent]);
        command.extend(words);
        said(&run(self.environment(self.node.command(&command))))
    }

    /// Name of an object in KEEPALIVED-MIB, with what follows it.
    pub fn name_of(&self, oid: &str) -> String {
        let mut command = self.node.command(&["snmptranslate", "-m", "KEEPALIVED-MIB", "-Os", oid]);
        command.env("MIBDIRS", mib_directories()).env("SNMP_PERSISTENT_DIR", persistent(&self.directory, "tools"));
        String::from_utf8_lossy(&run(command).stdout).trim().to_owned()
    }

    fn tool(&self, tool: &str, community: &str, options: &[&str], words: &[&str]) -> Command {
        let mut command = vec![tool, "-v2c", "-c", community];
        command.extend(options);
        command.push(&self.agent);
        command.extend(words);
        self.environment(self.node.command(&command))
    }

    fn environment(&self, mut command: Command) -> Command {
        command.env("MIBDIRS", mib_directories()).env("SNMP_PERSISTENT_DIR", persistent(&self.directory, "tools"));
        command.env("SNMPCONFPATH", &self.directory);
        command
    }
}

/// A trap as it arrived: its OID, and the varbinds behind sysUpTime and snmpTrapOID as `OID = TYPE: value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    pub oid: String,
    pub varbinds: Vec<String>,
}

/// vrrpInstanceStateChange
pub const STATE_CHANGE: &str = ".1.3.6.1.4.1.9586.100.5.2.10.0.2";

/// `snmptrapd` that writes down what it receives.
#[derive(Debug)]
pub struct TrapCollector {
    pub process: Process,
}

impl TrapCollector {
    /// Listens on UDP port 162 of all addresses of `node`.
    #[track_caller]
    pub fn start(node: &Node) -> TrapCollector {
        TrapCollector::start_at(node, "162", "authCommunity log,execute,net public\n")
    }

    /// At another address or port, with whom it believes.
    #[track_caller]
    pub fn start_at(node: &Node, address: &str, configuration: &str) -> TrapCollector {
        let name = format!("snmptrapd-{}", address.replace(':', "-"));
        let directory = node.directory();
        let file = directory.join(format!("{name}.conf"));
        let configuration = format!("{configuration}doNotLogTraps no\n");
        std::fs::write(&file, configuration).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let file = file.to_string_lossy().into_owned();
        let listen = format!("udp:{address}");
        let words = ["snmptrapd", "-f", "-n", "-C", "-c", &file, "-m", "", "-One", "-Le", "-F", "TRAP\t%v\n", &listen];
        let mut command = node.command(&words);
        command.env("SNMP_PERSISTENT_DIR", persistent(&directory, &name));
        let process = node.spawn(&name, command);
        process.wait_for_log("NET-SNMP version", Duration::from_secs(20));
        TrapCollector { process }
    }

    /// All traps so far, oldest first; snmpd's own (coldStart and its like) left out.
    pub fn traps(&self) -> Vec<Trap> {
        let log = self.process.log();
        let traps = log.lines().filter_map(|line| line.strip_prefix("TRAP\t")).filter_map(|line| {
            let mut varbinds = line.split('\t').map(str::to_owned);
            let _uptime = varbinds.next()?;
            let oid = varbinds.next()?.rsplit(' ').next()?.to_owned();
            Some(Trap { oid, varbinds: varbinds.collect() })
        });
        traps.filter(|trap| !trap.oid.starts_with(".1.3.6.1.6.3.1.1.5.")).collect()
    }

    /// States that vrrpInstanceStateChange reported for an instance, oldest first: 1 backup, 2 master, 3 fault, 5 stop.
    pub fn states_of(&self, instance: &str) -> Vec<u32> {
        let name = format!("\"{instance}\"");
        let of = self.traps().into_iter().filter(|trap| trap.oid == STATE_CHANGE);
        let of = of.filter(|trap| trap.varbinds.first().is_some_and(|varbind| varbind.ends_with(&name)));
        of.filter_map(|trap| trap.varbinds.get(1)?.rsplit(' ').next()?.parse().ok()).collect()
    }
}

/// Where the tools find KEEPALIVED-MIB and what it imports: the project's `mibs/`, whose `base/` stands in for the IETF's
/// modules, which Debian does not ship.
pub fn mib_directories() -> String {
    let mibs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mibs");
    format!("{}:{}", mibs.join("base").display(), mibs.display())
}

fn persistent(directory: &Path, of: &str) -> PathBuf {
    let path = directory.join(format!("{of}.persist"));
    let _ = std::fs::create_dir_all(&path);
    path
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
