//! Servers behind the proxy that do as the test says, down to the byte.

use crate::message::{Message, PATIENCE};
use std::{
    io::{BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// What a handler does with the connection when it is done with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    Close,
}

/// A request that came, and the connection that it came by.
pub(crate) struct Request<'u> {
    pub(crate) message: Message,
    /// Counts the requests, from 1.
    pub(crate) number: usize,
    pub(crate) connection: &'u mut TcpStream,
    /// Has the body of a request that says `X-Raw`.
    pub(crate) reader: &'u mut BufReader<TcpStream>,
}

impl Request<'_> {
    /// Writes; a proxy that went away is none of the upstream's business.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.connection.write_all(bytes.as_ref()).and_then(|()| self.connection.flush()).is_ok()
    }

    /// Writes a whole response, and goes on as the request asks.
    pub(crate) fn answer(&mut self, response: impl AsRef<[u8]>) -> After {
        self.write(response);
        let is_last = self.message.header("connection").is_some_and(|options| options.contains("close"));
        if is_last { After::Close } else { After::Keep }
    }
}

/// A server on a port of its own. It stops with this value.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Message>>,
    came: Condvar,
    connections: AtomicUsize,
    is_over: AtomicBool,
}

impl Upstream {
    pub(crate) fn start(handler: impl Fn(&mut Request<'_>) -> After + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), handler)
    }

    pub(crate) fn on(listener: TcpListener, handler: impl Fn(&mut Request<'_>) -> After + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (shared, handler) = (Arc::new(Shared::default()), Arc::new(handler));
        let upstream = Self { address, shared: shared.clone() };
        thread::spawn(move || {
            for connection in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, handler) = (shared.clone(), handler.clone());
                thread::spawn(move || shared.serve(connection, &*handler));
            }
        });
        upstream
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Message> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen().len()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until this many requests have come.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) {
        let seen = self.shared.seen.lock().unwrap();
        let (seen, _) = self.shared.came.wait_timeout_while(seen, PATIENCE, |seen| seen.len() < count).unwrap();
        assert!(seen.len() >= count, "{} of {count} requests came", seen.len());
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, mut connection: TcpStream, handler: &(dyn Fn(&mut Request<'_>) -> After + Send + Sync)) {
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        while let Some(mut message) = Message::read_head(&mut reader) {
            if message.header("x-raw").is_none() {
                message.read_body(&mut reader, false);
            }
            let number = {
                let mut seen = self.seen.lock().unwrap();
                seen.push(message.clone());
                self.came.notify_all();
                seen.len()
            };
            if handler(&mut Request { message, number, connection: &mut connection, reader: &mut reader }) == After::Close {
                break;
            }
        }
        let _ = connection.shutdown(Shutdown::Both);
    }
}

/// Holds whoever waits at it until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn wait(&self) {
        let is_open = self.0.0.lock().unwrap();
        let (is_open, _) = self.0.1.wait_timeout_while(is_open, PATIENCE, |is_open| !*is_open).unwrap();
        assert!(*is_open, "the gate was not opened");
    }
}
