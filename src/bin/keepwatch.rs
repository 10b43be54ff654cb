//! `keepwatch`: the operators' command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    keepwatch::cli::main()
}
