//! What a request's head looks like when it leaves.

use staniel_http::Downstream;
use staniel_http::h1::{Framing, Known, KnownSet, write_framing};

use super::Exchange;
use crate::outcome::RequestEnd;
use crate::snapshot::HttpListener;

/// The fields that say who is behind us; a client's own word counts only if it is trusted.
const FORWARDED: KnownSet = KnownSet::of(&[
    Known::XForwardedFor,
    Known::XForwardedHost,
    Known::XForwardedProto,
    Known::XForwardedPort,
    Known::Forwarded,
]);

/// What the request asks for beside its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    None,
    WebSocket,
}

impl<D: Downstream> Exchange<'_, D> {
    /// Takes from the head what is meant for us alone, and what a client that is not trusted says of itself.
    ///
    /// Hop-by-hop fields go first, also those that the client named in `Connection`, so that it cannot make us drop what we
    /// write afterwards.
    pub(super) fn prepare(&mut self, listener: &HttpListener) -> Result<(), RequestEnd> {
        let trusted = !listener.trusted.is_empty()
            && self.down.meta().peer().as_ip().is_some_and(|peer| {
                listener.trusted.iter().any(|network| network.contains(peer.ip()))
            });
        let head = &mut *self.head;
        head.strip_hop_by_hop();
        head.remove_underscored();
        if !trusted {
            head.remove(FORWARDED);
        } else if head.has(Known::XForwardedFor) {
            // A list over all hops (as every proxy appends to it), in one line.
            let mut all = Vec::new();
            for value in head.get_all(Known::XForwardedFor) {
                all.extend_from_slice(value);
                all.extend_from_slice(b", ");
            }
            all.extend_from_slice(self.client.as_bytes());
            head.set(b"X-Forwarded-For", &all).map_err(|_| RequestEnd::ClientProtocolError)?;
        }
        Ok(())
    }

    /// The protocol that the client wants to change to, as far as this proxy carries it. `h2c` is not among them: it would
    /// open a way past every check of single requests.
    pub(super) fn upgrade(&self) -> Upgrade {
        let wants = self
            .head
            .upgrade()
            .is_some_and(|protocols| protocols.trim_ascii().eq_ignore_ascii_case(b"websocket"));
        // A request with a body would have to be whole before the protocol changes.
        let plain = self.head.method() == b"GET" && self.down.body_framing() == Framing::None;
        if wants && plain { Upgrade::WebSocket } else { Upgrade::None }
    }

    /// Writes the head of the request as it leaves.
    pub(super) fn write_head(
        &self,
        host: Option<&str>,
        upgrade: Upgrade,
        framing: Framing,
        out: &mut Vec<u8>,
    ) {
        let line = |name: &[u8], value: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(name);
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        };
        let head = &*self.head;
        head.write_start(out);
        let asked = head.get(Known::Host);
        // RFC 9110, section 7.2: "A user agent SHOULD generate Host as the first header field".
        if let Some(host) = host.map(str::as_bytes).or(asked) {
            line(b"Host: ", host, out);
        }
        head.write_fields_but(Known::Host.into(), out);
        // What still stands here came from a peer that is trusted.
        if !head.has(Known::XForwardedFor) {
            line(b"X-Forwarded-For: ", self.client.as_bytes(), out);
        }
        if !head.has(Known::XForwardedProto) {
            line(b"X-Forwarded-Proto: ", b"http", out);
        }
        if let Some(asked) = asked.filter(|_| !head.has(Known::XForwardedHost)) {
            line(b"X-Forwarded-Host: ", asked, out);
        }
        write_framing(framing, out);
        if upgrade == Upgrade::WebSocket {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}
