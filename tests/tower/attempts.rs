//! A handler knows its attempt, and its lease lasts for as long as it works.

use crate::support::*;
use idemstore::tower::{Attempt, Conclusion, Takeover};
use std::sync::{Arc, Mutex};

#[test]
fn a_handler_sees_its_attempt_and_can_mark_its_progress() {
    let lab = Lab::new();
    let store = lab.store.clone();
    let shop = lab.shop_of(&lab.layer(), move |charge, request| {
        let store = store.clone();
        async move {
            let attempt = request.extensions().get::<Attempt>().unwrap().clone();
            attempt.checkpoint("charge requested").await?;
            assert_eq!((attempt.number(), attempt.is_takeover(), attempt.is_lost()), (1, false, false));
            let record = store.get(attempt.key()).unwrap().unwrap();
            assert_eq!((record.token(), record.checkpoint()), (attempt.token(), Some(&b"charge requested"[..])));
            Ok(receipt(charge))
        }
    });
    lab.send(&shop, post("a", "100")).is(201, "receipt 1");
}

#[test]
fn the_lease_is_renewed_while_the_handler_works_and_no_longer() {
    let lab = Lab::new();
    let (shop, opened) = lab.gated_shop(&lab.layer(), receipt);
    let first = lab.begin(&shop, post("a", "100"));
    for renewals in 1..=9 {
        lab.advance(LEASE / 3);
        while lab.store.stats().unwrap().answers.renewed < renewals {
            std::thread::yield_now();
        }
        lab.send(&shop, post("a", "100")).is(409, "idempotency_in_flight");
    }
    opened.open();
    assert_eq!(lab.runtime.block_on(first).unwrap().body, "receipt 1");
    lab.advance(LEASE);
    assert!(lab.send(&shop, post("a", "100")).is_replay());
    assert_eq!(lab.store.stats().unwrap().answers.renewed, 9);
}

#[test]
fn an_attempt_that_a_handler_keeps_does_not_keep_its_lease_alive() {
    let lab = Lab::new();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeping = kept.clone();
    let shop = lab.shop_of(&lab.layer().takeover(Takeover::Rerun), move |charge, request| {
        keeping.lock().unwrap().push(request.extensions().get::<Attempt>().unwrap().clone());
        async move { if charge == 1 { Err("the line broke".into()) } else { Ok(receipt(charge)) } }
    });
    lab.try_send(&shop, post("a", "100")).unwrap_err();
    lab.advance(LEASE);
    assert_eq!(lab.send(&shop, post("a", "100")).body, "receipt 2");
    let kept = kept.lock().unwrap();
    assert_eq!((kept[0].number(), kept[1].number(), kept[1].is_takeover()), (1, 2, true));
    assert!(kept[1].token() > kept[0].token());
}

/// What a handler leaves running must not go on to charge when somebody else has the key.
#[test]
fn an_attempt_that_was_left_is_lost_and_one_that_ended_is_not() {
    for (fate, is_lost) in [("ends", false), ("fails", true), ("is released", true), ("is dropped", true)] {
        let lab = Lab::new();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keeping = kept.clone();
        let shop = lab.shop_of(&lab.layer(), move |charge, request| {
            keeping.lock().unwrap().push(request.extensions().get::<Attempt>().unwrap().clone());
            async move {
                let mut receipt = receipt(charge);
                match fate {
                    "fails" => return Err("the line broke".into()),
                    "is dropped" => std::future::pending().await,
                    "is released" => drop(receipt.extensions_mut().insert(Conclusion::Release)),
                    _ => (),
                }
                Ok(receipt)
            }
        });
        if fate == "is dropped" {
            drop(lab.begin(&shop, post("a", "100")));
            lab.runtime.abort();
        } else {
            let _ = lab.try_send(&shop, post("a", "100"));
        }
        assert_eq!(kept.lock().unwrap()[0].is_lost(), is_lost, "an attempt that {fate}");
    }
}
