//! What a server says instead of a TLS handshake.
#![no_main]

use keepwatch::check::probe::{Stage, tls};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let context = tls::context(None).expect("a context");
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let server = async {
            let _ = theirs.read(&mut [0; 1024]).await;
            let _ = theirs.write_all(data).await;
            drop(theirs);
        };
        let stage = Stage::default();
        let client = async { drop(tls::handshake(&context, Some("a.example"), ours, &stage).await) };
        tokio::join!(server, client);
    });
});
