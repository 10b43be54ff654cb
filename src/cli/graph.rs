//! `keepwatch graph` and `keepwatch rrd`: pictures of what was recorded, and the files behind them. Both work on the files,
//! with or without a daemon.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::conf::model::RrdSettings;
use crate::export::graph::{GraphFormat, GraphKind, GraphRequest};
use crate::export::rrd::graphs;
use crate::export::rrd::names::{NAMES, Names};
use crate::process::beside;

/// Exit statuses.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;

/// Where RRD files are.
#[derive(Debug, Args)]
struct Directory {
    /// Directory of the RRD files [default: /var/lib/keepwatch/rrd]
    #[arg(long, value_name = "DIR", env = "KEEPWATCH_RRD")]
    directory: Option<PathBuf>,
}

impl Directory {
    fn path(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| RrdSettings::default().directory)
    }
}

#[derive(Debug, Args)]
pub struct Graph {
    /// What to show
    #[arg(required_unless_present = "list")]
    kind: Option<Kind>,
    /// Which one: the name of a vrrp_instance; a virtual server as 192.0.2.10:80/tcp; a real server as
    /// 192.0.2.10:80/tcp,10.0.0.1:80. None for ipvs and daemon.
    name: Option<String>,
    /// Which picture of it: state or adverts; connections, traffic or servers; connections, open, check or traffic;
    /// connections or traffic; delays or memory. The first of them unless given
    #[arg(long)]
    view: Option<String>,
    /// How far back: a number with s, m, h, d, w or y
    #[arg(long, default_value = "1d", value_parser = span)]
    span: Duration,
    /// File to write, .svg or .png; `-` is standard output (SVG). NAME.svg unless given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Pixels
    #[arg(long, default_value_t = 800, value_parser = clap::value_parser!(u32).range(200..=4000))]
    width: u32,
    /// Pixels
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(100..=2000))]
    height: u32,
    /// Colours for a dark page
    #[arg(long)]
    dark: bool,
    /// Show what there is to draw
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    directory: Directory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// State and priority of an instance; its adverts
    Vrrp,
    /// Connections per second of a virtual server by real server; its traffic; its servers
    Vs,
    /// Connections, checks and traffic of a real server
    Rs,
    /// All of IPVS
    Ipvs,
    /// keepwatchd itself
    Daemon,
}

impl From<Kind> for GraphKind {
    fn from(kind: Kind) -> GraphKind {
        match kind {
            Kind::Vrrp => GraphKind::Vrrp,
            Kind::Vs => GraphKind::Vs,
            Kind::Rs => GraphKind::Rs,
            Kind::Ipvs => GraphKind::Ipvs,
            Kind::Daemon => GraphKind::Daemon,
        }
    }
}

#[derive(Debug, Args)]
pub struct Rrd {
    #[command(subcommand)]
    command: RrdCommand,
}

#[derive(Debug, Subcommand)]
enum RrdCommand {
    /// Remove files that nothing was written to for long: those of objects that left the configuration
    Prune(Prune),
}

#[derive(Debug, Args)]
struct Prune {
    /// How long: a number with s, m, h, d, w or y
    #[arg(long, value_name = "AGE", value_parser = span)]
    older_than: Duration,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    directory: Directory,
}

impl Graph {
    pub fn run(&self) -> ExitCode {
        let directory = self.directory.path();
        let Some(kind) = self.kind.filter(|_| !self.list) else { return self.show_list(&directory) };
        let kind = GraphKind::from(kind);
        let name = match (kind, &self.name) {
            (GraphKind::Ipvs | GraphKind::Daemon, None) => String::new(),
            (GraphKind::Vrrp | GraphKind::Vs | GraphKind::Rs, Some(name)) => name.clone(),
            (GraphKind::Ipvs | GraphKind::Daemon, Some(_)) => {
                return usage("there is one of these only: it has no name");
            }
            (_, None) => return usage("the name is missing; --list shows those that there are"),
        };
        let out = self.out.clone().unwrap_or_else(|| file_name(kind, &name, self.view.as_deref()));
        let format = match out.extension().and_then(|extension| extension.to_str()) {
            _ if out == Path::new("-") => GraphFormat::Svg,
            Some("svg") => GraphFormat::Svg,
            Some("png") => GraphFormat::Png,
            _ => return usage("a picture is written to a file that ends in .svg or .png"),
        };
        let request = GraphRequest {
            kind,
            name,
            view: self.view.clone(),
            span: self.span,
            format,
            width: self.width,
            height: self.height,
            dark: self.dark,
        };
        if let Err(error) = graphs::check(&request) {
            return usage(&error.to_string());
        }
        let input = serde_json::to_vec(&request).unwrap_or_default();
        match rrd(&["draw", &directory.to_string_lossy()], &input) {
            Ok(picture) => write(&out, &picture),
            Err(status) => status,
        }
    }

    fn show_list(&self, directory: &Path) -> ExitCode {
        let text = match std::fs::read_to_string(directory.join(NAMES)) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("keepwatch: there are no RRD files in {}: {error}", directory.display());
                return ExitCode::from(NOT_FOUND);
            }
        };
        let mut out = String::new();
        let wanted = self.kind.map(GraphKind::from);
        for object in
            Names::parse(&text).objects().iter().filter(|object| wanted.is_none_or(|kind| kind == object.kind))
        {
            let views: Vec<&str> = graphs::views(object.kind).iter().map(|(view, _)| *view).collect();
            out.push_str(&format!("{:<6}  {:<44}  {}\n", object.kind.name(), object.name, views.join(", ")));
        }
        // A reader that has seen enough is no error.
        let _ = std::io::stdout().write_all(out.as_bytes());
        ExitCode::SUCCESS
    }
}

impl Rrd {
    pub fn run(&self) -> ExitCode {
        let RrdCommand::Prune(prune) = &self.command;
        let directory = prune.directory.path().to_string_lossy().into_owned();
        let seconds = prune.older_than.as_secs().to_string();
        let mut words = vec!["prune", &directory, &seconds];
        if prune.dry_run {
            words.push("--dry-run");
        }
        match rrd(&words, &[]) {
            Ok(list) => {
                let _ = std::io::stdout().write_all(&list);
                ExitCode::SUCCESS
            }
            Err(status) => status,
        }
    }
}

/// What `keepwatch-rrd` prints, or the status to exit with after it has said why. What it says besides goes to standard
/// error.
fn rrd(words: &[&str], input: &[u8]) -> Result<Vec<u8>, ExitCode> {
    let output = beside::run_rrd(words, input).map_err(|error| {
        eprintln!("keepwatch: {error}");
        ExitCode::from(FAILED)
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().for_each(|line| eprintln!("keepwatch: {line}"));
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(ExitCode::from(output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED)))
}

fn write(out: &Path, picture: &[u8]) -> ExitCode {
    let written =
        if out == Path::new("-") { std::io::stdout().write_all(picture) } else { std::fs::write(out, picture) };
    match written {
        Ok(()) if out == Path::new("-") => ExitCode::SUCCESS,
        Ok(()) => {
            println!("{}", out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("keepwatch: cannot write {}: {error}", out.display());
            ExitCode::from(FAILED)
        }
    }
}

fn usage(text: &str) -> ExitCode {
    eprintln!("keepwatch: {text}");
    ExitCode::from(USAGE)
}

/// A name that a shell needs no quotes for.
fn file_name(kind: GraphKind, name: &str, view: Option<&str>) -> PathBuf {
    let name = if name.is_empty() { kind.name() } else { name };
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
    let mut file: String = name.chars().map(|character| if plain(character) { character } else { '_' }).collect();
    if let Some(view) = view {
        file.push('-');
        file.push_str(view);
    }
    PathBuf::from(format!("{}.svg", file.trim_start_matches(['.', '-'])))
}

/// A number with a unit: `90s`, `15m`, `6h`, `7d`, `2w`, `1y`.
fn span(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 7 * 86_400), ("y", 366 * 86_400)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    parsed.map(Duration::from_secs).ok_or_else(|| "a number with s, m, h, d, w or y is wanted, as 6h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("400d"), Ok(Duration::from_secs(400 * 86_400)));
        for text in ["", "d", "7", "-1d", "1.5h", "99999999999999999999s", "9999999999999999999y", "1 d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_picture_without_a_name_for_it_is_named_after_what_it_shows() {
        for (kind, name, view, file) in [
            (GraphKind::Vrrp, "VI_1", None, "VI_1.svg"),
            (GraphKind::Vs, "192.0.2.10:80/tcp", Some("traffic"), "192.0.2.10_80_tcp-traffic.svg"),
            (GraphKind::Vrrp, "../x", None, "_x.svg"),
            (GraphKind::Ipvs, "", None, "ipvs.svg"),
        ] {
            assert_eq!(file_name(kind, name, view), Path::new(file));
        }
    }
}
