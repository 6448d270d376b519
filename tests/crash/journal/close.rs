//! A close brings everything into the one file, in steps, each of which may be the last.

use super::{
    super::{
        checker::is_change,
        power_cut::Cuts,
        rng::{Rng, from_env, seed},
        sim::{EIO, Fault},
    },
    Desk, check_disk, same_computer,
};
use std::sync::{Arc, Mutex};

/// A store whose table is two generations behind, because there was no space for a checkpoint.
fn two_generations_behind() -> Desk {
    let mut desk = Desk::new();
    desk.pay_until_checkpoints(1);
    let held: Vec<usize> = (0..30).map(|_| desk.begin()).collect();
    desk.disk.set_free_pages(0);
    let mut held = held.into_iter();
    while !desk.is_two_behind() {
        let number = held.next().expect("the checkpoint fails before all are ended");
        desk.complete(number, 300);
    }
    desk.disk.set_free_pages(usize::MAX / 2);
    desk
}

#[test]
fn a_cut_at_any_operation_of_a_close_loses_nothing() {
    let variants = from_env("IDEMSTORE_CUT_VARIANTS", 6);
    let desk = two_generations_behind();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    desk.disk.tap(move |operation, now| {
        if is_change(operation) {
            keep.lock().unwrap().push(now.clone());
        }
    });
    desk.store.close().unwrap();
    desk.disk.untap();
    let mut instants = std::mem::take(&mut *kept.lock().unwrap());
    instants.push(desk.disk.freeze());
    let mut rng = Rng::new(seed());
    for (number, frozen) in instants.iter().enumerate() {
        for _ in 0..variants {
            let disk = frozen.cut(&mut rng, &mut Cuts::default());
            check_disk(&disk, &desk.book).unwrap_or_else(|what| panic!("operation {number} of {}: {what}", instants.len()));
        }
    }
    println!("{} operations, {variants} cuts at each", instants.len());
    assert!(instants.len() > 30, "{}", instants.len());
}

#[test]
fn a_close_that_fails_at_any_operation_loses_nothing() {
    let mut failed = 0;
    for number in 0.. {
        let desk = two_generations_behind();
        desk.disk.inject(Fault { at: number, lasting: false, code: EIO, hits: is_change });
        let _ = desk.store.close();
        if desk.disk.heal() == 0 {
            break;
        }
        failed += 1;
        let (frozen, book) = (desk.disk.freeze(), desk.book.clone());
        drop(desk);
        check_disk(&same_computer(&frozen), &book).unwrap_or_else(|what| panic!("operation {number}: {what}"));
        let cut = frozen.cut(&mut Rng::new(seed() + number), &mut Cuts::default());
        check_disk(&cut, &book).unwrap_or_else(|what| panic!("operation {number}, after a power cut: {what}"));
    }
    println!("{failed} operations failed, one at a time");
    assert!(failed > 30, "{failed}");
}
