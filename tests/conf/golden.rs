//! What people read, word for word: the whole text for each mistake of the list, beside its file as `.txt`.

use keepwatch::conf::{self, Options};

use crate::{TwoInterfaces, cases, file_of, files_of_the_list, list};

/// What is misspelt in the list, or called by another name, and what was meant.
const MEANT: &[(u32, &str)] = &[
    (1, "`virtual_router_id`"),
    (2, "`vrrp_instance`"),
    (3, "`HTTP_GET`"),
    (5, "`priority`"),
    (22, "`true`"),
    (55, "`BACKUP`"),
    (69, "`VI_1`"),
    (86, "keepalived_script"),
    (91, "`rr`"),
    (93, "`NAT`"),
    (95, "`TCP`"),
];

#[test]
fn what_is_misspelt_is_told_with_the_word_that_was_meant() {
    let memory = files_of_the_list();
    let cases: Vec<_> = cases().into_iter().collect();
    for (number, meant) in MEANT {
        let (_, cells) = cases.iter().find(|(case, _)| case == number).expect("the case");
        let loaded = conf::load(file_of(cells), &Options::default(), &memory, &TwoInterfaces);
        let hint = loaded.diagnostics.first().and_then(|it| it.hint.clone()).unwrap_or_default();
        assert!(hint.starts_with(&format!("did you mean {meant}?")), "{number}: {hint}");
    }
}

#[test]
fn every_mistake_of_the_list_is_told_in_these_words() {
    let memory = files_of_the_list();
    let renew = std::env::var_os("KEEPWATCH_RENEW").is_some();
    let mut stale = Vec::new();
    let mut wanted_names = Vec::new();
    for (number, cells) in cases() {
        let loaded = conf::load(file_of(&cells), &Options::default(), &memory, &TwoInterfaces);
        let found = loaded.render();
        let name = match cells[1].strip_suffix(".conf") {
            Some(stem) => format!("{stem}.txt"),
            None => format!("{number}.txt"),
        };
        let path = list().join(&name);
        wanted_names.push(name.clone());
        if renew {
            std::fs::write(&path, &found).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        if wanted != found || !path.exists() {
            stale.push(format!("--- {name} says\n{wanted}--- found\n{found}"));
        }
    }
    for entry in std::fs::read_dir(list()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".txt") && !wanted_names.contains(&name) {
            stale.push(format!("{name} is of no case"));
        }
    }
    assert!(stale.is_empty(), "KEEPWATCH_RENEW=1 cargo test --test conf renews them:\n{}", stale.join("\n"));
}
