//! Nothing is left over: no thread, no descriptor, no buffer.
//!
//! Other tests of this binary open and close descriptors at the same time, so this counts in a process of its own.

use std::time::Duration;

use staniel_core::{Bind, Connection, Host, Plan, Reload, Stop, Workers, sessions};
use tokio::io::AsyncWriteExt;

use crate::process::in_a_process;
use crate::support::{addr_of, dial, echo, echoes, eventually, greeting, says};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn one_life(workers: Workers, drop_it: bool) {
    let (_trigger, reload) = Reload::channel();
    drop(reload);
    let host = Host::new()
        .bind(Bind::at("tcp://localhost:0").name("e"), says(b'a'))
        .bind("udp://127.0.0.1:0", sessions(|_: staniel_core::UdpSession| async {}))
        .workers(workers);
    let running = host.start().await.unwrap();
    let (_, client) = greeting(addr_of(&running, "e")).await;
    let more = Plan::default().bind("tcp://127.0.0.1:0", says(b'b'));
    running.manager().apply(more).await.unwrap();
    drop(client);
    if drop_it {
        drop(running);
    } else {
        running.stop(Stop::Drain(Duration::from_secs(60))).await;
    }
}

#[tokio::test]
async fn hosts_that_come_and_go_leave_nothing_behind() {
    if in_a_process("resources::hosts_that_come_and_go_leave_nothing_behind").await {
        return;
    }
    for drop_it in [false, true] {
        one_life(Workers::N(2), drop_it).await;
        one_life(Workers::Ambient, drop_it).await;
        eventually("the first are gone", || threads() <= 4).await;
        let before = (threads(), descriptors());
        for _ in 0..20 {
            one_life(Workers::N(2), drop_it).await;
            one_life(Workers::Ambient, drop_it).await;
        }
        eventually("as before", || threads() <= before.0 && descriptors() <= before.1).await;
    }
}

#[tokio::test]
async fn a_failed_start_leaves_nothing_behind() {
    if in_a_process("resources::a_failed_start_leaves_nothing_behind").await {
        return;
    }
    let (_taken, addr) = crate::support::taken();
    let fails = async || {
        let host = Host::new().bind("tcp://127.0.0.1:0", echo).bind(addr, echo);
        host.workers(Workers::N(2)).start().await.unwrap_err();
    };
    fails().await;
    let before = (threads(), descriptors());
    for _ in 0..20 {
        fails().await;
    }
    eventually("as before", || threads() <= before.0 && descriptors() <= before.1).await;
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    if in_a_process("resources::an_idle_connection_holds_no_buffer").await {
        return;
    }
    staniel_core::raise_descriptor_limit();
    // A relay between two connections of this process, and a peek that waits for more.
    let host = Host::new()
        .bind(Bind::at("tcp://127.0.0.1:0").name("origin"), echo)
        .bind(Bind::at("tcp://127.0.0.1:0").name("peeks"), peeks)
        .max_connections(10_000);
    let running = host.start().await.unwrap();
    let origin = addr_of(&running, "origin");
    let forward = move |conn: Connection| async move {
        let up = staniel_core::TcpConnector::default().connect(origin).await?;
        staniel_core::relay(conn, up).await;
        Ok::<_, staniel_core::BoxError>(())
    };
    let tm = running.manager();
    let relay = tm.bind(Bind::at("tcp://127.0.0.1:0").name("relay"), forward).await.unwrap();
    let addr = relay.local()[0].socket_addr().unwrap();
    let peeks_at = addr_of(&running, "peeks");
    let mut clients = Vec::new();
    let open = async |clients: &mut Vec<_>| {
        for _ in 0..100 {
            let mut client = dial(addr).await;
            echoes(&mut client).await;
            clients.push(client);
            let mut client = dial(peeks_at).await;
            client.write_all(b"x").await.unwrap();
            clients.push(client);
        }
    };
    open(&mut clients).await;
    let before = resident_kib();
    open(&mut clients).await;
    open(&mut clients).await;
    open(&mut clients).await;
    let grown = resident_kib().saturating_sub(before) / 300;
    println!("{grown} KiB for each relayed connection and each peek together");
    // A relayed connection is two tasks and four sockets here; a block would be 64 KiB.
    assert!(grown < 24, "{grown} KiB for each");
    running.stop(Stop::Now).await;
}

async fn peeks(mut conn: Connection) -> std::io::Result<()> {
    conn.io().peek(100).await.map(drop)
}

#[test]
fn sizes_of_what_every_connection_has() {
    println!("Connection: {} B", size_of::<Connection>());
    println!("Io: {} B", size_of::<staniel_core::Io>());
    let (conn, _) = Connection::in_memory();
    let (other, _) = Connection::in_memory();
    println!("relay: {} B", size_of_val(&staniel_core::relay(conn, other)));
    assert!(size_of::<Connection>() <= 128);
}
