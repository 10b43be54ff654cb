//! DNS_CHECK: one question over UDP; a response without error passes.
//!
//! Datagrams that are no response to this question are passed over, as anyone may send them.

use super::{Stage, connect, random};
use crate::check::io::{Cause, Failure};
use crate::conf::model::DnsCheck;
use crate::wire::dns;

/// What UDP carries without EDNS0 (RFC 1035 section 4.2.1); only the header is looked at.
const RESPONSE: usize = 512;

pub async fn run(check: &DnsCheck, stage: &Stage) -> Result<(), Failure> {
    let id = u16::from_be_bytes(random());
    let query = dns::query(id, &check.name, check.record)
        .ok_or_else(|| Failure::new(Cause::Local, format!("`{}` is no name for DNS", check.name)))?;
    let socket = connect::udp(&check.target)?;
    socket.send(&query).await.map_err(|error| connect::icmp(&error))?;
    stage.set("waiting for the response");
    let mut response = [0; RESPONSE];
    loop {
        let length = socket.recv(&mut response).await.map_err(|error| connect::icmp(&error))?;
        if let Some(verdict) = judge(response.get(..length).unwrap_or_default(), id) {
            return verdict;
        }
    }
}

/// What a datagram says; `None` when it is no response to the question with this id.
pub fn judge(datagram: &[u8], id: u16) -> Option<Result<(), Failure>> {
    match dns::response_code(datagram, id)? {
        0 => Some(Ok(())),
        code => {
            let name = dns::code_name(code).map(|name| format!(" ({name})")).unwrap_or_default();
            Some(Err(Failure::new(Cause::Status, format!("DNS response code {code}{name}"))))
        }
    }
}
