//! The embedded store keeps the protocol.

use idemstore::{
    Error, ManualClock, Options, Store, Timestamp,
    conformance::{self, Harness},
};
use std::{thread, time::Duration};

struct Embedded {
    clock: ManualClock,
    background_checkpoints: bool,
}

impl Harness for Embedded {
    type Store = Store;

    fn store(&self) -> Result<Store, Error> {
        let options = Options::new().journal_bytes(16 << 10).background_checkpoints(self.background_checkpoints);
        options.clock(self.clock.clone()).cache_bytes(1 << 20).in_memory()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn pause(&self) {
        thread::yield_now();
    }
}

#[test]
fn the_embedded_store_passes_every_case() {
    for background_checkpoints in [false, true] {
        let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
        let passed =
            conformance::check(&Embedded { clock, background_checkpoints }).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(passed, conformance::cases::<Embedded>().len());
        assert!(passed >= 25);
    }
}
