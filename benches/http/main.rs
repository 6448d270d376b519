//! Payments over HTTP beside Redis: begin and complete, and `SET NX` and `SET`, each step durable before it is answered.
//!
//! `cargo bench --features cli --bench http [-- --quick]`. Both are processes of their own on loopback; a caller has one connection, sends
//! a step and waits for its answer. Redis is Debian's, with `appendfsync always`; without it there is only one row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::cast_precision_loss, unreachable_pub)]
// What the other benches use.
#![allow(dead_code)]

mod callers;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use callers::{HttpCaller, RedisCaller};
use servers::Server;
use std::{
    cell::RefCell,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use support::{
    Call,
    alternate::{self, Contender, Slice},
};

/// Bytes of an outcome, as in the comparison with other stores.
const OUTCOME_BYTES: usize = 352;

fn main() {
    let call = Call::read();
    if !call.is_bench {
        return;
    }
    let directory = support::directory();
    let idemstore = Server::idemstore(directory.path());
    let redis = Server::redis(directory.path());
    if redis.is_none() {
        println!("redis is left out: install Debian's package redis-server");
    }
    let (rounds, slice, keys) = (call.rounds(9), call.slice(), AtomicU64::new(0));
    for connections in [1, 16, 64] {
        let mut contenders = vec![contender("idemstore serve", idemstore.address, connections, slice_of::<HttpCaller>, &keys)];
        if let Some(redis) = &redis {
            contenders.push(contender("redis, always", redis.address, connections, slice_of::<RedisCaller>, &keys));
        }
        alternate::run(&format!("payments over {connections} connections, per second"), rounds, slice, contenders);
    }
}

/// Pays through a connection of its own.
trait Caller: Sized + 'static {
    fn connect(address: SocketAddr) -> Self;
    fn pay(&mut self, key: &str, outcome: &str);
}

type SliceOf = fn(SocketAddr, usize, Duration, &AtomicU64) -> Slice;

fn contender<'w>(name: &str, address: SocketAddr, connections: usize, work: SliceOf, keys: &'w AtomicU64) -> Contender<'w> {
    Contender::new(name, move |slice| work(address, connections, slice, keys))
}

fn slice_of<C: Caller>(address: SocketAddr, connections: usize, slice: Duration, keys: &AtomicU64) -> Slice {
    // JSON to the one, bytes to the other: a string without anything to escape.
    let outcome = format!("\"{}\"", "7".repeat(OUTCOME_BYTES - 2));
    let work = || {
        let key = format!("pay_{:032x}", keys.fetch_add(1, Relaxed));
        with_connection::<C>(address, |caller| caller.pay(&key, &outcome));
    };
    let (payments, took) = alternate::callers(connections, slice, work);
    Slice { payments, took, io: None }
}

/// Each thread lives for a slice, and connects once. What is thread-local is shared by all `C`, of which a thread sees one.
fn with_connection<C: Caller>(address: SocketAddr, pay: impl FnOnce(&mut C)) {
    thread_local! {
        static CALLER: RefCell<Option<Box<dyn std::any::Any>>> = const { RefCell::new(None) };
    }
    CALLER.with_borrow_mut(|caller| {
        let caller = caller.get_or_insert_with(|| Box::new(C::connect(address)));
        pay(caller.downcast_mut().unwrap());
    });
}
