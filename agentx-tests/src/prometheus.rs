//! Debian's Prometheus, scraping routers of a lab.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::http::{encoded, get};
use crate::net::Node;
use crate::process::Process;
use crate::wait;

/// Where the routers serve metrics in our labs.
pub const PORT: u16 = 9959;
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// A running Prometheus on a node; it listens on 127.0.0.1:9090 there unless told otherwise.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    node: Node,
}

/// What to scrape.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    pub job: &'a str,
    /// `ADDRESS:PORT`.
    pub addresses: &'a [&'a str],
    pub path: &'a str,
    /// `names=mehdy`, or nothing.
    pub names: Option<&'a str>,
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub labels: std::collections::BTreeMap<String, String>,
    pub value: f64,
}

impl Prometheus {
    /// Scrapes each target once a second; `rules` is a directory with `rules.yml`.
    #[track_caller]
    pub fn start(node: &Node, targets: &[Target<'_>], rules: Option<&Path>) -> Prometheus {
        assert!(
            Path::new("/usr/bin/prometheus").exists(),
            "Debian's prometheus is not installed: `make setup` does that"
        );
        let directory = node.directory();
        let mut text = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n".to_owned();
        if let Some(rules) = rules {
            text += &format!("rule_files: ['{}']\n", rules.join("rules.yml").display());
        }
        text += "scrape_configs:\n";
        for target in targets {
            let addresses: Vec<String> = target.addresses.iter().map(|address| format!("'{address}'")).collect();
            let names = target.names.map(|names| format!("  params: {{names: [{names}]}}\n")).unwrap_or_default();
            text += &format!(
                "- job_name: {}\n  metrics_path: {}\n{names}  static_configs: [{{targets: [{}]}}]\n",
                target.job,
                target.path,
                addresses.join(", ")
            );
        }
        let file = directory.join("prometheus.yml");
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let config = format!("--config.file={}", file.display());
        let storage = format!("--storage.tsdb.path={}", directory.join("prometheus").display());
        let words = ["prometheus", &config, &storage, "--web.listen-address=0.0.0.0:9090", "--log.level=warn"];
        let prometheus = Prometheus { process: node.spawn("prometheus", node.command(&words)), node: node.clone() };
        let ready = wait::within(Duration::from_secs(60), || {
            get(node, ADDRESS, "/-/ready", &[]).ok().filter(|answer| answer.status == 200)
        });
        assert!(ready.is_some(), "prometheus does not get ready; it said:\n{}", prometheus.process.log());
        prometheus
    }

    /// Series that a query gives now.
    pub fn query(&self, query: &str) -> Result<Vec<Series>, String> {
        let answer = get(&self.node, ADDRESS, &format!("/api/v1/query?query={}", encoded(query)), &[])?;
        let body: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        if body["status"] != "success" {
            return Err(format!("{query}: {}", body["error"]));
        }
        let result = &body["data"]["result"];
        if body["data"]["resultType"] == "scalar" {
            let value = number(&result[1]).unwrap_or(f64::NAN);
            return Ok(vec![Series { labels: Default::default(), value }]);
        }
        let series = result.as_array().into_iter().flatten().map(|one| Series {
            labels: one["metric"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            value: number(&one["value"][1]).unwrap_or(f64::NAN),
        });
        Ok(series.collect())
    }

    /// The values of a query over the last `seconds`, one list for each series, a value for each second.
    pub fn range(&self, query: &str, seconds: u64) -> Result<Vec<Vec<f64>>, String> {
        let end = wait::now_ns() / 1_000_000_000;
        let path = format!("/api/v1/query_range?query={}&start={}&end={end}&step=1", encoded(query), end - seconds);
        let answer = get(&self.node, ADDRESS, &path, &[])?;
        let body: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let series = body["data"]["result"].as_array().ok_or_else(|| format!("{query}: {}", body["error"]))?;
        let values = |one: &Value| -> Vec<f64> {
            one["values"].as_array().into_iter().flatten().filter_map(|pair| number(&pair[1])).collect()
        };
        Ok(series.iter().map(values).collect())
    }

    /// Waits until every target of a job has been scraped without an error.
    #[track_caller]
    pub fn wait_until_scraped(&self, job: &str, targets: usize) {
        let up = wait::within(Duration::from_secs(30), || {
            let up = self.query(&format!("sum(up{{job=\"{job}\"}})")).ok()?;
            (up.first()?.value == targets as f64).then_some(())
        });
        assert!(up.is_some(), "{}", self.trouble());
    }

    /// Why targets are not up.
    pub fn trouble(&self) -> String {
        let answer = get(&self.node, ADDRESS, "/api/v1/targets", &[]);
        let targets = answer.map_or_else(|error| error, |answer| answer.text());
        format!("targets are not up: {targets}\nprometheus said:\n{}", self.process.log())
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}
