use crate::server::{Server, Step, answer, layer, post};
use proptest::{collection::vec, prelude::*};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// The waits of a request that fails with every send, under these random numbers.
fn waits(base: Duration, max: Duration, randoms: Vec<u64>) -> Vec<Duration> {
    let server = Server::new(vec![Step::BreakConnection; randoms.len()].into_iter().chain([answer(200)]));
    let retries = u32::try_from(randoms.len()).unwrap();
    let next = AtomicUsize::new(0);
    let layer = layer(&server).backoff(base, max).retries_max(retries).total_time(Duration::from_secs(1_000_000));
    let layer = layer.jitter(move || randoms[next.fetch_add(1, Ordering::Relaxed)]);
    // There is no number but for a wait.
    assert_eq!(server.send(&layer, post(b"")).unwrap().status(), 200);
    server.waits()
}

#[test]
fn waits_double_up_to_their_limit() {
    let waits = waits(Duration::from_millis(100), Duration::from_secs(1), vec![u64::MAX; 6]);
    let rounded: Vec<_> = waits.iter().map(|wait| wait.as_nanos().div_ceil(1_000_000)).collect();
    assert_eq!(rounded, [100, 200, 400, 800, 1000, 1000]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn every_wait_is_within_its_bounds(
        base_ms in 1..5_000_u64, max_ms in 1..60_000_u64, randoms in vec(any::<u64>(), 1..12),
    ) {
        let (base, max) = (Duration::from_millis(base_ms), Duration::from_millis(max_ms));
        let waits = waits(base, max, randoms.clone());
        prop_assert_eq!(waits.len(), randoms.len());
        for (retry, wait) in waits.iter().enumerate() {
            prop_assert!(*wait < (base * (1 << retry)).min(max), "retry {}: {:?}", retry, wait);
        }
        prop_assert_eq!(waits, self::waits(base, max, randoms), "the same numbers give the same waits");
    }
}

#[test]
fn clients_that_failed_together_do_not_come_back_together() {
    let shares = (0..16).map(|step| waits(Duration::from_secs(16), Duration::from_secs(16), vec![step << 60])[0]);
    assert_eq!(shares.collect::<Vec<_>>(), (0..16).map(Duration::from_secs).collect::<Vec<_>>());
}
