//! TLS as `tls_server_config` asks for it, with OpenSSL.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    AlpnError, Ssl, SslContext, SslMethod, SslOptions, SslRef, SslSessionCacheMode, SslVerifyMode, SslVersion,
    select_next_proto,
};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509NameRef};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_openssl::SslStream;

use crate::conf::model::{ClientAuth, TlsConfig, TlsVersion};

/// How long both sides may take to agree.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// What the files of a configuration hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pems {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    pub client_ca: Option<Vec<u8>>,
}

/// What is wrong with a configuration or its files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{file}: {error}")]
    File { file: String, error: String },
    #[error("the key does not belong to the certificate")]
    Mismatch,
    #[error("{0}")]
    OpenSsl(#[from] ErrorStack),
}

/// Everything that a handshake needs.
pub fn context(config: &TlsConfig, pems: &Pems) -> Result<SslContext, TlsError> {
    let in_file = |path: &std::path::Path, error: String| TlsError::File { file: path.display().to_string(), error };
    let first = |error: &ErrorStack| {
        let reason = error.errors().first().and_then(|error| error.reason());
        reason.unwrap_or("it cannot be understood").to_owned()
    };
    let mut chain = X509::stack_from_pem(&pems.certificate)
        .map_err(|error| in_file(&config.certificate_file, first(&error)))?
        .into_iter();
    let Some(certificate) = chain.next() else {
        return Err(in_file(&config.certificate_file, "there is no certificate in it".to_owned()));
    };
    // A key with a pass phrase is refused; nobody is there to be asked for it.
    let key = PKey::private_key_from_pem_callback(&pems.key, |_| Ok(0))
        .map_err(|error| in_file(&config.key_file, first(&error)))?;

    let mut builder = SslContext::builder(SslMethod::tls_server())?;
    builder.set_min_proto_version(Some(version(config.min_version)))?;
    builder.set_max_proto_version(Some(version(config.max_version)))?;
    builder
        .set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION | SslOptions::CIPHER_SERVER_PREFERENCE);
    // Each connection shows its certificate: sessions are not resumed.
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_session_id_context(b"keepwatch")?;
    let mut ciphers = if config.ciphers.is_empty() { "DEFAULT".to_owned() } else { config.ciphers.join(":") };
    if config.min_version < TlsVersion::Tls12 {
        // OpenSSL offers what is that old only below its first level.
        ciphers += ":@SECLEVEL=0";
    }
    builder.set_cipher_list(&ciphers)?;
    if !config.curves.is_empty() {
        builder.set_groups_list(&config.curves.join(":"))?;
    }
    builder.set_certificate(&certificate)?;
    builder.set_private_key(&key)?;
    builder.check_private_key().map_err(|_| TlsError::Mismatch)?;
    for more in chain {
        builder.add_extra_chain_cert(more)?;
    }
    // A client that could speak HTTP/2 is told that we do not.
    builder.set_alpn_select_callback(|_, offered| {
        select_next_proto(b"\x08http/1.1\x08http/1.0", offered).ok_or(AlpnError::NOACK)
    });
    if let (Some(path), Some(pem)) = (&config.client_ca_file, &pems.client_ca) {
        let authorities = X509::stack_from_pem(pem).map_err(|error| in_file(path, first(&error)))?;
        if authorities.is_empty() {
            return Err(in_file(path, "there is no certificate in it".to_owned()));
        }
        let (mut store, mut names) = (X509StoreBuilder::new()?, Stack::new()?);
        for authority in authorities {
            names.push(X509NameRef::to_owned(authority.subject_name())?)?;
            store.add_cert(authority)?;
        }
        builder.set_cert_store(store.build());
        builder.set_client_ca_list(names);
    }
    let required = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    match config.client_auth {
        ClientAuth::NoClientCert => builder.set_verify(SslVerifyMode::NONE),
        ClientAuth::RequestClientCert => builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true),
        ClientAuth::RequireAnyClientCert => builder.set_verify_callback(required, |_, _| true),
        ClientAuth::VerifyClientCertIfGiven => builder.set_verify(SslVerifyMode::PEER),
        ClientAuth::RequireAndVerifyClientCert => builder.set_verify(required),
    }
    Ok(builder.build())
}

/// A connection that both sides have agreed on. `sans`: names of which a client's certificate must have one.
pub async fn accept<S>(context: &SslContext, stream: S, sans: &[String]) -> io::Result<SslStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ssl = Ssl::new(context).map_err(io::Error::other)?;
    let mut stream = SslStream::new(ssl, stream).map_err(io::Error::other)?;
    match timeout(HANDSHAKE, Pin::new(&mut stream).accept()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(io::Error::other(error)),
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    }
    if !sans.is_empty() && !is_named(stream.ssl(), sans) {
        return Err(io::Error::other("the client's certificate has none of the allowed names"));
    }
    Ok(stream)
}

/// Without a certificate there is no name: whether one is needed is said by `client_auth_type`.
fn is_named(ssl: &SslRef, sans: &[String]) -> bool {
    let Some(certificate) = ssl.peer_certificate() else { return true };
    let Some(names) = certificate.subject_alt_names() else { return false };
    names.iter().any(|name| {
        let address = name.ipaddress().and_then(|octets| match octets.len() {
            4 => <[u8; 4]>::try_from(octets).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(octets).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
        });
        let words = [name.dnsname(), name.email(), name.uri(), address.as_deref()];
        words.into_iter().flatten().any(|word| sans.iter().any(|allowed| allowed == word))
    })
}

fn version(version: TlsVersion) -> SslVersion {
    match version {
        TlsVersion::Tls10 => SslVersion::TLS1,
        TlsVersion::Tls11 => SslVersion::TLS1_1,
        TlsVersion::Tls12 => SslVersion::TLS1_2,
        TlsVersion::Tls13 => SslVersion::TLS1_3,
    }
}
