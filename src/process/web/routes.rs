//! What a path means.

use std::time::Duration;

use hyper::StatusCode;

use crate::export::graph::{GraphFormat, GraphKind, GraphRequest};

/// Everything that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Index,
    Metrics,
    /// With its query, which the exporter understands.
    Compat(Option<String>),
    Status,
    /// The status page's main part, again whenever it changes.
    StatusEvents,
    Api(Document),
    /// Events from this number on; and those to come.
    Events {
        since: Option<u64>,
        watch: bool,
    },
    Livez,
    Readyz,
    Vip,
    Graph(Box<GraphRequest>),
}

/// Documents of `/api/v1/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    Status,
    Vrrp,
    Bfd,
    Ipvs,
    Checkers,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nowhere {
    pub status: StatusCode,
    pub text: String,
}

const SPANS: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(20 * 366 * 24 * 3600);
const WIDTHS: std::ops::RangeInclusive<u32> = 200..=4000;
const HEIGHTS: std::ops::RangeInclusive<u32> = 100..=3000;

/// Finds what a target names. `path` and `query` as they came, percent signs and all.
pub fn route(path: &str, query: Option<&str>) -> Result<Route, Nowhere> {
    let path = decode(path, false).ok_or_else(|| bad("the path is not UTF-8, or a percent sign in it is wrong"))?;
    if path.contains(char::is_control) {
        return Err(bad("there are no control characters in a path"));
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(bad("there is no way up"));
    }
    Ok(match path.as_str() {
        "/" => Route::Index,
        "/metrics" => Route::Metrics,
        "/metrics/compat" => Route::Compat(query.map(str::to_owned)),
        "/status" => Route::Status,
        "/status/events" => Route::StatusEvents,
        "/api/v1/status" => Route::Api(Document::Status),
        "/api/v1/vrrp" => Route::Api(Document::Vrrp),
        "/api/v1/bfd" => Route::Api(Document::Bfd),
        "/api/v1/ipvs" => Route::Api(Document::Ipvs),
        "/api/v1/checkers" => Route::Api(Document::Checkers),
        "/api/v1/events" => events(query)?,
        "/livez" => Route::Livez,
        "/readyz" => Route::Readyz,
        "/healthz/vip" => Route::Vip,
        other => match other.strip_prefix("/graph/") {
            Some(rest) => Route::Graph(Box::new(graph(rest, query)?)),
            None => return Err(not_found("there is nothing here; / lists what there is")),
        },
    })
}

fn events(query: Option<&str>) -> Result<Route, Nowhere> {
    let parameters = Parameters::read(query)?;
    let since = match parameters.get("since") {
        Some(since) => Some(since.parse().map_err(|_| bad(format!("`since` is a number, not `{since}`")))?),
        None => None,
    };
    Ok(Route::Events { since, watch: parameters.truth("watch")? })
}

/// `KIND/NAME.svg`; a name may have slashes and dots of its own.
fn graph(rest: &str, query: Option<&str>) -> Result<GraphRequest, Nowhere> {
    let parameters = Parameters::read(query)?;
    let (kind, rest) = rest.split_once('/').ok_or_else(|| not_found("/graph/KIND/NAME.svg shows a graph"))?;
    let kind = match kind {
        "vrrp" => GraphKind::Vrrp,
        "vs" => GraphKind::Vs,
        "rs" => GraphKind::Rs,
        "ipvs" => GraphKind::Ipvs,
        "daemon" => GraphKind::Daemon,
        other => return Err(not_found(format!("there are graphs of vrrp, vs, rs, ipvs and daemon, not of `{other}`"))),
    };
    let (name, format) = match rest.rsplit_once('.') {
        Some((name, "svg")) => (name, GraphFormat::Svg),
        Some((name, "png")) => (name, GraphFormat::Png),
        _ => return Err(not_found("the name of a graph ends in .svg or .png")),
    };
    let span = match parameters.get("span") {
        Some(text) => span(text).filter(|span| SPANS.contains(span)).ok_or_else(|| {
            bad(format!("`span` is a time as 90m, 12h, 1d, 2w or 1y, a minute at least; not `{text}`"))
        })?,
        None => Duration::from_secs(24 * 3600),
    };
    Ok(GraphRequest {
        kind,
        name: name.to_owned(),
        view: parameters.get("view").filter(|view| !view.is_empty()).map(str::to_owned),
        span,
        format,
        width: parameters.number("width", &WIDTHS, 800)?,
        height: parameters.number("height", &HEIGHTS, 300)?,
        dark: parameters.truth("dark")?,
    })
}

/// `90m`, `12h`, `1d`, `2w`, `1y`.
fn span(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        'w' => 7 * 24 * 3600,
        'y' => 365 * 24 * 3600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// What stands behind the question mark. Names that nobody asks for mean nothing.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(query: Option<&str>) -> Result<Parameters, Nowhere> {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name, true)?, decode(value, true)?))
        });
        let all: Option<Vec<_>> = decoded.collect();
        all.map(Parameters).ok_or_else(|| bad("the query is not UTF-8, or a percent sign in it is wrong"))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `watch`, `watch=1`, `watch=true`.
    fn truth(&self, name: &str) -> Result<bool, Nowhere> {
        match self.get(name) {
            None | Some("0" | "false" | "no") => Ok(false),
            Some("" | "1" | "true" | "yes") => Ok(true),
            Some(other) => Err(bad(format!("`{name}` is 0 or 1, not `{other}`"))),
        }
    }

    fn number(&self, name: &str, range: &std::ops::RangeInclusive<u32>, default: u32) -> Result<u32, Nowhere> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let found = text.parse().ok().filter(|number| range.contains(number));
        let (from, to) = (range.start(), range.end());
        found.ok_or_else(|| bad(format!("`{name}` is a number from {from} to {to}, not `{text}`")))
    }
}

fn bad(text: impl Into<String>) -> Nowhere {
    Nowhere { status: StatusCode::BAD_REQUEST, text: text.into() }
}

fn not_found(text: impl Into<String>) -> Nowhere {
    Nowhere { status: StatusCode::NOT_FOUND, text: text.into() }
}

/// Percent signs resolved (RFC 3986 section 2.1); `None` when that is no UTF-8.
fn decode(text: &str, form: bool) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter().copied();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' if form => b' ',
            other => other,
        });
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(path: &str) -> u16 {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        route(path, query).map_or_else(|nowhere| nowhere.status.as_u16(), |_| 200)
    }

    #[test]
    fn there_is_no_way_up_however_it_is_written() {
        for path in [
            "/..",
            "/../etc/passwd",
            "/graph/vrrp/../../x.svg",
            "/%2e%2e/metrics",
            "/%2E./metrics",
            "/graph/vs/a%2f..%2fb.svg",
            "/./metrics",
            "/metrics%00",
            "/graph/vrrp/%00.svg",
            "/%ff",
            "/graph/vrrp/%c3%28.svg",
            "/%",
            "/%2",
            "/%zz",
            "/a%0ab",
        ] {
            assert_eq!(status(path), 400, "{path}");
        }
        for path in
            ["/metrics/", "//metrics", "/Metrics", "/x", "/graph", "/graph/", "/graph/vrrp", "/graph/x/y.svg", "*", ""]
        {
            assert_eq!(status(path), 404, "{path}");
        }
    }

    #[test]
    fn a_graph_is_asked_for_by_kind_and_name_and_what_is_not_said_is_as_usual() {
        let Ok(Route::Graph(graph)) = route("/graph/vs/192.0.2.10:80/tcp.svg", None) else { panic!("a graph") };
        let usual = GraphRequest {
            kind: GraphKind::Vs,
            name: "192.0.2.10:80/tcp".to_owned(),
            view: None,
            span: Duration::from_secs(86_400),
            format: GraphFormat::Svg,
            width: 800,
            height: 300,
            dark: false,
        };
        assert_eq!(*graph, usual);
        let query = "span=2w&view=adverts+sent&width=1200&height=400&dark=1";
        let Ok(Route::Graph(graph)) = route("/graph/vrrp/VI%201.png", Some(query)) else { panic!("a graph") };
        assert_eq!((graph.name.as_str(), graph.view.as_deref()), ("VI 1", Some("adverts sent")));
        assert_eq!(
            (graph.span, graph.width, graph.height, graph.dark),
            (Duration::from_secs(14 * 86_400), 1200, 400, true)
        );
        for query in
            ["span=1", "span=d", "span=5s", "span=999y", "width=1", "width=x", "height=99999", "dark=maybe", "view=%ff"]
        {
            assert_eq!(status(&format!("/graph/vrrp/x.svg?{query}")), 400, "{query}");
        }
    }

    #[test]
    fn events_are_asked_for_by_number() {
        let events = |query| route("/api/v1/events", query);
        assert_eq!(events(None), Ok(Route::Events { since: None, watch: false }));
        assert_eq!(events(Some("since=7&watch=1")), Ok(Route::Events { since: Some(7), watch: true }));
        assert_eq!(status("/api/v1/events?since=-1"), 400);
    }

    proptest! {
        #[test]
        fn no_target_panics_and_none_reaches_beyond_its_name(path in "/[ -~]{0,60}", query in "[ -~]{0,60}") {
            if let Ok(Route::Graph(graph)) = route(&path, Some(&query)) {
                prop_assert!(!graph.name.split('/').any(|segment| segment == ".."));
            }
        }
    }
}
