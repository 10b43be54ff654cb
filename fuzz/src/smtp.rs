//! What a server says to SMTP_CHECK, in pieces and whole: the verdict is the same.
#![no_main]

use keepwatch::check::io::Failure;
use keepwatch::check::probe::smtp::Dialogue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((size, talk)) = data.split_first() else { return };
    let verdict = |size: usize| -> Result<(Vec<u8>, bool), Failure> {
        let mut dialogue = Dialogue::new("me.example");
        let mut said = Vec::new();
        for piece in talk.chunks(size.max(1)) {
            said.extend(dialogue.hear(piece)?);
        }
        Ok((said, dialogue.over()))
    };
    assert_eq!(verdict(usize::from(*size)), verdict(talk.len()));
});
