//! Which format a client wants (RFC 9110 section 12.5.1).

/// What `/metrics` can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text 1.0.
    OpenMetrics,
}

impl Format {
    /// Text unless the client asks for OpenMetrics and does not like text more. Who takes neither gets text: a reader can do
    /// more with it than with an error.
    pub fn negotiate(accept: Option<&str>) -> Format {
        let ranges: Vec<Range<'_>> = accept.map(ranges).unwrap_or_default();
        let liking = |format: Format| {
            let matching = ranges.iter().enumerate().filter_map(|(at, range)| {
                let how = range.matches(format)?;
                // The closest range counts, whatever the others say; of equals, the first.
                Some((how, std::cmp::Reverse(at), range.quality))
            });
            matching.max_by_key(|(how, at, _)| (*how, *at)).map(|(how, at, quality)| (quality, how, at))
        };
        match (liking(Format::OpenMetrics), liking(Format::Text)) {
            (Some(open), _) if open.0 == 0 || open.1 == Closeness::Any => Format::Text,
            (Some(open), Some(text)) if open < text => Format::Text,
            (Some(_), _) => Format::OpenMetrics,
            (None, _) => Format::Text,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// As `keepwatch_exporter_scrapes_total` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::OpenMetrics => "openmetrics",
        }
    }

    fn media_type(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Format::Text => ("text", "plain", "0.0.4"),
            Format::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
        }
    }
}

/// One entry of Accept.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    version: Option<&'a str>,
    /// In thousandths.
    quality: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Any,
    Type,
    Subtype,
    Version,
}

impl Range<'_> {
    fn matches(&self, format: Format) -> Option<Closeness> {
        let (main, sub, version) = format.media_type();
        match (self.main, self.sub) {
            ("*", "*") => Some(Closeness::Any),
            (of, "*") if of.eq_ignore_ascii_case(main) => Some(Closeness::Type),
            (of, at) if of.eq_ignore_ascii_case(main) && at.eq_ignore_ascii_case(sub) => match self.version {
                None => Some(Closeness::Subtype),
                Some(wanted) => (wanted == version).then_some(Closeness::Version),
            },
            _ => None,
        }
    }
}

/// Entries that are none are left out.
fn ranges(accept: &str) -> Vec<Range<'_>> {
    accept.split(',').filter_map(range).collect()
}

fn range(entry: &str) -> Option<Range<'_>> {
    let mut parts = entry.split(';').map(str::trim);
    let (main, sub) = parts.next()?.split_once('/')?;
    let mut range = Range { main, sub, version: None, quality: 1000 };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim() {
            name if name.eq_ignore_ascii_case("version") => range.version = Some(value),
            name if name.eq_ignore_ascii_case("q") => range.quality = thousandths(value)?,
            _ => {}
        }
    }
    Some(range)
}

/// A qvalue: 0 or 1 with at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Format::{OpenMetrics, Text};
    use super::*;

    #[test]
    fn prometheus_gets_openmetrics_and_everybody_who_says_nothing_gets_text() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;\
                            q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (None, Text),
            (Some(""), Text),
            (Some(prometheus_2), OpenMetrics),
            (Some(prometheus_3), OpenMetrics),
            (Some("*/*"), Text),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Text),
            (Some("image/png"), Text),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn the_quality_decides_and_the_closest_range_has_it() {
        for (accept, format) in [
            ("application/openmetrics-text", OpenMetrics),
            ("APPLICATION/OpenMetrics-Text; Version=\"1.0.0\"", OpenMetrics),
            ("application/openmetrics-text, */*", OpenMetrics),
            ("application/openmetrics-text;q=0.5, text/plain", Text),
            ("application/openmetrics-text;q=0.5, text/plain;q=0.4", OpenMetrics),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.1, text/*;q=0.9", OpenMetrics),
            ("application/openmetrics-text;q=0, */*", Text),
            ("application/openmetrics-text;version=0.0.1", Text),
            ("application/openmetrics-text;version=1.0.0;q=0.1, application/openmetrics-text, text/plain;q=0.5", Text),
            ("text/plain, application/openmetrics-text", Text),
            ("application/openmetrics-text, text/plain", OpenMetrics),
        ] {
            assert_eq!(Format::negotiate(Some(accept)), format, "{accept}");
        }
    }

    #[test]
    fn an_entry_that_is_none_counts_for_nothing() {
        for accept in
            ["application/openmetrics-text;q=2", "application/openmetrics-text;q=0.1234", "openmetrics", ";;,,/"]
        {
            assert_eq!(Format::negotiate(Some(accept)), Text, "{accept}");
        }
    }
}
