//! A frame on a screen.

use ratatui::Frame as Canvas;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, Widget};

use super::model::{Frame, InstanceLine, ServerLine};
use crate::cli::text::{Page, Tone, clean, length};

/// Everything, however many lines that takes.
pub fn all(frame: &Frame, width: u16, page: &Page) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height(frame)));
    let area = buffer.area;
    render(frame, area, &mut buffer, page);
    buffer
}

/// What fits, from line `first` on, and a line of keys or trouble below.
pub fn screen(canvas: &mut Canvas<'_>, frame: &Frame, first: u16, trouble: Option<&str>, page: &Page) {
    let whole = canvas.area();
    let Some(below) = whole.height.checked_sub(1) else { return };
    let from = all(frame, whole.width, page);
    let to = canvas.buffer_mut();
    for y in 0..below {
        // The head stays.
        let line = if y < HEAD { y } else { y.saturating_add(first) };
        for x in 0..whole.width {
            if let (Some(from), Some(to)) = (from.cell((x, line)), to.cell_mut((x, y))) {
                *to = from.clone();
            }
        }
    }
    let keys = format!(" q quit   s sort by {}   r reverse   arrows scroll", frame.sort);
    let (text, style) = match trouble {
        Some(trouble) => (format!(" {}", clean(trouble)), styled(Tone::Bad, page)),
        None => (keys, Style::new()),
    };
    let bottom = Rect { y: below, height: 1, ..whole };
    canvas.render_widget(Paragraph::new(text).style(style.add_modifier(Modifier::REVERSED)), bottom);
}

/// The last line that may be the first.
pub fn last_line(frame: &Frame) -> u16 {
    height(frame).saturating_sub(HEAD + 1)
}

/// Lines of the head.
const HEAD: u16 = 3;

fn rows(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX / 4)
}

fn height(frame: &Frame) -> u16 {
    let instances = if frame.instances.is_empty() { 0 } else { rows(frame.instances.len()) + 2 };
    let servers = if frame.servers.is_empty() { 0 } else { rows(frame.servers.len()) + 1 };
    HEAD + instances + servers
}

fn render(frame: &Frame, area: Rect, buffer: &mut Buffer, page: &Page) {
    let line = |y: u16| Rect { y, height: 1, ..area };
    let title = format!("keepwatch {} on {}, for {}", frame.version, clean(&frame.host), length(frame.up_for as u64));
    Line::styled(title, Style::new().add_modifier(Modifier::BOLD)).render(line(0), buffer);
    let (text, tone) = match (&frame.worst, frame.troubles) {
        (Some(worst), 1) => (clean(worst), Tone::Bad),
        (Some(worst), troubles) => (format!("{} ({} more)", clean(worst), troubles - 1), Tone::Bad),
        (None, _) => ("no troubles".to_owned(), Tone::Good),
    };
    let busy = match frame.connections_per_second {
        Some(rate) => format!("{rate:.1} connections/s, {} active; ", frame.active_connections),
        None if frame.servers.is_empty() => String::new(),
        None => format!("{} active connections; ", frame.active_connections),
    };
    Line::from(vec![Span::raw(busy), Span::styled(text, styled(tone, page))]).render(line(1), buffer);
    let mut y = HEAD;
    if !frame.instances.is_empty() {
        let height = rows(frame.instances.len()) + 1;
        instances(&frame.instances, page).render(Rect { y, height, ..area }, buffer);
        y += height + 1;
    }
    if !frame.servers.is_empty() {
        let height = rows(frame.servers.len()) + 1;
        servers(&frame.servers, page).render(Rect { y, height, ..area }, buffer);
    }
}

fn instances(lines: &[InstanceLine], page: &Page) -> Table<'static> {
    let rows = lines.iter().map(|line| {
        Row::new([
            Cell::from(clean(&line.name)),
            Cell::from(line.state.clone()).style(styled(Tone::of_state(&line.state), page)),
            right(page.age(line.since), 7),
            right(line.priority.to_string(), 4),
            Cell::from(format!("{}/{}", clean(&line.interface), line.vrid)),
            Cell::from(line.master.clone()),
            right(rate(line.sent_per_second), 7),
            right(rate(line.received_per_second), 7),
            right(line.became_master.to_string(), 6),
        ])
    });
    let widths = [
        Constraint::Min(12),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(4),
        Constraint::Length(12),
        Constraint::Length(20),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(6),
    ];
    let head = ["INSTANCE", "STATE", "    FOR", "PRIO", "LINK/VRID", "MASTER", " SENT/s", " RCVD/s", "BECAME"];
    Table::new(rows, widths).header(Row::new(head).style(Style::new().add_modifier(Modifier::BOLD))).column_spacing(1)
}

fn servers(lines: &[ServerLine], page: &Page) -> Table<'static> {
    let rows = lines.iter().map(|line| {
        let tone = match &*line.state {
            "up" => Tone::Good,
            "DOWN" => Tone::Bad,
            _ => Tone::Odd,
        };
        Row::new([
            Cell::from(clean(&line.service)),
            Cell::from(clean(&line.server)),
            Cell::from(line.state.clone()).style(styled(tone, page)),
            right(page.age(line.since), 7),
            right(line.weight.to_string(), 6),
            right(line.active.to_string(), 8),
            right(line.inactive.to_string(), 8),
            right(rate(line.connections_per_second), 8),
        ])
    });
    let widths = [
        Constraint::Min(20),
        Constraint::Min(18),
        Constraint::Length(13),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
    ];
    let head = ["VIRTUAL SERVER", "REAL SERVER", "STATE", "    FOR", "WEIGHT", "  ACTIVE", "INACTIVE", "  CONN/s"];
    Table::new(rows, widths).header(Row::new(head).style(Style::new().add_modifier(Modifier::BOLD))).column_spacing(1)
}

fn right(text: String, width: usize) -> Cell<'static> {
    Cell::from(format!("{text:>width$}"))
}

fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 1000.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

fn styled(tone: Tone, page: &Page) -> Style {
    if !page.colour {
        return Style::new();
    }
    match tone {
        Tone::Plain => Style::new(),
        Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Calm => Style::new().fg(Color::Cyan),
        Tone::Odd => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::cli::fixture;
    use crate::cli::top::model::{Model, Sort};

    fn frame() -> Frame {
        let mut model = Model::new(Sort::File);
        model.look(fixture::status());
        let mut later = fixture::status();
        later.at += 2.0;
        later.ipvs.counted_at += 5.0;
        later.vrrp.iter_mut().for_each(|instance| instance.counters.adverts_sent += 2);
        later.ipvs.services.iter_mut().for_each(|report| report.servers[0].connections += 1234);
        model.look(later);
        model.frame()
    }

    #[test]
    fn a_frame_has_every_instance_and_every_server() {
        fixture::golden("top", &super::super::text(&all(&frame(), 100, &Page::plain(fixture::NOW + 2.0))));
    }

    #[test]
    fn a_screen_is_scrolled_below_its_head_and_has_a_line_for_trouble() {
        let page = Page::plain(fixture::NOW);
        let shown = |first, trouble: Option<&str>| {
            let mut terminal = Terminal::new(TestBackend::new(80, 8)).unwrap();
            terminal.draw(|canvas| screen(canvas, &frame(), first, trouble, &page)).unwrap();
            super::super::text(terminal.backend().buffer())
        };
        let begin = shown(0, None);
        assert!(begin.contains("INSTANCE") && begin.contains("q quit") && !begin.contains("REAL SERVER"), "{begin}");
        let end = shown(last_line(&frame()), Some("keepwatchd is away"));
        assert!(end.starts_with("keepwatch 0.1.0 on lb1") && end.contains("keepwatchd is away"), "{end}");
        assert!(!end.contains("INSTANCE") && end.lines().count() == 8, "{end}");
    }

    #[test]
    fn a_screen_of_any_size_can_be_drawn() {
        for (width, height) in [(1, 1), (3, 2), (20, 4), (300, 200)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|canvas| screen(canvas, &frame(), 7, None, &Page::plain(0.0))).unwrap();
        }
    }
}
