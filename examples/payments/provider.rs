//! The payment provider: somebody else's computer. What it has booked is booked, whatever becomes of our server, and it
//! books every charge it is asked for, even twice. It can be asked which charge it made for a key.

use crate::http::{self, Message};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// How long the provider thinks about a charge.
const THINKS: Duration = Duration::from_millis(300);

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    ledger: Vec<Charge>,
    /// Told of each charge once it is booked, before the server gets the answer.
    on_booked: Option<Sender<String>>,
}

/// A line of the ledger.
#[derive(Clone)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) order: String,
}

impl Provider {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let provider = Self { address: listener.local_addr()?, state: Arc::default() };
        let answering = provider.clone();
        thread::spawn(move || http::serve(&listener, move |request| answering.answer(&request)));
        Ok(provider)
    }

    pub(crate) fn ledger(&self) -> Vec<Charge> {
        self.state().ledger.clone()
    }

    /// Returns where booked charges are announced from now on.
    pub(crate) fn watch(&self) -> Receiver<String> {
        let (sender, receiver) = channel();
        self.state().on_booked = Some(sender);
        receiver
    }

    fn answer(&self, request: &Message) -> Message {
        let Some(key) = request.header("payment-key") else { return Message::response(400, "no payment-key") };
        if request.first_line.starts_with("POST") {
            return Message::response(201, self.charge(key, &request.body).id);
        }
        match self.state().ledger.iter().find(|charge| charge.key == key) {
            Some(charge) => Message::response(200, charge.id.clone()),
            None => Message::response(404, "no such charge"),
        }
    }

    fn charge(&self, key: &str, order: &str) -> Charge {
        let mut state = self.state();
        let charge = Charge { id: format!("ch_{}", state.ledger.len() + 1), key: key.to_owned(), order: order.to_owned() };
        state.ledger.push(charge.clone());
        let announced = state.on_booked.as_ref().map(|watcher| watcher.send(charge.id.clone()));
        drop((state, announced));
        thread::sleep(THINKS);
        charge
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
