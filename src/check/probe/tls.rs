//! The TLS side of SSL_GET: OpenSSL with the system's settings, trusting anyone.
//!
//! A health check asks whether the server serves, not who it is: certificates are not verified, as in Keepalived, so
//! that self-signed, expired and short-keyed ones pass.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode};
use openssl::x509::X509;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use super::{Stage, connect};
use crate::check::io::{Cause, Failure};
use crate::conf::model::TlsClient;

/// Longest file of the `SSL` block that is read.
const FILE_SIZE: u64 = 1 << 20;

/// What all connections with these settings share. The error names the file.
pub fn context(client: Option<&TlsClient>) -> Result<SslContext, String> {
    let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(|error| said(&error))?;
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    // Many servers end a response of HTTP/1.0 by closing the connection without a close_notify.
    builder.set_options(SslOptions::IGNORE_UNEXPECTED_EOF);
    let Some(client) = client else { return Ok(builder.build()) };
    let tell = |path: &str| {
        let path = path.to_owned();
        move |error: ErrorStack| format!("SSL: {path}: {}", said(&error))
    };
    if let Some(path) = &client.ca {
        for certificate in X509::stack_from_pem(&read(path)?).map_err(tell(path))? {
            builder.cert_store_mut().add_cert(certificate).map_err(tell(path))?;
        }
    }
    if let Some(path) = &client.certificate {
        let chain = X509::stack_from_pem(&read(path)?).map_err(tell(path))?;
        for (place, certificate) in chain.into_iter().enumerate() {
            match place {
                0 => builder.set_certificate(&certificate).map_err(tell(path))?,
                _ => builder.add_extra_chain_cert(certificate).map_err(tell(path))?,
            }
        }
    }
    if let Some(path) = &client.key {
        let password = client.password.as_deref().unwrap_or_default();
        let key = PKey::private_key_from_pem_passphrase(&read(path)?, password.as_bytes()).map_err(tell(path))?;
        builder.set_private_key(&key).map_err(tell(path))?;
    }
    Ok(builder.build())
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_SIZE).read_to_end(&mut content))
        .map_err(|error| format!("SSL: {path}: {error}"))?;
    Ok(content)
}

/// Shakes hands. `name` goes into the server name extension.
pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    context: &SslContext,
    name: Option<&str>,
    stream: S,
    stage: &Stage,
) -> Result<SslStream<S>, Failure> {
    stage.set("in the TLS handshake");
    let failed = |error: &ErrorStack| Failure::new(Cause::Tls, format!("TLS: {}", said(error)));
    let mut ssl = Ssl::new(context).map_err(|error| failed(&error))?;
    if let Some(name) = name {
        ssl.set_hostname(name).map_err(|error| failed(&error))?;
    }
    let mut stream = SslStream::new(ssl, stream).map_err(|error| failed(&error))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => Err(match (error.ssl_error(), error.io_error()) {
            (Some(stack), _) => failed(stack),
            (None, Some(error)) => connect::broken(error, stage),
            (None, None) if error.code() == ErrorCode::SYSCALL => {
                Failure::new(Cause::Tls, "TLS: connection closed in the handshake")
            }
            (None, None) => Failure::new(Cause::Tls, format!("TLS: {error}")),
        }),
    }
}

/// Tells the server that nothing more will come (`tls_compliant`, RFC 8446 section 6.1). Does not wait for its answer.
pub async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut SslStream<S>) -> io::Result<()> {
    tokio::io::AsyncWriteExt::shutdown(stream).await
}

/// The first reason of a stack of errors: `wrong version number`.
pub fn said(stack: &ErrorStack) -> String {
    match stack.errors().first() {
        Some(error) => match (error.reason(), error.data()) {
            (Some(reason), Some(data)) if !data.is_empty() => format!("{reason} ({data})"),
            (Some(reason), _) => reason.to_owned(),
            (None, _) => error.to_string(),
        },
        None => "unknown error".to_owned(),
    }
}
