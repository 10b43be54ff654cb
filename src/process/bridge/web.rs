//! HTTP's side: the thread that serves it gets its sockets and files from the supervisor, through here.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, warn};

use super::Bridge;
use crate::clock::{self, Instant};
use crate::conf::model::Settings;
use crate::export::look::Endpoint;
use crate::process::lifecycle::ToSupervisor;
use crate::process::web::{self, Web};

/// A socket that cannot be had is tried again, after twice as long each time.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// Files that are waited for at once, besides those whose asker has gone.
const FILES_MAX: usize = 64;

/// Somebody who waits for a descriptor.
pub(super) type Opened = oneshot::Sender<io::Result<OwnedFd>>;

#[derive(Default)]
pub(super) struct Http {
    web: Option<Web>,
    settings: Option<Settings>,
    sockets: Vec<Socket>,
    files: Vec<(PathBuf, Opened)>,
    textfile: Option<(u64, Opened)>,
    /// Requests for one, and the one that was answered last.
    textfiles: u64,
    filling: u64,
}

/// An endpoint that the settings name.
struct Socket {
    endpoint: Endpoint,
    error: Option<String>,
    retry_at: Option<Instant>,
    pause: Duration,
}

impl Http {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sockets.iter().filter_map(|socket| socket.retry_at).min()
    }

    pub(super) fn scrapes(&self) -> Option<u64> {
        self.web.as_ref().map(Web::scrapes)
    }
}

impl Bridge {
    /// New settings; sockets that are the same stay open.
    pub(super) fn configure_http(&mut self, settings: &Settings) {
        if self.http.settings.as_ref() == Some(settings) {
            // What was read of the files meanwhile may be something else.
            if let Some(web) = &self.http.web {
                web.configure(settings);
            }
            return;
        }
        let wanted = web::endpoints(&settings.http);
        if self.http.web.is_none() {
            if wanted.is_empty() && settings.metrics.textfile.is_none() {
                return;
            }
            match Web::start(self.control.asker()) {
                Ok(web) => self.http.web = Some(web),
                Err(error) => return error!("HTTP cannot be served: {error}"),
            }
        }
        if let Some(web) = &self.http.web {
            web.configure(settings);
        }
        self.http.settings = Some(settings.clone());
        self.http.sockets.retain(|socket| wanted.contains(&socket.endpoint));
        for endpoint in wanted {
            if !self.http.sockets.iter().any(|socket| socket.endpoint == endpoint) {
                self.http.sockets.push(Socket {
                    endpoint: endpoint.clone(),
                    error: None,
                    retry_at: None,
                    pause: AGAIN_FIRST,
                });
                self.ask_for_stream(&endpoint);
            }
        }
    }

    /// It has other permissions now, and is another socket.
    pub(super) fn stream_released(&mut self, endpoint: &Endpoint) {
        if self.http.sockets.iter().any(|socket| socket.endpoint == *endpoint) {
            self.ask_for_stream(endpoint);
        }
    }

    fn ask_for_stream(&mut self, endpoint: &Endpoint) {
        if let Err(error) = self.channel.send(&ToSupervisor::ListenStream { endpoint: endpoint.clone() }, None) {
            self.listening_stream(endpoint.clone(), Err(io::Error::other(error)));
        }
    }

    /// The supervisor's answer.
    pub(super) fn listening_stream(&mut self, endpoint: Endpoint, fd: io::Result<OwnedFd>) {
        let Some(socket) = self.http.sockets.iter_mut().find(|socket| socket.endpoint == endpoint) else { return };
        let fd = fd.map_err(|error| error.to_string());
        match &fd {
            Ok(_) => (socket.error, socket.retry_at, socket.pause) = (None, None, AGAIN_FIRST),
            Err(text) => {
                if socket.error.as_ref() != Some(text) {
                    warn!("HTTP cannot be served at {}: {text}; it is tried again and again", web::name(&endpoint));
                }
                socket.error = Some(text.clone());
                socket.retry_at = Some(clock::now() + socket.pause);
                socket.pause = (socket.pause * 2).min(AGAIN_MAX);
            }
        }
        if let Some(web) = &self.http.web {
            web.socket(endpoint, fd);
        }
    }

    /// Does what time asks for.
    pub(super) fn wake_http(&mut self, now: Instant) {
        let due = |socket: &mut Socket| socket.retry_at.take_if(|at| *at <= now).map(|_| socket.endpoint.clone());
        let due: Vec<Endpoint> = self.http.sockets.iter_mut().filter_map(due).collect();
        due.iter().for_each(|endpoint| self.ask_for_stream(endpoint));
    }

    /// The thread wants a file.
    pub(super) fn open_file(&mut self, path: PathBuf, tell: Opened) {
        self.http.files.retain(|(_, waiting)| !waiting.is_closed());
        if self.http.files.len() >= FILES_MAX {
            let _ = tell.send(Err(io::Error::from_raw_os_error(libc::EBUSY)));
            return;
        }
        match self.channel.send(&ToSupervisor::OpenFile { path: path.clone() }, None) {
            Ok(()) => self.http.files.push((path, tell)),
            Err(error) => drop(tell.send(Err(io::Error::other(error)))),
        }
    }

    /// The supervisor's answer goes to whoever has waited longest for that file.
    pub(super) fn file_opened(&mut self, path: &PathBuf, file: io::Result<OwnedFd>) {
        if let Some(place) = self.http.files.iter().position(|(waited, _)| waited == path) {
            let (_, tell) = self.http.files.remove(place);
            let _ = tell.send(file);
        }
    }

    /// The thread wants to write the textfile.
    pub(super) fn want_textfile(&mut self, tell: Opened) {
        self.http.textfiles += 1;
        let number = self.http.textfiles;
        match self.channel.send(&ToSupervisor::Textfile { number }, None) {
            Ok(()) => self.http.textfile = Some((number, tell)),
            Err(error) => drop(tell.send(Err(io::Error::other(error)))),
        }
    }

    /// An answer to an earlier request is nobody's: that file will never be whole.
    pub(super) fn textfile_opened(&mut self, number: u64, file: io::Result<OwnedFd>) {
        if let Some((_, tell)) = self.http.textfile.take_if(|(asked, _)| *asked == number)
            && tell.send(file).is_ok()
        {
            self.http.filling = number;
        }
    }

    pub(super) fn textfile_is_whole(&mut self) {
        let _ = self.channel.send(&ToSupervisor::TextfileDone { number: self.http.filling }, None);
    }
}
