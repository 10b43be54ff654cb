//! `keepwatch directive`: the keyword table, asked by name.

use std::process::ExitCode;

use clap::Args;

use crate::conf::keywords::{self, Effect};

#[derive(Debug, Args)]
pub struct Directive {
    /// The directive, or a deprecated name of it
    keyword: String,
}

impl Directive {
    pub fn run(self) -> ExitCode {
        let matches = |row: &&keywords::Row| {
            row.keyword == self.keyword || row.synonyms.iter().any(|synonym| synonym.word() == self.keyword)
        };
        let mut found = false;
        for row in keywords::rows().filter(matches) {
            found = true;
            println!("{} in {}", row.keyword, row.paths.join(", "));
            println!("  {}", row.help);
            println!("  default: {}", row.default);
            if matches!(row.effect, Effect::NotBuilt) {
                println!("  keepwatch understands it, and it has no effect yet");
            }
        }
        if found {
            return ExitCode::SUCCESS;
        }
        let known = keywords::rows().map(|row| row.keyword);
        match keywords::closest(&self.keyword, known) {
            Some(near) => eprintln!("no directive `{}`; did you mean `{near}`?", self.keyword),
            None => eprintln!("no directive `{}`", self.keyword),
        }
        ExitCode::FAILURE
    }
}
