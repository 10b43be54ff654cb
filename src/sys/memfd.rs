//! Memory files that nobody can change once sealed: how a parsed configuration travels between processes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
    // A duplicate shares the offset, so start from the beginning each time.
    let mut file = File::from(fd.as_fd().try_clone_to_owned()?);
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(SIZE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn wanted() -> SealFlag {
    SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK
}
