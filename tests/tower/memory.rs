//! Bodies are bounded, one by one and all together, before anything runs.

use crate::support::*;
use http_body_util::BodyExt;
use idemstore::tower::Budget;
use std::sync::{Arc, Mutex};
use tower::ServiceExt;

#[test]
fn a_body_over_the_limit_is_refused_before_the_store_is_asked() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().request_bytes_max(10));
    lab.send(&shop, post("a", &"x".repeat(11))).is(413, "longer than 10 bytes");
    assert_eq!((lab.charges(), lab.store.stats().unwrap().answers.fresh), (0, 0));
    lab.send(&shop, post("a", &"x".repeat(10))).is(201, "receipt 1");
}

#[test]
fn the_handler_gets_the_whole_body() {
    let lab = Lab::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let shop = lab.shop_of(&lab.layer(), move |charge, request| {
        let noted = noted.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            noted.lock().unwrap().push(body);
            Ok(receipt(charge))
        }
    });
    lab.send(&shop, post("a", "100 EUR"));
    lab.send(&shop, without_key("200 EUR"));
    assert_eq!(*seen.lock().unwrap(), ["100 EUR", "200 EUR"]);
}

#[test]
fn a_spent_budget_refuses_for_a_while_and_comes_back_whole() {
    let lab = Lab::new();
    let budget = Budget::new(1000);
    let layer = lab.layer().budget(budget.clone()).response_bytes_max(300);
    let gate = Gate::default();
    let opened = gate.clone();
    let shop = lab.shop_of(&layer, move |charge, _| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Ok(receipt(charge))
        }
    });
    let body = "x".repeat(200);
    let running = lab.begin(&shop, post("a", &body));
    let before = budget.used_bytes();
    assert!((300..=500).contains(&before), "{before}");
    let other = lab.begin(&shop, post("b", &body));
    let refused = lab.send(&shop, post("c", &body));
    refused.is(503, "idempotency_overloaded");
    assert_eq!((refused.header("retry-after"), lab.charges()), (Some("1"), 2));
    opened.open();
    lab.runtime.block_on(running).unwrap();
    lab.runtime.block_on(other).unwrap();
    assert_eq!(budget.used_bytes(), 0);
    lab.send(&shop, post("c", &body)).is(201, "receipt 3");
}

#[test]
fn a_response_is_counted_until_its_client_has_read_it() {
    let lab = Lab::new();
    let budget = Budget::new(1 << 20);
    let shop = lab.shop(&lab.layer().budget(budget.clone()));
    for is_replay in [false, true] {
        let response = lab.runtime.block_on(shop.clone().oneshot(post("a", "100"))).unwrap();
        assert_eq!(response.headers().contains_key("idempotent-replayed"), is_replay);
        assert!(budget.used_bytes() > 0);
        drop(response);
        assert_eq!(budget.used_bytes(), 0);
    }
}

#[test]
fn layers_can_share_a_budget() {
    let lab = Lab::new();
    let budget = Budget::new(400);
    let layer = lab.layer().budget(budget.clone()).response_bytes_max(300);
    let hanging = lab.shop_of(&layer, async |_, _| std::future::pending().await);
    let other = lab.shop(&lab.layer().budget(budget).response_bytes_max(300));
    let running = lab.begin(&hanging, post("a", "100"));
    lab.send(&other, post("b", "100")).is(503, "idempotency_overloaded");
    drop(running);
    lab.runtime.abort();
    lab.send(&other, post("b", "100")).is(201, "receipt 2");
}
