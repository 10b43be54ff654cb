//! A subagent that serves a sorted list: one that holds subtrees before the daemon asks for them, and the limit that a
//! master agent sets to any walk.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;

use keepwatch::wire::agentx::{
    Body, ByteOrder, DecodeError, ErrorStatus, Pdu, SearchRange, Subtree, Value, VarBind, decode,
};
use keepwatch::wire::oid::Oid;

/// A session that is open and served. Dropping it closes the connection without a word.
#[derive(Debug)]
pub struct Subagent {
    stream: UnixStream,
    /// What the master answered to each registration.
    pub registered: Vec<(Oid, ErrorStatus)>,
    server: Option<JoinHandle<()>>,
}

impl Subagent {
    /// Opens a session with the master at `socket`, registers `subtrees` one by one, and serves `rows` in a thread.
    pub fn start(socket: &Path, subtrees: &[Oid], mut rows: Vec<VarBind>) -> io::Result<Subagent> {
        let mut peer = Peer { stream: UnixStream::connect(socket)?, buffer: vec![], session: 0, packet: 0 };
        let open = Body::Open { timeout: 0, id: Oid::default(), description: b"a list".to_vec() };
        let (session, error) = peer.ask(open)?;
        if error != ErrorStatus::NO_ERROR {
            return Err(io::Error::other(format!("the master refused a session: {}", error.name())));
        }
        peer.session = session;
        let mut registered = vec![];
        for root in subtrees {
            let subtree = Subtree { root: root.clone(), range: None };
            let (_, error) = peer.ask(Body::Register { timeout: 0, priority: 127, instance: false, subtree })?;
            registered.push((root.clone(), error));
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        let stream = peer.stream.try_clone()?;
        let server = std::thread::spawn(move || {
            // The end of the connection is the end of the service.
            while let Ok(pdu) = peer.read() {
                if let Some(answer) = answer(pdu, &rows)
                    && peer.stream.write_all(&answer.encode()).is_err()
                {
                    return;
                }
            }
        });
        Ok(Subagent { stream, registered, server: Some(server) })
    }
}

impl Drop for Subagent {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

struct Peer {
    stream: UnixStream,
    buffer: Vec<u8>,
    session: u32,
    packet: u32,
}

impl Peer {
    /// Sends a request and waits for its answer: the session it names, and the error.
    fn ask(&mut self, body: Body) -> io::Result<(u32, ErrorStatus)> {
        self.packet += 1;
        let (order, session, packet) = (ByteOrder::Network, self.session, self.packet);
        self.stream.write_all(&Pdu { order, session, transaction: 0, packet, context: None, body }.encode())?;
        loop {
            let pdu = self.read()?;
            match pdu.body {
                Body::Response { error, .. } if pdu.packet == packet => return Ok((pdu.session, error)),
                _ => {}
            }
        }
    }

    fn read(&mut self) -> io::Result<Pdu> {
        loop {
            match decode(&self.buffer) {
                Ok((pdu, length)) => {
                    self.buffer.drain(..length);
                    return Ok(pdu);
                }
                Err(DecodeError::Incomplete { .. }) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.buffer.extend(&chunk[..count]),
            }
        }
    }
}

/// With the header of the request, as RFC 2741 section 7.2.2 wants it.
fn answer(pdu: Pdu, rows: &[VarBind]) -> Option<Pdu> {
    let (mut error, mut varbinds) = (ErrorStatus::NO_ERROR, vec![]);
    match &pdu.body {
        Body::Get(ranges) => {
            let value = |name: &Oid| match rows.binary_search_by(|row| row.name.cmp(name)) {
                Ok(at) => rows[at].value.clone(),
                Err(_) => Value::NoSuchInstance,
            };
            varbinds.extend(ranges.iter().map(|range| VarBind::new(range.start.clone(), value(&range.start))));
        }
        Body::GetNext(ranges) => varbinds.extend(ranges.iter().map(|range| next(rows, range))),
        Body::GetBulk { non_repeaters, max_repetitions, ranges } => {
            let (once, repeated) = ranges.split_at(usize::from(*non_repeaters).min(ranges.len()));
            varbinds.extend(once.iter().map(|range| next(rows, range)));
            let mut repeated = repeated.to_vec();
            for _ in 0..*max_repetitions {
                for range in &mut repeated {
                    let found = next(rows, range);
                    (range.start, range.include) = (found.name.clone(), false);
                    varbinds.push(found);
                }
                if varbinds.iter().rev().take(repeated.len()).all(|it| it.value == Value::EndOfMibView) {
                    break;
                }
            }
        }
        Body::TestSet(_) => error = ErrorStatus::NOT_WRITABLE,
        Body::CommitSet | Body::UndoSet | Body::Ping => {}
        _ => return None,
    }
    let index = u16::from(error != ErrorStatus::NO_ERROR);
    Some(Pdu { body: Body::Response { uptime: 0, error, index, varbinds }, ..pdu })
}

fn next(rows: &[VarBind], range: &SearchRange) -> VarBind {
    let at = rows.partition_point(|row| row.name < range.start || !range.include && row.name == range.start);
    let found = rows.get(at).filter(|row| range.end.is_empty() || row.name < range.end);
    found.cloned().unwrap_or_else(|| VarBind::new(range.start.clone(), Value::EndOfMibView))
}
