//! A gRPC server with idempotency, trailers included, and a client that calls twice.
//! `cargo run --example tonic --features tower`
//!
//! Messages are plain text here, so that the example needs no code generation.

use bytes::{Buf as _, BufMut as _};
use http::uri::PathAndQuery;
use idemstore::{
    Store,
    tower::{IdempotencyLayer, Spawn},
};
use std::{
    convert::Infallible,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::{net::TcpListener, runtime};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataValue,
    server::{self, NamedService, UnaryService},
    transport::{Endpoint, Server, server::TcpIncoming},
};

type BoxError = Box<dyn Error + Send + Sync>;

/// `shop.Payments/Charge`, as generated code would have it.
#[derive(Clone, Default)]
struct Payments(Arc<AtomicU64>);

impl NamedService for Payments {
    const NAME: &'static str = "shop.Payments";
}

impl UnaryService<String> for Payments {
    type Response = String;
    type Future = std::future::Ready<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let charge = self.0.fetch_add(1, Relaxed) + 1;
        std::future::ready(match request.into_inner().as_str() {
            "0" => Err(Status::invalid_argument(format!("charge {charge} of nothing"))),
            amount => Ok(Response::new(format!("receipt {charge} for {amount}"))),
        })
    }
}

impl tower::Service<http::Request<Body>> for Payments {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(server::Grpc::new(Text).unary(service, request).await) })
    }
}

fn main() -> Result<(), BoxError> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<(), BoxError> {
    let store = Store::in_memory()?; // A real one: Options::new().create_if_missing(true).open("payments.idem")?
    // The principal is whoever was authenticated further out; everybody is the same one here.
    let idempotency = IdempotencyLayer::new(store, Spawn::new(|task| drop(tokio::spawn(task))), |_| Some("everybody".to_owned()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::builder().layer(idempotency).add_service(Payments::default());
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let call = async |key: &'static str, amount: &str| -> Result<(String, bool), Status> {
        let mut request = Request::new(amount.to_owned());
        request.metadata_mut().insert("idempotency-key", MetadataValue::from_static(key));
        let mut client = client::Grpc::new(channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let response = client.unary(request, PathAndQuery::from_static("/shop.Payments/Charge"), Text).await?;
        let is_replay = response.metadata().contains_key("idempotent-replayed");
        Ok((response.into_inner(), is_replay))
    };
    let (first, again) = (call("pay_1", "100").await?, call("pay_1", "100").await?);
    assert_eq!((&first, &again), (&("receipt 1 for 100".to_owned(), false), &("receipt 1 for 100".to_owned(), true)));
    let Err(other) = call("pay_1", "999").await else { return Err("another request got a receipt".into()) };
    assert_eq!(other.code(), Code::FailedPrecondition);
    // The status of gRPC is in headers or trailers, and is replayed from there.
    let (Err(refused), Err(still)) = (call("pay_2", "0").await, call("pay_2", "0").await) else {
        return Err("nothing was charged".into());
    };
    assert_eq!((refused.code(), refused.message()), (still.code(), still.message()));
    println!("{first:?}\n{again:?}\n{other}\n{still}");
    Ok(())
}

/// Messages that are text.
#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining()).to_vec();
        String::from_utf8(bytes).map(Some).map_err(|_| Status::invalid_argument("a message that is not text"))
    }
}
