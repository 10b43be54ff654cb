//! Connections: accepted, guarded, served, and left in good order.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::answer::{Answer, raw};
use super::gate::{Exchange, FIELDS_MAX, Gate, HEAD_MAX, PATIENCE, Refusal};
use super::serve::Site;
use super::tls;
use crate::export::look::Endpoint;

/// How long a client may take to read a refusal and to stop talking, and how much it may say meanwhile.
const FAREWELL: Duration = Duration::from_secs(2);
const FAREWELL_MAX: usize = 4 * 1024 * 1024;
/// Clients who are told at once that there is no room; further ones are told nothing.
const REFUSED_AT_ONCE: usize = 16;

const NO_ROOM: Refusal = Refusal { status: StatusCode::SERVICE_UNAVAILABLE, reason: "there are too many clients" };
const NO_TLS: Refusal = Refusal { status: StatusCode::BAD_REQUEST, reason: "TLS is spoken here: use https://" };

/// Which door a client came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Its permissions are its protection.
    Unix,
    Tcp,
}

/// A socket that was bound for us.
#[derive(Debug)]
pub enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    pub fn new(endpoint: &Endpoint, fd: OwnedFd) -> io::Result<Listener> {
        match endpoint {
            Endpoint::Unix(_) => {
                let listener = std::os::unix::net::UnixListener::from(fd);
                listener.set_nonblocking(true)?;
                Ok(Listener::Unix(UnixListener::from_std(listener)?))
            }
            Endpoint::Tcp(_) => {
                let listener = std::net::TcpListener::from(fd);
                listener.set_nonblocking(true)?;
                Ok(Listener::Tcp(TcpListener::from_std(listener)?))
            }
        }
    }

    /// Accepts until `open` says that it is over; then connections end with the answer that they are at.
    pub async fn run(self, site: Arc<Site>, open: watch::Receiver<()>) {
        let refusing = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
        let mut closed = open.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                _ = closed.changed() => return,
            };
            let (client, door) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!("cannot accept a connection over HTTP: {error}");
                    sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let room = site.room(door);
            match room.try_acquire_owned() {
                Ok(place) => drop(tokio::spawn(client.serve(Arc::clone(&site), open.clone(), place))),
                Err(_) => {
                    if let Ok(place) = Arc::clone(&refusing).try_acquire_owned() {
                        let secret = door == Door::Tcp && site.speaks_tls();
                        tokio::spawn(client.refuse(secret, place));
                    }
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<(Client, Door)> {
        match self {
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Client::Unix(stream), Door::Unix))
            }
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok((Client::Tcp(stream), Door::Tcp))
            }
        }
    }
}

enum Client {
    Unix(tokio::net::UnixStream),
    Tcp(TcpStream),
}

impl Client {
    async fn serve(self, site: Arc<Site>, open: watch::Receiver<()>, _place: OwnedSemaphorePermit) {
        match self {
            Client::Unix(stream) => converse(stream, site, Door::Unix, open).await,
            Client::Tcp(mut stream) => {
                let Some(tls) = site.guard().rules().await.tls else {
                    return converse(stream, site, Door::Tcp, open).await;
                };
                let Some(context) = tls.context else { return };
                // Who speaks plain HTTP hears so in plain HTTP.
                match timeout(tls::HANDSHAKE, first_octet(&stream)).await {
                    Ok(Ok(Some(octet))) if octet.is_ascii_uppercase() => return dismiss(&mut stream, NO_TLS).await,
                    Ok(Ok(Some(_))) => {}
                    Ok(Ok(None) | Err(_)) | Err(_) => return,
                }
                match tls::accept(&context, stream, &tls.sans).await {
                    Ok(stream) => converse(stream, site, Door::Tcp, open).await,
                    Err(error) => debug!("TLS with a client failed: {error}"),
                }
            }
        }
    }

    /// Says that there is no room, where it can be said.
    async fn refuse(self, secret: bool, _place: OwnedSemaphorePermit) {
        match self {
            Client::Unix(mut stream) => dismiss(&mut stream, NO_ROOM).await,
            Client::Tcp(mut stream) if !secret => dismiss(&mut stream, NO_ROOM).await,
            Client::Tcp(_) => {}
        }
    }
}

async fn first_octet(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut octet = [0];
    Ok((stream.peek(&mut octet).await? > 0).then_some(octet[0]))
}

/// Answers requests on one connection until it ends, stalls or talks nonsense.
async fn converse<S>(stream: S, site: Arc<Site>, door: Door, mut open: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let exchange = Arc::new(Exchange::default());
    let gate = Gate::new(stream, PATIENCE, Arc::clone(&exchange));
    let service = Visit { site, door, exchange };
    let mut connection = http1::Builder::new()
        // Who has said all that he wanted to say may still listen.
        .half_close(true)
        .keep_alive(true)
        .max_headers(FIELDS_MAX + 1)
        .max_buf_size(HEAD_MAX * 2)
        .serve_connection(TokioIo::new(gate), service);
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => {
                if let Err(error) = ended {
                    debug!("a connection over HTTP ended: {error}");
                }
                break;
            }
            _ = open.changed(), if !leaving => {
                leaving = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    let gate = connection.into_parts().io.into_inner();
    let refusal = gate.refusal();
    let mut stream = gate.into_inner();
    match refusal {
        Some(refusal) => dismiss(&mut stream, refusal).await,
        None => farewell(&mut stream).await,
    }
}

/// Says why, and goes.
async fn dismiss<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, refusal: Refusal) {
    if matches!(timeout(FAREWELL, stream.write_all(&raw(refusal))).await, Ok(Ok(()))) {
        farewell(stream).await;
    }
}

/// Reads on for a moment: a connection that is closed with something unread takes the answer back.
async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let _ = timeout(FAREWELL, async {
        stream.shutdown().await?;
        let mut buffer = vec![0; 16 * 1024];
        let mut left = FAREWELL_MAX;
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        Ok::<(), io::Error>(())
    })
    .await;
}

/// One connection's requests.
struct Visit {
    site: Arc<Site>,
    door: Door,
    exchange: Arc<Exchange>,
}

impl Service<Request<Incoming>> for Visit {
    type Response = Answer;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (site, door, exchange) = (Arc::clone(&self.site), self.door, Arc::clone(&self.exchange));
        exchange.begin();
        Box::pin(async move {
            let (parts, _) = request.into_parts();
            let mut answer = site.answer(&parts, door).await;
            answer.body_mut().belongs_to(exchange);
            Ok(answer)
        })
    }
}
