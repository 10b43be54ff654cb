//! The process's environment.

/// Takes a variable out of the environment, for the libraries that would read it.
///
/// To be called before there is a second thread: who reads the environment meanwhile may read freed memory.
pub fn forget(name: &str) {
    // SAFETY: callers have one thread, as said above.
    unsafe { std::env::remove_var(name) }
}
