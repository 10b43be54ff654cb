//! tracing in front, [`sys::log`](crate::sys::log) behind: events become lines, and no line makes a process wait.
//!
//! A line reads `(VI_1) Entering MASTER STATE` as operators know it: fields named `instance` come first, in
//! parentheses; other fields follow the text as `name=value`.

use std::fmt::{self, Write};
use std::sync::OnceLock;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::options::LogOptions;
use crate::bus::timing::Logged;
use crate::sys::log::{Severity, Sink};

/// The log of this process.
static SINK: OnceLock<Sink> = OnceLock::new();

/// Starts logging for this process. `role` is added to the ident.
pub fn start(options: &LogOptions, role: &str) {
    let open = || Sink::open(&format!("{}{role}", options.ident), options.facility, options.console);
    let sink = SINK.get_or_init(open);
    let subscriber = tracing_subscriber::registry().with(Lines { sink, level: options.level() });
    // A second call (in tests) changes nothing.
    let _ = tracing::subscriber::set_global_default(subscriber);
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("this is a fault in keepwatch: {panic}");
        finish();
    }));
    if let Some(path) = options.file(role)
        && let Err(error) = sink.also_to(&path, options.flush)
    {
        tracing::error!("cannot log to {}: {error}", path.display());
    }
}

/// From here on the file of `--log-file` is written, by a thread with the rights that this process has now.
pub fn write_file() {
    if let Some(Err(error)) = SINK.get().map(Sink::write_file) {
        tracing::error!("the log file is not written: {error}");
    }
}

/// The process ends: the file gets its last lines.
pub fn finish() {
    if let Some(sink) = SINK.get() {
        sink.finish();
    }
}

/// What this process gave to its log so far. Reads five numbers, and takes no lock.
pub fn counts() -> Logged {
    let Some(sink) = SINK.get() else { return Logged::default() };
    Logged {
        error: sink.given(Severity::Error),
        warning: sink.given(Severity::Warning),
        info: sink.given(Severity::Info),
        debug: sink.given(Severity::Debug),
        lost: sink.lost(),
    }
}

struct Lines {
    sink: &'static Sink,
    level: Level,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("keepwatch")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let severity = match *event.metadata().level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warning,
            Level::INFO => Severity::Info,
            _ => Severity::Debug,
        };
        // A log is read line by line; control characters of an outsider must not forge another one.
        let text: String = line.finish().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.sink.line(severity, &text);
    }
}

#[derive(Default)]
struct Line {
    instance: String,
    message: String,
    fields: String,
}

impl Line {
    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => self.message.write_fmt(value),
            "instance" => self.instance.write_fmt(value),
            name => write!(self.fields, " {name}={value}"),
        };
    }

    fn finish(self) -> String {
        let Line { instance, message, fields } = self;
        if instance.is_empty() { message + &fields } else { format!("({instance}) {message}{fields}") }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"));
    }
}
