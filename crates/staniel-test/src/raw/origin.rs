//! An origin that does what a script says.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Answer, Message, Reader};

/// A request that an origin saw.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// The number of the connection it came on, from 0.
    pub connection: usize,
    /// The request; not complete if the peer went away midway.
    pub message: Message,
}

/// An origin on loopback that answers every request with what a script chooses, and records the requests exactly.
///
/// It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct RawOrigin {
    addr: SocketAddr,
    seen: Arc<Seen>,
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: watch::Sender<Vec<Recorded>>,
    connections: watch::Sender<usize>,
}

/// Chooses the answer to a request.
type Choose = dyn Fn(&Message) -> Answer + Send + Sync;

/// When an answer begins.
enum Script {
    /// Once the request is whole.
    Request(Box<Choose>),
    /// Once its head is there; the body is read afterwards.
    Head(Box<Choose>),
    /// Without waiting for anything; requests that come are recorded and not answered.
    Accept(Answer),
}

// === impl RawOrigin ===

impl RawOrigin {
    /// Answers every request, once it is whole, with what `choose` makes of it.
    ///
    /// # Errors
    ///
    /// If no listener can be bound.
    pub async fn start(
        choose: impl Fn(&Message) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::run(Script::Request(Box::new(choose))).await
    }

    /// Answers as soon as the head is there, and reads the body only afterwards.
    ///
    /// # Errors
    ///
    /// If no listener can be bound.
    pub async fn start_early(
        choose: impl Fn(&Message) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::run(Script::Head(Box::new(choose))).await
    }

    /// Answers every request alike.
    ///
    /// # Errors
    ///
    /// If no listener can be bound.
    pub async fn always(answer: impl Into<Answer>) -> io::Result<Self> {
        let answer = answer.into();
        Self::start(move |_| answer.clone()).await
    }

    /// Answers the n-th request, counted over all connections, with the n-th answer; the last one repeats.
    ///
    /// # Errors
    ///
    /// If no listener can be bound.
    pub async fn sequence(answers: impl IntoIterator<Item = Answer>) -> io::Result<Self> {
        let answers: Vec<Answer> = answers.into_iter().collect();
        let next = AtomicUsize::new(0);
        Self::start(move |_| {
            let n = next.fetch_add(1, Ordering::Relaxed);
            answers.get(n).or(answers.last()).cloned().unwrap_or_default()
        })
        .await
    }

    /// Does `answer` on every connection at once, whatever the peer sends; requests are recorded, not answered.
    ///
    /// # Errors
    ///
    /// If no listener can be bound.
    pub async fn on_accept(answer: impl Into<Answer>) -> io::Result<Self> {
        Self::run(Script::Accept(answer.into())).await
    }

    async fn run(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let (script, shared) = (Arc::new(script), Arc::clone(&seen));
        let serve = move |n, stream| {
            let (script, seen) = (Arc::clone(&script), Arc::clone(&shared));
            async move {
                seen.connections.send_modify(|connections| *connections += 1);
                // The peer went away or sent what is no request; what came of it is recorded.
                drop(serve(n, stream, &script, &seen).await);
            }
        };
        let mut task = JoinSet::new();
        task.spawn(accept(listener, serve));
        Ok(Self { addr, seen, _task: task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.seen.connections.borrow()
    }

    /// The requests so far, in the order in which they ended.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.seen.requests.borrow().clone()
    }

    /// Waits until at least `n` requests are recorded, and gives them.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_for(&self, n: usize) -> Vec<Recorded> {
        let mut requests = self.seen.requests.subscribe();
        // It only fails when the sender is gone, and `self` holds it.
        drop(requests.wait_for(|requests| requests.len() >= n).await);
        self.requests()
    }

    /// Waits until at least `n` connections are accepted.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_for_connections(&self, n: usize) {
        let mut connections = self.seen.connections.subscribe();
        drop(connections.wait_for(|connections| *connections >= n).await);
    }
}

/// Serves every connection in a task of its own; all of them end with the returned future.
pub(crate) async fn accept<F>(listener: TcpListener, serve: impl Fn(usize, TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut n = 0;
    loop {
        // What is accepted but broken has nobody to be told to; out of descriptors, the peers under test notice first.
        if let Ok((stream, _)) = listener.accept().await {
            // A small answer in two writes must not wait for the peer's delayed acknowledgement.
            drop(stream.set_nodelay(true));
            connections.spawn(serve(n, stream));
            n += 1;
        } else {
            tokio::task::yield_now().await;
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(
    connection: usize,
    mut stream: TcpStream,
    script: &Script,
    seen: &Seen,
) -> io::Result<()> {
    if let Script::Accept(answer) = script
        && !answer.play(&mut stream).await?
    {
        return Ok(());
    }
    let record = |message| {
        seen.requests.send_modify(|requests| requests.push(Recorded { connection, message }))
    };
    let mut reader = Reader::new(stream);
    loop {
        let head = match reader.head().await {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(()),
            Err(err) => {
                if !reader.rest().is_empty() {
                    record(Message::new(reader.rest().to_vec()));
                }
                return Err(err);
            }
        };
        let mut message = Message::new(head);
        if let Script::Head(choose) = script
            && !choose(&message).play(&mut reader.io).await.unwrap_or_default()
        {
            record(message);
            return Ok(());
        }
        let came = reader.body(message.request_framing(), &mut message).await;
        record(message.clone());
        came?;
        if let Script::Request(choose) = script
            && !choose(&message).play(&mut reader.io).await?
        {
            return Ok(());
        }
    }
}
