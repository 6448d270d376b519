//! Long work on the whole store, for whoever may reach the owner's socket. One piece of work at a time.
//!
//! Each answer is a stream of lines of JSON: `{"progress":{"records":..,"total":..}}` now and then, for an export
//! `{"record":..}`, and at the end `{"report":..}` or `{"error":..}`. A stream without an end means that the work was cut off.
//! When the client goes away, the work stops.

mod find;
mod lines;
mod upload;

use super::{Body, Problem, read, reports};
use crate::{Store, limits::KEY_ID_BYTES_MAX};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use lines::{Lines, Reporter};
use serde::{Serialize, de::DeserializeOwned};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest order, as JSON: a path, or a key.
const ORDER_BYTES_MAX: usize = 64 * 1024 + 8 * KEY_ID_BYTES_MAX;
const ORDER_WAIT: Duration = Duration::from_secs(10);
/// After which a client may ask again while other work is being done.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The routes of long work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Verify,
    Backup,
    Compact,
    Export,
    Import,
    PreviewSweep,
    Find,
}

/// Does long work on a store.
#[derive(Clone, Debug)]
pub(super) struct Maintenance {
    store: Store,
    one_at_a_time: Arc<Semaphore>,
}

/// Where a backup goes.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupOrder {
    to: PathBuf,
}

impl Work {
    /// Returns the work of a route.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/v1/verify" => Self::Verify,
            "/v1/backup" => Self::Backup,
            "/v1/compact" => Self::Compact,
            "/v1/export" => Self::Export,
            "/v1/import" => Self::Import,
            "/v1/preview-sweep" => Self::PreviewSweep,
            "/v1/find" => Self::Find,
            _ => return None,
        })
    }
}

impl Maintenance {
    pub(super) fn new(store: Store) -> Self {
        Self { store, one_at_a_time: Arc::new(Semaphore::new(1)) }
    }

    /// Answers a request for work.
    pub(super) async fn answer<B>(&self, work: Work, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        if request.method() != Method::POST {
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route takes POST");
            return problem.header(header::ALLOW, "POST").into_response();
        }
        self.start(work, request.into_body()).await.unwrap_or_else(Problem::into_response)
    }

    async fn start<B>(&self, work: Work, body: B) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        let turn = self.one_at_a_time.clone().try_acquire_owned().map_err(|_| busy())?;
        let store = self.store.clone();
        Ok(match work {
            Work::Verify => {
                run(turn, move |mut reporter, _| store.verify(|progress| reporter.tell(progress)).map(reports::Verified::from))
            }
            Work::Backup => {
                let BackupOrder { to } = order(body).await?;
                if !to.is_absolute() {
                    let detail = format!("to is {}: give an absolute path", to.display());
                    return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_input", detail));
                }
                run(turn, move |mut reporter, _| {
                    store.backup(&to, |progress| reporter.tell(progress))?;
                    Ok(reports::BackedUp::new(to))
                })
            }
            Work::Compact => run(turn, move |mut reporter, _| {
                let file_bytes_before = store.stats()?.file_bytes;
                store.compact(|progress| reporter.tell(progress))?;
                Ok(reports::Compacted { file_bytes_before, file_bytes: store.stats()?.file_bytes })
            }),
            Work::Export => run(turn, move |mut reporter, lines| {
                store.export(lines.records(), |progress| reporter.tell(progress)).map(reports::Exported::from)
            }),
            Work::Import => {
                let upload = upload::receive(body);
                run(turn, move |mut reporter, _| {
                    store.import(upload, |progress| reporter.tell(progress)).map(reports::Added::from)
                })
            }
            Work::PreviewSweep => run(turn, move |mut reporter, _| {
                store.preview_sweep(|progress| reporter.tell(progress)).map(reports::Swept::from)
            }),
            Work::Find => {
                let order: find::Order = order(body).await?;
                run(turn, move |mut reporter, _| find::run(&store, &order, &mut reporter))
            }
        })
    }
}

/// Reads what exactly is to be done.
async fn order<T: DeserializeOwned>(body: impl http_body::Body<Data = Bytes>) -> Result<T, Problem> {
    let body = read(body, ORDER_BYTES_MAX, ORDER_WAIT).await?;
    let invalid = |error: serde_json::Error| Problem::new(StatusCode::BAD_REQUEST, "invalid_input", format!("body: {error}"));
    serde_json::from_slice(&body).map_err(invalid)
}

/// Has work done on a thread where it may block, and answers with its lines.
fn run<T, F>(turn: OwnedSemaphorePermit, work: F) -> Response<Body>
where
    T: Serialize,
    F: FnOnce(Reporter, &Lines) -> crate::Result<T> + Send + 'static,
{
    let (lines, body) = lines::channel();
    tokio::task::spawn_blocking(move || {
        let done = work(lines.reporter(), &lines);
        // Whoever reads the end may start the next at once.
        drop(turn);
        lines.end(done);
    });
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn busy() -> Problem {
    let detail = "other long work is being done on this store: ask again when it has ended";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(BUSY_WAIT)
}
