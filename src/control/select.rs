//! Which virtual and real servers an operator's words mean.

use std::net::{IpAddr, SocketAddr};

use super::{ServerConfig, ServerRow, ServiceRow, Snapshot};
use crate::conf::model::ServiceKind;

/// Words that must match; `None` matches everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selector<'a> {
    pub service: Option<&'a str>,
    pub server: Option<&'a str>,
}

impl<'a> Selector<'a> {
    pub fn new(service: Option<&'a str>, server: Option<&'a str>) -> Self {
        Selector { service, server }
    }

    pub fn services(self, snapshot: &Snapshot) -> impl Iterator<Item = &ServiceRow> {
        snapshot.checks.services.iter().map(|(_, row)| row).filter(move |row| self.means_service(row))
    }

    /// Servers with their virtual servers, in the order of the file.
    pub fn servers(self, snapshot: &Snapshot) -> impl Iterator<Item = (&ServiceRow, &ServerRow)> {
        let servers = snapshot.checks.servers.iter().map(|(_, row)| row);
        servers.filter(move |row| self.means_server(row)).filter_map(move |row| {
            let service = snapshot.checks.services.get(&[row.service_index])?;
            self.means_service(service).then_some((&**service, row))
        })
    }

    fn means_service(&self, row: &ServiceRow) -> bool {
        let Some(text) = self.service else { return true };
        let key = row.key();
        if row.config.snmp_name.as_deref() == Some(text) {
            return true;
        }
        let (kind, protocol) = match text.rsplit_once('/') {
            Some((kind, protocol @ ("tcp" | "udp" | "sctp"))) => (kind, Some(protocol)),
            _ => (text, None),
        };
        if protocol.is_some_and(|protocol| protocol != key.protocol_name()) {
            return false;
        }
        match &key.kind {
            ServiceKind::Address { address, port } => is_endpoint(kind, *address, *port),
            ServiceKind::Group(name) => kind == name || key.kind.to_string() == kind,
            ServiceKind::Mark { .. } => key.kind.to_string() == kind,
        }
    }

    fn means_server(&self, row: &ServerRow) -> bool {
        let Some(text) = self.server else { return true };
        match &row.config {
            ServerConfig::Real(server) => {
                server.snmp_name.as_deref() == Some(text) || is_endpoint(text, server.address, server.port)
            }
            ServerConfig::Sorry(server) => is_endpoint(text, server.address, server.port),
        }
    }
}

/// An address may be written in any of its forms, with this port or with none.
fn is_endpoint(text: &str, address: IpAddr, port: u16) -> bool {
    if let Ok(endpoint) = text.parse::<SocketAddr>() {
        return endpoint.ip() == address && endpoint.port() == port;
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse() == Ok(address)
}
