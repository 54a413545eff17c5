//! Endpoints in the memory of one host.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::Extensions;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{Accepted, BoundSocket, Listener, RawStream, Transport};
use crate::addr::Addr;
use crate::bind::Bind;
use crate::connection::Io;
use crate::endpoint::Endpoint;
use crate::error::AcceptError;
use crate::handler::BoxFuture;

/// How many bytes may be under way in each direction.
const IN_FLIGHT: usize = 64 * 1024;
/// How many connects may wait to be accepted.
const BACKLOG: usize = 128;

type Names = Arc<Mutex<HashMap<String, mpsc::Sender<(DuplexStream, u64)>>>>;

#[derive(Debug, Default)]
pub(crate) struct MemoryTransport {
    names: Names,
}

// === impl MemoryTransport ===

impl MemoryTransport {
    pub(crate) async fn dial(&self, name: &str) -> io::Result<DuplexStream> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let queue = self.names.lock().get(name).cloned().ok_or_else(refused)?;
        let (ours, theirs) = tokio::io::duplex(IN_FLIGHT);
        queue.send((theirs, NEXT.fetch_add(1, Ordering::Relaxed))).await.map_err(|_| refused())?;
        Ok(ours)
    }
}

impl Transport for MemoryTransport {
    fn can_bind(&self, at: &Endpoint) -> bool {
        matches!(at, Endpoint::Memory(_))
    }

    fn bind<'a>(
        &'a self,
        at: &'a Endpoint,
        _spec: &'a Bind,
        _workers: usize,
    ) -> BoxFuture<'a, io::Result<Box<dyn BoundSocket>>> {
        let bound = match at {
            Endpoint::Memory(name) => MemoryBound::take(name.clone(), self.names.clone()),
            _ => Err(io::ErrorKind::Unsupported.into()),
        };
        Box::pin(std::future::ready(bound))
    }
}

/// The name is taken as long as this lives.
struct MemoryBound {
    name: String,
    names: Names,
    queue: Option<mpsc::Receiver<(DuplexStream, u64)>>,
}

impl MemoryBound {
    fn take(name: String, names: Names) -> io::Result<Box<dyn BoundSocket>> {
        let (sender, queue) = mpsc::channel(BACKLOG);
        let mut taken = names.lock();
        if taken.contains_key(&name) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        taken.insert(name.clone(), sender);
        drop(taken);
        Ok(Box::new(Self { name, names, queue: Some(queue) }))
    }
}

impl BoundSocket for MemoryBound {
    fn local(&self) -> Endpoint {
        Endpoint::Memory(self.name.clone())
    }

    fn start(mut self: Box<Self>, _workers: &[Handle]) -> io::Result<Vec<Box<dyn Listener>>> {
        Ok(self
            .queue
            .take()
            .map(|queue| Box::new(Accepting { queue, _bound: self }) as Box<dyn Listener>)
            .into_iter()
            .collect())
    }
}

impl Drop for MemoryBound {
    fn drop(&mut self) {
        self.names.lock().remove(&self.name);
    }
}

struct Accepting {
    queue: mpsc::Receiver<(DuplexStream, u64)>,
    _bound: Box<MemoryBound>,
}

impl Listener for Accepting {
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        _admit: &dyn Fn() -> bool,
    ) -> Poll<Result<Accepted, AcceptError>> {
        self.queue.poll_recv(cx).map(|arrived| {
            let (stream, number) = arrived.ok_or(AcceptError::Closed)?;
            let (peer, local) = (Addr::Memory(number), Addr::Memory(0));
            let io = Io::from_stream(stream);
            Ok(Accepted::Stream(RawStream { io, peer, local, extensions: Extensions::new() }))
        })
    }

    fn close(&mut self) {
        self.queue.close();
    }
}
