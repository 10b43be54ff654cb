//! Lines of a dump: sections, and names with their values at some depth.

use std::fmt::{self, Display, Write};

#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) text: String,
}

impl Page {
    pub(super) fn section(&mut self, title: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.text, "------< {title} >------");
    }

    /// A line as it is; names and values of outsiders are in it, and must not begin another one.
    pub(super) fn line(&mut self, depth: usize, line: fmt::Arguments<'_>) {
        for _ in 0..=depth {
            self.text.push(' ');
        }
        let start = self.text.len();
        let _ = self.text.write_fmt(line);
        if self.text.get(start..).is_some_and(|line| line.contains(char::is_control)) {
            let line: String = self.text.drain(start..).map(|c| if c.is_control() { ' ' } else { c }).collect();
            self.text.push_str(&line);
        }
        self.text.push('\n');
    }

    pub(super) fn pair(&mut self, depth: usize, name: &str, value: impl Display) {
        self.line(depth, format_args!("{name} = {value}"));
    }

    /// Only if there is one.
    pub(super) fn maybe(&mut self, depth: usize, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.pair(depth, name, value);
        }
    }

    /// A title with lines below it, if there are any.
    pub(super) fn list(&mut self, depth: usize, title: &str, lines: impl IntoIterator<Item = String>) {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_some() {
            self.line(depth, format_args!("{title}:"));
            lines.for_each(|line| self.line(depth + 2, format_args!("{line}")));
        }
    }
}

pub(super) fn yes(of: bool) -> &'static str {
    if of { "yes" } else { "no" }
}

pub(super) fn enabled(of: bool) -> &'static str {
    if of { "enabled" } else { "disabled" }
}

/// Seconds, with what there is behind the point.
pub(super) fn seconds(micros: u64) -> String {
    format!("{}", micros as f64 / 1e6)
}
