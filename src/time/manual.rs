use super::{Clock, Signal, Timestamp, millis};
use crate::sync::Mutex;
use std::{sync::Arc, time::Duration};

/// A clock that moves when it is told to, for tests. Clones share the time.
///
/// ```
/// use idemstore::{Clock, ManualClock, Timestamp};
/// use std::time::Duration;
///
/// let clock = ManualClock::new(Timestamp::from_millis(1_000));
/// clock.advance(Duration::from_millis(500));
/// assert_eq!(clock.wall().as_millis(), 1_500);
/// clock.set_wall(Timestamp::from_millis(200)); // somebody set the system's clock back
/// assert_eq!(clock.monotonic(), Duration::from_millis(500));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    wall: Timestamp,
    monotonic: Duration,
    waiting: Vec<Signal>,
}

impl ManualClock {
    /// Makes a clock that shows `wall`, and a monotonic time of zero.
    pub fn new(wall: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(State { wall, monotonic: Duration::ZERO, waiting: Vec::new() })))
    }

    /// Lets time pass: both clocks move, and threads that wait look again.
    pub fn advance(&self, by: Duration) {
        let waiting = {
            let mut state = self.0.lock();
            state.wall = state.wall.saturating_add(by);
            state.monotonic = state.monotonic.saturating_add(by);
            std::mem::take(&mut state.waiting)
        };
        waiting.iter().for_each(Signal::set);
    }

    /// Steps the wall clock, in any direction, while no time passes.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.lock().wall = wall;
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        self.0.lock().wall
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().monotonic
    }

    fn wait(&self, signal: &Signal, until: Option<Duration>) {
        {
            // Looking at the time and joining the list is one step, so that no `advance` falls between them.
            let mut state = self.0.lock();
            if until.is_some_and(|until| millis(until) <= millis(state.monotonic)) {
                return;
            }
            if !state.waiting.iter().any(|known| known.same_as(signal)) {
                state.waiting.push(signal.clone());
            }
        }
        signal.wait();
    }
}
