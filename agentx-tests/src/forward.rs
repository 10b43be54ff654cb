//! A door into a namespace, for whoever sits at the machine: a port of its loopback that leads to a port in a lab.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use crate::net::Node;

/// Listens on a free port of 127.0.0.1, for as long as the program runs, and carries bytes to `target` as `node` sees it.
pub fn open(node: &Node, target: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    // A thread started over there stays there; the listener is of here, wherever it is accepted from.
    node.enter(move || {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Ok(there) = TcpStream::connect(target) {
                    join(&stream, &there);
                }
            }
        });
    });
    Ok(address)
}

fn join(here: &TcpStream, there: &TcpStream) {
    for (from, to) in [(here, there), (there, here)] {
        if let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) {
            std::thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    }
}
