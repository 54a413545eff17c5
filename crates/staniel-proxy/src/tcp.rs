//! Plain TCP: one connection in, one out.

use std::sync::Arc;

use arc_swap::ArcSwap;
use staniel_core::{
    CloseReason, ConnectError, Connection, Handler, RelayOptions, Result, relay_with,
};

use crate::cluster::{InFlight, Tried};
use crate::handler::Shared;
use crate::log::{Kind, SessionRecord};
use crate::snapshot::Forward;

/// Carries the connections of one listener to its cluster.
#[derive(Debug)]
pub(crate) struct TcpProxy {
    pub(crate) shared: Arc<Shared>,
    /// Where its connections go now.
    pub(crate) forward: Arc<ArcSwap<Forward>>,
}

impl Handler<Connection> for TcpProxy {
    async fn call(&self, conn: Connection) -> Result {
        let mut record = SessionRecord::new(&self.shared, Kind::Tcp, conn.meta().clone());
        // What the connection begins with, it keeps.
        let forward = self.forward.load_full();
        record.cluster = Some(forward.cluster.clone());
        let mut tried = Tried::default();
        let mut retries = 0;
        let upstream = loop {
            let Some(picked) = forward.cluster.pick(&mut tried) else {
                conn.meta().end(CloseReason::NoDestination);
                return Ok(());
            };
            record.destination = Some(picked.destination.authority.clone());
            match self.shared.connect(&picked.destination).await {
                Ok(upstream) => break (upstream, picked),
                Err(error) => {
                    let more =
                        retries < forward.cluster.config.retries && forward.cluster.has_more(tried);
                    Shared::complain(&picked.destination, &error);
                    if more {
                        retries += 1;
                        continue;
                    }
                    conn.meta().end(match error {
                        ConnectError::TimedOut { .. } => CloseReason::ConnectTimeout,
                        error if error.is_exhausted() => CloseReason::Exhausted,
                        _ => CloseReason::ConnectFailed,
                    });
                    return Ok(());
                }
            }
        };
        let (upstream, _in_flight): (Connection, InFlight) = upstream;
        record.connected();
        let options = RelayOptions { idle: forward.idle, ..RelayOptions::default() };
        relay_with(conn, upstream, options).await;
        Ok(())
    }
}
