//! `--genhash`: prints the MD5 of what a URL gives, for `digest` in a checker's `url` block (genhash(1)). It asks as the
//! checker does.

use std::net::IpAddr;
use std::time::Duration;

use clap::Parser;

use super::role::exit;
use crate::check::probe::body::hexadecimal;
use crate::check::probe::{Context, Stage, http};
use crate::clock;
use crate::conf::model::{HttpCheck, HttpVersion, Target, TlsSettings, Url};

/// Prints the MD5 of a web page, as `digest` of HTTP_GET and SSL_GET wants it.
#[derive(Debug, Parser)]
#[command(name = "genhash", disable_help_flag = true, infer_long_args = true, args_override_self = true)]
struct Words {
    /// Use TLS
    #[arg(short = 'S', long)]
    use_ssl: bool,
    /// Say the name of the virtual host in the TLS handshake
    #[arg(short = 'I', long)]
    use_sni: bool,
    /// Address of the server
    #[arg(short = 's', long)]
    server: Option<IpAddr>,
    /// 80 by default, 443 with TLS
    #[arg(short = 'p', long)]
    port: Option<u16>,
    /// Path of the page
    #[arg(short = 'u', long, default_value = "/")]
    url: String,
    /// Name of the virtual host
    #[arg(short = 'V', long, value_name = "HOST")]
    use_virtualhost: Option<String>,
    /// 1.0, 1.0c (with "Connection: close") or 1.1
    #[arg(short = 'P', long, value_parser = ["1.0", "1.0c", "1.0C", "1.1"], default_value = "1.0")]
    protocol: String,
    /// Seconds
    #[arg(short = 't', long, default_value_t = 5)]
    timeout: u32,
    /// Firewall mark of the socket
    #[arg(short = 'm', long, default_value_t = 0)]
    fwmark: u32,
    /// Say how long it took
    #[arg(short = 'v', long)]
    verbose: bool,
    /// Print this help
    #[arg(short = 'h', long)]
    help: bool,
}

/// Takes the words behind `--genhash`. Returns the exit status.
pub fn run(words: &[String]) -> i32 {
    let words = match Words::try_parse_from(std::iter::once("genhash").chain(words.iter().map(String::as_str))) {
        Ok(words) => words,
        Err(error) => {
            eprint!("{error}");
            return exit::FATAL;
        }
    };
    let Some(server) = words.server.filter(|_| !words.help) else {
        eprint!("{}", <Words as clap::CommandFactory>::command().render_long_help());
        return if words.help { exit::OK } else { exit::FATAL };
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("genhash: {error}");
            return exit::SOFTWARE;
        }
    };
    let check = words.check(server);
    let (context, stage, began) = (Context::new(), Stage::default(), clock::now());
    let limit = Duration::from_secs(words.timeout.max(1).into());
    let asked = async { tokio::time::timeout(limit, http::digest(&context, &check, &stage)).await };
    match runtime.block_on(asked) {
        Ok(Ok(digest)) => {
            println!("{}", hexadecimal(&digest));
            if words.verbose {
                let micros = clock::now().since(began).as_micros();
                println!("\nGlobal response time for [{}] = {micros} usecs", words.url);
            }
            exit::OK
        }
        Ok(Err(failure)) => {
            eprintln!("genhash: {}", failure.text);
            exit::FATAL
        }
        Err(_) => {
            eprintln!("genhash: timed out after {limit:?} {stage}");
            exit::FATAL
        }
    }
}

impl Words {
    fn check(&self, server: IpAddr) -> HttpCheck {
        let target = Target {
            address: server,
            port: self.port.unwrap_or(if self.use_ssl { 443 } else { 80 }),
            bind: None,
            bind_port: 0,
            interface: None,
            mark: self.fwmark,
            timeout_us: u64::from(self.timeout.max(1)) * 1_000_000,
        };
        let url = Url {
            path: self.url.clone(),
            virtual_host: self.use_virtualhost.clone(),
            digest: None,
            status: vec![],
            regex: None,
            tls_compliant: false,
        };
        let version = match self.protocol.as_str() {
            "1.0" => HttpVersion::V1_0,
            "1.0c" => HttpVersion::V1_0CloseLower,
            "1.0C" => HttpVersion::V1_0Close,
            _ => HttpVersion::V1_1,
        };
        let tls = self.use_ssl.then(|| TlsSettings { sni: self.use_sni, ..TlsSettings::default() });
        HttpCheck { target, tls, version, urls: vec![url], fast_recovery: false }
    }
}
