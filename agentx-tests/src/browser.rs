//! Headless Chromium through ChromeDriver: open a page, look at it, take its picture.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http;
use crate::net::Node;
use crate::process::Process;
use crate::wait;

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9515);

/// One window.
#[derive(Debug)]
pub struct Browser {
    node: Node,
    session: String,
    process: Process,
}

impl Browser {
    /// Starts on a node; nothing outside of the lab is asked for.
    #[track_caller]
    pub fn start(node: &Node) -> Browser {
        assert!(
            Path::new("/usr/bin/chromedriver").exists(),
            "chromium-driver is not installed: `make setup` does that"
        );
        let directory = node.directory();
        node.ip(&["link", "set", "lo", "up"]);
        let mut command = node.command(&["chromedriver", "--port=9515", "--log-level=WARNING"]);
        command.env("HOME", &directory).env("TMPDIR", &directory);
        let process = node.spawn("chromedriver", command);
        let mut browser = Browser { node: node.clone(), session: String::new(), process };
        let profile = format!("--user-data-dir={}", directory.join("chromium").display());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &profile,
        ];
        let wish = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": arguments},
        }}});
        let ready = wait::within(Duration::from_secs(30), || browser.ask("GET", "/status", &Value::Null).ok());
        assert!(ready.is_some(), "chromedriver does not answer; it said:\n{}", browser.process.log());
        let session = browser.ask("POST", "/session", &wish);
        let session = session.unwrap_or_else(|error| panic!("no browser: {error}\n{}", browser.process.log()));
        browser.session = session["sessionId"].as_str().unwrap_or_default().to_owned();
        browser
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let (method, path) = (method.to_owned(), path.to_owned());
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.node.enter(move || {
            let stream = TcpStream::connect(ADDRESS).map_err(|error| error.to_string())?;
            let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
            http::ask(stream, &method, &path, &body)
        })?;
        let value: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        if answer.status == 200 { Ok(value["value"].clone()) } else { Err(value["value"]["message"].to_string()) }
    }

    #[track_caller]
    fn must(&self, method: &str, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}{command}", self.session);
        self.ask(method, &path, body).unwrap_or_else(|error| panic!("{command}: {error}\n{}", self.process.log()))
    }

    #[track_caller]
    pub fn open(&self, url: &str) {
        self.must("POST", "/url", &json!({"url": url}));
    }

    /// What a script returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.must("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Everything that can be read on the page.
    #[track_caller]
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Width and height in CSS pixels, and what the page is told of the reader's taste.
    #[track_caller]
    pub fn look(&self, width: u32, height: u32, dark: bool) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", screen);
        let scheme = if dark { "dark" } else { "light" };
        let taste = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", taste);
    }

    #[track_caller]
    fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.must("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// The whole page as a PNG.
    #[track_caller]
    pub fn picture(&self, path: &Path) {
        let shot = self.devtools("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        let bytes = base64(shot["data"].as_str().unwrap_or_default());
        std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
    }
}

/// RFC 4648 section 4, of text that is known to be right.
fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::with_capacity(text.len() / 4 * 3));
    for sextet in text.bytes().filter_map(value) {
        bits = (bits << 6) | u32::from(sextet);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(super::base64(text), bytes.as_bytes());
        }
    }
}
