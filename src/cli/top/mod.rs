//! `keepwatch top`: instances and servers, live, with the rates between two looks.
//!
//! [`model`] makes rows of two documents, [`draw`] puts them on a screen; here is the terminal, which is given back
//! whatever ends the program.

mod draw;
mod model;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use self::model::{Model, Sort};
use super::client::Connection;
use super::outcome::{Failure, finish, print, print_json, status};
use super::text::Page;
use super::watch::seconds;
use crate::clock;
use crate::report::Status;
use crate::sys::poll::Signals;

#[derive(Debug, Args)]
pub struct Top {
    /// Between two looks
    #[arg(short, long, value_name = "S", default_value = "2", value_parser = seconds)]
    delay: Duration,
    /// Order of the servers
    #[arg(short, long, value_enum, default_value_t = Sort::Rate)]
    sort: Sort,
    /// Print one frame and exit
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Keys are looked for, and signals noticed, this often.
const TICK: Duration = Duration::from_millis(100);

/// How late the kernel's counters may be.
const COUNTED_LATE: Duration = Duration::from_secs(1);

/// Columns of a frame that is printed.
const ONCE_WIDTH: u16 = 100;

impl Top {
    pub fn run(self) -> ExitCode {
        let result = if self.connection.json {
            self.json()
        } else if self.once {
            self.frame()
        } else if io::stdout().is_terminal() && io::stdin().is_terminal() {
            self.live()
        } else {
            Err(Failure::new(crate::control::Code::BadRequest, "top needs a terminal; `--once` prints one frame"))
        };
        finish(result, self.connection.json, None)
    }

    /// Two looks, and what lies between them.
    fn two_looks(&self) -> Result<Model, Failure> {
        two_looks(self.sort, self.delay, || self.connection.status(), std::thread::sleep)
    }

    fn json(&self) -> Result<u8, Failure> {
        let model = self.two_looks()?;
        print_json(&model.frame());
        Ok(status::GOOD)
    }

    fn frame(&self) -> Result<u8, Failure> {
        let model = self.two_looks()?;
        let page = Page { width: None, ..Page::stdout() };
        let frame = model.frame();
        print(&text(&draw::all(&frame, ONCE_WIDTH, &page)));
        Ok(status::GOOD)
    }

    fn live(&self) -> Result<u8, Failure> {
        let broken = |error: io::Error| Failure::new(crate::control::Code::Refused, format!("the terminal: {error}"));
        // Before anything is drawn: a daemon that is not there needs no screen.
        let mut model = Model::new(self.sort);
        model.look(self.connection.status()?);
        let mut signals = Signals::new(&[libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT]).map_err(broken)?;
        let screen = Screen::take().map_err(broken)?;
        let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout())).map_err(broken)?;
        let mut looked = clock::now();
        let mut first = 0_u16;
        let mut trouble = None;
        loop {
            let page = Page::stdout();
            let frame = model.frame();
            terminal.draw(|to| draw::screen(to, &frame, first, trouble.as_deref(), &page)).map_err(broken)?;
            let due = looked + self.delay;
            loop {
                if signals.take().map_err(broken)?.is_some() {
                    drop(screen);
                    return Ok(status::GOOD);
                }
                let left = due.since(clock::now());
                if left.is_zero() {
                    break;
                }
                if !event::poll(left.min(TICK)).map_err(broken)? {
                    continue;
                }
                match event::read().map_err(broken)? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
                        KeyCode::Char('q') | KeyCode::Esc => return Ok(status::GOOD),
                        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(status::GOOD),
                        KeyCode::Char('s') => model.sort = model.sort.next(),
                        KeyCode::Char('r') => model.reverse = !model.reverse,
                        KeyCode::Down | KeyCode::Char('j') => first = first.saturating_add(1),
                        KeyCode::Up | KeyCode::Char('k') => first = first.saturating_sub(1),
                        KeyCode::PageDown => first = first.saturating_add(20),
                        KeyCode::PageUp => first = first.saturating_sub(20),
                        KeyCode::Home => first = 0,
                        _ => continue,
                    },
                    Event::Resize(..) => {}
                    _ => continue,
                }
                first = first.min(draw::last_line(&model.frame()));
                break;
            }
            if clock::now() >= due {
                looked = clock::now();
                trouble = match self.connection.status() {
                    Ok(status) => {
                        model.look(status);
                        None
                    }
                    // It may come back; what was seen last stays on the screen.
                    Err(failure) => Some(failure.message()),
                };
            }
        }
    }
}

/// The kernel's counters are read more seldom than one may look: the second look is one that has others, if there is one in
/// time.
fn two_looks(
    sort: Sort,
    delay: Duration,
    mut ask: impl FnMut() -> Result<Status, Failure>,
    mut sleep: impl FnMut(Duration),
) -> Result<Model, Failure> {
    let mut model = Model::new(sort);
    let first = ask()?;
    let counted = |status: &Status| status.ipvs.services.is_empty() || status.ipvs.counted_at != first.ipvs.counted_at;
    let every = Duration::try_from_secs_f64(first.ipvs.counted_every).unwrap_or_default();
    let patience = every.saturating_add(COUNTED_LATE);
    model.look(first.clone());
    let mut waited = delay;
    sleep(delay);
    loop {
        let status = ask()?;
        let done = counted(&status) || waited >= patience;
        model.look(status);
        if done {
            return Ok(model);
        }
        sleep(TICK);
        waited += TICK;
    }
}

/// What a buffer shows, line by line.
fn text(buffer: &Buffer) -> String {
    let Rect { width, height, .. } = buffer.area;
    let line = |y: u16| -> String {
        let cells = (0..width).filter_map(|x| buffer.cell((x, y)).map(|cell| cell.symbol()));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    (0..height).map(line).collect()
}

/// The terminal, as long as it is ours.
struct Screen;

/// Given back once only, by whoever comes first.
static TAKEN: AtomicBool = AtomicBool::new(false);

impl Screen {
    fn take() -> io::Result<Screen> {
        crossterm::terminal::enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let screen = Screen;
        crossterm::execute!(io::stdout(), crossterm::terminal::EnterAlternateScreen, crossterm::cursor::Hide)?;
        // A panic aborts: nothing is dropped, so the hook must do it, before the message is printed.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = crossterm::execute!(io::stdout(), crossterm::terminal::LeaveAlternateScreen, crossterm::cursor::Show);
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;

    /// Looks at a daemon that reads the kernel each five seconds, for the next time in `next` seconds; gives the rate, and
    /// how long it took.
    fn looked(next: f64, delay: u64) -> (Option<f64>, Duration) {
        let waited = std::cell::Cell::new(Duration::ZERO);
        let ask = || {
            let mut status = fixture::status();
            let seconds = waited.get().as_secs_f64();
            status.at += seconds;
            if seconds >= next {
                status.ipvs.counted_at += 5.0;
                status.ipvs.services[0].servers[0].connections += 50;
            }
            Ok(status)
        };
        let sleep = |time| waited.set(waited.get() + time);
        let model = two_looks(Sort::File, Duration::from_secs(delay), ask, sleep).unwrap();
        (model.frame().servers[0].connections_per_second, waited.get())
    }

    #[test]
    fn one_frame_waits_until_the_kernel_s_counters_were_read_again_and_no_longer() {
        assert_eq!(looked(1.5, 2), (Some(10.0), Duration::from_secs(2)));
        assert_eq!(looked(4.0, 2), (Some(10.0), Duration::from_secs(4)));
        assert_eq!(looked(f64::INFINITY, 2), (None, Duration::from_secs(6)));
        assert_eq!(looked(f64::INFINITY, 9), (None, Duration::from_secs(9)));
    }
}
