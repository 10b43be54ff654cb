//! `-t` of large files: a load balancer with more virtual servers than anybody has, by both programs.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use agentx_tests::net::Lab;

use super::{PROGRAMS, ratio};

/// Megabytes of the files.
const SIZES: [usize; 3] = [1, 10, 50];
/// After this a program is ended.
const PATIENCE: Duration = Duration::from_secs(120);
/// What one clock tick of /proc/PID/stat is, seconds.
const TICK: f64 = 0.01;

struct Parsed {
    wall: f64,
    cpu: f64,
    /// The most memory it had at once, MB.
    peak: f64,
    ended: bool,
}

pub fn bench() {
    println!("\nReading a file of virtual servers with four real servers each (-t)");
    println!(
        "{:<11} {:>6} {:>9} {:>9} {:>11} {:>12} {:>9}",
        "", "MB", "wall s", "CPU s", "MB/s of CPU", "peak MB", "MB per MB"
    );
    let lab = Lab::new();
    let node = lab.node("R1");
    for size in SIZES {
        let text = services(size * 1_000_000);
        let file = node.directory().join(format!("{size}.conf"));
        std::fs::write(&file, &text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let megabytes = text.len() as f64 / 1e6;
        drop(text);
        let all = PROGRAMS.map(|program| {
            let path = program.path();
            let one = parsed(&node, &path, &file);
            println!(
                "{:<11} {:>6.0} {:>9.2} {:>9.2} {:>11.1} {:>12.0} {:>9.1}{}",
                program.name(),
                megabytes,
                one.wall,
                one.cpu,
                megabytes / one.cpu,
                one.peak,
                one.peak / megabytes,
                if one.ended { "" } else { " (given up)" }
            );
            one
        });
        if all.iter().all(|one| one.ended) {
            ratio(&format!("CPU time for {size} MB"), &[all[0].cpu, all[1].cpu]);
        }
        let _ = std::fs::remove_file(&file);
    }
}

/// Its own processor time and memory are looked at until it ends.
fn parsed(node: &agentx_tests::net::Node, program: &Path, file: &Path) -> Parsed {
    let words = [program.to_string_lossy(), "-t".into(), "-f".into(), file.to_string_lossy()];
    let mut command = node.command(&words.each_ref().map(|word| &**word));
    let mut child = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => panic!("{}: {error}", program.display()),
    };
    let begun = Instant::now();
    let mut one = Parsed { wall: 0.0, cpu: TICK, peak: 0.0, ended: false };
    while begun.elapsed() < PATIENCE {
        let of = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap_or_default();
        let ticks: Option<f64> = of("stat").rsplit_once(')').map(|(_, rest)| {
            rest.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum()
        });
        one.cpu = one.cpu.max(ticks.unwrap_or(0.0) * TICK);
        let peak = of("status")
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
        one.peak = one.peak.max(peak.unwrap_or(0.0) * 1024.0 / 1e6);
        if matches!(child.try_wait(), Ok(Some(_))) {
            one.ended = true;
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    one.wall = begun.elapsed().as_secs_f64();
    let _ = child.kill();
    let _ = child.wait();
    one
}

fn services(octets: usize) -> String {
    let mut text = String::from("global_defs {\n    router_id bench\n}\n");
    for number in 0_u32.. {
        if text.len() >= octets {
            break;
        }
        let [_, a, b, c] = number.to_be_bytes();
        let _ = write!(
            text,
            "virtual_server 10.{a}.{b}.{c} 80 {{\n    delay_loop 6\n    lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n\n"
        );
        for server in 1..=4 {
            let first = 50 * server + u32::from(a);
            let _ = write!(
                text,
                "    real_server {first}.{server}.{b}.{c} 80 {{\n        weight 1\n        TCP_CHECK {{\n            \
                 connect_timeout 3\n            retry 2\n            delay_before_retry 1\n        }}\n    }}\n"
            );
        }
        text.push_str("}\n");
    }
    text
}
