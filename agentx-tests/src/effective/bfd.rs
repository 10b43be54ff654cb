//! `BFD Topology`: sessions as configured.

use keepwatch::conf::model::{BFD_HOPLIMIT, Config, Family};

pub(super) fn lines(config: &Config) -> Vec<String> {
    let mut out = Vec::new();
    for session in &config.bfd {
        out.push(format!(" BFD Instance = {}", session.name));
        let mut line = |line: String| out.push(format!("   {line}"));
        line(format!("Neighbor IP = {}", session.neighbour));
        if let Some(source) = session.source {
            line(format!("Source IP = {source}"));
        }
        line(format!("Required min RX interval = {} us", session.min_rx_us));
        line(format!("Desired min TX interval = {} us", session.min_tx_us));
        line(format!("Desired idle TX interval = {} us", session.idle_tx_us));
        line(format!("Detection multiplier = {}", session.multiplier));
        // Without one we send 255 over IPv6, too: `BfdSession::sent_ttl` says why.
        line(match Family::of(session.neighbour) {
            Family::V4 => format!("TTL = {}", session.ttl.unwrap_or(u8::MAX)),
            Family::V6 => format!("hoplimit = {}", session.ttl.unwrap_or(BFD_HOPLIMIT)),
        });
        line(format!("max_hops = {}", session.max_hops.unwrap_or(u8::MAX)));
        line(format!("passive = {}", session.passive));
        let told = |of: bool| if of { "Yes" } else { "No" };
        line(format!("send event to VRRP process = {}", told(session.for_vrrp)));
        line(format!("send event to checker process = {}", told(session.for_checks)));
    }
    out
}
