//! Virtual time: it passes only when everything waits, and then up to the next timer.

use idemstore::{Clock, ManualClock, Timestamp};
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// Sun, 06 Nov 1994 08:49:37 GMT.
pub const START: Timestamp = Timestamp::from_millis(784_111_777_000);

#[derive(Clone, Debug)]
pub struct Time {
    pub clock: ManualClock,
    timers: Arc<Mutex<Vec<Arc<Timer>>>>,
}

#[derive(Debug)]
struct Timer {
    until: Duration,
    waker: Mutex<Option<Waker>>,
}

pub struct Sleep {
    timer: Arc<Timer>,
    time: Time,
}

impl Time {
    pub fn new() -> Self {
        Self { clock: ManualClock::new(START), timers: Arc::default() }
    }

    pub fn sleep(&self, wait: Duration) -> Sleep {
        let timer = Arc::new(Timer { until: self.clock.monotonic().saturating_add(wait), waker: Mutex::default() });
        self.timers.lock().unwrap().push(Arc::clone(&timer));
        Sleep { timer, time: self.clone() }
    }

    pub fn timers(&self) -> usize {
        self.timers.lock().unwrap().len()
    }

    /// Drives a future to its end.
    #[track_caller]
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            if let Some(output) = settle(future.as_mut()) {
                return output;
            }
            assert!(self.advance(), "everything waits and there is no timer");
        }
    }

    /// Lets time pass up to the next timer that somebody waits for.
    pub fn advance(&self) -> bool {
        let next = self.timers.lock().unwrap().iter().map(|timer| timer.until).min();
        let Some(next) = next else { return false };
        self.clock.advance(next.saturating_sub(self.clock.monotonic()));
        let timers = self.timers.lock().unwrap().clone();
        for timer in timers.iter().filter(|timer| timer.until <= next) {
            timer.waker.lock().unwrap().take().into_iter().for_each(Waker::wake);
        }
        true
    }
}

/// Polls as long as somebody wakes.
pub fn settle<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&flag));
    while flag.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
    }
    None
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.time.clock.monotonic() >= self.timer.until {
            return Poll::Ready(());
        }
        *self.timer.waker.lock().unwrap() = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.time.timers.lock().unwrap().retain(|timer| !Arc::ptr_eq(timer, &self.timer));
    }
}
