//! Memory files that nobody can change once sealed: how a parsed configuration travels between processes.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Upper bound on what is read back; a configuration of 100,000 instances stays below it.
const SIZE_MAX: u64 = 512 * 1024 * 1024;

/// An empty memory file that can be sealed.
pub fn create(name: &str) -> io::Result<OwnedFd> {
    Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?)
}

/// Forbids every later change, by anybody.
pub fn seal(fd: BorrowedFd<'_>) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_ADD_SEALS(wanted() | SealFlag::F_SEAL_SEAL))?;
    Ok(())
}

/// The content of a sealed file; an error if it could still change under the reader.
pub fn read_sealed(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let seals = SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS)?);
    if !seals.contains(wanted()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the configuration file in memory is not sealed"));
    }
    let file = File::from(fd.try_clone_to_owned()?);
    let size = file.metadata()?.len();
    if size > SIZE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the configuration in memory is too large"));
    }
    // Every process has a duplicate, and all duplicates share one offset: it must not matter where that is.
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn wanted() -> SealFlag {
    SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn two_readers_of_one_file_do_not_take_bytes_from_each_other() {
        let fd = create("test").unwrap();
        let content: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        File::from(fd.try_clone().unwrap()).write_all(&content).unwrap();
        seal(fd.as_fd()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| assert!(read_sealed(fd.as_fd()).unwrap() == content)));
            }
        });
    }

    #[test]
    fn what_could_still_change_is_refused() {
        let fd = create("test").unwrap();
        assert!(read_sealed(fd.as_fd()).is_err());
        seal(fd.as_fd()).unwrap();
        assert!(File::from(fd.try_clone().unwrap()).write_all(b"x").is_err());
        assert_eq!(read_sealed(fd.as_fd()).unwrap(), b"");
    }
}
