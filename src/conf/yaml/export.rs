//! The sections `http`, `metrics` and `rrd`.

use std::path::PathBuf;
use std::time::Duration;

use super::super::model::{
    HttpSettings, MetricsSettings, RealServerSeries, RrdProfile, RrdSettings, Textfile, UnixListener, WebConfig,
};
use super::reader::Reader;
use super::tree::{Kind, Node};

/// What a socket's address has room for (`sun_path`), without the final NUL.
const SOCKET_PATH_MAX: usize = 107;

impl Reader<'_> {
    pub(super) fn http(&mut self, node: &Node) -> HttpSettings {
        /// TCP, unless an address has one.
        const PORT: u16 = 9959;
        let default = HttpSettings::default();
        let Some(fields) = self.map(node, "http") else { return default };
        let listen = self.each(fields.get("listen"), |reader, node| reader.address(node, PORT));
        let mut seen = vec![];
        for (address, node) in &listen {
            if seen.contains(address) {
                self.complain(&node.path, format!("{address} is listed twice"));
            }
            seen.push(*address);
        }
        let web = fields.get("web_config").and_then(|node| self.path(node));
        let connections = fields.get("connections").and_then(|node| self.number(node, 1..=10_000));
        let scrapes = fields.get("scrapes").and_then(|node| self.number(node, 1..=100));
        let count = |given: Option<u32>, default| given.and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
        HttpSettings {
            unix: fields.get("unix").map(|node| self.unix(node)).unwrap_or(default.unix),
            listen: seen,
            web: web.map(|path| WebConfig { path, ..WebConfig::default() }),
            connections: count(connections, default.connections),
            scrapes: count(scrapes, default.scrapes),
        }
    }

    /// `true`, `false`, or where.
    fn unix(&mut self, node: &Node) -> UnixListener {
        let default = HttpSettings::default().unix;
        if matches!(node.kind, Kind::Word(_)) {
            let enabled = self.truth(node).unwrap_or(default.enabled);
            return UnixListener { enabled, ..default };
        }
        let Some(fields) = self.map(node, "http.unix") else { return default };
        let path = fields.get("path").and_then(|node| {
            let path = self.absolute(node)?;
            if path.as_os_str().len() > SOCKET_PATH_MAX {
                self.complain(&node.path, format!("the path of a socket has at most {SOCKET_PATH_MAX} octets"));
            }
            Some(path)
        });
        let mode = fields.get("mode").and_then(|node| self.mode(node));
        let group = fields.get("group").and_then(|node| self.sized(node, "a group's name", 1..=32));
        UnixListener { enabled: true, path, mode: mode.unwrap_or(default.mode), group }
    }

    /// Permissions as chmod writes them.
    fn mode(&mut self, node: &Node) -> Option<u32> {
        let word = self.word(node)?;
        let digits = word.strip_prefix("0o").unwrap_or(&word);
        let found = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777 && digits.len() >= 3);
        if found.is_none() {
            let message = format!("expected permissions in octal, as 0660, found `{word}`");
            self.complain(&node.path, message);
        }
        found
    }

    pub(super) fn metrics(&mut self, node: &Node) -> MetricsSettings {
        let default = MetricsSettings::default();
        let Some(fields) = self.map(node, "metrics") else { return default };
        let max_series = fields.get("max_series").and_then(|node| self.number(node, 100..=10_000_000));
        let kinds = [
            ("full", RealServerSeries::Full),
            ("basic", RealServerSeries::Basic),
            ("off", RealServerSeries::Off),
            ("false", RealServerSeries::Off),
        ];
        let real_servers = fields.get("real_servers").and_then(|node| self.choice(node, &kinds));
        let detail = fields.get("detail").and_then(|node| self.truth(node));
        MetricsSettings {
            max_series: max_series.and_then(|n| usize::try_from(n).ok()).unwrap_or(default.max_series),
            real_servers: real_servers.unwrap_or(default.real_servers),
            detail: detail.unwrap_or(default.detail),
            textfile: fields.get("textfile").and_then(|node| self.textfile(node)),
        }
    }

    /// A path, or a path and how often.
    fn textfile(&mut self, node: &Node) -> Option<Textfile> {
        let default = Duration::from_secs(15);
        if matches!(node.kind, Kind::Word(_)) {
            return Some(Textfile { path: self.textfile_path(node)?, interval: default });
        }
        let fields = self.map(node, "metrics.textfile")?;
        let path = self.required(&fields, "path").and_then(|node| self.textfile_path(node));
        let range = Duration::from_secs(1)..=Duration::from_secs(3600);
        let interval = fields.get("interval").and_then(|node| self.duration(node, range));
        Some(Textfile { path: path?, interval: interval.unwrap_or(default) })
    }

    fn textfile_path(&mut self, node: &Node) -> Option<PathBuf> {
        let path = self.absolute(node)?;
        if path.extension().is_none_or(|extension| extension != "prom") {
            self.complain(&node.path, "node_exporter reads files whose names end in .prom");
        }
        Some(path)
    }

    /// `None` unless history is wanted.
    pub(super) fn rrd(&mut self, node: &Node) -> Option<RrdSettings> {
        let default = RrdSettings::default();
        if matches!(node.kind, Kind::Word(_)) {
            return self.truth(node)?.then_some(default);
        }
        let fields = self.map(node, "rrd")?;
        let profiles = [
            ("standard", RrdProfile::Standard),
            ("small", RrdProfile::Small),
            ("collectd", RrdProfile::Collectd),
            ("munin", RrdProfile::Munin),
            ("librenms", RrdProfile::Librenms),
        ];
        let real_servers = [
            ("auto", None),
            ("true", Some(true)),
            ("on", Some(true)),
            ("yes", Some(true)),
            ("false", Some(false)),
            ("off", Some(false)),
            ("no", Some(false)),
        ];
        let directory = fields.get("directory").and_then(|node| self.absolute(node));
        let profile = fields.get("profile").and_then(|node| self.choice(node, &profiles));
        let real_servers = fields.get("real_servers").and_then(|node| self.choice(node, &real_servers));
        Some(RrdSettings {
            directory: directory.unwrap_or(default.directory),
            profile: profile.unwrap_or(default.profile),
            real_servers: real_servers.flatten(),
            cached: fields.get("cached").and_then(|node| self.cached(node)),
        })
    }

    /// Where rrdcached listens, as `rrdtool --daemon` is told.
    fn cached(&mut self, node: &Node) -> Option<String> {
        let word = self.word(node)?;
        let path = word.strip_prefix("unix:").unwrap_or(&word);
        if path.starts_with('/') {
            if path.len() <= SOCKET_PATH_MAX {
                return Some(word);
            }
            self.complain(&node.path, format!("the path of a socket has at most {SOCKET_PATH_MAX} octets"));
            return None;
        }
        let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        let fits = match word.rsplit_once(':') {
            Some((host, number)) if host.starts_with('[') => host.ends_with(']') && port(number),
            Some((host, number)) => !host.is_empty() && !host.contains([':', '/']) && port(number),
            None => false,
        };
        if !fits {
            let message = format!("expected unix:/path, /path or host:port of rrdcached, found `{word}`");
            self.complain(&node.path, message);
        }
        fits.then_some(word)
    }

    /// A name in the file system; the daemon's working directory is nothing to rely on.
    pub(super) fn absolute(&mut self, node: &Node) -> Option<PathBuf> {
        let path = self.path(node)?;
        if !path.is_absolute() {
            self.complain(&node.path, format!("expected a path from / on, found `{}`", path.display()));
            return None;
        }
        Some(path)
    }

    pub(super) fn path(&mut self, node: &Node) -> Option<PathBuf> {
        self.sized(node, "a path", 1..=4095).map(PathBuf::from)
    }
}
