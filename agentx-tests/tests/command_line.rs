//! Flags that do something else than start a daemon, or that only files show.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic};
use agentx_tests::wait;

use Program::{Keepalived, Keepwatch};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server of one page, which every path gives with this status line.
fn serve(listener: TcpListener, status: &'static str) {
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            // The request ends with an empty line.
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let page = "hello world\n";
            let _ = write!(stream, "HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        }
    });
}

#[test]
fn genhash_prints_the_digest_that_keepalived_s_prints() {
    let lab = Lab::new();
    let node = lab.node("R1");
    for (port, status) in [("8080", "200 OK"), ("8081", "404 Not Found")] {
        serve(node.enter(move || TcpListener::bind(format!("127.0.0.1:{port}")).unwrap()), status);
    }
    let genhash = |program: Program, words: &[&str]| {
        let path = program.path().to_string_lossy().into_owned();
        let all: Vec<&str> = [path.as_str(), "--genhash"].iter().chain(words).copied().collect();
        let output = node.command(&all).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    for words in [
        &["-s", "127.0.0.1", "-p", "8080", "-u", "/"][..],
        &["--server", "127.0.0.1", "--port", "8080", "--url", "/x", "--use-virtualhost", "www.example.com"],
        &["-s", "127.0.0.1", "-p", "8081", "-u", "/x", "-P", "1.1"],
    ] {
        let ours = genhash(Keepwatch, words);
        assert_eq!(ours, genhash(Keepalived, words), "{words:?}");
        assert_eq!(ours, ("6f5902ac237024bdd0c176cb93063dc4\n".to_owned(), Some(0)), "{words:?}");
    }
    // Keepalived's says 0.
    assert_eq!(genhash(Keepwatch, &["-s", "127.0.0.1", "-p", "8082", "-u", "/"]), (String::new(), Some(1)));
    assert_eq!(genhash(Keepwatch, &[]).1, Some(1));
}

#[test]
fn log_files_get_what_each_process_says_to_its_last_word() {
    let lab = Lab::new();
    let (node, switch) = (lab.node("R1"), lab.switch());
    lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.0.0.1/24"], ..Nic::default() });
    let configuration = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 255\n advert_int 1\n \
                         virtual_ipaddress {\n 10.0.0.100/24\n }\n}\n";
    for more in [&[][..], &["--flush-log-file"][..]] {
        let file = node.directory().join(format!("k{}.log", more.len()));
        let option = format!("--log-file={}", file.display());
        let words: Vec<&str> = std::iter::once(option.as_str()).chain(more.iter().copied()).collect();
        let mut daemon = Daemon::start(&node, Keepwatch, configuration, Options { more: &words, ..Options::default() });
        daemon.wait_for_address("10.0.0.100", true, PATIENCE);
        let vrrp = file.with_file_name(format!("k{}_vrrp.log", more.len()));
        let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
        let there = wait::within(PATIENCE, || text(&vrrp).contains("(VI_1) Entering MASTER STATE").then_some(()));
        assert!(there.is_some(), "{}\n{}", text(&vrrp), daemon.log());
        assert_eq!(daemon.stop(), 0);
        assert!(text(&vrrp).trim_end().ends_with("VRRP has stopped"), "{}", text(&vrrp));
        assert!(text(&file).trim_end().ends_with("Stopped"), "{}", text(&file));
        assert!(!text(&file).contains("MASTER"), "each process has its own: {}", text(&file));
    }
}
