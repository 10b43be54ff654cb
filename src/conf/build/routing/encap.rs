//! Lightweight tunnels: words to labels, ends and locators.

use std::net::IpAddr;

use super::{Context, names};
use crate::conf::diag::Diagnostic;
use crate::conf::model::{Encap, TunnelTo};
use crate::conf::parse::{Named, Val};
use crate::conf::values::{Value, any_base};

/// The longest stack of labels that Keepalived takes.
const LABELS_MAX: usize = 2;

/// The tunnel of an `encap`; `None` after a report.
pub fn build(context: &mut Context<'_, '_, '_>, option: &Named) -> Option<Encap> {
    match option.value()? {
        Value::Text(kind) if kind == "mpls" => labels(context, option.named("labels")?).map(Encap::Mpls),
        Value::Text(kind) if kind == "ila" => locator(context, option.named("locator")?).map(Encap::Ila),
        Value::Text(kind) if kind == "ip" => {
            let v4 = |address| if let IpAddr::V4(address) = address { Some(address) } else { None };
            Some(Encap::Ip(tunnel(context, option, v4)?))
        }
        _ => {
            let v6 = |address| if let IpAddr::V6(address) = address { Some(address) } else { None };
            Some(Encap::Ip6(tunnel(context, option, v6)?))
        }
    }
}

fn tunnel<A>(
    context: &mut Context<'_, '_, '_>,
    option: &Named,
    family: impl Fn(IpAddr) -> Option<A>,
) -> Option<TunnelTo<A>> {
    let mut tunnel = TunnelTo::default();
    for value in &option.values {
        match (value.name, value.value.as_ref()?) {
            ("id", Value::Text(id)) => tunnel.id = id.parse().ok(),
            ("dst", Value::Ip(address)) => tunnel.destination = family(*address),
            ("src", Value::Ip(address)) => tunnel.source = family(*address),
            ("tos" | "tc", _) => tunnel.tos = Some(context.byte(value, names::Kind::Dsfield)?),
            ("ttl" | "hoplimit", Value::Int(ttl)) => tunnel.ttl = u8::try_from(*ttl).ok(),
            ("flags", Value::Int(flags)) => tunnel.flags = u16::try_from(*flags).ok(),
            _ => {}
        }
    }
    Some(tunnel)
}

fn labels(context: &mut Context<'_, '_, '_>, value: &Val) -> Option<Vec<u32>> {
    let text = &value.word.text;
    let label =
        |text: &str| any_base(text).and_then(|label| u32::try_from(label).ok()).filter(|label| *label < 1 << 20);
    let labels: Option<Vec<u32>> = text.split('/').map(label).collect();
    let labels = labels.filter(|labels| labels.len() <= LABELS_MAX);
    if labels.is_none() {
        context.report(
            Diagnostic::error("encap-labels", value.word.span, format!("expected MPLS labels, found `{text}`"))
                .hint(format!("up to {LABELS_MAX} numbers up to 1048575 (20 bits), divided by `/`")),
        );
    }
    labels
}

/// Four groups of 16 bits, as in an IPv6 address, without `::`.
fn locator(context: &mut Context<'_, '_, '_>, value: &Val) -> Option<u64> {
    let text = &value.word.text;
    let group = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let hex = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
        hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    };
    let groups: Option<Vec<u16>> = text.split(':').map(group).collect();
    let locator = groups
        .filter(|groups| groups.len() == 4)
        .map(|groups| groups.iter().fold(0, |locator, group| (locator << 16) | u64::from(*group)));
    if locator.is_none() {
        context.report(
            Diagnostic::error("encap-locator", value.word.span, format!("expected an ILA locator, found `{text}`"))
                .hint("write four groups of up to four hex digits, as 1:2:3:4"),
        );
    }
    locator
}
