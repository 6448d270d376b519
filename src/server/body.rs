use super::Problem;
use crate::{
    Error, ErrorKind,
    tower::{Budget, Permit},
};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use std::{
    fmt, io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response: bytes, or a stream of them.
pub struct Body(UnsyncBoxBody<Bytes, BoxError>);

impl Body {
    /// Makes a body of bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::new(Full::new(bytes.into()))
    }

    /// Makes a body of no bytes.
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// Makes a body of pieces that are sent as they come, of which `pieces` wait at most. It ends when the sender is dropped, and breaks
    /// off at an error.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// use http_body_util::BodyExt as _;
    ///
    /// let (pieces, body) = idemstore::server::Body::channel(2);
    /// pieces.send(Ok("one, ".into())).await.unwrap();
    /// pieces.send(Ok("two".into())).await.unwrap();
    /// drop(pieces);
    /// assert_eq!(body.collect().await.unwrap().to_bytes(), "one, two");
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn channel(pieces: usize) -> (Sender<io::Result<Bytes>>, Self) {
        let (sender, receiver) = mpsc::channel(pieces);
        (sender, Self::new(Pieces(receiver)))
    }

    /// Makes a body of any other.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

/// What is sent to it.
struct Pieces(Receiver<io::Result<Bytes>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Reads the body of a request: at most `bytes_max` bytes, for at most `wait`.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// use idemstore::server::{Body, read};
/// use std::time::Duration;
///
/// let wait = Duration::from_secs(30);
/// assert_eq!(read(Body::full("{}"), 1024, wait).await.unwrap(), "{}");
/// assert_eq!(read(Body::full("[1,2,3]"), 4, wait).await.unwrap_err().status(), 413);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// A [`Problem`] of kind `too_large` (413), as soon as a declared length is too long or that much has come; `timeout` (408);
/// `invalid_input` (400) for a body that broke off.
pub async fn read<B>(body: B, bytes_max: usize, wait: Duration) -> Result<Bytes, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    Ok(receive(body, bytes_max, wait, &Budget::new(bytes_max)).await?.bytes)
}

/// The body of a request, and its part of the bytes that may be in memory.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    _permit: Permit,
}

/// As [`read`], of a budget that requests share: `busy` (503) when that is spent.
pub(super) async fn receive<B>(body: B, bytes_max: usize, wait: Duration, budget: &Budget) -> Result<Received, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let too_large = || {
        let detail = format!("body is longer than {bytes_max} bytes: send less, or raise the server's --max-body");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    };
    let busy =
        || Problem::from(Error::new(ErrorKind::Busy, "reading the body: too much is in memory already; send it again later"));
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > bytes_max {
        return Err(too_large());
    }
    let reading = async {
        let mut permit = budget.take(0).ok_or_else(busy)?;
        let mut body = pin!(body);
        // Declared, it is within the limit; nothing of it is in memory before it is written to.
        let mut read = BytesMut::with_capacity(declared);
        while let Some(frame) = body.frame().await {
            let broken = || Problem::new(StatusCode::BAD_REQUEST, "invalid_input", "body broke off: send the request again");
            // Trailers mean nothing here.
            let Ok(data) = frame.map_err(|_| broken())?.into_data() else { continue };
            if data.len() > bytes_max - read.len() {
                return Err(too_large());
            }
            if !permit.grow(data.len()) {
                return Err(busy());
            }
            read.extend_from_slice(&data);
        }
        Ok(Received { bytes: read.freeze(), _permit: permit })
    };
    let received = tokio::time::timeout(wait, reading).await;
    received.unwrap_or_else(|_| {
        let detail = format!("body did not come within {wait:?}: send the request again");
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail))
    })
}
