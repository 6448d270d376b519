use super::{super::failure::Failure, books::Books};
use crate::server::{Body, Limits, Listener, Problem, read, serve};
use clap::Args;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::sleep;

const PAYMENT_BYTES_MAX: usize = 1024;
const BODY_WAIT: Duration = Duration::from_secs(5);
/// What a provider takes to charge, and then to say so.
const BEFORE: Duration = Duration::from_millis(40);
const AFTER: Duration = Duration::from_millis(120);

/// The shop of the demo: charges for every request, until its standard input ends.
#[derive(Debug, Args)]
pub(in crate::cli) struct DemoShop {
    #[arg(long)]
    books: PathBuf,
    #[arg(long)]
    listen: SocketAddr,
}

impl DemoShop {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let listener = Listener::tcp(self.listen).await?;
        let address = listener.address().unwrap_or(self.listen);
        let mut out = io::stdout();
        // Whoever closed it does not wait for the line.
        let _ = writeln!(out, "listening on http://{address}").and_then(|()| out.flush());
        let (books, charges) = (Books::new(self.books), Arc::new(AtomicU64::new(0)));
        let handler = move |request| sell(request, books.clone(), charges.clone());
        // It ends with whoever started this, however that ends.
        let input = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
        let stop = async { drop(input.await) };
        serve(vec![listener], Limits::new(), handler, stop).await;
        Ok(())
    }
}

async fn sell(request: Request<Incoming>, books: Books, charges: Arc<AtomicU64>) -> Response<Body> {
    try_sell(request, &books, &charges).await.unwrap_or_else(Problem::into_response)
}

async fn try_sell(request: Request<Incoming>, books: &Books, charges: &AtomicU64) -> Result<Response<Body>, Problem> {
    let payment = read(request.into_body(), PAYMENT_BYTES_MAX, BODY_WAIT).await?;
    let payment = String::from_utf8_lossy(&payment);
    let charge = format!("charge-{}-{}", std::process::id(), charges.fetch_add(1, Relaxed));
    sleep(BEFORE).await;
    books
        .charge(&payment, &charge)
        .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "io", format!("the books cannot be written: {error}")))?;
    sleep(AFTER).await;
    let mut sold = Response::new(Body::full(charge));
    *sold.status_mut() = StatusCode::CREATED;
    Ok(sold)
}
