//! Reads a page of metrics: Prometheus' text format 0.0.4, as strictly as a test needs it.

use std::collections::BTreeMap;

/// A page, as it was given.
#[derive(Debug, Default, Clone)]
pub struct Page {
    /// Type by family, in no order.
    pub types: BTreeMap<String, String>,
    pub helps: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Sample {
    /// Name and labels in one text.
    pub fn series(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{}{{{}}}", self.name, labels.join(","))
    }

    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl Page {
    pub fn parse(text: &str) -> Result<Page, String> {
        let mut page = Page::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or(line)?;
                if page.types.insert(name.to_owned(), kind.to_owned()).is_some() {
                    return Err(format!("a second type: {line}"));
                }
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or(line)?;
                page.helps.insert(name.to_owned(), help.to_owned());
            } else if !line.starts_with('#') {
                page.samples.push(sample(line).ok_or_else(|| format!("not a sample: {line}"))?);
            }
        }
        Ok(page)
    }

    /// The value of a series that must be there once.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let means =
            |sample: &&Sample| sample.name == name && labels.iter().all(|(label, value)| sample.label(label) == *value);
        let mut found = self.samples.iter().filter(means);
        let value = found.next()?.value;
        found.next().is_none().then_some(value)
    }

    /// Values of everything that only goes up: counters, and what histograms count.
    pub fn counters(&self) -> BTreeMap<String, f64> {
        let counts = |sample: &&Sample| {
            let parts = ["_bucket", "_count", "_sum"];
            let base = parts.iter().find_map(|part| sample.name.strip_suffix(part));
            let kind = |name: &str| self.types.get(name).map(String::as_str);
            kind(&sample.name) == Some("counter") || base.and_then(kind) == Some("histogram")
        };
        self.samples.iter().filter(counts).map(|sample| (sample.series(), sample.value)).collect()
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().ok()?,
    };
    let Some((name, rest)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: BTreeMap::new(), value });
    };
    let mut rest = rest.strip_suffix('}')?;
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let (text, after) = quoted(after)?;
        labels.insert(label.to_owned(), text);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(Sample { name: name.to_owned(), labels, value })
}

/// What stands before the closing quote, and what behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => out.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_with_its_types_labels_and_escapes() {
        let text = "# HELP a_total What.\n# TYPE a_total counter\na_total{x=\"1,\\\"2\\\"}\\n\",y=\"\"} 3\n# TYPE h histogram\n\
                    h_bucket{le=\"+Inf\"} 1\nh_sum 0.5\nh_count 1\n# TYPE g gauge\ng 7\n";
        let page = Page::parse(text).unwrap();
        assert_eq!(page.value("a_total", &[("x", "1,\"2\"}\n")]), Some(3.0));
        assert_eq!(page.value("g", &[]), Some(7.0));
        assert_eq!(page.counters().len(), 4);
        assert!(Page::parse("a{b} 1").is_err());
        assert!(Page::parse("a one").is_err());
    }
}
