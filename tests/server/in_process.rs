//! The server's parts in this process, so that limits can be short.

use crate::client::{Client, PATIENCE};
use idemstore::{
    Options, Store,
    server::{Api, Body, Limits, Listener, serve},
};
use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
};
use tokio::sync::oneshot;

/// A server that is stopped when this goes.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves an API over a store in memory.
    pub(crate) fn of_api(limits: Limits) -> Self {
        let body_wait = limits.body_wait;
        Self::start(limits, move || {
            let api = Api::new(Store::in_memory().unwrap()).body_wait(body_wait);
            move |request| {
                let api = api.clone();
                async move { api.answer(request).await }
            }
        })
    }

    /// Serves an API with payloads as long as this, of which so many bytes may be in memory.
    pub(crate) fn of_long_payloads(payload_bytes_max: usize, buffered_bytes_max: usize) -> Self {
        let mut limits = Limits::new();
        limits.write_wait = 2 * PATIENCE;
        Self::start(limits, move || {
            let store = Options::new().payload_bytes_max(payload_bytes_max).in_memory().unwrap();
            let api = Api::new(store).body_wait(2 * PATIENCE).buffered_bytes_max(buffered_bytes_max);
            move |request| {
                let api = api.clone();
                async move { api.answer(request).await }
            }
        })
    }

    /// Answers everything with so many bytes.
    pub(crate) fn of_bytes(limits: Limits, bytes: usize) -> Self {
        Self::start(limits, move || {
            let body = bytes::Bytes::from(vec![b'x'; bytes]);
            move |_| {
                let body = body.clone();
                async move { http::Response::new(Body::full(body)) }
            }
        })
    }

    fn start<H, F>(limits: Limits, handler: impl FnOnce() -> H + Send + 'static) -> Self
    where
        H: Fn(http::Request<hyper::body::Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = http::Response<Body>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
                ready.send(listener.address().unwrap()).unwrap();
                let stopped = async { drop(stopped.await) };
                serve(vec![listener], limits, handler(), stopped).await;
            });
        });
        Self { address: is_ready.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::tcp(self.address).unwrap()
    }

    /// Orders it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
