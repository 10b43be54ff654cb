//! What outlives the daemon: a file for the bridge, which may create none itself.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// `snmp-engine`, and one of its own for each instance and network namespace, as with pid files.
pub fn path(directory: &Path, instance: Option<&str>, namespace: Option<&str>) -> PathBuf {
    let mut name = "snmp-engine".to_owned();
    for part in [instance, namespace].into_iter().flatten() {
        name.push('_');
        // They come from the configuration, where they may contain anything.
        name.extend(part.chars().map(|c| if c == '/' || c == '\0' { '-' } else { c }));
    }
    directory.join(name)
}

/// Opens it for reading and writing, and makes it and its directory if they are missing. It must be a plain file.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn each_instance_and_namespace_has_a_file_of_its_own_in_the_directory() {
        let at = |instance, namespace| path(Path::new("/var/lib/keepwatch"), instance, namespace).display().to_string();
        assert_eq!(at(None, None), "/var/lib/keepwatch/snmp-engine");
        assert_eq!(at(Some("a"), Some("blue")), "/var/lib/keepwatch/snmp-engine_a_blue");
        assert_eq!(at(Some("../../etc/x"), None), "/var/lib/keepwatch/snmp-engine_..-..-etc-x");
    }

    #[test]
    fn a_file_is_made_once_and_found_again_and_anything_else_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/snmp-engine");
        fs::File::from(open(&path).unwrap()).write_all(b"kept").unwrap();
        let mut text = String::new();
        fs::File::from(open(&path).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "kept");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open(&link).is_err());
        assert!(open(directory.path()).is_err());
    }
}
