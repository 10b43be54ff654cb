//! Connecting without waiting.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// A stream to a Unix listener. One whose backlog is full answers `EAGAIN` at once, where a blocking connect would hang.
pub fn unix_stream(path: &Path) -> io::Result<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use nix::errno::Errno;
    use nix::sys::socket::{Backlog, listen};

    use super::*;

    #[test]
    fn a_listener_whose_queue_is_full_is_an_error_at_once_and_one_that_accepts_again_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master");
        let listener = UnixListener::bind(&path).unwrap();
        // The shortest queue there is.
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        let mut waiting = vec![];
        let full = loop {
            match unix_stream(&path) {
                Ok(fd) => waiting.push(fd),
                Err(error) => break error,
            }
            assert!(waiting.len() < 100, "the queue is never full");
        };
        assert_eq!(full.raw_os_error(), Some(Errno::EAGAIN as i32));
        let _accepted = listener.accept().unwrap();
        assert!(unix_stream(&path).is_ok());
        drop(listener);
        assert_eq!(unix_stream(&path).unwrap_err().raw_os_error(), Some(Errno::ECONNREFUSED as i32));
    }

    #[test]
    fn what_is_connected_does_not_wait_in_reading_either() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master");
        let _listener = UnixListener::bind(&path).unwrap();
        let fd = unix_stream(&path).unwrap();
        assert_eq!(nix::unistd::read(&fd, &mut [0; 8]), Err(Errno::EAGAIN));
    }
}
