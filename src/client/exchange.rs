use super::{BoxError, ClientBody, ClientError, ClientErrorKind, SentKey, future::within, policy::Heard, settings::Settings};
use http::{Request, Response};
use http_body::Body;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tower_service::Service;

/// One request with all its sends.
pub(super) struct Exchange<S, T> {
    service: S,
    settings: Arc<Settings>,
    sleep: Arc<T>,
}

impl<S, T> Exchange<S, T> {
    /// Takes a service that is ready.
    pub(super) fn new(service: S, settings: Arc<Settings>, sleep: Arc<T>) -> Self {
        Self { service, settings, sleep }
    }

    pub(super) async fn run<B, R, F>(mut self, request: Request<B>) -> Result<Response<R>, ClientError>
    where
        S: Service<Request<ClientBody<B>>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
        T: Fn(Duration) -> F,
        F: Future<Output = ()>,
    {
        let (mut parts, body) = request.into_parts();
        let key = self.settings.keys.attach(&mut parts);
        let key = key.map_err(|error| ClientError::new(ClientErrorKind::Key, None, 0, Some(error.into())))?;
        let Some(key) = key else {
            let request = Request::from_parts(parts, ClientBody::unread(body));
            let response = self.service.call(request).await;
            return response.map_err(|error| ClientError::new(ClientErrorKind::Service, None, 1, Some(error.into())));
        };
        let failed = |kind, sends, source| ClientError::new(kind, Some(key.clone()), sends, source);

        let begin = self.settings.monotonic();
        let mut deadline = pin!((self.sleep)(self.settings.policy.total_time));
        let read = within(deadline.as_mut(), ClientBody::read(body, self.settings.body_bytes_max)).await;
        let read = read.ok_or_else(|| failed(ClientErrorKind::OutOfTime, 0, None))?;
        let (mut body, whole) = read.map_err(|error| failed(ClientErrorKind::Body, 0, Some(error.into())))?;

        let mut sends = 0;
        loop {
            sends += 1;
            // Only clones of `parts` are sent, so that no send can differ from the first, and none has another key.
            let answer = self.service.call(Request::from_parts(parts.clone(), body));
            let answer = within(deadline.as_mut(), answer).await;
            let answer = answer.ok_or_else(|| failed(ClientErrorKind::OutOfTime, sends, None))?.map_err(Into::into);

            let spent = self.settings.monotonic().saturating_sub(begin);
            let wait = self.wait(&answer, sends, spent);
            let (Some(wait), Some(whole)) = (wait, &whole) else {
                return match answer {
                    Ok(response) => Ok(with_key(response, key)),
                    Err(error) => Err(failed(ClientErrorKind::Service, sends, Some(error))),
                };
            };
            // The connection is free while the request waits.
            drop(answer);
            (self.sleep)(wait).await;

            let ready = within(deadline.as_mut(), poll_fn(|context| self.service.poll_ready(context))).await;
            let ready = ready.ok_or_else(|| failed(ClientErrorKind::OutOfTime, sends, None))?;
            // A service that fails here is at its end for good.
            ready.map_err(|error| failed(ClientErrorKind::Service, sends, Some(error.into())))?;
            body = whole.to_body();
        }
    }

    fn wait<R>(&self, answer: &Result<Response<R>, BoxError>, sends: u32, spent: Duration) -> Option<Duration> {
        let heard = match answer {
            Ok(response) => Heard::Response { status: response.status(), headers: response.headers() },
            Err(error) => Heard::Error(error.as_ref()),
        };
        self.settings.policy.wait(&heard, sends, spent, self.settings.now(), || self.settings.random())
    }
}

fn with_key<R>(mut response: Response<R>, key: SentKey) -> Response<R> {
    response.extensions_mut().insert(key);
    response
}
