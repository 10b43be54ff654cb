//! Updates of RRD files per second, through librrd and through rrdcached; beside `rrdtool -`, which is what scripts feed.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::http::get_unix;
use agentx_tests::net::{Lab, Nic, Node};
use agentx_tests::process::Process;
use agentx_tests::wait::{observe, within};

const INSTANCES: u32 = 100;
const SERVICES: u32 = 100;
const SERVERS: u32 = 20;
/// Those, the kernel's totals and the daemon's own.
const FILES: u64 = (INSTANCES + SERVICES + SERVICES * SERVERS + 2) as u64;
const STEP: Duration = Duration::from_secs(10);
const STEPS: usize = 4;
const LIMIT: Duration = Duration::from_secs(120);

pub fn bench() {
    println!("\nUpdates of {FILES} RRD files (profile small), {STEPS} steps; the median of them, a second");
    println!("{:<12} {:>12} {:>12} {:>8} {:>12}", "", "keepwatchd", "rrdtool -", "ratio", "batches ms");
    for cached in [false, true] {
        let name = if cached { "rrdcached" } else { "librrd" };
        match one(cached) {
            Ok((ours, theirs, took)) => {
                println!("{name:<12} {ours:>12.0} {theirs:>12.0} {:>8.2} {:>12.1}", ours / theirs, took * 1e3);
            }
            Err(why) => println!("{name:<12} {why}"),
        }
    }
}

/// Updates per second of the daemon and of rrdtool, and how long the daemon's step took.
fn one(cached: bool) -> Result<(f64, f64, f64), String> {
    let lab = Lab::new();
    let (node, switch) = (lab.node("R1"), lab.switch());
    lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.0.0.1/8"], ..Nic::default() });
    let directory = node.directory().join("history");
    let socket = node.directory().join("rrdcached.sock");
    std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    nix::unistd::chown(&directory, Some(65534.into()), Some(65534.into())).map_err(|error| error.to_string())?;
    let writer = cached.then(|| rrdcached(&node, &socket, &directory));
    let mut settings = format!("rrd:\n  directory: {}\n  real_servers: true\n  profile: small\n", directory.display());
    if cached {
        let _ = writeln!(settings, "  cached: unix:{}", socket.display());
    }
    let options = Options { settings: Some(&settings), ..Options::default() };
    let mut daemon = Daemon::start(&node, Program::Keepwatch, &configuration(), options);
    let state = || state(&daemon);
    within(LIMIT, || state().filter(|state| state.files >= FILES && state.success >= FILES))
        .ok_or_else(|| format!("keepwatchd does not keep {FILES} files: {:?}; it said:\n{}", state(), daemon.log()))?;
    let steps: Vec<Step> = (0..STEPS).filter_map(|_| step(state)).collect();
    if steps.len() < STEPS {
        return Err(format!("only {} of {STEPS} steps were written; it said:\n{}", steps.len(), daemon.log()));
    }
    let mut took: Vec<f64> = steps.iter().map(|step| step.took).collect();
    took.sort_by(f64::total_cmp);
    let took = took[took.len() / 2];
    let ours = steps.iter().map(|step| step.updates).sum::<u64>() as f64 / STEPS as f64 / took;
    daemon.stop();
    let theirs = rrdtool(&directory, cached.then_some(socket.as_path()))?;
    drop(writer);
    Ok((ours, theirs, took))
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    success: u64,
    files: u64,
    busy: f64,
}

fn state(daemon: &Daemon) -> Option<State> {
    let text = get_unix(&daemon.directory().join("main.metrics.sock"), "/api/v1/status", &[]).ok()?.text();
    let document: serde_json::Value = serde_json::from_str(&text).ok()?;
    let rrd = document.get("rrd")?;
    let number = |name: &str| rrd.get(name)?.as_u64();
    Some(State { success: number("success")?, files: number("files")?, busy: number("busy_us")? as f64 / 1e6 })
}

struct Step {
    updates: u64,
    /// Seconds that its batches took.
    took: f64,
}

/// The next step, from a pause to the next one.
fn step(state: impl Fn() -> Option<State>) -> Option<Step> {
    let before = state()?;
    let first = within(STEP * 3, || state().filter(|now| now.success != before.success))?;
    let (mut last, mut changed) = (first, Instant::now());
    while changed.elapsed() < STEP / 5 {
        observe(Duration::from_millis(50));
        if let Some(now) = state().filter(|now| now.success != last.success) {
            (last, changed) = (now, Instant::now());
        }
    }
    Some(Step { updates: last.success - before.success, took: last.busy - before.busy })
}

/// What scripts do: a line for each file into one `rrdtool -`, and one back.
fn rrdtool(directory: &Path, cached: Option<&Path>) -> Result<f64, String> {
    let mut files = Vec::new();
    collect(directory, &mut files);
    if (files.len() as u64) < FILES {
        return Err(format!("{} has {} files", directory.display(), files.len()));
    }
    let sources: Vec<usize> = files.iter().map(|file| data_sources(file)).collect();
    let mut command = Command::new("rrdtool");
    command.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped());
    if let Some(socket) = cached {
        command.env("RRDCACHED_ADDRESS", format!("unix:{}", socket.display()));
    }
    let mut rrdtool = command.spawn().map_err(|error| format!("rrdtool: {error}"))?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut took = Vec::new();
    for round in 1..=STEPS as u64 {
        let at = now + round * STEP.as_secs();
        let began = Instant::now();
        feed(&mut rrdtool, &files, &sources, at)?;
        took.push(began.elapsed().as_secs_f64());
    }
    drop(rrdtool.stdin.take());
    let _ = rrdtool.wait();
    took.sort_by(f64::total_cmp);
    Ok(files.len() as f64 / took[took.len() / 2])
}

fn feed(rrdtool: &mut Child, files: &[PathBuf], sources: &[usize], at: u64) -> Result<(), String> {
    let (Some(input), Some(output)) = (&mut rrdtool.stdin, &mut rrdtool.stdout) else { return Err("no pipe".into()) };
    let mut answers = BufReader::new(output);
    // Not more ahead than a pipe holds.
    for (files, sources) in files.chunks(50).zip(sources.chunks(50)) {
        for (file, sources) in files.iter().zip(sources) {
            let line = format!("update {} {at}{}\n", file.display(), ":1".repeat(*sources));
            input.write_all(line.as_bytes()).map_err(|error| error.to_string())?;
        }
        for _ in files {
            let mut answer = String::new();
            answers.read_line(&mut answer).map_err(|error| error.to_string())?;
            if !answer.starts_with("OK") {
                return Err(format!("rrdtool said: {answer}"));
            }
        }
    }
    Ok(())
}

fn data_sources(file: &Path) -> usize {
    let output = Command::new("rrdtool").arg("info").arg(file).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("ds[") && line.contains("].index")).count()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rrd") {
            files.push(path);
        }
    }
}

/// With Debian's defaults for when it writes.
fn rrdcached(node: &Node, socket: &Path, directory: &Path) -> Process {
    let (base, listen) = (directory.to_string_lossy().into_owned(), format!("unix:{}", socket.display()));
    let pid = format!("{}.pid", socket.display());
    let words = ["rrdcached", "-g", "-p", &pid, "-m", "0666", "-l", &listen, "-b", &base, "-B", "-R"];
    let process = node.spawn("rrdcached", node.command(&words));
    let _ = within(LIMIT, || std::os::unix::net::UnixStream::connect(socket).ok());
    process
}

fn configuration() -> String {
    let mut text = "global_defs {\n router_id bench\n}\n".to_owned();
    for instance in 1..=INSTANCES {
        let _ = write!(
            text,
            "vrrp_instance VI_{instance} {{\n state MASTER\n interface eth0\n virtual_router_id {instance}\n priority 150\n version 3\n \
             advert_int 1\n virtual_ipaddress {{\n  10.1.0.{instance}/32\n }}\n}}\n"
        );
    }
    for service in 1..=SERVICES {
        let _ = write!(text, "virtual_server 10.1.0.{service} 80 {{\n lvs_sched wrr\n lvs_method NAT\n protocol TCP\n");
        for server in 1..=SERVERS {
            let _ = write!(text, " real_server 10.2.{service}.{server} 80 {{\n  weight 1\n }}\n");
        }
        text.push_str("}\n");
    }
    text
}
