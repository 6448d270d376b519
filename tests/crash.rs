//! Proofs on a simulated disk: what the store promises holds after power cuts, failed and full disks, swapped files and
//! flipped bits.
//!
//! `IDEMSTORE_SEED` repeats a run, `IDEMSTORE_CRASH_IMAGES`, `IDEMSTORE_MUTANTS` and `IDEMSTORE_STRESS_ROUNDS` set how many cases there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, missing_docs)]
// A desk and its disk.
#![allow(clippy::similar_names)]

#[path = "crash/bit_flips.rs"]
mod bit_flips;
#[path = "crash/block_on.rs"]
mod block_on;
#[path = "crash/checker.rs"]
mod checker;
#[path = "crash/content.rs"]
mod content;
#[path = "crash/damaged_open.rs"]
mod damaged_open;
#[path = "crash/disk_full.rs"]
mod disk_full;
#[path = "crash/fail_nth.rs"]
mod fail_nth;
#[path = "crash/failed_sync.rs"]
mod failed_sync;
#[path = "crash/journal/mod.rs"]
mod journal;
#[path = "crash/ledger.rs"]
mod ledger;
#[path = "crash/merge_beside_damage.rs"]
mod merge_beside_damage;
#[path = "crash/power_cut.rs"]
mod power_cut;
#[path = "crash/power_loss.rs"]
mod power_loss;
#[path = "crash/replaced_file.rs"]
mod replaced_file;
#[path = "crash/rng.rs"]
mod rng;
#[path = "crash/runs.rs"]
mod runs;
#[path = "crash/sim.rs"]
mod sim;
#[path = "crash/stress.rs"]
mod stress;
#[path = "crash/workload.rs"]
mod workload;
