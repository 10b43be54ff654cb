//! Small web servers that say who they are, and a client that hears it. Start at [`Web`] and [`fetch`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::net::Node;

/// An HTTP server on one address, in threads of this process.
///
/// Any path gives status 200 and the server's name, `/status/NNN` that status instead. Connections stay open as HTTP/1.1
/// has it. Dropping it is what killing a server's process would be: nobody listens any more, open connections end.
#[derive(Debug)]
pub struct Web {
    listener: Arc<Socket>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Vec<TcpStream>,
    peers: Vec<SocketAddr>,
    heads: Vec<String>,
    stopped: bool,
}

impl Web {
    /// Listens on `address` in `node`'s namespace.
    #[track_caller]
    pub fn start(node: &Node, address: SocketAddr, name: &str) -> Web {
        let listener = node.enter(move || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.bind(&address.into())?;
            socket.listen(128)?;
            std::io::Result::Ok(socket)
        });
        let listener = match listener {
            Ok(listener) => Arc::new(listener),
            Err(error) => panic!("{name} cannot listen on {address}: {error}"),
        };
        let shared = Arc::new(Shared { name: name.to_owned(), state: Mutex::default() });
        let acceptor = {
            let (listener, shared) = (Arc::clone(&listener), Arc::clone(&shared));
            std::thread::spawn(move || accept(&listener, &shared))
        };
        Web { listener, shared, acceptor: Some(acceptor) }
    }

    /// How many connections came from `address` so far.
    pub fn connections_from(&self, address: IpAddr) -> usize {
        self.shared.state().peers.iter().filter(|peer| peer.ip() == address).count()
    }

    /// Request lines and headers of all requests so far, each as one text.
    pub fn requests(&self) -> Vec<String> {
        self.shared.state().heads.clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let open = {
            let mut state = self.shared.state();
            state.stopped = true;
            std::mem::take(&mut state.open)
        };
        // Wakes the acceptor, which holds the socket.
        let _ = self.listener.shutdown(Shutdown::Both);
        for connection in open {
            let _ = connection.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn accept(listener: &Socket, shared: &Arc<Shared>) {
    loop {
        let accepted = listener.accept();
        let mut state = shared.state();
        if state.stopped {
            return;
        }
        let Ok((connection, peer)) = accepted else { continue };
        state.peers.extend(peer.as_socket());
        let connection = TcpStream::from(connection);
        let Ok(copy) = connection.try_clone() else { continue };
        state.open.push(copy);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let _ = serve(connection, &shared);
        });
    }
}

/// One connection, until either side ends it.
fn serve(connection: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut answers = connection.try_clone()?;
    let mut requests = BufReader::new(connection.take(1 << 20));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && !head.ends_with("\n\n") {
            if requests.read_line(&mut head)? == 0 {
                return answers.shutdown(Shutdown::Both);
            }
        }
        let lower = head.to_ascii_lowercase();
        let keep = lower.contains(" http/1.1") && !lower.contains("connection: close");
        let path = head.split_whitespace().nth(1).unwrap_or("/");
        let status = path.strip_prefix("/status/").and_then(|number| number.parse().ok()).unwrap_or(200_u16);
        let body = format!("{}\n", shared.name);
        let connection = if keep { "keep-alive" } else { "close" };
        let answer = format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
            body.len()
        );
        shared.state().heads.push(head);
        answers.write_all(answer.as_bytes())?;
        if !keep {
            return answers.shutdown(Shutdown::Both);
        }
    }
}

/// A client's connection that stays open.
#[derive(Debug)]
pub struct Connection {
    requests: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Connection {
    /// Connects from `node`.
    pub fn open(node: &Node, to: SocketAddr) -> Result<Connection, String> {
        let connect = move || -> std::io::Result<Connection> {
            let requests = TcpStream::connect_timeout(&to, PATIENCE)?;
            requests.set_read_timeout(Some(PATIENCE))?;
            let answers = BufReader::new(requests.try_clone()?);
            Ok(Connection { requests, answers })
        };
        node.enter(connect).map_err(|error| format!("{to}: {error}"))
    }

    /// Asks who serves this connection; it stays open.
    pub fn ask(&mut self) -> Result<String, String> {
        self.exchange("Connection: keep-alive").map_err(|error| error.to_string())
    }

    fn exchange(&mut self, header: &str) -> std::io::Result<String> {
        self.requests.write_all(format!("GET / HTTP/1.1\r\nHost: lab\r\n{header}\r\n\r\n").as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.answers.read_exact(&mut body)?;
        Ok(String::from_utf8_lossy(&body).trim().to_owned())
    }
}

/// Who answers a new connection from `node`; what went wrong if nobody does.
pub fn fetch(node: &Node, to: SocketAddr) -> Result<String, String> {
    let mut connection = Connection::open(node, to)?;
    let answer = connection.exchange("Connection: close").map_err(|error| format!("{to}: {error}"))?;
    // The server closes first; wait for it, so that the director has seen the end.
    let _ = connection.answers.read_to_end(&mut Vec::new());
    Ok(answer)
}

/// An emulated machine needs a while for what a real one does in a millisecond.
const PATIENCE: Duration = Duration::from_secs(10);
