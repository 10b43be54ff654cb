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
        let mut model = Model::new(self.sort);
        model.look(self.connection.status()?);
        std::thread::sleep(self.delay);
        model.look(self.connection.status()?);
        Ok(model)
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
