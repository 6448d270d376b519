use super::{
    Body, Limits, Listener, Peer,
    connection::{self, Common},
    listen::Stream,
};
use http::{Request, Response};
use hyper::body::Incoming;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// After an accept that failed, for want of file descriptors as a rule: trying again at once would find none either.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// After which a place is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Answers requests that come over `listeners`, until `stop` is ready. Then nothing more is accepted, idle connections are closed, the
/// others get the answers that they wait for, and after [`Limits::stop_wait`] what is left is cut off.
///
/// Requests carry their [`Peer`] as an extension. When a client goes away, the future that makes its answer is dropped. See the
/// [module](super) for an example.
pub async fn serve<H, F>(listeners: Vec<Listener>, limits: Limits, handler: H, stop: impl Future<Output = ()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let stop_wait = limits.stop_wait;
    let (stopping, is_stopping) = watch::channel(false);
    let places = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let common = Common { limits: Arc::new(limits), make_room: Arc::new(Notify::new()), stop: is_stopping };
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, handler.clone(), common.clone(), places.clone()));
    }
    stop.await;
    let _ = stopping.send(true);
    let ending = async {
        // Each ends when its last connection has.
        while accepting.join_next().await.is_some() {}
    };
    let _ = timeout(stop_wait, ending).await;
}

async fn accept<H, F>(listener: Listener, handler: H, common: Common, places: Arc<Semaphore>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // Dropping it ends them all.
    let mut connections = JoinSet::new();
    let mut stop = common.stop.clone();
    {
        let mut stopped = pin!(stop.wait_for(|stop| *stop));
        loop {
            while connections.try_join_next().is_some() {}
            let next = async {
                let accepted = listener.accept().await;
                // Only now is there somebody to make room for.
                take_place(&places, &common.make_room).await.map(|place| (accepted, place))
            };
            let (accepted, place) = tokio::select! {
                biased;
                _ = &mut stopped => break,
                next = next => match next {
                    Some(next) => next,
                    None => break,
                },
            };
            let (handler, common) = (handler.clone(), common.clone());
            match accepted {
                Ok(Stream::Tcp(stream, peer)) => {
                    connections.spawn(hold(place, connection::run(stream, Peer::Tcp(peer), handler, common)));
                }
                Ok(Stream::Unix(stream)) => {
                    connections.spawn(hold(place, connection::run(stream, Peer::Unix, handler, common)));
                }
                Err(_) => {
                    common.make_room.notify_one();
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn hold(place: OwnedSemaphorePermit, connection: impl Future<Output = ()>) {
    connection.await;
    drop(place);
}

/// Waits for a free place; when there is none, the connection that has been idle for longest is asked for its own, or the first that
/// becomes idle.
async fn take_place(places: &Arc<Semaphore>, make_room: &Notify) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = places.clone().try_acquire_owned() {
        return Some(place);
    }
    loop {
        make_room.notify_one();
        if let Ok(place) = timeout(ASK_AGAIN, places.clone().acquire_owned()).await {
            // Nobody may have been idle, and somebody ended: the wish is taken back, or it would send away a client for nothing. Another
            // listener that has the same wish repeats it.
            pin!(make_room.notified()).enable();
            return place.ok();
        }
    }
}
