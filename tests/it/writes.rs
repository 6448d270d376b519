//! What a payment costs the disk before it is answered, counted.

use crate::support::*;

const PAYMENTS: u64 = 1000;

#[test]
fn a_payment_is_two_small_appends() {
    let lab = Lab::with(|options| options.journal_bytes(8 << 20));
    let store = lab.create();
    let before = store.stats().unwrap().journal;
    for number in 0..PAYMENTS {
        fresh(&store, &format!("pay_{number:032}")).complete([7; 352]).unwrap();
    }
    let after = store.stats().unwrap().journal;
    let checkpoints = after.checkpoints - before.checkpoints;
    assert_eq!(after.syncs - before.syncs, 2 * PAYMENTS + checkpoints);
    let bytes = (after.bytes_written - before.bytes_written) / PAYMENTS;
    assert!((36 + 352..(36 + 352 + 100) * 3 / 2).contains(&bytes), "{bytes} bytes");
}
