//! Tests that need IPVS, on machines whose kernel has none: Debian's own kernel, booted in QEMU. Start at [`scenario`].
//!
//! The guest sees this machine's root file system read-only with an overlay in memory, so the very same test binary
//! runs there, with the same tools, and nothing it does touches this machine. One boot serves one test binary: the
//! first test that gets here boots, the guest runs every selected test (those that `--list` names for the same
//! arguments) two at a time, each in a process of its own with `--exact NAME`, and each test of the host waits for
//! the result of its namesake. A failed one shows the guest's output; its labs' logs and captures come back, too.
//!
//! Programs (the demo, the benchmark) run themselves there with [`here_or_there`].
//!
//! Where the host's kernel has IPVS, nothing is booted and tests run as any other. `KEEPWATCH_VM=always` and
//! `KEEPWATCH_VM=never` say otherwise; `KEEPWATCH_VM=kvm` boots with the processor's help instead of emulating one.

mod guest;
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use guest::{Guest, Running, output_of, quoted, this_binary, write};
pub use program::here_or_there;

/// Runs the body of a test where there is IPVS: here, or in the virtual machine.
///
/// Must be called with the closure written down in the test function: the test's name is that of the closure's type.
#[track_caller]
pub fn scenario<F: FnOnce()>(body: F) {
    if has_ipvs() {
        return body();
    }
    let name = test_name(std::any::type_name::<F>());
    let (result, took) = Machine::running().result(&name);
    match result {
        Ok(said) => println!("{name} passed in the virtual machine in {took:.1?}; it said:\n{said}"),
        Err(why) => panic!("{name} in the virtual machine: {why}"),
    }
}

/// `ipvs::kernel::a_test::{{closure}}` as the test harness calls it: `kernel::a_test`.
fn test_name(closure: &str) -> String {
    let path = closure.strip_suffix("::{{closure}}").unwrap_or(closure);
    path.split_once("::").map_or(path, |(_crate, name)| name).to_owned()
}

/// Whether tests run in this kernel. Asked of `ipvsadm`, which asks the kernel, which loads its module.
fn has_ipvs() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        if in_guest() {
            return true;
        }
        match demand().as_str() {
            "always" | "kvm" => false,
            "never" => true,
            _ => {
                let mut command = Command::new("ipvsadm");
                command.arg("-Ln").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                match command.status() {
                    Ok(status) => status.success(),
                    Err(error) => panic!("cannot run ipvsadm ({error}): `make setup` installs it"),
                }
            }
        }
    })
}

/// Whether this is a process of the virtual machine.
pub fn in_guest() -> bool {
    std::env::var_os(IN_GUEST).is_some()
}

fn demand() -> String {
    std::env::var("KEEPWATCH_VM").unwrap_or_default()
}

const IN_GUEST: &str = "KEEPWATCH_IN_GUEST";

/// One scenario. An emulated processor is ten times slower than a real one.
const SCENARIO_MAX: Duration = Duration::from_secs(300);
/// After the end of its time the guest ends a scenario itself, and says so.
const GRACE: Duration = Duration::from_secs(60);

/// What a scenario printed, or why it failed; and how long it took.
type Outcome = (Result<String, String>, Duration);

/// The guest of this process and what it has said so far.
#[derive(Debug, Default)]
struct Machine {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    outcomes: BTreeMap<String, Outcome>,
    /// Why no more will come.
    over: Option<String>,
}

impl Machine {
    /// Boots at the first call.
    fn running() -> &'static Machine {
        static MACHINE: OnceLock<Machine> = OnceLock::new();
        static BOOT: OnceLock<()> = OnceLock::new();
        let machine = MACHINE.get_or_init(Machine::default);
        BOOT.get_or_init(|| {
            // QEMU dies with the thread that started it, so this one stays until the end.
            std::thread::spawn(|| machine.watch());
        });
        machine
    }

    fn result(&self, name: &str) -> Outcome {
        let mut state = self.state();
        loop {
            if let Some(outcome) = state.outcomes.get(name) {
                return outcome.clone();
            }
            if let Some(why) = &state.over {
                return (Err(why.clone()), Duration::ZERO);
            }
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn watch(&self) {
        let over = match std::panic::catch_unwind(AssertUnwindSafe(|| self.run_all())) {
            Ok(Ok(())) => "not run: tests are told apart by the name of their closure's type".to_owned(),
            Ok(Err(why)) => why,
            Err(_) => "the thread that watches it failed".to_owned(),
        };
        self.state().over = Some(over);
        self.changed.notify_all();
    }

    /// Boots, and takes in results until the last one. Everything is kept if one of them is a failure.
    fn run_all(&self) -> Result<(), String> {
        let names = selected()?;
        let guest =
            Guest::prepare(Guest::usual_directory(), "xargs -P 2 -n 1 sh /run/share/one.sh </run/share/scenarios")?;
        write(&guest.share().join("scenarios"), (names.join("\n") + "\n").as_bytes())?;
        write(&guest.share().join("one.sh"), scenario_script()?.as_bytes())?;
        let mut running = guest.boot()?;
        let ended = self.take_in(&names, &guest, &mut running);
        running.kill();
        let last = ended.as_ref().ok().cloned().flatten();
        let failed =
            self.state().outcomes.values().chain(last.iter().map(|it| &it.1)).any(|(result, _)| result.is_err());
        if ended.is_ok() && !failed && std::env::var_os("KEEPWATCH_KEEP_LOGS").is_none() {
            let _ = fs::remove_dir_all(&guest.directory);
        }
        if let Some((name, outcome)) = last {
            self.tell(name, outcome);
        }
        ended.map(drop).map_err(|why| format!("{why}\n{}", guest.where_to_look()))
    }

    fn tell(&self, name: String, outcome: Outcome) {
        self.state().outcomes.insert(name, outcome);
        self.changed.notify_all();
    }

    /// Gives the last outcome, which nobody has been told: this process ends when everybody has been.
    fn take_in(
        &self,
        names: &[String],
        guest: &Guest,
        running: &mut Running,
    ) -> Result<Option<(String, Outcome)>, String> {
        let mut last = None;
        println!("the virtual machine was up after {:.1?}", running.wait_until_ready()?);
        for done in 0..names.len() {
            let Some(line) = running.line(SCENARIO_MAX + GRACE)? else {
                return Err(format!("the guest says nothing more after {done} of {} scenarios", names.len()));
            };
            let words: Vec<&str> = line.trim().splitn(3, ' ').collect();
            let [code, took, name] = words[..] else {
                return Err(format!("the guest talks nonsense: {line}"));
            };
            let took = Duration::from_millis(took.parse().unwrap_or_default());
            if let Some((name, outcome)) = last.replace((name.to_owned(), (outcome(guest, name, code), took))) {
                self.tell(name, outcome);
            }
        }
        Ok(last)
    }
}

/// The tests that this process was told to run.
fn selected() -> Result<Vec<String>, String> {
    let mut command = Command::new(this_binary()?);
    command.args(std::env::args_os().skip(1)).args(["--list", "--format", "terse"]);
    let output = output_of(command)?;
    let text = String::from_utf8_lossy(&output);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// `code` as `timeout` gives it.
fn outcome(guest: &Guest, name: &str, code: &str) -> Result<String, String> {
    let log = guest.share().join(file_name(name)).join("output.log");
    let said = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    let why = match code {
        "0" if said.contains("1 passed") => return Ok(said),
        "0" => "no such test there".to_owned(),
        "124" | "137" => format!("not done within {SCENARIO_MAX:?}"),
        code => format!("failed ({code})"),
    };
    Err(format!("{why}; it said:\n{said}\n{}", guest.where_to_look()))
}

/// A test's directory in the share. As in the guest's script.
fn file_name(test: &str) -> String {
    test.replace("::", ".")
}

/// Runs the scenario that is its argument, and says how it ended and after how many milliseconds. Namespaces and files of
/// a scenario that left some behind are told by its process number.
fn scenario_script() -> Result<String, String> {
    let binary = quoted(&this_binary()?.to_string_lossy());
    let limit = SCENARIO_MAX.as_secs();
    Ok(format!(
        r#"name=$1
out=/run/share/$(echo "$name" | sed 's/::/./g')
mkdir -p "$out"
began=$(date +%s%3N)
timeout -k 10 {limit} sh -c 'echo $$ >"$0/pid"; exec "$@"' "$out" \
    {binary} --exact "$name" --test-threads=1 --nocapture >"$out/output.log" 2>&1 </dev/null
code=$?
prefix=kw$(cat "$out/pid")x
for try in 1 2 3 4 5 6 7 8 9 10; do ls /run/netns | grep -q "^$prefix" || break; sleep 1; done
[ $code = 0 ] || {{ cp -r /tmp/$prefix-lab "$out/"; dmesg >"$out/dmesg.log"; }}
rm -rf /tmp/$prefix-lab
echo "$code $(($(date +%s%3N) - began)) $name" >/dev/ttyS1
exit 0
"#
    ))
}
