//! What a host runs: something that binds endpoints, and binds them anew when it is told to.

use std::borrow::Cow;

use crate::error::Result;
use crate::handler::BoxFuture;
use crate::host::HostContext;
use crate::manager::TransportManager;
use crate::reload::Reload;

/// Something that a host runs beside others: it binds endpoints, changes them when its reload token fires, and is told
/// when the host stops.
///
/// The order is `init`, `bind`, then `rebind` for each time that [`ListenHandler::reload`] fires, then `stop`. Handlers of
/// one host do each step at the same time; an error in `init` or `bind` stops the host, an error in `rebind` is logged and
/// what was bound stays.
///
/// # Cancel safety
///
/// `rebind` is dropped where it stands when the host stops; [`TransportManager::apply`] has then happened whole or not at
/// all.
pub trait ListenHandler: Send + Sync + 'static {
    /// The name in logs.
    fn name(&self) -> Cow<'static, str> {
        std::any::type_name::<Self>().into()
    }

    /// Reads settings and makes what is needed, before anything is bound.
    fn init(&self, host: &HostContext) -> impl Future<Output = Result> + Send {
        let _ = host;
        async { Ok(()) }
    }

    /// Binds the endpoints.
    fn bind(&self, tm: &TransportManager) -> impl Future<Output = Result> + Send;

    /// When to call [`ListenHandler::rebind`]. Asked once, before `bind`, so that a change during `bind` is not missed.
    fn reload(&self) -> Option<Reload> {
        None
    }

    /// Binds anew after a reload.
    fn rebind(&self, tm: &TransportManager) -> impl Future<Output = Result> + Send {
        let _ = tm;
        async { Ok(()) }
    }

    /// Tidies up when the host stops, after its connections have ended.
    fn stop(&self, tm: &TransportManager) -> impl Future<Output = Result> + Send {
        let _ = tm;
        async { Ok(()) }
    }
}

/// The object-safe twin of [`ListenHandler`].
pub(crate) trait DynListenHandler: Send + Sync {
    fn name(&self) -> String;
    fn init<'a>(&'a self, host: &'a HostContext) -> BoxFuture<'a, Result>;
    fn bind<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result>;
    fn reload(&self) -> Option<Reload>;
    fn rebind<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result>;
    fn stop<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result>;
}

impl<H: ListenHandler> DynListenHandler for H {
    fn name(&self) -> String {
        ListenHandler::name(self).into_owned()
    }

    fn init<'a>(&'a self, host: &'a HostContext) -> BoxFuture<'a, Result> {
        Box::pin(ListenHandler::init(self, host))
    }

    fn bind<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result> {
        Box::pin(ListenHandler::bind(self, tm))
    }

    fn reload(&self) -> Option<Reload> {
        ListenHandler::reload(self)
    }

    fn rebind<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result> {
        Box::pin(ListenHandler::rebind(self, tm))
    }

    fn stop<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result> {
        Box::pin(ListenHandler::stop(self, tm))
    }
}
