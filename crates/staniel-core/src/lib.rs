//! Endpoints, listeners, connections, handlers; the host that binds, rebinds and drains them.

pub mod buffer;
