//! Tests that need IPVS, on machines whose kernel has none: Debian's own kernel, booted in QEMU. Start at [`scenario`].
//!
//! The guest sees this machine's root file system read-only with an overlay in memory, so the very same test binary
//! runs there, with the same tools, and nothing it does touches this machine. One boot serves one test binary: the
//! first test that gets here boots, the guest runs every selected test (those that `--list` names for the same
//! arguments) two at a time, each in a process of its own with `--exact NAME`, and each test of the host waits for
//! the result of its namesake. A failed one shows the guest's output; its labs' logs and captures come back, too.
//!
//! Where the host's kernel has IPVS, nothing is booted and tests run as any other. `KEEPWATCH_VM=always` and
//! `KEEPWATCH_VM=never` say otherwise; `KEEPWATCH_VM=kvm` boots with the processor's help instead of emulating one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

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
        if std::env::var_os(IN_GUEST).is_some() {
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

fn demand() -> String {
    std::env::var("KEEPWATCH_VM").unwrap_or_default()
}

const QEMU: &str = "qemu-system-x86_64";
const IN_GUEST: &str = "KEEPWATCH_IN_GUEST";

/// From power on to the first scenario. About ten seconds when nothing else runs.
const BOOT_MAX: Duration = Duration::from_secs(180);
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
        let guest = Guest::prepare(&names)?;
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
        let booted = Instant::now();
        match running.line(BOOT_MAX)?.as_deref() {
            Some("ready") => {}
            other => return Err(format!("the guest did not come up within {BOOT_MAX:?}: {other:?}")),
        }
        println!("the virtual machine was up after {:.1?}", booted.elapsed());
        for done in 0..names.len() {
            let Some(line) = running.line(SCENARIO_MAX + GRACE)? else {
                return Err(format!("the guest says nothing more after {done} of {} scenarios", names.len()));
            };
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            let [code, took, name] = words[..] else {
                return Err(format!("the guest talks nonsense: {line}"));
            };
            let took = Duration::from_millis(took.parse().unwrap_or_default());
            if let Some((name, outcome)) = last.replace((name.to_owned(), (guest.outcome(name, code), took))) {
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

fn this_binary() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("who am I? {error}"))
}

/// What a guest is made of.
#[derive(Debug)]
struct Guest {
    kernel: PathBuf,
    /// Shared with the guest: its orders, its logs; beside them the console.
    directory: PathBuf,
}

impl Guest {
    fn prepare(names: &[String]) -> Result<Guest, String> {
        if !geteuid().is_root() {
            return Err("the virtual machine reads this machine's file system: run it as root".into());
        }
        let mut qemu = Command::new(QEMU);
        qemu.arg("--version");
        output_of(qemu).map_err(|why| format!("{why}; it is in qemu-system-x86 (`make setup` installs it)"))?;
        let (kernel, version) = newest_kernel()?;
        let directory = std::env::temp_dir().join(format!("keepwatch-vm-{}", std::process::id()));
        let guest = Guest { kernel, directory };
        let _ = fs::remove_dir_all(&guest.directory);
        fs::create_dir_all(guest.share()).map_err(|error| format!("{}: {error}", guest.share().display()))?;
        write(&guest.initramfs(), &initramfs(&version)?)?;
        write(&guest.share().join("scenarios"), (names.join("\n") + "\n").as_bytes())?;
        write(&guest.share().join("guest.sh"), guest_script()?.as_bytes())?;
        write(&guest.share().join("one.sh"), scenario_script()?.as_bytes())?;
        Ok(guest)
    }

    fn share(&self) -> PathBuf {
        self.directory.join("share")
    }

    fn initramfs(&self) -> PathBuf {
        self.directory.join("initramfs")
    }

    fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    fn boot(&self) -> Result<Running, String> {
        let share = format!("local,id=share,path={},security_model=none,multidevs=remap", self.share().display());
        let (kernel, initramfs) = (self.kernel.display().to_string(), self.initramfs().display().to_string());
        let console = format!("file:{}", self.console().display());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", QEMU]);
        // A /dev/kvm that opens need not work, as in a virtual machine whose host nests none: only on demand.
        let accelerator = if demand() == "kvm" { "kvm" } else { "tcg,thread=multi" };
        command.args(["-accel", accelerator, "-cpu", "max", "-smp", "2", "-m", "3072"]);
        command.args(["-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot"]);
        command.args(["-kernel", &kernel, "-initrd", &initramfs]);
        command.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"]);
        command.args(["-fsdev", "local,id=host,path=/,security_model=passthrough,readonly=on,multidevs=remap"]);
        command.args(["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"]);
        command.args(["-fsdev", &share, "-device", "virtio-9p-pci,fsdev=share,mount_tag=share"]);
        command.args(["-serial", &console, "-serial", "stdio"]);
        let errors = self.directory.join("qemu.log");
        let errors = fs::File::create(&errors).map_err(|error| format!("{}: {error}", errors.display()))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn();
        let mut child = child.map_err(|error| format!("cannot start QEMU: {error}"))?;
        let output = child.stdout.take().ok_or("QEMU has no standard output")?;
        Ok(Running { child, lines: lines_of(output) })
    }

    /// `code` as `timeout` gives it.
    fn outcome(&self, name: &str, code: &str) -> Result<String, String> {
        let log = self.share().join(file_name(name)).join("output.log");
        let said = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        let why = match code {
            "0" if said.contains("1 passed") => return Ok(said),
            "0" => "no such test there".to_owned(),
            "124" | "137" => format!("not done within {SCENARIO_MAX:?}"),
            code => format!("failed ({code})"),
        };
        Err(format!("{why}; it said:\n{said}\n{}", self.where_to_look()))
    }

    fn where_to_look(&self) -> String {
        format!("console, logs and captures are in {}", self.directory.display())
    }
}

/// A test's directory in the share. As in the guest's script.
fn file_name(test: &str) -> String {
    test.replace("::", ".")
}

#[derive(Debug)]
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// The next line of the guest's second serial port, `None` if there is none in time.
    fn line(&mut self, limit: Duration) -> Result<Option<String>, String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("the virtual machine ended before its work was done ({:?})", self.child.wait()))
            }
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let line = line.trim();
            if !line.is_empty() && sender.send(line.to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

/// Debian's newest kernel here that has its modules, and its version.
fn newest_kernel() -> Result<(PathBuf, String), String> {
    let mut kernels = Vec::new();
    for entry in fs::read_dir("/boot").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(version) = name.strip_prefix("vmlinuz-").filter(|version| version.ends_with("amd64")) else {
            continue;
        };
        if Path::new("/lib/modules").join(version).is_dir() {
            let numbers = version.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u32>().ok());
            kernels.push((numbers.collect::<Vec<_>>(), entry.path(), version.to_owned()));
        }
    }
    kernels.sort();
    let newest = kernels.pop().map(|(_, path, version)| (path, version));
    newest.ok_or_else(|| {
        "this kernel has no IPVS, and there is none to boot: install linux-image-amd64 (`make setup` does)".into()
    })
}

/// Enough to get at the host's file system: busybox, the modules for 9p and overlay, and [`INIT`].
fn initramfs(version: &str) -> Result<Vec<u8>, String> {
    let busybox =
        fs::read("/bin/busybox").map_err(|error| format!("/bin/busybox: {error} (package busybox-static)"))?;
    let mut archive = Cpio::default();
    for directory in ["bin", "proc", "sys", "dev", "m", "host", "ov", "newroot"] {
        archive.add(directory, 0o040_755, &[]);
    }
    archive.add("bin/busybox", 0o100_755, &busybox);
    archive.add("init", 0o100_755, INIT.as_bytes());
    let mut order = Vec::new();
    for module in ["virtio_pci", "9p", "9pnet_virtio", "overlay"] {
        let mut command = Command::new("modprobe");
        command.args(["-S", version, "--show-depends", module]);
        let text = String::from_utf8_lossy(&output_of(command)?).into_owned();
        // `insmod PATH`, or `builtin NAME`.
        for path in text.lines().filter_map(|line| line.strip_prefix("insmod ")).map(str::trim) {
            let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".xz").to_owned();
            if !order.contains(&name) {
                archive.add(&format!("m/{name}"), 0o100_644, &module_bytes(path)?);
                order.push(name);
            }
        }
    }
    archive.add("m/list", 0o100_644, order.join("\n").as_bytes());
    archive.add("TRAILER!!!", 0, &[]);
    Ok(archive.bytes)
}

/// Debian compresses modules from version 13 on.
fn module_bytes(path: &str) -> Result<Vec<u8>, String> {
    if !path.ends_with(".xz") {
        return fs::read(path).map_err(|error| format!("{path}: {error}"));
    }
    let mut command = Command::new("xz");
    command.args(["-dc", path]);
    output_of(command)
}

/// Of a short command that must succeed. No panic: the tests wait for this thread.
fn output_of(mut command: Command) -> Result<Vec<u8>, String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {shown}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("{shown} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// An archive in the kernel's format ("newc").
#[derive(Debug, Default)]
struct Cpio {
    bytes: Vec<u8>,
    files: u32,
}

impl Cpio {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.files += 1;
        let name_size = name.len() + 1;
        let header = [self.files, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name_size as u32, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in header {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Process 1 of the guest until it hands over to `guest.sh`.
const INIT: &str = r#"#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for m in $($b cat /m/list); do $b insmod /m/$m || echo "cannot load $m"; done
$b mount -t tmpfs -o size=75% tmpfs /ov; $b mkdir -p /ov/u /ov/w
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=500000,cache=loose host /host || echo "no file system"
$b mount -t overlay overlay -o lowerdir=/host,upperdir=/ov/u,workdir=/ov/w /newroot || echo "no overlay"
$b mount --move /proc /newroot/proc; $b mount --move /sys /newroot/sys; $b mount --move /dev /newroot/dev
$b mount -t tmpfs tmpfs /newroot/run; $b mkdir -p /newroot/run/share /newroot/run/netns
$b mount -t 9p -o trans=virtio,version=9p2000.L,rw,msize=500000,cache=none share /newroot/run/share || echo "no share"
exec $b chroot /newroot /bin/sh /run/share/guest.sh
"#;

/// Process 1 of the guest: runs the scenarios and says on the second serial port how each ended.
fn guest_script() -> Result<String, String> {
    let binary = this_binary()?;
    let here = std::env::current_dir().map_err(|error| format!("where am I? {error}"))?;
    let mut variables = String::new();
    for (name, value) in std::env::vars() {
        if name == "PATH" || name == "HOME" || name == "KEEPWATCHD" || name.starts_with("RUST_") {
            variables += &format!("export {name}={}\n", quoted(&value));
        }
    }
    // A binary below /tmp must stay visible; else what the host's labs left there is none of the guest's business.
    let own_tmp = if [&binary, &here].iter().any(|path| path.starts_with("/tmp")) {
        ""
    } else {
        "mount -t tmpfs -o mode=1777 tmpfs /tmp"
    };
    let here = quoted(&here.to_string_lossy());
    Ok(format!(
        r#"{variables}
export {IN_GUEST}=1 KEEPWATCH_KEEP_LOGS=1
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts; mount -t tmpfs tmpfs /dev/shm
{own_tmp}
ip link set lo up
stty -F /dev/ttyS1 raw -echo
cd {here} || exit
echo ready >/dev/ttyS1
xargs -P 2 -n 1 sh /run/share/one.sh </run/share/scenarios
sync
busybox poweroff -f
"#
    ))
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

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
