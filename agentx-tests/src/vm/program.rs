//! A program's own work where there is IPVS: for those that are no tests. Start at [`here_or_there`].

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::guest::{Guest, Running, quoted, this_binary};
use super::{GRACE, has_ipvs};
use crate::janitor;

/// `Ok(None)` where this kernel has IPVS: go on here. Else this binary runs with these words in the virtual machine, where it
/// comes to this call again and is told to go on; what it prints there is printed here, line by line as it comes, and
/// its exit code is given. Words on standard output say what goes on.
///
/// An error is a guest that did not come up, did not last, or was not done within `limit`, with what is known about it.
pub fn here_or_there(words: &[&str], limit: Duration) -> Result<Option<u8>, String> {
    if has_ipvs() {
        return Ok(None);
    }
    println!("\nThis kernel has no IPVS: Debian's own kernel is booted in QEMU for what follows. It is slow there.");
    // The janitor removes the directory, however this process ends.
    let guest = Guest::prepare(janitor::directory().join("vm"), &work(words, limit)?)?;
    let mut running = guest.boot()?;
    let ended = follow(&mut running, limit);
    running.kill();
    match ended {
        Ok(0) => Ok(Some(0)),
        Ok(code) => {
            println!("{}", keep(&guest));
            Ok(Some(code))
        }
        Err(why) => Err(format!("{why}; the last lines of its console:\n{}\n{}", last_lines(&guest), keep(&guest))),
    }
}

/// What the guest does. A pipe, so that nobody there has a terminal to be surprised by. Files of the program's labs are
/// told by its process number: the host's /tmp, this very share included, may be in sight.
fn work(words: &[&str], limit: Duration) -> Result<String, String> {
    let mut command = quoted(&this_binary()?.to_string_lossy());
    for word in words {
        command += " ";
        command += &quoted(word);
    }
    Ok(format!(
        r#"{{
    timeout -k 10 {} sh -c 'echo $$ >/run/program.pid; exec "$@"' sh {command} </dev/null 2>&1
    code=$?
    [ $code = 0 ] || {{ cp -r /tmp/kw$(cat /run/program.pid)x-lab /run/share/; dmesg >/run/share/dmesg.log; }} 2>/dev/null
    printf '{EXIT}%s\n' $code
}} | cat >/dev/ttyS1"#,
        limit.as_secs()
    ))
}

/// In front of the exit code, which is the last line. No program of ours prints that.
const EXIT: &str = "exit status in the guest: ";

/// Passes on what it prints.
fn follow(running: &mut Running, limit: Duration) -> Result<u8, String> {
    let booted = running.wait_until_ready()?;
    println!("It was up after {:.0} s.", booted.as_secs_f64());
    let began = Instant::now();
    loop {
        let Some(line) = running.line((limit + GRACE).saturating_sub(began.elapsed()))? else {
            return Err(format!("the guest was not done within {limit:?}"));
        };
        let line = line.trim_end();
        let Some(code) = line.strip_prefix(EXIT) else {
            println!("{line}");
            let _ = std::io::stdout().flush();
            continue;
        };
        return match code.parse() {
            // As `timeout` gives them.
            Ok(124 | 137) => Err(format!("not done within {limit:?}")),
            Ok(code) => Ok(code),
            Err(_) => Err(format!("the guest talks nonsense: {line}")),
        };
    }
}

/// Lets the guest's directory outlive this process, and says where it is.
fn keep(guest: &Guest) -> String {
    let kept = Guest::usual_directory();
    let _ = fs::remove_dir_all(&kept);
    match fs::rename(&guest.directory, &kept) {
        Ok(()) => format!("console and logs are in {}", kept.display()),
        Err(error) => format!("console and logs are lost: {}: {error}", kept.display()),
    }
}

fn last_lines(guest: &Guest) -> String {
    let text = String::from_utf8_lossy(&fs::read(guest.console()).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
