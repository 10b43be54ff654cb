//! A body against regular expressions, in pieces and whole: the verdict is the same.
#![no_main]

use std::sync::Arc;

use keepwatch::check::probe::body::{Judge, compile};
use keepwatch::conf::model::{BodyRegex, Url};
use libfuzzer_sys::fuzz_target;

const PATTERNS: [&str; 8] = ["a+b", "^a", "b$", r"\bab\b", "(?<=a)b(?=a)", "é.a", "(a|ab)(b|$)", "a.*b"];
const OPTIONS: [&str; 8] = ["utf", "dotall", "multiline", "caseless", "ungreedy", "firstline", "ucp", "extended"];

fuzz_target!(|data: &[u8]| {
    let Some(([pattern, options, min, max, size], body)) = data.split_first_chunk::<5>() else { return };
    let options = OPTIONS.iter().enumerate().filter(|(place, _)| options >> place & 1 == 1).map(|(_, name)| *name);
    let wanted = BodyRegex {
        pattern: PATTERNS[usize::from(*pattern) % PATTERNS.len()].to_owned(),
        options: options.map(str::to_owned).collect(),
        no_match: false,
        min_offset: u64::from(*min),
        max_offset: (max > min).then_some(u64::from(*max)),
        stack: None,
    };
    let regex = Arc::new(compile(&wanted).expect("these compile"));
    let url = Url {
        path: "/".to_owned(),
        virtual_host: None,
        digest: None,
        status: vec![],
        regex: Some(wanted),
        tls_compliant: false,
    };
    let verdict = |size: usize| {
        let mut judge = Judge::new(&url, Some(Arc::clone(&regex))).expect("memory");
        for piece in body.chunks(size.max(1)) {
            judge.feed(piece)?;
        }
        judge.finish()
    };
    assert_eq!(verdict(usize::from(*size)), verdict(body.len()));
});
