//! The status page: one HTML page that is read without script, and a fragment of it that server-sent events replace.
//!
//! [`render`] makes all of it, [`main_fragment`] what is inside `<main>`. Both are bounded whatever the configuration has:
//! what is well is told in short, and what is left out is said, with where to see it. [`CSP`] is the policy under which the
//! page works: nothing is loaded from elsewhere, and no style or script runs but the two of this page.

mod beside;
mod daemon;
mod html;
mod ipvs;
#[cfg(test)]
mod tests;
mod vrrp;

use self::html::{Html, Tone};
use super::{Severity, Status, Trouble, words};
use crate::export::graph::GraphKind;

/// How the page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageOptions {
    /// With the script that listens to [`EVENTS_PATH`].
    pub script: bool,
}

impl Default for PageOptions {
    fn default() -> Self {
        PageOptions { script: true }
    }
}

/// Where the page listens for server-sent events. Each message is one [`main_fragment`].
pub const EVENTS_PATH: &str = "/status/events";

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Of the inline script, as `script-src` wants it.
pub const SCRIPT_HASH: &str = "sha256-BoTqZJttXIncGfkgarGQbBTL0F3bjZ7zHsjtH50tmE0=";
/// Of the inline style, as `style-src` wants it.
pub const STYLE_HASH: &str = "sha256-nX4Oedcl1HiZIXVvQg75QEEAZ8bhMwR9hwwBgGVootU=";

/// The whole policy, for the header `Content-Security-Policy`.
pub const CSP: &str = "default-src 'none'; style-src 'sha256-nX4Oedcl1HiZIXVvQg75QEEAZ8bhMwR9hwwBgGVootU='; script-src 'sha256-BoTqZJttXIncGfkgarGQbBTL0F3bjZ7zHsjtH50tmE0='; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Troubles that are listed.
const TROUBLES: usize = 100;

/// The whole page.
pub fn render(status: &Status, options: &PageOptions) -> String {
    let mut h = Html::default();
    h.raw("<!doctype html><html lang=en><head><meta charset=utf-8>");
    h.raw("<meta name=viewport content=\"width=device-width, initial-scale=1\">");
    h.raw("<meta name=color-scheme content=\"light dark\"><link rel=icon href=\"data:,\"><title>");
    h.text(&status.host).raw(" · keepwatch</title><style>").raw(STYLE).raw("</style></head><body>");
    h.raw("<a class=skip href=\"#main\">Skip to the state</a><header><p class=brand>keepwatch</p><h1>");
    h.text(&status.host).raw("</h1>");
    h.raw("<p id=health role=status data-worst=").raw(worst(status)).raw(">").text(&headline(status)).raw("</p>");
    h.raw("<p id=lost role=alert hidden></p><nav aria-label=\"Parts of this page\"><ul>");
    h.raw("<li><a href=\"#vrrp\">VRRP</a><li><a href=\"#virtual-servers\">Virtual servers</a>");
    h.raw("<li><a href=\"#snmp\">SNMP</a><li><a href=\"#daemon\">Daemon</a><li><a href=\"#events\">Events</a>");
    h.raw("</ul></nav></header><main id=main tabindex=-1>");
    fragment(&mut h, status);
    h.raw("</main><footer><p>keepwatch ").text(&status.version).raw(". All times are UTC. ");
    h.raw("The same for programs: <a href=\"/api/v1/status\">status</a>, <a href=\"/api/v1/vrrp\">vrrp</a>, ");
    h.raw("<a href=\"/api/v1/bfd\">bfd</a>, ");
    h.raw("<a href=\"/api/v1/ipvs\">ipvs</a>, <a href=\"/api/v1/checkers\">checkers</a>, ");
    h.raw("<a href=\"/api/v1/events\">events</a>, <a href=\"/metrics\">metrics</a>.</p>");
    if options.script {
        h.raw("<noscript><p>Without script this page is of the moment when it was loaded.</p></noscript>");
        h.raw("<script>").raw(SCRIPT).raw("</script>");
    }
    h.raw("</footer></body></html>");
    h.finish()
}

/// What is inside `<main>`, in one line: fit for the data of one server-sent event.
pub fn main_fragment(status: &Status) -> String {
    let mut h = Html::default();
    fragment(&mut h, status);
    h.finish()
}

fn fragment(h: &mut Html, status: &Status) {
    overview(h, status);
    vrrp::section(h, status);
    ipvs::section(h, status);
    daemon::snmp(h, status);
    daemon::section(h, status);
    daemon::events(h, status);
}

/// All in one line: `2 instances, 1 master; 8 of 8 real servers up; nothing to look at`.
pub fn headline(status: &Status) -> String {
    let mut parts = Vec::new();
    if !status.vrrp.is_empty() {
        let masters = status.vrrp.iter().filter(|instance| instance.state == "master").count();
        parts.push(format!("{}, {masters} master", words::count(status.vrrp.len() as u64, "instance")));
    }
    if !status.ipvs.services.is_empty() {
        let real = || status.ipvs.services.iter().flat_map(|service| &service.servers).filter(|server| !server.sorry);
        let up = real().filter(|server| server.alive).count();
        parts.push(format!("{up} of {} up", words::count(real().count() as u64, "real server")));
    }
    let of = |severity| status.troubles.iter().filter(|trouble| trouble.severity == severity).count() as u64;
    let (critical, warning, info) = (of(Severity::Critical), of(Severity::Warning), of(Severity::Info));
    parts.push(match (critical, warning, info) {
        (0, 0, 0) => "nothing to look at".to_owned(),
        (0, 0, notes) => format!("nothing to look at but {}", words::count(notes, "note")),
        (0, warnings, _) => format!("{} to look at", words::count(warnings, "thing")),
        (critical, 0, _) => format!("{} to look at now", words::count(critical, "critical thing")),
        (critical, more, _) => {
            format!("{} to look at, {critical} of them critical", words::count(critical + more, "thing"))
        }
    });
    parts.join("; ")
}

fn worst(status: &Status) -> &'static str {
    match status.troubles.iter().map(|trouble| trouble.severity).max() {
        None | Some(Severity::Info) => "good",
        Some(Severity::Warning) => "warn",
        Some(Severity::Critical) => "bad",
    }
}

fn overview(h: &mut Html, status: &Status) {
    h.raw("<section id=overview aria-labelledby=overview-h data-worst=").raw(worst(status)).raw(" data-health=\"");
    h.text(&headline(status)).raw("\"><h2 id=overview-h>To look at</h2><p class=quiet>As of <time datetime=\"");
    h.text(&words::rfc3339(status.at)).raw("\">").text(&words::utc(status.at)).raw("</time></p>");
    if status.troubles.is_empty() {
        h.raw("<p class=well>Nothing. Everything that is watched is as it should be.</p></section>");
        return;
    }
    h.raw("<ul class=troubles>");
    for trouble in status.troubles.iter().take(TROUBLES) {
        line(h, trouble, status.at);
    }
    h.raw("</ul>");
    let more = status.troubles.len().saturating_sub(TROUBLES);
    if more > 0 {
        h.raw("<p class=quiet>")
            .number(more as u64)
            .raw(" more are in <a href=\"/api/v1/status\">/api/v1/status</a>.</p>");
    }
    h.raw("</section>");
}

fn line(h: &mut Html, trouble: &Trouble, now: f64) {
    let (open, tone, word) = match trouble.severity {
        Severity::Critical => ("<li class=bad>", Tone::Bad, "critical"),
        Severity::Warning => ("<li class=warn>", Tone::Warn, "warning"),
        Severity::Info => ("<li class=note>", Tone::Note, "note"),
    };
    h.raw(open).badge(tone, word).raw(" <strong>").clip(&trouble.subject, NAME).raw("</strong> ");
    h.clip(&trouble.text, 500);
    if let Some(since) = trouble.since {
        h.raw(" <span class=quiet>since</span> ").time(since, now);
    }
    h.raw("</li>");
}

/// Characters of a name that are shown.
const NAME: usize = 120;

/// Where the picture of an object is: its kind and its name, percent-encoded but for letters, digits and `-._~`.
pub fn graph_path(kind: GraphKind, name: &str) -> String {
    let kind = match kind {
        GraphKind::Vrrp => "vrrp",
        GraphKind::Vs => "vs",
        GraphKind::Rs => "rs",
        GraphKind::Ipvs => "ipvs",
        GraphKind::Daemon => "daemon",
    };
    let mut path = format!("/graph/{kind}/");
    for octet in name.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(octet)),
            _ => path.push_str(&format!("%{octet:02X}")),
        }
    }
    path
}

/// The first picture of an object, folded; loaded when it is unfolded and seen.
fn graph(h: &mut Html, id: &'static str, number: usize, kind: GraphKind, name: &str, what: &'static str) {
    let path = graph_path(kind, name);
    h.raw("<details class=graph id=").raw(id).show(number).raw("><summary>").raw(what).raw("</summary><picture>");
    h.raw("<source media=\"(prefers-color-scheme: dark)\" srcset=\"").text(&path).raw(".svg?dark=1\">");
    h.raw("<img loading=lazy width=800 height=300 src=\"").text(&path).raw(".svg\" alt=\"").raw(what);
    h.raw(" of ").clip(name, NAME).raw("\"></picture></details>");
}
