//! The virtual machine itself: what it boots from, QEMU around it, and the line by which it talks.
//!
//! Knows nothing about what runs there: that is a shell script.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use super::{IN_GUEST, demand};

const QEMU: &str = "qemu-system-x86_64";
/// From power on to the first work. About ten seconds when nothing else runs.
const BOOT_MAX: Duration = Duration::from_secs(180);

/// What a guest is made of.
#[derive(Debug)]
pub(super) struct Guest {
    kernel: PathBuf,
    /// Shared with the guest: its orders, its logs; beside them the console.
    pub(super) directory: PathBuf,
}

impl Guest {
    /// Where this process's guest is looked for when something went wrong.
    pub(super) fn usual_directory() -> PathBuf {
        std::env::temp_dir().join(format!("keepwatch-vm-{}", std::process::id()))
    }

    /// Puts into `directory` what a guest is booted from; `work` is what it does, in a shell, before it powers itself off.
    pub(super) fn prepare(directory: PathBuf, work: &str) -> Result<Guest, String> {
        if !geteuid().is_root() {
            return Err("the virtual machine reads this machine's file system: run it as root".into());
        }
        let mut qemu = Command::new(QEMU);
        qemu.arg("--version");
        output_of(qemu).map_err(|why| format!("{why}; it is in qemu-system-x86 (`make setup` installs it)"))?;
        let (kernel, version) = newest_kernel()?;
        let guest = Guest { kernel, directory };
        let _ = fs::remove_dir_all(&guest.directory);
        fs::create_dir_all(guest.share()).map_err(|error| format!("{}: {error}", guest.share().display()))?;
        write(&guest.initramfs(), &initramfs(&version)?)?;
        write(&guest.share().join("guest.sh"), script(work)?.as_bytes())?;
        Ok(guest)
    }

    pub(super) fn share(&self) -> PathBuf {
        self.directory.join("share")
    }

    fn initramfs(&self) -> PathBuf {
        self.directory.join("initramfs")
    }

    pub(super) fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    pub(super) fn boot(&self) -> Result<Running, String> {
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

    pub(super) fn where_to_look(&self) -> String {
        format!("console, logs and captures are in {}", self.directory.display())
    }
}

#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// From power on to the word that it is ready for work; gives how long that took.
    pub(super) fn wait_until_ready(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        loop {
            match self.line(BOOT_MAX.saturating_sub(began.elapsed()))?.as_deref().map(str::trim) {
                Some("ready") => return Ok(began.elapsed()),
                Some("") => {}
                other => return Err(format!("the guest did not come up within {BOOT_MAX:?}: {other:?}")),
            }
        }
    }

    /// The next line of the guest's second serial port, `None` if there is none in time.
    pub(super) fn line(&mut self, limit: Duration) -> Result<Option<String>, String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("the virtual machine ended before its work was done ({:?})", self.child.wait()))
            }
        }
    }

    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
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
pub(super) fn output_of(mut command: Command) -> Result<Vec<u8>, String> {
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

/// Process 1 of the guest until it ends: `work` finds this process's directory and the variables that matter.
fn script(work: &str) -> Result<String, String> {
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
{work}
sync
busybox poweroff -f
"#
    ))
}

/// For a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

pub(super) fn this_binary() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("who am I? {error}"))
}
