//! Starting one script: as whom, with what, and whether at all.
//!
//! Runs on threads of its own, because a file system may keep us waiting: `exec` from a server that is away takes as
//! long as it likes.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use crate::conf::model::ScriptEntry;
use crate::sys::children;

/// What is to be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Program and arguments; the program by path, or by name to be found in `PATH`.
    pub words: Vec<String>,
    pub uid: u32,
    pub gid: u32,
    /// `set_supplementary_groups`.
    pub all_groups: bool,
    /// `enable_script_security`.
    pub secure: bool,
}

impl Job {
    pub fn new(entry: &ScriptEntry, arguments: Vec<String>, secure: bool) -> Job {
        let words = entry.words.iter().cloned().chain(arguments).collect();
        Job { words, uid: entry.uid, gid: entry.gid, all_groups: entry.all_groups, secure }
    }

    /// As logs name it.
    pub fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// Starts the script at the head of a process group of its own, and returns its process number; or why it did not start.
///
/// As under Keepalived it has our environment, working directory and umask, `/dev/null` for its input and output, its
/// group as only group unless it is to have all of its user's, and no signal blocked.
pub fn launch(job: &Job) -> Result<i32, String> {
    let Some((program, arguments)) = job.words.split_first() else { return Err("there is no command".to_owned()) };
    let path = find(program).ok_or_else(|| format!("{program} is not in PATH"))?;
    if job.secure {
        insecure(&path, job.uid)?;
    }
    #[allow(clippy::disallowed_methods)]
    let mut command = Command::new(&path);
    command.args(arguments).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if job.all_groups {
        children::become_user(&mut command, job.uid, job.gid, groups_of(job.uid, job.gid)?);
    } else {
        // The standard library clears the supplementary groups when root gives a user.
        command.gid(job.gid).uid(job.uid);
    }
    children::unblock_signals(&mut command);
    let child = command.spawn().map_err(|error| format!("cannot run {}: {error}", path.display()))?;
    i32::try_from(child.id()).map_err(|error| error.to_string())
}

/// Every group that the user database has this user in, and the script's own.
fn groups_of(uid: u32, gid: u32) -> Result<Vec<u32>, String> {
    let user =
        nix::unistd::User::from_uid(uid.into()).map_err(|error| format!("cannot look up user {uid}: {error}"))?;
    let Some(user) = user else { return Ok(vec![gid]) };
    let name = std::ffi::CString::new(user.name).map_err(|error| error.to_string())?;
    let groups = nix::unistd::getgrouplist(&name, gid.into())
        .map_err(|error| format!("cannot look up the groups of user {uid}: {error}"))?;
    Ok(groups.into_iter().map(nix::unistd::Gid::as_raw).collect())
}

/// The file behind a name without a slash, as a shell would find it.
fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    let candidates = path.split(':').map(|directory| Path::new(directory).join(program));
    candidates.into_iter().find(|file| fs::metadata(file).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0))
}

/// Refuses what would run as root and that others than root could have put there: looks at every directory and symbolic
/// link on the way, and at the file. It was looked at when the configuration was read; it may have changed since. As
/// nobody but root can write what was found good, nobody but root can change it between here and `exec`.
fn insecure(path: &Path, uid: u32) -> Result<(), String> {
    let file = fs::metadata(path).map_err(|error| format!("cannot look at {}: {error}", path.display()))?;
    let set_uid_root = file.uid() == 0 && file.mode() & 0o4000 != 0;
    if uid != 0 && !set_uid_root {
        return Ok(());
    }
    walk(path).map_err(|reason| format!("enable_script_security forbids to run {}: {reason}", path.display()))
}

fn walk(path: &Path) -> Result<(), String> {
    /// As many as the kernel follows.
    const LINKS_MAX: usize = 40;
    let absolute = std::path::absolute(path).map_err(|error| error.to_string())?;
    let mut links = 0;
    let mut done = PathBuf::from("/");
    let mut ahead: Vec<PathBuf> = parts(&absolute);
    judge(&done, &look(&done)?)?;
    while let Some(part) = ahead.pop() {
        if part == Path::new("..") {
            done.pop();
            continue;
        }
        let here = done.join(part);
        let found = look(&here)?;
        if !found.is_symlink() {
            judge(&here, &found)?;
            done = here;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err("too many symbolic links".to_owned());
        }
        // A link's mode means nothing, its owner could point it elsewhere.
        if found.uid() != 0 {
            return Err(format!("{} belongs to user {}", here.display(), found.uid()));
        }
        let target = fs::read_link(&here).map_err(|error| format!("{}: {error}", here.display()))?;
        if target.is_absolute() {
            done = PathBuf::from("/");
        }
        ahead.extend(parts(&target));
    }
    Ok(())
}

/// The words of a path, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    let named = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    named.collect::<Vec<_>>().into_iter().rev().collect()
}

fn look(path: &Path) -> Result<Metadata, String> {
    fs::symlink_metadata(path).map_err(|error: io::Error| format!("{}: {error}", path.display()))
}

fn judge(path: &Path, found: &Metadata) -> Result<(), String> {
    let mode = found.mode();
    // In a sticky directory nobody replaces what root owns, and its owner is looked at next.
    let sticky = found.is_dir() && mode & 0o1000 != 0;
    if found.uid() != 0 {
        return Err(format!("{} belongs to user {}", path.display(), found.uid()));
    }
    if !sticky && (mode & 0o002 != 0 || (mode & 0o020 != 0 && found.gid() != 0)) {
        return Err(format!("others than root can write {} (mode {:04o})", path.display(), mode & 0o7777));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn script(directory: &Path, name: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Needs root, as every script that this is about does.
    #[test]
    fn what_others_could_have_written_does_not_run_as_root() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| directory.path().join(name);
        let good = script(directory.path(), "good", 0o755);
        assert_eq!(insecure(&good, 0), Ok(()));

        let writable = script(directory.path(), "writable", 0o757);
        assert!(insecure(&writable, 0).unwrap_err().contains("(mode 0757)"));
        assert_eq!(insecure(&writable, 1000), Ok(()), "as somebody else it harms nobody but them");

        let foreign = script(directory.path(), "foreign", 0o755);
        chown(&foreign, Some(1000), None).unwrap();
        assert!(insecure(&foreign, 0).unwrap_err().contains("belongs to user 1000"));

        fs::create_dir(at("open")).unwrap();
        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).unwrap();
        let inside = script(&at("open"), "script", 0o755);
        assert!(insecure(&inside, 0).unwrap_err().contains("open (mode 0777)"));
        symlink(&inside, at("link")).unwrap();
        assert!(insecure(&at("link"), 0).unwrap_err().contains("open (mode 0777)"), "a link is followed");
        symlink("good", at("to-good")).unwrap();
        assert_eq!(insecure(&at("to-good"), 0), Ok(()));
        std::os::unix::fs::lchown(at("to-good"), Some(1000), None).unwrap();
        assert!(insecure(&at("to-good"), 0).unwrap_err().contains("belongs to user 1000"), "its owner may turn it");

        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(insecure(&inside, 0), Ok(()), "in a sticky directory nobody replaces what root owns");
        let set_uid = script(directory.path(), "set-uid", 0o4757);
        assert!(insecure(&set_uid, 1000).is_err(), "whoever starts it, it runs as root");
    }

    /// Needs root.
    #[test]
    fn a_script_has_its_group_alone_or_every_group_of_its_user() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let said = |all_groups: bool| {
            let file = directory.path().join(format!("said-{all_groups}"));
            let words = ["sh", "-c", &format!("grep -E '^(Uid|Gid|Groups):' /proc/self/status > {}", file.display())];
            let words = words.map(str::to_owned).to_vec();
            // Debian's daemon(1) is in group 1 alone; root's groups do not reach it.
            let pid = launch(&Job { words, uid: 1, gid: 7, all_groups, secure: false }).unwrap();
            let pid = nix::unistd::Pid::from_raw(pid);
            nix::sys::wait::waitpid(pid, None).unwrap();
            let said = fs::read_to_string(file).unwrap();
            said.lines()
                .map(|line| line.split_whitespace().skip(1).map(str::to_owned).collect())
                .collect::<Vec<Vec<_>>>()
        };
        assert_eq!(said(false), [vec!["1"; 4], vec!["7"; 4], vec![]]);
        let [uid, gid, groups] = &said(true)[..] else { panic!("three lines") };
        assert_eq!(
            (&uid[..], &gid[..]),
            (
                &["1".to_owned(), "1".into(), "1".into(), "1".into()][..],
                &["7".to_owned(), "7".into(), "7".into(), "7".into()][..]
            )
        );
        assert!(groups.contains(&"7".to_owned()), "{groups:?}");
        assert!(!groups.contains(&"0".to_owned()), "{groups:?}");
    }

    #[test]
    fn a_name_without_a_slash_is_looked_for_in_path() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program-anywhere"), None);
        assert_eq!(find("./x"), Some(PathBuf::from("./x")));
    }
}
