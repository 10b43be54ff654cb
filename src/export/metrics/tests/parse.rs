//! Readers of both formats that take nothing a strict scraper might refuse.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Parsed {
    pub(super) families: Vec<Family>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) unit: Option<String>,
    pub(super) help: Option<String>,
    pub(super) samples: Vec<Sample>,
}

pub(super) type Labels = Vec<(String, String)>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) value: f64,
}

impl Parsed {
    pub(super) fn family(&self, name: &str) -> &Family {
        self.families.iter().find(|family| family.name == name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples)
    }

    /// The sample of that name with (at least) these labels.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.samples().filter(|sample| sample.name == name && sample.has(labels));
        let value = found.next()?.value;
        assert_eq!(found.next(), None, "{name} {labels:?} is not one sample");
        Some(value)
    }
}

impl Sample {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.label(name) == Some(value))
    }

    /// What makes it another one.
    fn identity(&self) -> (String, BTreeSet<(String, String)>) {
        (self.name.clone(), self.labels.iter().cloned().collect())
    }
}

type Result<T> = std::result::Result<T, String>;

#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    Text,
    Open,
}

/// Text format 0.0.4.
pub(super) fn text(input: &str) -> Result<Parsed> {
    parse(input, Dialect::Text)
}

/// OpenMetrics 1.0.
pub(super) fn openmetrics(input: &str) -> Result<Parsed> {
    let body = input.strip_suffix("# EOF\n").ok_or("the page has no end")?;
    let parsed = parse(body, Dialect::Open)?;
    names_do_not_clash(&parsed)?;
    Ok(parsed)
}

fn parse(input: &str, dialect: Dialect) -> Result<Parsed> {
    if !input.is_empty() && !input.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut parsed = Parsed::default();
    for line in input.split_terminator('\n') {
        take(&mut parsed, line, dialect).map_err(|error| format!("{error}: {line:?}"))?;
    }
    let mut names = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for family in &parsed.families {
        if !names.insert(&family.name) {
            return Err(format!("{} is there twice", family.name));
        }
        for sample in &family.samples {
            if !seen.insert(sample.identity()) {
                return Err(format!("twice: {sample:?}"));
            }
        }
        check(family, dialect).map_err(|error| format!("{}: {error}", family.name))?;
    }
    Ok(parsed)
}

fn take(parsed: &mut Parsed, line: &str, dialect: Dialect) -> Result<()> {
    if let Some(described) = line.strip_prefix("# ") {
        let (word, rest) = described.split_once(' ').ok_or("a comment")?;
        let (name, text) = rest.split_once(' ').ok_or("nothing is said")?;
        is_name(name)?;
        if parsed.families.last().is_none_or(|family| family.name != name) {
            parsed.families.push(Family { name: name.to_owned(), ..Family::default() });
        }
        let family = parsed.families.last_mut().ok_or("no family")?;
        if !family.samples.is_empty() {
            return Err("said after samples".to_owned());
        }
        let place = match (word, dialect) {
            ("TYPE", _) => {
                if !family.kind.is_empty() {
                    return Err("typed twice".to_owned());
                }
                let kinds: &[&str] = match dialect {
                    Dialect::Text => &["counter", "gauge", "histogram"],
                    Dialect::Open => &["counter", "gauge", "histogram", "info"],
                };
                if !kinds.contains(&text) {
                    return Err("no type".to_owned());
                }
                family.kind = text.to_owned();
                return Ok(());
            }
            ("UNIT", Dialect::Open) => &mut family.unit,
            ("HELP", _) => &mut family.help,
            _ => return Err("an unknown comment".to_owned()),
        };
        if place.replace(unescaped_help(text, dialect)?).is_some() {
            return Err("said twice".to_owned());
        }
        return Ok(());
    }
    let sample = sample(line)?;
    let family = parsed.families.last_mut().ok_or("a sample of nothing")?;
    let allowed: &[&str] = match (family.kind.as_str(), dialect) {
        ("", _) => return Err("samples without a type".to_owned()),
        ("counter", Dialect::Open) => &["_total", "_created"],
        ("info", _) => &["_info"],
        ("histogram", Dialect::Open) => &["_bucket", "_sum", "_count", "_created"],
        ("histogram", Dialect::Text) => &["_bucket", "_sum", "_count"],
        _ => &[""],
    };
    match sample.name.strip_prefix(&family.name) {
        Some(suffix) if allowed.contains(&suffix) => {}
        _ => return Err("a sample of another family".to_owned()),
    }
    family.samples.push(sample);
    Ok(())
}

fn unescaped_help(text: &str, dialect: Dialect) -> Result<String> {
    if dialect == Dialect::Open && text.replace("\\\"", "").contains('"') {
        return Err("a bare quote".to_owned());
    }
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.push(escape(chars.next())?),
            char => out.push(char),
        }
    }
    Ok(out)
}

fn escape(char: Option<char>) -> Result<char> {
    match char {
        Some('n') => Ok('\n'),
        Some('\\') => Ok('\\'),
        Some('"') => Ok('"'),
        _ => Err("no escape".to_owned()),
    }
}

fn is_name(name: &str) -> Result<()> {
    let letter = |char: char| char.is_ascii_alphabetic() || char == '_';
    match name.starts_with(letter) && name.chars().all(|char| letter(char) || char.is_ascii_digit()) {
        true => Ok(()),
        false => Err(format!("no name: {name:?}")),
    }
}

fn sample(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    is_name(name)?;
    let mut labels: Vec<(String, String)> = vec![];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, value) = rest.split_once("=\"").ok_or("no label")?;
            is_name(label)?;
            if labels.iter().any(|(other, _)| other == label) || label.starts_with("__") {
                return Err(format!("label {label}"));
            }
            let mut out = String::new();
            let mut chars = value.char_indices();
            let after = loop {
                match chars.next().ok_or("a label without an end")? {
                    (at, '"') => break at + 1,
                    (_, '\\') => out.push(escape(chars.next().map(|(_, char)| char))?),
                    (_, '\0') => return Err("a zero octet".to_owned()),
                    (_, char) => out.push(char),
                }
            };
            labels.push((label.to_owned(), out));
            rest = value.get(after..).ok_or("nothing follows")?;
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').ok_or("no brace")?;
    }
    let value = rest.strip_prefix(' ').ok_or("no blank")?;
    if value.is_empty() || value.contains(char::is_whitespace) {
        return Err("more than a value".to_owned());
    }
    let value = value.parse().map_err(|_| "no number")?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// What a type promises.
fn check(family: &Family, dialect: Dialect) -> Result<()> {
    if family.kind.is_empty() || family.help.as_deref().unwrap_or_default().is_empty() {
        return Err("it is not described".to_owned());
    }
    if let Some(unit) = &family.unit
        && (!family.name.ends_with(&format!("_{unit}")) || family.kind == "info")
    {
        return Err(format!("its unit is {unit}"));
    }
    if family.kind == "counter" && dialect == Dialect::Open && family.name.ends_with("_total") {
        return Err("a counter called total".to_owned());
    }
    if ["counter", "histogram"].contains(&family.kind.as_str())
        && let Some(odd) = family.samples.iter().find(|sample| !(sample.value >= 0.0 && sample.value.is_finite()))
    {
        return Err(format!("{odd:?}"));
    }
    if family.kind == "info" && family.samples.iter().any(|sample| sample.value != 1.0) {
        return Err("an info is 1".to_owned());
    }
    points_stay_together(family)?;
    if family.kind == "histogram" { check_buckets(family, dialect) } else { Ok(()) }
}

/// Samples of one point follow each other.
fn points_stay_together(family: &Family) -> Result<()> {
    let point = |sample: &Sample| -> BTreeSet<(String, String)> {
        sample.labels.iter().filter(|(name, _)| name != "le").cloned().collect()
    };
    let mut points: Vec<_> = family.samples.iter().map(point).collect();
    points.dedup();
    let distinct: BTreeSet<_> = points.iter().collect();
    if distinct.len() == points.len() { Ok(()) } else { Err("points are mixed".to_owned()) }
}

fn check_buckets(family: &Family, dialect: Dialect) -> Result<()> {
    let mut points: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for sample in &family.samples {
        let others: Vec<_> = sample.labels.iter().filter(|(name, _)| name != "le").cloned().collect();
        if sample.name.ends_with("_bucket") {
            let bound = sample.label("le").ok_or("a bucket without a bound")?;
            if dialect == Dialect::Open && bound != "+Inf" && !bound.contains('.') {
                return Err(format!("the bound {bound} is not written as a floating point number"));
            }
            let bound: f64 = bound.parse().map_err(|_| "no bound")?;
            points.entry(others).or_default().push((bound, sample.value));
        } else if sample.name.ends_with("_count") {
            counts.insert(others, sample.value);
        }
    }
    for (point, buckets) in &points {
        let rising = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        let last = buckets.last().copied();
        if !rising || last != counts.get(point).map(|count| (f64::INFINITY, *count)) {
            return Err(format!("buckets of {point:?}: {buckets:?}"));
        }
    }
    Ok(())
}

/// No family's samples may be called as another one is, or as its samples might be.
fn names_do_not_clash(parsed: &Parsed) -> Result<()> {
    let mut taken = BTreeSet::new();
    for family in &parsed.families {
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["", "_total", "_created"],
            "histogram" => &["", "_bucket", "_sum", "_count", "_created"],
            "info" => &["", "_info"],
            _ => &[""],
        };
        for suffix in suffixes {
            if !taken.insert(format!("{}{suffix}", family.name)) {
                return Err(format!("{}{suffix} could be of two families", family.name));
            }
        }
    }
    Ok(())
}

#[test]
fn the_readers_refuse_what_a_scraper_would() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"\\\\\\\"\\n\"} 1\n";
    assert_eq!(text(good).unwrap().value("a_total", &[("b", "\\\"\n")]), Some(1.0));
    for bad in [
        "a 1\n",
        "# HELP a A.\n# TYPE a gauge\na 1",
        "# HELP a A.\n# TYPE a gauge\na 1\na 1\n",
        "# HELP a A.\n# TYPE a gauge\na{b=\"\\x\"} 1\n",
        "# HELP a A.\n# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n",
        "# HELP a A.\n# TYPE a gauge\na{b=\"1\"}  1\n",
        "# HELP a A.\n# TYPE a gauge\na{b=\"1} 1\n",
        "# HELP a A.\n# TYPE a gauge\nb 1\n",
        "# HELP a A.\n# TYPE a counter\na -1\n",
        "# HELP a A.\n# TYPE a gauge\na 1\n# HELP b B.\n# TYPE b gauge\nb 1\n# HELP a A.\n",
    ] {
        assert!(text(bad).is_err(), "{bad}");
    }
    let good = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds A.\na_seconds_total 1\n# EOF\n";
    openmetrics(good).unwrap();
    let clash = "# TYPE a counter\n# HELP a A.\n# TYPE a_total gauge\n# HELP a_total A.\n# EOF\n";
    let bucket =
        "# TYPE a histogram\n# HELP a A.\na_bucket{le=\"1\"} 0\na_bucket{le=\"+Inf\"} 0\na_count 0\na_sum 0\n# EOF\n";
    for bad in [
        &good.replace("# EOF\n", ""),
        &good.replace("_total", ""),
        &good.replace("UNIT a_seconds seconds", "UNIT a_seconds bytes"),
        &format!("{good}\n"),
        clash,
        bucket,
    ] {
        assert!(openmetrics(bad).is_err(), "{bad}");
    }
    openmetrics(&bucket.replace("\"1\"", "\"1.0\"")).unwrap();
}
