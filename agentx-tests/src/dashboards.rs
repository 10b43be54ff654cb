//! What `dashboards/` is made of: Grafana's JSON, Prometheus' rules with their tests, and the runbooks, from the two sources in
//! `dashboards/source`. Start at [`files`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

/// Where runbooks are read.
const RUNBOOKS: &str = "https://github.com/keepwatch/keepwatch/blob/main/docs/runbooks";

/// Grafana's columns.
const COLUMNS: u32 = 24;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    recording: Vec<Recording>,
    pub alerts: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    record: String,
    expr: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    pub alert: String,
    page: String,
    pub expr: String,
    #[serde(rename = "for")]
    wait: Option<String>,
    severity: String,
    summary: String,
    meaning: String,
    look: Vec<String>,
    cause: String,
    action: String,
    /// Of the samples in its tests.
    interval: Option<String>,
    fires: Case,
    /// Another reason to fire.
    fires_too: Option<Case>,
    silent: Case,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    series: Vec<(String, String)>,
    at: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    uid: String,
    pub file: String,
    title: String,
    description: String,
    variable: Option<Variable>,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    query: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    title: String,
    panels: Vec<Panel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    pub title: String,
    kind: Kind,
    size: (u32, u32),
    unit: String,
    description: String,
    pub targets: Vec<Target>,
    #[serde(default)]
    thresholds: Vec<(Option<f64>, String)>,
    /// Words and colours for values.
    #[serde(default)]
    values: BTreeMap<String, (String, String)>,
    #[serde(default)]
    stack: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub expr: String,
    legend: String,
    #[serde(default)]
    instant: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Stat,
    Timeseries,
    States,
    Table,
    Bars,
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

pub fn alerts() -> Alerts {
    read("dashboards/source/alerts.yaml")
}

pub fn dashboards() -> Vec<Dashboard> {
    read("dashboards/source/panels.yaml")
}

fn read<T: for<'a> Deserialize<'a>>(path: &str) -> T {
    let path = root().join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file that is made, by its path in the repository, with its contents.
pub fn files() -> BTreeMap<String, String> {
    let alerts = alerts();
    let mut files = BTreeMap::from([
        ("dashboards/prometheus/rules.yml".to_owned(), rules(&alerts)),
        ("dashboards/prometheus/tests.yml".to_owned(), tests(&alerts)),
        ("docs/runbooks/README.md".to_owned(), index(&alerts)),
    ]);
    files.extend(alerts.alerts.iter().map(|alert| (format!("docs/runbooks/{}.md", alert.page), runbook(alert))));
    for dashboard in dashboards() {
        let text = serde_json::to_string_pretty(&grafana(&dashboard)).expect("JSON of our own");
        files.insert(format!("dashboards/grafana/{}.json", dashboard.file), text + "\n");
    }
    files
}

impl Dashboard {
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }
}

/// A panel's query as Grafana would send it when everything is selected.
pub fn for_everything(expr: &str) -> String {
    let expr = expr.replace("NODE", r#"job=~".+", instance=~".+""#).replace("$__rate_interval", "1m");
    let mut whole = expr;
    for name in ["vrrp_instance", "virtual_server"] {
        whole = whole.replace(&format!("=~\"${name}\""), "=~\".+\"");
    }
    whole
}

// --- Prometheus

const MADE: &str = "# Made from dashboards/source/alerts.yaml: change it there.\n";

/// A scalar of YAML that means just this text: JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string")
}

fn rules(alerts: &Alerts) -> String {
    let mut text = format!("{MADE}groups:\n- name: keepwatch-recording\n  rules:\n");
    for rule in &alerts.recording {
        let _ = writeln!(text, "  - record: {}\n    expr: {}", rule.record, quoted(&rule.expr));
    }
    text += "- name: keepwatch-alerts\n  rules:\n";
    for alert in &alerts.alerts {
        let _ = writeln!(text, "  - alert: {}\n    expr: {}", alert.alert, quoted(&alert.expr));
        if let Some(wait) = &alert.wait {
            let _ = writeln!(text, "    for: {wait}");
        }
        let _ = writeln!(text, "    labels: {{severity: {}}}\n    annotations:", alert.severity);
        for (name, value) in annotations(alert) {
            let _ = writeln!(text, "      {name}: {}", quoted(&value));
        }
    }
    text
}

fn annotations(alert: &Alert) -> [(&'static str, String); 3] {
    [
        ("summary", alert.summary.clone()),
        ("description", alert.meaning.clone()),
        ("runbook_url", format!("{RUNBOOKS}/{}.md", alert.page)),
    ]
}

fn tests(alerts: &Alerts) -> String {
    let mut text =
        format!("{MADE}# promtool test rules tests.yml\nrule_files: [rules.yml]\nevaluation_interval: 15s\ntests:\n");
    for alert in &alerts.alerts {
        let too = alert.fires_too.as_ref().map(|case| ("fires too", case));
        for (word, case) in [("fires", &alert.fires), ("silent", &alert.silent)].into_iter().chain(too) {
            let interval = alert.interval.as_deref().unwrap_or("15s");
            let _ = writeln!(text, "- name: {} {word}\n  interval: {interval}\n  input_series:", alert.alert);
            for (series, values) in &case.series {
                let _ = writeln!(text, "  - series: {}\n    values: {}", quoted(series), quoted(values));
            }
            let at = case.at.as_deref().unwrap_or("2m15s");
            let _ = writeln!(text, "  alert_rule_test:\n  - eval_time: {at}\n    alertname: {}", alert.alert);
            if word == "silent" {
                text += "    exp_alerts: []\n";
                continue;
            }
            let expand = |value: &str| {
                case.labels.iter().fold(value.to_owned(), |text, (name, value)| {
                    text.replace(&format!("{{{{ $labels.{name} }}}}"), value)
                })
            };
            text += "    exp_alerts:\n    - exp_labels:\n";
            let _ = writeln!(text, "        severity: {}", alert.severity);
            for (name, value) in &case.labels {
                let _ = writeln!(text, "        {name}: {}", quoted(value));
            }
            text += "      exp_annotations:\n";
            for (name, value) in annotations(alert) {
                let _ = writeln!(text, "        {name}: {}", quoted(&expand(&value)));
            }
        }
    }
    text
}

fn index(alerts: &Alerts) -> String {
    let mut text = "# Runbooks\n\nOne page for each alert of `dashboards/prometheus/rules.yml`; made from `dashboards/source/alerts.yaml`.\n\n\
                    | Alert | Severity | Says |\n|---|---|---|\n"
        .to_owned();
    for alert in &alerts.alerts {
        let summary = plain(&alert.summary);
        let _ = writeln!(text, "| [{}]({}.md) | {} | {summary} |", alert.alert, alert.page, alert.severity);
    }
    text
}

/// Without the braces of templates: `$labels.x` becomes `x`.
fn plain(summary: &str) -> String {
    summary.replace("{{ $labels.", "*").replace(" }}", "*")
}

fn runbook(alert: &Alert) -> String {
    let mut text = format!("# {}\n\n{}. Severity: {}.\n\n", alert.alert, plain(&alert.summary), alert.severity);
    let _ = writeln!(text, "```promql\n{}\n```\n", alert.expr);
    let _ = match &alert.wait {
        Some(wait) => writeln!(text, "It must be true for {wait}.\n"),
        None => writeln!(text, "It fires at once.\n"),
    };
    let _ = writeln!(text, "## What it means\n\n{}\n\n## Where to look\n", alert.meaning);
    for (number, step) in (1..).zip(&alert.look) {
        let _ = writeln!(text, "{number}. {step}");
    }
    let _ = writeln!(text, "\n## Usual causes\n\n{}\n\n## What to do\n\n{}\n", alert.cause, alert.action);
    text + "<!-- Made from dashboards/source/alerts.yaml: change it there. -->\n"
}

// --- Grafana

fn grafana(dashboard: &Dashboard) -> Value {
    let mut panels = Vec::new();
    let mut y = 0;
    for row in &dashboard.rows {
        panels.push(json!({
            "id": panels.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        }));
        y += 1;
        let (mut x, mut tallest) = (0, 0);
        for panel in &row.panels {
            let (width, height) = panel.size;
            if x + width > COLUMNS {
                (x, y, tallest) = (0, y + tallest, 0);
            }
            panels.push(drawn(panel, panels.len() + 1, json!({"x": x, "y": y, "w": width, "h": height})));
            x += width;
            tallest = tallest.max(height);
        }
        y += tallest;
    }
    let mut variables = vec![
        json!({"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}),
        variable("job", "Job", "label_values(keepwatch_build_info, job)"),
        variable("instance", "Router", "label_values(keepwatch_build_info{job=~\"$job\"}, instance)"),
    ];
    variables.extend(
        dashboard.variable.as_ref().map(|it| variable(&it.name, &it.name.replace('_', " "), &selected(&it.query))),
    );
    let changes =
        "changes(keepwatch_vrrp_last_transition_timestamp_seconds{job=~\"$job\", instance=~\"$instance\"}[1m]) > 0";
    json!({
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["keepwatch"],
        "schemaVersion": 38,
        "version": 1,
        "editable": true,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "links": [{"type": "dashboards", "tags": ["keepwatch"], "title": "keepwatch", "asDropdown": true, "includeVars": true, "keepTime": true}],
        "templating": {"list": variables},
        "annotations": {"list": [{
            "name": "State changes", "enable": true, "iconColor": "orange",
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "expr": changes, "step": "15s", "titleFormat": "{{vrrp_instance}} on {{instance}}", "textFormat": "changed its state",
        }]},
        "panels": panels,
    })
}

fn selected(expr: &str) -> String {
    expr.replace("NODE", "job=~\"$job\", instance=~\"$instance\"")
}

fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "query": query, "definition": query, "refresh": 2, "sort": 1,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "multi": true, "includeAll": true, "allValue": ".+", "current": {"text": "All", "value": "$__all"},
    })
}

fn drawn(panel: &Panel, id: usize, place: Value) -> Value {
    let targets: Vec<Value> = (b'A'..=b'Z')
        .zip(&panel.targets)
        .map(|(letter, target)| {
            json!({
                "refId": char::from(letter).to_string(), "expr": selected(&target.expr), "legendFormat": target.legend,
                "instant": target.instant, "range": !target.instant,
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
            })
        })
        .collect();
    let steps: Vec<Value> = match &panel.thresholds[..] {
        [] => vec![json!({"color": "green", "value": null})],
        steps => steps.iter().map(|(value, color)| json!({"color": color, "value": value})).collect(),
    };
    let words: serde_json::Map<String, Value> = panel
        .values
        .iter()
        .map(|(value, (text, color))| (value.clone(), json!({"text": text, "color": color})))
        .collect();
    let mappings = if words.is_empty() { json!([]) } else { json!([{"type": "value", "options": words}]) };
    let stacking = if panel.stack { "normal" } else { "none" };
    let custom = match panel.kind {
        Kind::Timeseries => json!({
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": if panel.stack { 40 } else { 10 }, "showPoints": "never",
            "stacking": {"mode": stacking},
        }),
        Kind::States => json!({"fillOpacity": 80, "lineWidth": 0}),
        Kind::Stat | Kind::Table | Kind::Bars => json!({}),
    };
    let (kind, options) = match panel.kind {
        Kind::Stat => ("stat", json!({"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"]}})),
        Kind::Timeseries => (
            "timeseries",
            json!({"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}, "tooltip": {"mode": "multi", "sort": "desc"}}),
        ),
        Kind::States => ("state-timeline", json!({"mergeValues": true, "showValue": "auto", "rowHeight": 0.8})),
        Kind::Table => ("table", json!({"showHeader": true})),
        Kind::Bars => (
            "bargauge",
            json!({"displayMode": "gradient", "orientation": "horizontal", "reduceOptions": {"calcs": ["lastNotNull"]}}),
        ),
    };
    json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.description, "gridPos": place,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "targets": targets,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit, "custom": custom, "mappings": mappings,
                "color": {"mode": if panel.values.is_empty() && panel.thresholds.is_empty() { "palette-classic" } else { "thresholds" }},
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": options,
    })
}
