//! The service of a store, for commands: that of the process which has the file open, or one made here around the closed file.
//! Both are the same service, so a command has one way to do things.

mod find;
mod request;
mod socket;
mod work;

use super::failure::Failure;
use crate::server::{Body, Owner, Peer};
use http::{Request, Response};
use hyper::body::Bytes;
use socket::Socket;

pub(super) use request::query;
pub(super) use work::Source;

/// A store's service.
pub(super) struct Service(Transport);

enum Transport {
    /// Asks the owner.
    Socket(Socket),
    /// Is the owner.
    Here(Owner),
}

/// A response as it comes.
type Answer = Response<Body>;

impl Service {
    /// Whether another process has the file open, and is asked.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self.0, Transport::Socket(_))
    }

    async fn send(&mut self, mut request: Request<Body>) -> Result<Answer, Failure> {
        match &mut self.0 {
            Transport::Socket(socket) => socket.send(request).await,
            Transport::Here(owner) => {
                request.extensions_mut().insert(Peer::Process);
                Ok(owner.answer(request).await)
            }
        }
    }

    /// Asks for something, and returns the JSON of the answer.
    pub(super) async fn get(&mut self, path: &str) -> Result<Bytes, Failure> {
        let request = request::get(path)?;
        request::whole(self.send(request).await?).await
    }

    /// Orders something, and returns the JSON of the answer.
    pub(super) async fn post(&mut self, path: &str, order: &impl serde::Serialize) -> Result<Bytes, Failure> {
        let request = request::post(path, order)?;
        request::whole(self.send(request).await?).await
    }
}
