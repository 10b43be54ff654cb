//! What people read: tables, tones, ages. No I/O but the question what the terminal is like.

use std::io::IsTerminal;

use comfy_table::{Cell as Inner, CellAlignment, Color, ContentArrangement, presets};

use crate::clock;

/// What is written on, and when.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Columns; `None`: as many as it takes, for files and pipes.
    pub width: Option<u16>,
    pub colour: bool,
    /// Seconds since 1970.
    pub now: f64,
}

impl Page {
    /// Colour is for terminals, and for people who have not switched it off (<https://no-color.org>).
    pub fn stdout() -> Page {
        let terminal = std::io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Page {
            width: terminal.then(|| crossterm::terminal::size().map_or(80, |(columns, _)| columns.max(40))),
            colour: terminal && !dumb && !set("NO_COLOR"),
            now: now(),
        }
    }

    /// For tests: no terminal.
    #[cfg(test)]
    pub fn plain(now: f64) -> Page {
        Page { width: None, colour: false, now }
    }

    pub fn paint(&self, text: &str, tone: Tone) -> String {
        let text = clean(text);
        match tone.code() {
            Some(code) if self.colour => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text,
        }
    }

    /// What stands above a table of a process that does not answer; nothing above others.
    pub fn warned(&self, silent: Option<&str>) -> String {
        let line = |why| self.paint(&format!("{why}: what follows is what it said last"), Tone::Bad) + "\n\n";
        silent.map(line).unwrap_or_default()
    }

    /// How long ago that was.
    pub fn age(&self, then: f64) -> String {
        age(self.now.max(0.0) as u64, then.max(0.0) as u64)
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    clock::wall().0 as f64 / 1e9
}

/// What a word means to whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Strong,
    Good,
    /// As it should be, and not where the traffic is.
    Calm,
    Odd,
    Bad,
}

impl Tone {
    fn code(self) -> Option<&'static str> {
        match self {
            Tone::Plain => None,
            Tone::Strong => Some("1"),
            Tone::Good => Some("32"),
            Tone::Calm => Some("36"),
            Tone::Odd => Some("33"),
            Tone::Bad => Some("1;31"),
        }
    }

    fn colour(self) -> Option<Color> {
        match self {
            Tone::Plain | Tone::Strong => None,
            Tone::Good => Some(Color::DarkGreen),
            Tone::Calm => Some(Color::DarkCyan),
            Tone::Odd => Some(Color::DarkYellow),
            Tone::Bad => Some(Color::DarkRed),
        }
    }

    /// Of an instance or a sync group.
    pub fn of_state(state: &str) -> Tone {
        match state {
            "master" => Tone::Good,
            "backup" => Tone::Calm,
            "fault" => Tone::Bad,
            _ => Tone::Odd,
        }
    }
}

/// One field of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub fn new(text: impl AsRef<str>, tone: Tone) -> Cell {
        Cell { text: clean(text.as_ref()), tone }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::new(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::new(text, Tone::Plain)
    }
}

/// Numbers stand at the right.
impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::new(number.to_string(), Tone::Plain)
    }
}

/// Columns of text below their names, without lines. Names that begin with `>` are of columns of numbers.
pub struct Table {
    inner: comfy_table::Table,
    page: Page,
    indent: &'static str,
    right: Vec<bool>,
}

impl Table {
    pub fn new(page: &Page, indent: &'static str, names: &[&str]) -> Table {
        let mut inner = comfy_table::Table::new();
        inner.load_style(presets::NOTHING);
        if page.colour {
            inner.enforce_styling();
        } else {
            inner.force_no_tty();
        }
        match page.width {
            Some(width) => {
                inner.set_width(width.saturating_sub(u16::try_from(indent.len()).unwrap_or(0)));
                inner.set_content_arrangement(ContentArrangement::Dynamic);
            }
            None => drop(inner.set_content_arrangement(ContentArrangement::Disabled)),
        }
        let right: Vec<bool> = names.iter().map(|name| name.starts_with('>')).collect();
        inner.set_header(names.iter().map(|name| name.trim_start_matches('>').to_uppercase()));
        for (column, right) in inner.column_iter_mut().zip(&right) {
            column.set_padding((0, 2));
            if *right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Table { inner, page: *page, indent, right }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells = cells.into_iter().zip(self.right.iter().copied().chain(std::iter::repeat(false)));
        let colour = self.page.colour;
        let cells = cells.map(|(cell, right)| {
            let mut inner = Inner::new(cell.text);
            if right {
                inner = inner.set_alignment(CellAlignment::Right);
            }
            match cell.tone.colour() {
                Some(fg) if colour => inner.fg(fg),
                _ => inner,
            }
        });
        self.inner.add_row(cells.collect::<Vec<_>>());
    }

    /// Each line ends with a newline.
    pub fn text(&self) -> String {
        let indent = self.indent;
        self.inner.trim_fmt().lines().map(|line| format!("{indent}{line}").trim_end().to_owned() + "\n").collect()
    }
}

/// How long ago that was, in its largest unit. Seconds since 1970.
pub fn age(now: u64, then: u64) -> String {
    length(now.saturating_sub(then))
}

/// Seconds in their largest unit.
pub fn length(s: u64) -> String {
    match s {
        0..120 => format!("{s} s"),
        120..7200 => format!("{} min", s / 60),
        7200..172_800 => format!("{} h", s / 3600),
        _ => format!("{} d", s / 86_400),
    }
}

/// A short span: `2.5 ms`, `1.2 s`.
pub fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.000_001 => "-".to_owned(),
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 0.01 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s => length(s as u64),
    }
}

/// `1 server`, `2 servers`.
pub fn count(number: usize, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// What others had a hand in must not talk to the terminal.
pub fn clean(text: &str) -> String {
    if text.chars().all(|c| !c.is_control()) {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(page: &Page) -> String {
        let mut table = Table::new(page, "  ", &["server", ">weight", "error"]);
        table.row(["10.0.0.1:80".into(), 3.into(), "".into()]);
        table.row(["[fd00::10]:80".into(), 120.into(), Cell::new("connection refused by\x1b[2Jthe server", Tone::Bad)]);
        table.text()
    }

    #[test]
    fn columns_stand_below_their_names_and_nothing_talks_to_the_terminal() {
        let expected = "  \
  SERVER         WEIGHT  ERROR
  10.0.0.1:80         3
  [fd00::10]:80     120  connection refused by\\u{1b}[2Jthe server
";
        assert_eq!(table(&Page::plain(0.0)), expected);
    }

    #[test]
    fn a_narrow_terminal_wraps_the_longest_column() {
        let text = table(&Page { width: Some(48), ..Page::plain(0.0) });
        assert!(text.lines().all(|line| line.len() <= 48), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn colour_is_written_where_it_is_wanted_and_changes_no_width() {
        let text = table(&Page { colour: true, ..Page::plain(0.0) });
        assert!(text.contains("\x1b[38;5;1m") || text.contains("\x1b[31m"), "{text:?}");
        assert!(!table(&Page::plain(0.0)).contains('\x1b'));
    }

    #[test]
    fn spans_and_ages_have_one_unit() {
        assert_eq!(
            [0.0, 0.000_25, 0.0025, 0.25, 3.6, 7300.0].map(span),
            ["-", "250 us", "2.5 ms", "250 ms", "3.6 s", "2 h"]
        );
        assert_eq!([0, 119, 120, 7200, 172_800].map(length), ["0 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
