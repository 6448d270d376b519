//! stub
use super::{Body, Problem};
use crate::Store;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
/// stub
#[derive(Debug)]
pub struct Api {
    store: Store,
}
impl Api {
    /// stub
    pub fn new(store: Store) -> Self {
        Self { store }
    }
    /// stub
    pub async fn answer<B>(&self, _request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let _ = &self.store;
        Problem::new(StatusCode::NOT_FOUND, "unknown_route", "stub").into_response()
    }
}
