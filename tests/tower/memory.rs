//! Bodies are bounded, one by one and all together, before anything runs.

use crate::support::*;
use http_body_util::BodyExt;
use idemstore::tower::{Budget, Conclusion};
use std::{
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::{Duration, Instant},
};
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
    let (shop, opened) = lab.gated_shop(&layer, receipt);
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

/// Polls requests until as many wait for the first to end.
fn wait_in_line(lab: &Lab, sent: &mut [Sent], waiting: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut context = Context::from_waker(Waker::noop());
    while lab.store.stats().unwrap().waiting < waiting {
        assert!(Instant::now() < deadline, "they do not wait");
        for duplicate in &mut *sent {
            assert!(duplicate.as_mut().poll(&mut context).is_pending());
        }
    }
}

fn send_later(shop: &impl Shop, request: http::Request<http_body_util::Full<bytes::Bytes>>) -> Sent {
    let shop = shop.clone();
    Box::pin(async move { answer_of(shop.oneshot(request)).await })
}

#[test]
fn duplicates_that_wait_keep_nobody_from_running() {
    let lab = Lab::new();
    let budget = Budget::new(1000);
    let layer = lab.layer().budget(budget.clone()).response_bytes_max(300).wait(Duration::from_secs(60));
    let (shop, opened) = lab.gated_shop(&layer, receipt);
    let body = "x".repeat(100);
    let first = lab.begin(&shop, post("a", &body));
    let mut duplicates: Vec<_> = (0..3).map(|_| send_later(&shop, post("a", &body))).collect();
    wait_in_line(&lab, &mut duplicates, 3);
    assert_eq!(budget.used_bytes(), 600, "one response and three bodies");
    let other = lab.begin(&lab.shop(&layer.clone().response_bytes_max(200)), post("b", &body));
    drop(other);
    opened.open();
    lab.runtime.block_on(first).unwrap().is(201, "receipt 1");
    for duplicate in duplicates {
        assert!(lab.runtime.block_on(duplicate).unwrap().is_replay());
    }
    lab.runtime.finish();
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn those_who_wait_have_half_of_the_budget_at_most() {
    let lab = Lab::new();
    let budget = Budget::new(1000);
    let layer = lab.layer().budget(budget.clone()).response_bytes_max(10).wait(Duration::from_secs(60));
    let hanging = lab.shop_of(&layer, async |_, _| std::future::pending().await);
    let body = "x".repeat(200);
    let _first = lab.begin(&hanging, post("a", &body));
    let mut duplicates: Vec<_> = (0..2).map(|_| send_later(&hanging, post("a", &body))).collect();
    wait_in_line(&lab, &mut duplicates, 2);
    lab.send(&hanging, post("a", &body)).is(409, "idempotency_in_flight");
    drop(duplicates.pop());
    let mut next = [send_later(&hanging, post("a", &body))];
    wait_in_line(&lab, &mut next, 2);
}

/// What is left can go between the question and the grant: here while a duplicate waits for the key.
#[test]
fn a_grant_without_memory_to_run_under_is_given_back() {
    let lab = Lab::new();
    let layer = lab.layer().budget(Budget::new(1000)).response_bytes_max(100).wait(Duration::from_secs(60));
    let gate = Gate::default();
    let opened = gate.clone();
    let body = "x".repeat(100);
    let declining = lab.shop_of(&layer, move |_, _| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            let mut response = response(400, "declined");
            response.extensions_mut().insert(Conclusion::Release);
            Ok(response)
        }
    });
    let hanging = lab.shop_of(&layer, async |_, _| std::future::pending().await);
    let greedy = lab.shop(&layer.clone().response_bytes_max(600));
    let first = lab.begin(&declining, post("a", &body));
    let mut duplicates = [send_later(&greedy, post("a", &body))];
    wait_in_line(&lab, &mut duplicates, 1);
    let others: Vec<_> = ["b", "c", "d"].map(|key| lab.begin(&hanging, post(key, &body))).into();
    opened.open();
    // Only what was declined ends; the others hang on.
    lab.runtime.block_on(first).unwrap().is(400, "declined");
    let [duplicate] = duplicates;
    lab.runtime.block_on(duplicate).unwrap().is(503, "idempotency_overloaded");
    assert_eq!((lab.charges(), lab.store.stats().unwrap().answers.fresh), (4, 5), "granted, and not run");
    drop(others);
    lab.runtime.abort();
    lab.send(&greedy, post("a", &body)).is(201, "receipt 5");
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
