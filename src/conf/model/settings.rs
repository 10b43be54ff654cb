//! `keepwatch.yaml`: what Keepalived has no words for. All of it is optional.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    pub snmp: SnmpSettings,
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
