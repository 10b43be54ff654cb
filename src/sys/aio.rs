//! Readiness of descriptors that tokio has no type for.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the runtime of this thread.
pub fn register<T: AsRawFd + Into<OwnedFd>>(inner: T) -> io::Result<AsyncFd<Owned>> {
    // SAFETY: `Owned` holds the descriptor and never gives it away, so it stays open as long as the registration.
    Ok(unsafe { AsyncFd::register(Owned(inner.into())) }?)
}

/// A descriptor that lives as long as its registration.
#[derive(Debug)]
pub struct Owned(OwnedFd);

impl AsRawFd for Owned {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

impl std::os::fd::AsFd for Owned {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.0)
    }
}

/// Waits for input. Stays ready until [`drained`] says otherwise.
pub async fn readable(fd: &AsyncFd<Owned>) {
    match fd.readable().await {
        Ok(mut guard) => guard.retain_ready(),
        Err(_) => std::future::pending().await,
    }
}

/// As [`readable`], for those who look at several at once.
pub fn poll_readable(fd: &AsyncFd<Owned>, context: &mut Context<'_>) -> Poll<()> {
    match fd.poll_read_ready(context) {
        Poll::Ready(Ok(mut guard)) => {
            guard.retain_ready();
            Poll::Ready(())
        }
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
    }
}

/// A read found nothing: the next [`readable`] waits for news. For runtimes of one thread, where no news can come
/// between that read and this call.
pub fn drained(fd: &AsyncFd<Owned>) {
    let _ = fd.try_io(tokio::io::Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}

/// Waits for room. Stays ready until [`filled`] says otherwise.
pub async fn writable(fd: &AsyncFd<Owned>) {
    match fd.writable().await {
        Ok(mut guard) => guard.retain_ready(),
        Err(_) => std::future::pending().await,
    }
}

/// A write found no room: the next [`writable`] waits for some.
pub fn filled(fd: &AsyncFd<Owned>) {
    let _ = fd.try_io(tokio::io::Interest::WRITABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}
