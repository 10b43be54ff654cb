//! A server's answer to HTTP_GET, through the whole client over a stream in memory. The first octet says in pieces of
//! what size it comes.
#![no_main]

use keepwatch::check::probe::{Context, Stage, http};
use keepwatch::conf::model::{BodyRegex, HttpCheck, HttpVersion, Target, Url};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fuzz_target!(|data: &[u8]| {
    let Some((size, answer)) = data.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let check = check();
        let url = &check.urls[0];
        let mut judge = http::judge(&Context::new(), url).expect("the pattern compiles");
        let request = http::request(&check, url).expect("a request");
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let server = async {
            let _ = theirs.read(&mut [0; 1024]).await;
            for piece in answer.chunks(usize::from(*size).max(1)) {
                if theirs.write_all(piece).await.is_err() {
                    break;
                }
            }
            drop(theirs);
        };
        let stage = Stage::default();
        let client = async {
            let (stream, verdict) = http::exchange(ours, request, url, &mut judge, &stage).await;
            drop(stream);
            verdict
        };
        let _ = tokio::join!(server, client);
    });
});

fn check() -> HttpCheck {
    let url = Url {
        path: "/".to_owned(),
        virtual_host: None,
        digest: Some([0; 16]),
        status: vec![(100, 599)],
        regex: Some(BodyRegex {
            pattern: "hello (?<!x)world$".to_owned(),
            options: vec![],
            no_match: true,
            min_offset: 0,
            max_offset: None,
            stack: None,
        }),
        tls_compliant: false,
    };
    let target = Target {
        address: [127, 0, 0, 1].into(),
        port: 80,
        bind: None,
        bind_port: 0,
        interface: None,
        mark: 0,
        timeout_us: 5_000_000,
    };
    HttpCheck { target, tls: None, version: HttpVersion::V1_1, urls: vec![url], fast_recovery: false }
}
