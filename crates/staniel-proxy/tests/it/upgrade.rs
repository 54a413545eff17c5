//! Connections that change their protocol.

use std::process::Command;
use std::time::Duration;

use staniel_core::Stop;
use staniel_test::foreign::{Child, require_python};
use staniel_test::raw::{Answer, RawOrigin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Rig, count, field, soon, web};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";

/// An origin that reads one head, answers, and hands the connection over.
async fn one<F>(
    answer: &'static str,
    then: impl FnOnce(TcpStream, Vec<u8>) -> F + Send + 'static,
) -> (std::net::SocketAddr, JoinSet<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        while !got.windows(4).any(|four| four == b"\r\n\r\n") {
            if stream.read_buf(&mut got).await.unwrap() == 0 {
                return;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        then(stream, got).await;
    });
    (addr, tasks)
}

#[tokio::test]
async fn bytes_flow_both_ways_from_the_first_one_on() {
    // Both sides send ahead: the origin right behind its 101, the client right behind its request.
    let answer: &'static str = format!("{SWITCH}early").leak();
    let (addr, _tasks) = one(answer, |mut stream, got| async move {
        // Not before the 101: the head came alone.
        assert!(got.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(&got));
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        stream.write_all(b"you said ").await.unwrap();
        stream.write_all(&rest).await.unwrap();
    })
    .await;
    let rig = Rig::start(&web(addr)).await;
    let mut client = rig.client().await;
    client.send(format!("{ASK}ahead ")).await.unwrap();
    let switched = client.answer().await.unwrap();
    assert_eq!((switched.status(), field(&switched, "upgrade").as_str()), (101, "websocket"));
    assert_eq!(field(&switched, "connection").to_lowercase(), "upgrade");
    assert_eq!(field(&switched, "sec-websocket-accept"), "x");
    assert_eq!(client.bytes(5).await.unwrap(), b"early");
    client.send("and more").await.unwrap();
    // Half-closed, and the other half still works.
    client.finish().await.unwrap();
    assert_eq!(client.until_close().await.unwrap(), b"you said ahead and more");
    let record = rig.record(1).await;
    assert_eq!((&record["end"], &record["status"]), (&"upgraded".into(), &101.into()));
    let (bytes_in, bytes_out) =
        (record["bytes_in"].as_u64().unwrap(), record["bytes_out"].as_u64().unwrap());
    assert!(bytes_in >= ASK.len() as u64 + 8 && bytes_out >= 5 + 9 + 14 + 60, "{record}");
}

#[tokio::test]
async fn the_origin_sees_a_clean_request_and_idleness_ends_it() {
    let origin = RawOrigin::always(Answer::bytes(SWITCH).hang()).await.unwrap();
    let rig = Rig::start(&format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\ntimeouts = {{ tunnel_idle = \"1s\" }}\n[route.all]\nto = \"http://{}\"\n",
        origin.addr()
    ))
    .await;
    let mut client = rig.client().await;
    assert_eq!(client.exchange(ASK).await.unwrap().status(), 101);
    let seen = &origin.requests()[0].message;
    assert_eq!(
        (field(seen, "connection").as_str(), field(seen, "upgrade").as_str()),
        ("Upgrade", "websocket")
    );
    assert_eq!((count(seen, "connection"), count(seen, "upgrade")), (1, 1));
    assert_eq!(field(seen, "sec-websocket-version"), "13");
    let _ = client.until_close().await;
    assert_eq!(rig.record(1).await["end"], "upgraded");
}

#[tokio::test]
async fn an_answer_that_is_no_switch_ends_the_connection() {
    // What was sent ahead was meant for another protocol.
    let origin = RawOrigin::always(Answer::ok("no")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    client.send(format!("{ASK}GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n")).await.unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status(), &*answer.text(), answer.says_close()), (200, "no", true));
    let rest = client.until_close().await.unwrap_or_default();
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_502() {
    let origin = RawOrigin::always(Answer::bytes(SWITCH)).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned(),
        // Without the option in `Connection`; of an old client; with a body; of another method; to something else.
        "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx".to_owned(),
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n".to_owned(),
    ] {
        let n = origin.requests().len();
        assert_eq!(rig.ask(&request).await.status(), 502, "{request:?}");
        let seen = &origin.requests()[n].message;
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(count(seen, name), 0, "{name} of {request:?}");
        }
    }
    let other = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let origin = RawOrigin::always(other).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    assert_eq!(rig.ask(ASK).await.status(), 502);
}

#[tokio::test]
async fn a_reset_in_the_tunnel_is_passed_on() {
    let (addr, _tasks) = one(SWITCH, |stream, _| async move {
        stream.set_zero_linger().unwrap();
    })
    .await;
    let rig = Rig::start(&web(addr)).await;
    let mut client = rig.client().await;
    client.send(ASK).await.unwrap();
    // The reset may overtake the 101, never a clean end.
    let end = async {
        client.answer().await?;
        client.until_close().await
    };
    assert!(soon("the end", end).await.is_err());
}

const SERVER: &str = "
import asyncio, websockets
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def main():
    async with websockets.serve(echo, '127.0.0.1', 0, max_size=None) as server:
        print('port', server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()
asyncio.run(main())
";

const CLIENT: &str = "
import asyncio, sys, websockets
async def main():
    async with websockets.connect('ws://' + sys.argv[1] + '/chat?x=1', max_size=None, compression=None) as ws:
        for n in [0, 1, 125, 126, 65535, 65536, 1000000]:
            for message in ['t' * n, b'b' * n]:
                await ws.send(message)
                assert await ws.recv() == message
        await (await ws.ping())
    print('all back', flush=True)
asyncio.run(main())
";

#[tokio::test]
async fn python_websockets_work_through_it() {
    let Some(python) = require_python("websockets") else { return };
    let mut server = Child::start(Command::new(&python).args(["-c", SERVER])).unwrap();
    server.prints("port ", Duration::from_secs(10)).await.unwrap();
    server.prints("\n", Duration::from_secs(10)).await.unwrap();
    let port: u16 = server.stdout().trim().trim_start_matches("port ").parse().unwrap();
    let rig = Rig::start(&web(([127, 0, 0, 1], port).into())).await;
    let addr = rig.addr("web").to_string();
    let mut client = Child::start(Command::new(&python).args(["-c", CLIENT, &addr])).unwrap();
    let status = client.ended(Duration::from_secs(20)).await.unwrap();
    assert!(status.success() && client.stdout().contains("all back"), "{}", client.said());
    let record = rig.record(1).await;
    assert_eq!(record["end"], "upgraded");
    assert!(record["bytes_in"].as_u64().unwrap() > 2_000_000, "{record}");
}

#[tokio::test]
async fn a_tunnel_that_is_cut_off_has_its_record() {
    let origin = RawOrigin::always(Answer::bytes(SWITCH).then("hello").hang()).await.unwrap();
    let mut rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    client.send(ASK).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 101);
    client.send("12345").await.unwrap();
    assert_eq!(client.bytes(5).await.unwrap(), b"hello");
    let drained = rig.stop(Stop::Drain(Duration::from_millis(100))).await;
    assert_eq!(drained.iter().map(|one| one.aborted).sum::<usize>(), 1);
    let record = rig.record(1).await;
    assert_eq!((&record["end"], &record["status"]), (&"upgraded".into(), &101.into()));
    assert_eq!(record["bytes_in"], ASK.len() + 5);
}
