//! Contenders that take turns. The speed of a disk drifts by a factor of fifty within minutes, so only figures from the same
//! minute compare: each contender works for a slice of time, then the next one does, and medians over the rounds count.

use crate::{
    load::{Dice, Recent},
    process::wait_until_quiet,
    slice::{self, Slice},
    system::{Io, System},
    systems::Floor,
};
use std::time::Duration;

/// Those who take turns: each system at each number of callers.
pub struct Contender<'s> {
    pub system: String,
    pub callers: usize,
    work: Work<'s>,
    pub turns: Vec<Turn>,
}

enum Work<'s> {
    Floor(Floor),
    System { system: &'s dyn System, recent: &'s Recent },
}

/// What was done in one round.
#[derive(Clone, Copy)]
pub struct Turn {
    pub payments: Slice,
    pub replays: Option<Slice>,
    /// Of the payments.
    pub io: Io,
}

impl<'s> Contender<'s> {
    pub fn floor(floor: Floor) -> Self {
        Self { system: "floor".to_owned(), callers: 1, work: Work::Floor(floor), turns: Vec::new() }
    }

    pub fn new(name: &str, callers: usize, system: &'s dyn System, recent: &'s Recent) -> Self {
        Self { system: name.to_owned(), callers, work: Work::System { system, recent }, turns: Vec::new() }
    }

    fn turn(&mut self, length: Duration) -> Turn {
        match &mut self.work {
            Work::Floor(floor) => {
                let (payments, io) = floor.slice(length);
                Turn { payments, replays: None, io }
            }
            Work::System { system, recent } => turn(*system, recent, self.callers, length),
        }
    }
}

fn turn(system: &dyn System, recent: &Recent, count: usize, length: Duration) -> Turn {
    if let Some(awaited) = system.awaited() {
        let before = system.io();
        let payments = slice::run_tasks(awaited, count, length, &async |_| slice::pay_awaiting(awaited, recent).await);
        wait_until_quiet();
        let io = system.io().since(&before);
        let replay = async |dice: &mut Dice| slice::replay_awaiting(awaited, recent, dice).await;
        let replays = slice::run_tasks(awaited, count, length / 4, &replay);
        return Turn { payments, replays: Some(replays), io };
    }
    let mut callers: Vec<_> = (0..count).map(|_| system.caller()).collect();
    for caller in &mut callers {
        caller.settle();
    }
    let before = system.io();
    let payments = slice::run(&mut callers, length, |caller, _| slice::pay(caller, recent));
    for caller in &mut callers {
        caller.settle();
    }
    // What was put off counts as written for these payments.
    wait_until_quiet();
    let io = system.io().since(&before);
    let replays = slice::run(&mut callers, length / 4, |caller, dice| slice::replay(caller, recent, dice));
    Turn { payments, replays: Some(replays), io }
}

/// Lets everybody work in turn, and once before, unmeasured.
pub fn run(contenders: &mut [Contender<'_>], rounds: usize, length: Duration) {
    wait_until_quiet();
    for contender in &mut *contenders {
        contender.turn(length / 4);
    }
    for _ in 0..rounds {
        for contender in &mut *contenders {
            let turn = contender.turn(length);
            contender.turns.push(turn);
        }
    }
}
