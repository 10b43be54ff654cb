//! Prometheus' snmp_exporter from Debian: its generator makes a configuration from our MIB files, the exporter asks an agent.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::net::Node;
use crate::process::{Process, must};
use crate::snmp::mib_directories;
use crate::wait;

/// The tables of upstream's module `keepalived`.
pub const TABLES: [&str; 7] = [
    "vrrpInstanceTable",
    "vrrpSyncGroupTable",
    "virtualServerGroupTable",
    "virtualServerTable",
    "realServerTable",
    "vrrpRouterStatsTable",
    "vrrpv3StatisticsTable",
];

/// What the module leaves out: texts, and what the MIB calls deprecated.
pub const IGNORED: [&str; 13] = [
    "vrrpSyncGroupScriptMaster",
    "vrrpSyncGroupScriptBackup",
    "vrrpSyncGroupScriptFault",
    "vrrpSyncGroupScript",
    "vrrpSyncGroupScriptStop",
    "vrrpInstanceLvsSyncDaemon",
    "vrrpInstanceLvsSyncInterface",
    "vrrpInstanceScriptMaster",
    "vrrpInstanceScriptBackup",
    "vrrpInstanceScriptFault",
    "vrrpInstanceScriptStop",
    "vrrpInstanceScript",
    "vrrpInstanceScriptMstrRxLowerPri",
];

/// Where Debian keeps upstream's example, if documentation is installed.
pub const EXAMPLE: &str = "/usr/share/doc/prometheus-snmp-exporter/examples/generator.yml";

/// The exporter, serving its port 9116 on a node.
#[derive(Debug)]
pub struct Exporter {
    _process: Process,
    node: Node,
    /// Name of each metric that it asks for, with its column.
    metrics: Vec<(String, String)>,
}

impl Exporter {
    /// Makes the configuration of the module `keepalived` and starts.
    #[track_caller]
    pub fn start(node: &Node) -> Exporter {
        for program in ["prometheus-snmp-exporter", "prometheus-snmp-generator"] {
            let path = Path::new("/usr/bin").join(program);
            assert!(path.exists(), "Debian's {program} is not installed: `make setup` does that");
        }
        let directory = node.directory();
        let tables: String = TABLES.iter().map(|table| format!("      - {table}\n")).collect();
        let ignored: String = IGNORED.iter().map(|name| format!("      {name}:\n        ignore: true\n")).collect();
        let generator = format!("modules:\n  keepalived:\n    walk:\n{tables}    overrides:\n{ignored}");
        let file = directory.join("generator.yml");
        std::fs::write(&file, generator).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut command = std::process::Command::new("prometheus-snmp-generator");
        command.arg("generate").current_dir(&directory).env("MIBDIRS", mib_directories());
        command.env("MIBS", "KEEPALIVED-MIB:VRRP-MIB:VRRPV3-MIB").env("HOME", &directory);
        must(command);
        let file = directory.join("snmp.yml");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let option = format!("--config.file={}", file.display());
        let process = node.spawn(
            "snmp-exporter",
            node.command(&["prometheus-snmp-exporter", &option, "--web.listen-address=127.0.0.1:9116"]),
        );
        let exporter = Exporter { _process: process, node: node.clone(), metrics: metrics(&text) };
        wait::until("the exporter to listen", Duration::from_secs(20), || exporter.get("/").ok());
        exporter
    }

    /// Name and column (`.1.3.6...`) of each metric.
    pub fn metrics(&self) -> &[(String, String)] {
        &self.metrics
    }

    /// Asks the agent at 127.0.0.1, port 161: values by metric, in the order of the answer.
    pub fn scrape(&self) -> Result<BTreeMap<String, Vec<f64>>, String> {
        let text = self.get("/snmp?target=127.0.0.1&module=keepalived")?;
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let name = series.split('{').next().unwrap_or_default();
            let value = value.parse().map_err(|error| format!("{line}: {error}"))?;
            all.entry(name.to_owned()).or_default().push(value);
        }
        Ok(all)
    }

    fn get(&self, path: &str) -> Result<String, String> {
        let path = path.to_owned();
        self.node.enter(move || {
            let mut stream = TcpStream::connect("127.0.0.1:9116").map_err(|error| error.to_string())?;
            let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
            let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
            stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
            let (head, body) = answer.split_once("\r\n\r\n").ok_or("no end of the header")?;
            let status = head.lines().next().unwrap_or_default();
            if status.contains(" 200 ") { Ok(body.to_owned()) } else { Err(format!("{status}: {body}")) }
        })
    }
}

/// What a generated configuration lists: `- name: N`, then `oid: O`.
fn metrics(configuration: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut name = None;
    for line in configuration.lines() {
        if let Some(text) = line.strip_prefix("  - name: ") {
            name = Some(text.to_owned());
        } else if let (Some(oid), Some(of)) =
            (line.strip_prefix("    oid: "), name.take_if(|_| line.starts_with("    oid: ")))
        {
            all.push((of, format!(".{oid}")));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_columns_are_read_from_a_generated_configuration() {
        let text = "keepalived:\n  walk:\n  - 1.3.6.1\n  metrics:\n  - name: a\n    oid: 1.3.6.1.1\n    type: gauge\n    \
                    indexes:\n    - labelname: x\n  - name: b\n    oid: 1.3.6.1.2\n";
        assert_eq!(
            metrics(text),
            [("a".to_owned(), ".1.3.6.1.1".to_owned()), ("b".to_owned(), ".1.3.6.1.2".to_owned())]
        );
    }
}
