//! How a subcommand ends: the exit statuses that all of them share, and what is said when one fails.

use std::process::ExitCode;

use serde::Serialize;

use super::client::Unreachable;
use crate::control::{Code, Kind, Meaning, Response, Server};

/// Exit statuses. `nagios` has those of the plugin interface instead, and `check` those of `keepwatchd -t`.
pub mod status {
    pub const GOOD: u8 = 0;
    /// What was asked about is not as it should be, or what was waited for did not come.
    pub const TROUBLE: u8 = 1;
    /// The command line; clap's own.
    pub const USAGE: u8 = 2;
    /// Nothing has that name, or more than one thing.
    pub const WHICH: u8 = 3;
    /// Understood, and refused.
    pub const REFUSED: u8 = 4;
    /// No daemon, or no answer.
    pub const UNREACHABLE: u8 = 5;
}

/// For `--help`.
pub const STATUSES: &str = "\
Exit status:
  0  all is well
  1  something is wrong with what was asked about
  2  command line
  3  nothing, or more than one thing, has that name
  4  refused
  5  no daemon answers";

/// Why a subcommand ends without having done its work.
#[derive(Debug)]
pub enum Failure {
    Unreachable(Unreachable),
    Refused { code: Code, message: String, candidates: Vec<Server>, meanings: Vec<Meaning> },
}

impl From<Unreachable> for Failure {
    fn from(error: Unreachable) -> Failure {
        Failure::Unreachable(error)
    }
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure::Refused { code, message: message.into(), candidates: Vec::new(), meanings: Vec::new() }
    }

    /// The daemon is of another version, or is none.
    pub fn nonsense() -> Failure {
        Failure::new(Code::NoAnswer, "the daemon answers something else")
    }

    pub fn status(&self) -> u8 {
        match self {
            Failure::Unreachable(_) => status::UNREACHABLE,
            Failure::Refused { code, .. } => match code {
                Code::NoSuchServer
                | Code::NoSuchService
                | Code::NoSuchInstance
                | Code::NothingSuch
                | Code::Ambiguous => status::WHICH,
                Code::BadRequest | Code::PermissionDenied | Code::Refused => status::REFUSED,
                Code::Unavailable | Code::NoAnswer | Code::Busy => status::UNREACHABLE,
            },
        }
    }

    /// Whoever asks again and again goes on: a daemon, or a process of it, is being started again or has too much to do.
    pub fn may_pass(&self) -> bool {
        match self {
            Failure::Unreachable(_) => true,
            Failure::Refused { code, .. } => matches!(code, Code::Unavailable | Code::NoAnswer | Code::Busy),
        }
    }

    /// In one line.
    pub fn message(&self) -> String {
        match self {
            Failure::Unreachable(error) => error.to_string(),
            Failure::Refused { message, .. } => message.clone(),
        }
    }

    /// What a person is told on standard error; `about` is what was asked about, if it has a name.
    fn told(&self, about: Option<&str>) -> String {
        let mut text = match (self, about) {
            // It is in the message.
            (Failure::Refused { message, .. }, Some(about)) if !message.contains(about) => {
                format!("keepwatch: {about}: {message}\n")
            }
            _ => format!("keepwatch: {}\n", self.message()),
        };
        if let Failure::Refused { candidates, meanings, .. } = self {
            for candidate in candidates {
                let (server, service) = (quoted(&candidate.server), quoted(&candidate.service));
                text += &format!("  {server} --service {service}\n");
            }
            for meaning in meanings {
                text += &match (meaning.kind, &meaning.service) {
                    (Kind::Instance, _) => format!("  {} --kind instance\n", quoted(&meaning.what)),
                    (Kind::VirtualServer, _) => format!("  {} --kind virtual-server\n", quoted(&meaning.what)),
                    (Kind::RealServer, Some(service)) => {
                        format!("  {} --service {}\n", quoted(&meaning.what), quoted(service))
                    }
                    (Kind::BfdSession, _) => format!("  {} --kind bfd-session\n", quoted(&meaning.what)),
                    (Kind::RealServer, None) => format!("  {} --kind real-server\n", quoted(&meaning.what)),
                };
            }
        }
        text
    }
}

impl Response {
    pub fn good(self) -> Result<Response, Failure> {
        match self {
            Response::Error { code, message, candidates, meanings } => {
                Err(Failure::Refused { code, message, candidates, meanings })
            }
            good => Ok(good),
        }
    }
}

/// The exit status of a subcommand; says what is wrong.
pub fn finish(result: Result<u8, Failure>, json: bool, about: Option<&str>) -> ExitCode {
    let failure = match result {
        Ok(status) => return ExitCode::from(status),
        Err(failure) => failure,
    };
    match &failure {
        Failure::Refused { code, message, candidates, meanings } if json => print_json(&Response::Error {
            code: *code,
            message: message.clone(),
            candidates: candidates.clone(),
            meanings: meanings.clone(),
        }),
        failure => eprint!("{}", failure.told(about)),
    }
    ExitCode::from(failure.status())
}

/// When whoever reads has gone (`| head`), there is nothing left to do.
pub fn print(text: &str) {
    use std::io::Write as _;
    /// As a shell shows a death by SIGPIPE.
    const NOBODY_READS: i32 = 141;
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(NOBODY_READS);
    }
}

pub fn print_json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => print(&(text + "\n")),
        Err(error) => eprintln!("keepwatch: {error}"),
    }
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    if text.contains([' ', '(', ')', '&', ';', '*', '$', '\'']) {
        format!("'{}'", text.replace('\'', "'\\''"))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_passes_and_a_refusal_stays() {
        for code in [Code::Unavailable, Code::NoAnswer, Code::Busy] {
            assert!(Failure::new(code, "").may_pass(), "{code:?}");
        }
        for code in [Code::NoSuchInstance, Code::NoSuchService, Code::PermissionDenied, Code::BadRequest] {
            assert!(!Failure::new(code, "").may_pass(), "{code:?}");
        }
    }

    #[test]
    fn whoever_is_not_understood_reads_what_to_type_instead() {
        let meaning = |kind, what: &str, service: Option<&str>| Meaning {
            kind,
            what: what.to_owned(),
            service: service.map(str::to_owned),
        };
        let failure = Failure::Refused {
            code: Code::Ambiguous,
            message: "web may mean 3 things: say which".to_owned(),
            candidates: vec![],
            meanings: vec![
                meaning(Kind::Instance, "web", None),
                meaning(Kind::VirtualServer, "group:web/tcp", None),
                meaning(Kind::RealServer, "10.0.0.1:80", Some("group:web shop/tcp")),
            ],
        };
        let expected = "\
keepwatch: web may mean 3 things: say which
  web --kind instance
  group:web/tcp --kind virtual-server
  10.0.0.1:80 --service 'group:web shop/tcp'
";
        assert_eq!(failure.told(Some("web")), expected);
        assert_eq!(failure.status(), status::WHICH);
        let refused = Failure::new(Code::Refused, "the kernel refuses it (error 12)");
        assert_eq!(refused.told(Some("w1")), "keepwatch: w1: the kernel refuses it (error 12)\n");
        assert_eq!(refused.status(), status::REFUSED);
    }
}
