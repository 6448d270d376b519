//! The layer around itself, as when a router and one of its routes both have it.

use crate::support::*;
use tower::Layer;

#[test]
fn a_layer_within_itself_runs_the_request_once_and_replays_it() {
    let lab = Lab::new();
    let charges = lab.charges.clone();
    let twice = lab.layer().layer(lab.layer().layer(tower::service_fn(move |_| {
        let charge = charges.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        async move { Ok::<_, BoxError>(receipt(charge)) }
    })));
    lab.send(&twice, post("a", "100")).is(201, "receipt 1");
    assert!(lab.send(&twice, post("a", "100")).is_replay());
    assert_eq!(lab.charges(), 1);
}
