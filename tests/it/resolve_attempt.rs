//! What an operator says of one attempt is never taken for another.

use crate::support::*;
use idemstore::{ErrorKind, Resolution};

#[test]
fn an_attempt_that_was_not_looked_at_is_left_alone() {
    let lab = Lab::new();
    let store = lab.create();
    fresh(&store, "pay");
    lab.clock.advance(LEASE);
    let looked_at = store.get(&key("pay")).unwrap().unwrap().token();
    let lease = takeover(&store, "pay");
    let resolve = |resolution| store.resolve_attempt(&key("pay"), looked_at, resolution, "there is no charge");
    refused(resolve(Resolution::Released), ErrorKind::AttemptChanged);
    lab.clock.advance(LEASE);
    for resolution in [Resolution::Completed(b"receipt"), Resolution::Failed(b""), Resolution::Released] {
        refused(resolve(resolution), ErrorKind::AttemptChanged);
    }
    assert_eq!(store.audit(0, 10).unwrap(), []);
    lease.complete("receipt 8").unwrap();
    refused(resolve(Resolution::Released), ErrorKind::AttemptChanged);
    assert_eq!(replay(&store, "pay").payload(), b"receipt 8");
}

#[test]
fn the_attempt_that_was_looked_at_is_resolved() {
    let lab = Lab::new();
    let store = lab.create();
    fresh(&store, "pay");
    let looked_at = store.get(&key("pay")).unwrap().unwrap().token();
    let resolve = |resolution| store.resolve_attempt(&key("pay"), looked_at, resolution, "there is no charge");
    refused(resolve(Resolution::Released), ErrorKind::InFlight);
    lab.clock.advance(LEASE);
    resolve(Resolution::Failed(b"given up")).unwrap();
    assert_eq!(store.audit(0, 10).unwrap()[0].token, Some(looked_at));
    refused(resolve(Resolution::Failed(b"given up")), ErrorKind::InvalidInput);
    assert_eq!(replay(&store, "pay").payload(), b"given up");
    lab.clock.advance(DAY);
    refused(resolve(Resolution::Released), ErrorKind::NotFound);
}
