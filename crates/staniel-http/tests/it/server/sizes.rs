//! What a connection costs.

use std::time::Duration;

use staniel_core::buffer::{Class, Lease};
use staniel_core::{ConnMeta, Connection, Handler};
use staniel_http::h1::WireHead;
use staniel_http::{Downstream, Exchanges, http};

use crate::support::{GET, Served, get, post};

/// Answers nothing.
struct Nobody;

impl Exchanges for Nobody {
    type Session = ();

    fn session(&self, _meta: &ConnMeta) {}

    async fn exchange<D: Downstream>(&self, (): &mut (), _head: &mut WireHead, _down: &mut D) {}
}

/// It holds no buffer, only places for them: what a connection costs while it is idle is this and its timer.
#[tokio::test]
async fn a_connection_is_small_without_what_answers() {
    let http = http(Nobody);
    let (conn, _client) = Connection::in_memory();
    let size = size_of_val(&http.call(conn));
    println!("the future of a served connection: {size} B");
    assert!(size <= 1280, "{size}");
}

/// Where the block of this thread lies that was given back last.
fn last_block() -> *const u8 {
    Lease::take(Class::Block).spare_mut().as_ptr()
}

#[tokio::test(start_paused = true)]
async fn who_waits_holds_no_block() {
    let block = last_block();
    let mut served = Served::new();
    for (bytes, what) in [
        ("", "before the first byte"),
        ("GET / HTTP/1.1\r\nHo", "within a head"),
        ("st: a\r\n\r\n", "between two requests"),
        (&*get("/slow?2"), "waiting for an answer"),
        (GET, "with the next request ahead"),
        (&*post("/echo", "Content-Length: 100\r\n", "x"), "within a body"),
    ] {
        served.client.send(bytes).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(last_block(), block, "{what}");
    }
}
