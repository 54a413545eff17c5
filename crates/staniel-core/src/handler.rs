//! What serves a connection, and what wraps that.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use tower_layer::Layer;
use tower_service::Service;

use crate::connection::Connection;
use crate::error::{BoxError, Result};

/// A future that owns nothing but the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Serves one connection of the kind `C`: a [`Connection`], a [`crate::UdpSession`].
///
/// Functions and closures that take the connection and return a future of `()` or of any `Result` are handlers.
///
/// # Cancel safety
///
/// A handler is dropped where it stands when its connection is aborted, is idle for too long, or outlives a drain.
/// What must be finished all the same belongs in a task of [`crate::HostContext::spawn`].
///
/// # Examples
///
/// ```
/// use staniel_core::{Connection, Host};
///
/// async fn echo(conn: Connection) -> std::io::Result<()> {
///     let (mut r, mut w) = tokio::io::split(conn);
///     tokio::io::copy(&mut r, &mut w).await.map(drop)
/// }
///
/// let host = Host::new().bind("tcp://127.0.0.1:0", echo);
/// # drop(host);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not serve `{C}`",
    note = "write `async fn f(conn: {C}) -> Result<(), E>`, implement `Handler<{C}>`, or wrap a tower service in `Tower(..)`",
    note = "closures need the type: `|conn: {C}| async move {{ .. }}`"
)]
pub trait Handler<C = Connection>: Send + Sync + 'static {
    /// Serves `conn` until it is over. An error is logged and counted; the endpoint goes on.
    fn call(&self, conn: C) -> impl Future<Output = Result> + Send;
}

/// What a handler function may return: nothing, or a `Result` with any error.
pub trait IntoResult {
    /// As the framework's own result.
    ///
    /// # Errors
    ///
    /// The handler's own error, boxed.
    fn into_result(self) -> Result;
}

impl IntoResult for () {
    fn into_result(self) -> Result {
        Ok(())
    }
}

impl<E: Into<BoxError>> IntoResult for Result<(), E> {
    fn into_result(self) -> Result {
        self.map_err(Into::into)
    }
}

impl<C, F, Fut> Handler<C> for F
where
    C: Send + 'static,
    F: Fn(C) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoResult> + Send,
{
    async fn call(&self, conn: C) -> Result {
        self(conn).await.into_result()
    }
}

/// A tower service as a handler. It is cloned for each connection and driven through `poll_ready`.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a wrapper with one field")]
pub struct Tower<S>(pub S);

impl<C, S> Handler<C> for Tower<S>
where
    C: Send + 'static,
    S: Service<C, Response = (), Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    async fn call(&self, conn: C) -> Result {
        let mut service = self.0.clone();
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
        service.call(conn).await.map_err(Into::into)
    }
}

/// Lets the type of a closure's argument be inferred: `handler_fn(|conn| async move { .. })`.
pub fn handler_fn<C, F, Fut>(f: F) -> F
where
    F: Fn(C) -> Fut,
{
    f
}

trait DynHandler<C>: Send + Sync {
    fn call_owned(self: Arc<Self>, conn: C) -> BoxFuture<'static, Result>;
}

impl<C: Send + 'static, H: Handler<C>> DynHandler<C> for H {
    fn call_owned(self: Arc<Self>, conn: C) -> BoxFuture<'static, Result> {
        Box::pin(async move { self.call(conn).await })
    }
}

/// Any handler of `C`; cheap to clone. It costs one boxed future for each connection.
pub struct BoxHandler<C = Connection>(Arc<dyn DynHandler<C>>);

// === impl BoxHandler ===

impl<C: Send + 'static> BoxHandler<C> {
    /// Hides the type of `handler`. One that is hidden already stays the same handler.
    pub fn new(handler: impl Handler<C>) -> Self {
        match (&handler as &dyn Any).downcast_ref::<Self>() {
            Some(hidden) => hidden.clone(),
            None => Self(Arc::new(handler)),
        }
    }

    /// Whether the two are clones of one handler.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// As [`Handler::call`], with a future that keeps the handler alive by itself.
    pub(crate) fn call_owned(self, conn: C) -> BoxFuture<'static, Result> {
        self.0.call_owned(conn)
    }
}

impl<C: Send + 'static> Handler<C> for BoxHandler<C> {
    fn call(&self, conn: C) -> impl Future<Output = Result> + Send {
        self.0.clone().call_owned(conn)
    }
}

impl<C> Clone for BoxHandler<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> fmt::Debug for BoxHandler<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxHandler")
    }
}

/// The function form of a layer: the function gets the connection and what comes next.
///
/// ```
/// use staniel_core::{Bind, Connection, Next, layer_fn};
///
/// let bind = Bind::at("tcp://127.0.0.1:0").layer(layer_fn(|conn: Connection, next: Next| async move {
///     let peer = conn.meta().peer().clone();
///     let outcome = next.run(conn).await;
///     println!("{peer} is done");
///     outcome
/// }));
/// # drop(bind);
/// ```
pub fn layer_fn<F>(f: F) -> LayerFn<F> {
    LayerFn(Arc::new(f))
}

/// A layer made by [`layer_fn`].
pub struct LayerFn<F>(Arc<F>);

/// The handler that a [`LayerFn`] makes.
pub struct LayerFnHandler<F, C> {
    f: Arc<F>,
    next: BoxHandler<C>,
    kind: PhantomData<fn(C)>,
}

/// What comes after a layer on the way of a connection.
#[derive(Clone, Debug)]
pub struct Next<C = Connection>(BoxHandler<C>);

// === impl LayerFn ===

impl<F> Clone for LayerFn<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> fmt::Debug for LayerFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LayerFn")
    }
}

impl<F, C> Layer<BoxHandler<C>> for LayerFn<F> {
    type Service = LayerFnHandler<F, C>;

    fn layer(&self, inner: BoxHandler<C>) -> Self::Service {
        LayerFnHandler { f: self.0.clone(), next: inner, kind: PhantomData }
    }
}

impl<F, C> fmt::Debug for LayerFnHandler<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LayerFnHandler")
    }
}

impl<F, C, Fut> Handler<C> for LayerFnHandler<F, C>
where
    C: Send + 'static,
    F: Fn(C, Next<C>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoResult> + Send,
{
    async fn call(&self, conn: C) -> Result {
        (self.f)(conn, Next(self.next.clone())).await.into_result()
    }
}

// === impl Next ===

impl<C: Send + 'static> Next<C> {
    /// Hands the connection on and waits for its end.
    ///
    /// # Errors
    ///
    /// Those of the layers and the handler behind.
    pub async fn run(self, conn: C) -> Result {
        self.0.call(conn).await
    }
}
