//! The owner of a store file, as the commands of the same machine find it: a socket beside the file.

mod reach;

pub use reach::owner_socket_path;

use super::{
    Api, Body, Guard, Limits, Listener, Problem,
    maintain::{Maintenance, Work},
    serve,
};
use crate::{Result, Store, disk::FileId};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use reach::Reach;
use serde::{Deserialize, Serialize};
use std::{io, path::Path, time::Duration};
use tokio::net::UnixStream;

/// Where an owner says who it is.
const OWNER_ROUTE: &str = "/v1/owner";
/// A pager in which somebody reads an export may stand still for a while.
const WRITE_WAIT: Duration = Duration::from_secs(600);
/// The work that is cut off when the owner stops can be done again.
const STOP_WAIT: Duration = Duration::from_secs(1);
const CONNECTIONS_MAX: usize = 64;

/// The whole service of a store: the API, and long work for those who may reach the owner's socket.
#[derive(Clone, Debug)]
pub struct Owner {
    api: Api,
    maintenance: Maintenance,
}

/// The socket beside a store file, of mode 0600. It goes when this is dropped.
#[derive(Debug)]
pub struct OwnerSocket {
    listener: Listener,
    _reach: Reach,
}

/// What an owner says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OwnerInfo {
    /// Its process.
    pub pid: u32,
    /// The device of the store file that it has open.
    pub device: u64,
    /// The inode of it.
    pub inode: u64,
}

impl Owner {
    /// Makes the whole service of an API's store. Whoever can reach the owner's socket could open the file, and needs no token.
    ///
    /// ```
    /// use idemstore::{Store, server::{Api, Body, Owner}};
    /// use http::Request;
    /// use http_body_util::BodyExt as _;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    ///
    /// let owner = Owner::new(Api::new(Store::in_memory()?));
    /// let answer = owner.answer(Request::post("/v1/verify").body(Body::empty())?).await;
    /// let lines = answer.into_body().collect().await.unwrap().to_bytes();
    /// assert!(lines.starts_with(br#"{"report":{"is_sound":true,"records":0"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(api: Api) -> Self {
        let api = api.guard(Guard::open());
        Self { maintenance: Maintenance::new(api.store().clone()), api }
    }

    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        if let Some(work) = Work::of(request.uri().path()) {
            return self.maintenance.answer(work, request).await;
        }
        if request.uri().path() == OWNER_ROUTE {
            return who(self.api.store(), request.method()).unwrap_or_else(Problem::into_response);
        }
        self.api.answer(request).await
    }
}

fn who(store: &Store, method: &Method) -> Result<Response<Body>, Problem> {
    if method != Method::GET {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route takes GET");
        return Err(problem.header(header::ALLOW, "GET"));
    }
    let FileId(device, inode) = store.file_id()?;
    let info = OwnerInfo { pid: std::process::id(), device, inode };
    // Three numbers.
    let mut response = Response::new(Body::full(serde_json::to_vec(&info).unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl OwnerSocket {
    /// Listens on the socket of an open store file. One that an earlier owner left is replaced: whoever has the file open is its owner.
    ///
    /// # Errors
    /// `InvalidFilename` when the name of the file is too long for a socket; `AlreadyExists` when something else has the socket's name;
    /// what the operating system says. A store can be served without this socket; only the commands do not find their way then.
    pub async fn bind(db: &Path) -> io::Result<Self> {
        let reach = Reach::new(&owner_socket_path(db)?)?;
        let listener = Listener::unix(reach.path()).await?;
        Ok(Self { listener, _reach: reach })
    }

    /// Connects to the owner of a store file.
    ///
    /// # Errors
    /// `NotFound` or `ConnectionRefused` when nobody listens there.
    pub async fn connect(db: &Path) -> io::Result<UnixStream> {
        let reach = Reach::new(&owner_socket_path(db)?)?;
        UnixStream::connect(reach.path()).await
    }

    /// Answers on the socket until `stop` is ready.
    pub async fn serve(self, owner: Owner, stop: impl Future<Output = ()>) {
        let Self { listener, _reach } = self;
        let limits = Limits { write_wait: WRITE_WAIT, stop_wait: STOP_WAIT, connections_max: CONNECTIONS_MAX, ..Limits::new() };
        let handler = move |request: Request<Incoming>| {
            let owner = owner.clone();
            async move { owner.answer(request).await }
        };
        serve(vec![listener], limits, handler, stop).await;
    }
}
