//! Probes: one attempt of one checker against one real server, as an async function that ends in an [`Outcome`].
//!
//! Start at [`run`]. A real server may answer anything, so every probe
//! - ends within the checker's `connect_timeout`, which bounds the whole of it, from the first packet to the verdict;
//! - holds at most [`MEMORY`] octets of what it was sent, whatever lengths that claims;
//! - gives way to other probes after each piece of input, and never blocks the thread.
//!
//! `connect` makes the sockets. `http` and `tls` speak through hyper and OpenSSL; `body` judges what comes out. The
//! others have parsers without I/O next to their I/O. Nothing here knows the engine, netlink or the bus.

pub mod body;
pub mod connect;
pub mod dns;
pub mod file;
pub mod http;
pub mod ping;
pub mod smtp;
pub mod tcp;
pub mod tls;
pub mod udp;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openssl::ssl::SslContext;

use super::io::{Cause, Failure, Outcome};
use crate::conf::model::{BodyRegex, Check, Target, TlsClient};
use crate::sys::pcre2::Regex;

/// Bound on the memory of one probe for what its server sends, in octets, without the kernel's socket buffers: 64 KiB
/// of response header, a window of 256 KiB for a regular expression and its copy of one read, a TLS record or two.
pub const MEMORY: usize = 512 * 1024;

/// What probes share: compiled once per configuration rather than per probe.
///
/// A value that was not announced by [`Context::configure`] is made at its first use.
#[derive(Debug, Default)]
pub struct Context {
    regexes: Mutex<BTreeMap<RegexKey, Made<Arc<Regex>>>>,
    /// There is one `SSL` block, or none.
    tls: Mutex<Vec<(Option<TlsClient>, Made<SslContext>)>>,
}

/// Pattern, options, and whether the place of a match is limited.
type RegexKey = (String, Vec<String>, bool);

/// Or why it could not be made.
type Made<T> = Result<T, String>;

impl Context {
    pub fn new() -> Context {
        Context::default()
    }

    /// Compiles what these checks need and forgets the rest. Reads the files of the `SSL` block (again). Returns what is
    /// wrong, one line each; such checks fail until it is mended.
    pub fn configure<'a>(&mut self, checks: impl IntoIterator<Item = &'a Check>) -> Vec<String> {
        *self = Context::default();
        let mut complaints = Vec::new();
        for check in checks {
            let Check::Http(http) = check else { continue };
            if let Some(settings) = &http.tls
                && let Err(error) = self.tls_context(settings.client.as_ref())
            {
                complaints.push(error);
            }
            for url in &http.urls {
                if let Some(Err(error)) = url.regex.as_ref().map(|regex| self.regex(regex)) {
                    complaints.push(error);
                }
            }
        }
        complaints.sort();
        complaints.dedup();
        complaints
    }

    fn regex(&self, wanted: &BodyRegex) -> Made<Arc<Regex>> {
        let key = (wanted.pattern.clone(), wanted.options.clone(), wanted.max_offset.is_some());
        let mut regexes = self.regexes.lock().unwrap_or_else(PoisonError::into_inner);
        regexes.entry(key).or_insert_with(|| body::compile(wanted).map(Arc::new)).clone()
    }

    fn tls_context(&self, client: Option<&TlsClient>) -> Made<SslContext> {
        let mut contexts = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, context)) = contexts.iter().find(|(key, _)| key.as_ref() == client) {
            return context.clone();
        }
        let context = tls::context(client);
        contexts.push((client.cloned(), context.clone()));
        context
    }
}

/// Runs one probe. `url` is the place of the URL for HTTP_GET and SSL_GET; others do not look at it.
///
/// Ends within the target's `timeout_us` (and the millisecond that tokio's timer counts in). MISC_CHECK, FILE_CHECK and
/// BFD_CHECK are not probes of this module and fail.
pub async fn run(context: &Context, check: &Check, url: usize) -> Outcome {
    let Some(target) = target(check) else {
        return Outcome::Failed(Failure::new(Cause::Local, format!("{} is not a probe", check.name())));
    };
    let stage = Stage::default();
    let limit = Duration::from_micros(target.timeout_us);
    match tokio::time::timeout(limit, attempt(context, check, target, url, &stage)).await {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(_) if matches!(check, Check::Udp(check) if udp::silence_passes(check, &stage)) => Outcome::Passed,
        Err(_) => Outcome::Failed(Failure::new(Cause::Timeout, format!("timed out after {limit:?} {stage}"))),
    }
}

async fn attempt(context: &Context, check: &Check, target: &Target, url: usize, stage: &Stage) -> Result<(), Failure> {
    match check {
        Check::Tcp(_) => tcp::run(target, stage).await,
        Check::Http(check) => http::run(context, check, url, stage).await,
        Check::Smtp(check) => smtp::run(check, stage).await,
        Check::Dns(check) => dns::run(check, stage).await,
        Check::Udp(check) => udp::run(check, stage).await,
        Check::Ping(target) => ping::run(target, stage).await,
        Check::Misc(_) | Check::File(_) | Check::Bfd(_) => Err(Failure::new(Cause::Local, "not a probe")),
    }
}

fn target(check: &Check) -> Option<&Target> {
    match check {
        Check::Tcp(target) | Check::Ping(target) => Some(target),
        Check::Http(check) => Some(&check.target),
        Check::Smtp(check) => Some(&check.target),
        Check::Dns(check) => Some(&check.target),
        Check::Udp(check) => Some(&check.target),
        Check::Misc(_) | Check::File(_) | Check::Bfd(_) => None,
    }
}

/// Octets that nobody can foretell: ids of DNS, data of an echo.
fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    // OpenSSL has seeded itself; where it has not, an id that can be guessed is still an id.
    let _ = openssl::rand::rand_bytes(&mut octets);
    octets
}

/// What a probe is doing, for the words of a time-out: `timed out after 5s connecting`.
#[derive(Debug)]
pub struct Stage(Mutex<&'static str>);

impl Stage {
    pub fn set(&self, doing: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    pub fn get(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Stage {
    fn default() -> Self {
        Stage(Mutex::new("starting"))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

#[cfg(test)]
mod tests;
