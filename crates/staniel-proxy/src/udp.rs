//! UDP: the datagrams of one peer in, a socket of their own out.

use std::sync::Arc;

use arc_swap::ArcSwap;
use staniel_core::{CloseReason, Handler, Result, UdpConnector, UdpSession};

use crate::cluster::Tried;
use crate::handler::Shared;
use crate::log::{Kind, SessionRecord};
use crate::snapshot::Forward;

/// Carries the sessions of one listener to its cluster.
#[derive(Debug)]
pub(crate) struct UdpProxy {
    pub(crate) shared: Arc<Shared>,
    /// Where its sessions go now.
    pub(crate) forward: Arc<ArcSwap<Forward>>,
}

impl Handler<UdpSession> for UdpProxy {
    async fn call(&self, mut session: UdpSession) -> Result {
        let mut record = SessionRecord::new(&self.shared, Kind::Udp, session.meta().clone());
        let cluster = self.forward.load().cluster.clone();
        record.cluster = Some(cluster.clone());
        let Some(picked) = cluster.pick(&mut Tried::default()) else {
            session.meta().end(CloseReason::NoDestination);
            return Ok(());
        };
        record.destination = Some(picked.destination.authority.clone());
        let upstream = match UdpConnector::default().connect(&picked.destination.target).await {
            Ok(upstream) => upstream,
            Err(error) => {
                Shared::complain(&picked.destination, &error);
                session.meta().end(if error.is_exhausted() {
                    CloseReason::Exhausted
                } else {
                    CloseReason::ConnectFailed
                });
                return Ok(());
            }
        };
        record.connected();
        loop {
            let moved = tokio::select! {
                datagram = session.recv() => match datagram {
                    Some(datagram) => upstream.send(&datagram).await,
                    None => return Ok(()),
                },
                datagram = upstream.recv() => match datagram {
                    // A client that cannot be answered now misses a datagram, as on any network.
                    Ok(datagram) => {
                        if let Err(error) = session.send(&datagram).await {
                            tracing::debug!(client = %session.meta().client(), %error, "an answer was not sent");
                        }
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = moved {
                // Too large for the way there: that one is lost, the session lives.
                if error.raw_os_error() == Some(EMSGSIZE) {
                    continue;
                }
                // Nobody is there. The next datagram of this peer begins a session with another pick.
                session.meta().end(CloseReason::UpstreamReset);
                tracing::debug!(destination = %picked.destination.authority, %error, "the session ends");
                return Ok(());
            }
        }
    }
}

/// The code of "message too long" on Linux.
const EMSGSIZE: i32 = 90;
