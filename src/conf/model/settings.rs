//! `keepwatch.yaml`: what Keepalived has no words for. All of it is optional.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    pub snmp: SnmpSettings,
    pub http: HttpSettings,
    pub metrics: MetricsSettings,
    /// `None`: no history is kept.
    pub rrd: Option<RrdSettings>,
}

/// Its `http` section: /metrics, the status page and the rest that is read over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpSettings {
    pub unix: UnixListener,
    /// TCP; port 9959 unless given. Empty: none.
    pub listen: Vec<SocketAddr>,
    /// Of the TCP listeners: TLS, client certificates, users, in the format of Prometheus' exporter toolkit. Read, with the
    /// files that it names, when the configuration is.
    pub web: Option<WebConfig>,
    /// Clients at once; further ones get 503. 1 to 10,000.
    pub connections: usize,
    /// Scrapes answered at once; further ones get 503. 1 to 100.
    pub scrapes: usize,
}

/// `http.unix`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnixListener {
    pub enabled: bool,
    /// `None`: /run/keepwatch/metrics.sock, or beside the pid file when that has a name of its own.
    pub path: Option<PathBuf>,
    /// Permissions of the socket; 0660.
    pub mode: u32,
    /// Its group; the daemon's own unless given.
    pub group: Option<String>,
}

/// A `web.config.file`, with the contents of what it names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WebConfig {
    /// Files that it came from: they are read again when they change.
    pub path: PathBuf,
    pub tls: Option<TlsConfig>,
    /// Names and bcrypt hashes. Empty: nobody is asked for a password.
    pub users: Vec<(String, Secret)>,
    /// A request each so many milliseconds, and how many may come at once.
    pub rate_limit: Option<(u32, u32)>,
    /// Of every answer, in the place of our own of that name.
    pub headers: Vec<(String, String)>,
}

/// `tls_server_config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsConfig {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub client_ca_file: Option<PathBuf>,
    pub client_auth: ClientAuth,
    /// A verified certificate has one of these as a subjectAltName; empty: any may.
    pub client_allowed_sans: Vec<String>,
    pub min_version: TlsVersion,
    pub max_version: TlsVersion,
    /// Up to TLS 1.2, as OpenSSL names them; empty: its default.
    pub ciphers: Vec<String>,
    /// Groups of the key exchange, likewise.
    pub curves: Vec<String>,
}

/// As Go's crypto/tls names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClientAuth {
    NoClientCert,
    RequestClientCert,
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TlsVersion {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

/// Its `metrics` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSettings {
    /// 100 to 10,000,000.
    pub max_series: usize,
    pub real_servers: RealServerSeries,
    /// Series of level "detail": one for each address and each checker.
    pub detail: bool,
    /// For node_exporter's textfile collector.
    pub textfile: Option<Textfile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RealServerSeries {
    Full,
    /// `up`, `weight`, `active_connections` and `connections_total` only.
    Basic,
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Textfile {
    pub path: PathBuf,
    /// 1 s to 1 h; 15 s unless given.
    pub interval: Duration,
}

/// Its `rrd` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RrdSettings {
    /// /var/lib/keepwatch/rrd unless given.
    pub directory: PathBuf,
    pub profile: RrdProfile,
    /// `None`: up to 200 of them.
    pub real_servers: Option<bool>,
    /// `unix:/path`, `/path` or `host:port` of rrdcached; `None`: files are written directly.
    pub cached: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RrdProfile {
    Standard,
    Small,
    Collectd,
    Munin,
    Librenms,
}

/// Its `snmp` section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SnmpSettings {
    /// `queue`: notifications that wait for one receiver or for the master agent.
    pub queue: QueueSettings,
    /// Named by receivers and by the responder.
    pub users: Vec<UsmUser>,
    pub receivers: Vec<Receiver>,
    /// `None`: there is no responder.
    pub responder: Option<Responder>,
    /// snmpEngineID (RFC 3411 section 5), 5 to 32 octets; `None`: made at the first start and kept.
    pub engine_id: Option<Vec<u8>>,
}

/// Bounds of a queue of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSettings {
    /// 1 to 65,536; the oldest goes when one more comes.
    pub length: usize,
    /// What waited longer is not sent any more. 1 s to 7 days.
    pub expires: Duration,
}

/// Who gets notifications without a master agent in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// Port 162 unless given.
    pub address: SocketAddr,
    pub security: Security,
    /// `None`: a trap, sent once. Otherwise an inform, sent until it is answered.
    pub inform: Option<Retries>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// How long an answer may take. 100 ms to 60 s; 1 s unless given.
    pub timeout: Duration,
    /// After the first attempt. 0 to 100; 5 unless given.
    pub retries: u32,
}

/// In whose name something is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// SNMPv1 (RFC 1157): no informs, no Counter64.
    V1 {
        community: Secret,
    },
    V2c {
        community: Secret,
    },
    /// Name of one of [`SnmpSettings::users`].
    V3 {
        user: String,
    },
}

/// A user of the user-based security model (RFC 3414). Its level follows from what is given: noAuthNoPriv, authNoPriv or
/// authPriv.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsmUser {
    /// 1 to 32 octets.
    pub name: String,
    pub auth: Option<(AuthProtocol, Secret)>,
    pub privacy: Option<(PrivacyProtocol, Secret)>,
}

/// RFC 3414 section 7 and RFC 7860.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuthProtocol {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// RFC 3826; the longer keys as net-snmp and Cisco extend them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PrivacyProtocol {
    Aes128,
}

/// The embedded SNMP agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Responder {
    /// UDP; port 161 unless given.
    pub listen: Vec<SocketAddr>,
    pub communities: Vec<Community>,
    /// Who may read, and of those, who may write.
    pub users: Vec<Access>,
}

/// A community of SNMPv1 and v2c.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Community {
    pub name: Secret,
    pub write: bool,
    /// Prefixes that may use it; empty is everybody.
    pub networks: Vec<(IpAddr, u8)>,
}

/// A user of [`SnmpSettings::users`] with a right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    pub user: String,
    pub write: bool,
}

/// A community or a pass phrase: stays out of logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        QueueSettings { length: 256, expires: Duration::from_secs(3600) }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            unix: UnixListener { enabled: true, path: None, mode: 0o660, group: None },
            listen: Vec::new(),
            web: None,
            connections: 100,
            scrapes: 4,
        }
    }
}

impl Default for MetricsSettings {
    fn default() -> Self {
        MetricsSettings { max_series: 50_000, real_servers: RealServerSeries::Full, detail: true, textfile: None }
    }
}

impl Default for RrdSettings {
    fn default() -> Self {
        RrdSettings {
            directory: "/var/lib/keepwatch/rrd".into(),
            profile: RrdProfile::Standard,
            real_servers: None,
            cached: None,
        }
    }
}
