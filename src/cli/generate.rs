//! `keepwatch completions` and `keepwatch man`: made from the definitions of the command line itself, and from the keyword
//! table.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::outcome::{print, status};
use crate::conf::keywords;

#[derive(Debug, Args)]
pub struct Completions {
    /// Shell whose completions are printed
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct Pages {
    /// Write keepwatch.1, a page for each subcommand and keepwatch.conf.5 into this directory, instead of keepwatch.1 to
    /// standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print keepwatch.conf(5), the directives of the configuration, instead of keepwatch.1
    #[arg(long, conflicts_with = "out")]
    conf: bool,
}

impl Completions {
    pub fn run(self, mut command: Command) -> ExitCode {
        let mut out = Vec::new();
        clap_complete::generate(self.shell, &mut command, "keepwatch", &mut out);
        print(&String::from_utf8_lossy(&out));
        ExitCode::SUCCESS
    }
}

impl Pages {
    pub fn run(self, command: Command) -> ExitCode {
        let result = match &self.out {
            Some(directory) => write(directory, command),
            None if self.conf => {
                print(&configuration());
                Ok(())
            }
            None => page(&command).map(|text| print(&text)),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("keepwatch: {error}");
                ExitCode::from(status::TROUBLE)
            }
        }
    }
}

/// `keepwatch.1`, `keepwatch-status.1` and so on.
fn write(directory: &Path, command: Command) -> io::Result<()> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(told)?;
    // The pages stand for `help`.
    clap_mangen::generate_to(command.disable_help_subcommand(true), directory).map_err(told)?;
    std::fs::write(directory.join("keepwatch.conf.5"), configuration()).map_err(told)
}

fn configuration() -> String {
    keywords::manual(env!("CARGO_PKG_VERSION"))
}

fn page(command: &Command) -> io::Result<String> {
    let mut out = Vec::new();
    Man::new(command.clone()).manual("keepwatch").render(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
