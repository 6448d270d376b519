//! What happens is counted, and no metric has a key in a label.

use crate::support::*;
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// Keeps what is counted.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

struct Count(Counts, String);

impl CounterFn for Count {
    fn increment(&self, by: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += by;
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Counter::from_arc(Arc::new(Count(self.clone(), format!("{} {}", key.name(), labels.join(",")))))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn requests_are_counted_by_answer_and_refusals_by_code() {
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, || {
        let lab = Lab::new();
        let store = lab.store.clone();
        let shop = lab.shop_of(&lab.layer().require_key(), move |charge, request| {
            if request.uri().path() == "/close" {
                store.close().unwrap();
            }
            async move { if charge == 2 { Err("broken".into()) } else { Ok(receipt(charge)) } }
        });
        lab.send(&shop, post("secret", "100"));
        lab.send(&shop, post("secret", "100"));
        lab.send(&shop, post("secret", "999"));
        lab.send(&shop, without_key("100"));
        lab.try_send(&shop, post("secret-2", "100")).unwrap_err();
        lab.advance(MS * 10);
        lab.send(&shop, post("secret-2", "100"));
        let mut last = post("secret-3", "100");
        *last.uri_mut() = "/close".parse().unwrap();
        lab.send(&shop, last);
    });
    let counts: Vec<_> = counts.0.lock().unwrap().clone().into_iter().collect();
    let counts: Vec<_> = counts.iter().map(|(name, count)| (&name[..], *count)).collect();
    assert_eq!(
        counts,
        [
            ("idemstore_layer_refusals_total code=idempotency_conflict", 1),
            ("idemstore_layer_refusals_total code=idempotency_key_required", 1),
            ("idemstore_layer_refusals_total code=idempotency_outcome_unknown", 1),
            ("idemstore_layer_requests_total answer=fresh", 3),
            ("idemstore_layer_requests_total answer=mismatch", 1),
            ("idemstore_layer_requests_total answer=replay", 1),
            ("idemstore_layer_requests_total answer=takeover", 1),
            ("idemstore_layer_unrecorded_total ", 1),
        ]
    );
}
