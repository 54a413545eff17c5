//! What most programs use: `use staniel::prelude::*;`.

pub use staniel_core::{
    Bind, Bound, BoxHandler, CloseReason, ConnLimits, ConnMeta, Connection, Endpoint, EndpointName,
    Handler, Host, HostContext, ListenHandler, Next, Observer, Phase, Plan, RelayOptions, Reload,
    Result, Running, SocketOptions, Stop, Target, TcpConnector, Tower, TransportManager,
    UdpConnector, UdpOptions, UdpSession, Workers, handler_fn, layer_fn, relay, relay_with,
    sessions,
};
