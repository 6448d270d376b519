//! The process that is killed: fills the store, then pays until somebody ends it.

use super::{Filled, Line, RETENTION, STORE, Task, WINDOW, Window, disk_bytes, id, memory_bytes};
use crate::{
    figures::percentile,
    load::{REQUEST, new_number, payload},
    systems,
};
use idemstore::{Begin, Fingerprint, Key, Options, Store};
use std::{
    collections::VecDeque,
    path::Path,
    sync::mpsc::{self, Sender},
    thread,
    time::{Duration, Instant},
};

/// How often a caller hands over what it measured.
const HAND_OVER: usize = 64;

pub(super) fn run(task: &Task, directory: &Path) {
    // Of the defaults, only the retention is other: what is here to stay says so itself.
    let store = Options::new().retention(RETENTION).create(directory.join(STORE)).unwrap();
    let started = Instant::now();
    let some = task.records / 10;
    for (from, to) in [(0, some), (some, task.records)] {
        systems::fill_idemstore(&store, from..to);
        let (records, seconds) = (to, started.elapsed().as_secs_f64());
        let stats = store.stats().unwrap();
        assert_eq!(stats.completed, records);
        let (memory_bytes, disk_bytes, record_bytes) = (memory_bytes(), disk_bytes(directory), stats.record_bytes);
        say(&Line::Filled(Filled { records, seconds, memory_bytes, record_bytes, disk_bytes }));
    }
    pay(task, &store, directory);
}

fn say(line: &Line) {
    println!("{}", serde_json::to_string(line).unwrap());
}

fn pay(task: &Task, store: &Store, directory: &Path) {
    let (sender, receiver) = mpsc::channel();
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..task.callers {
            let sender = sender.clone();
            scope.spawn(move || caller(store, &sender));
        }
        drop(sender);
        let bytes_each = store.stats().unwrap().record_bytes / task.records;
        let mut paid_lately = VecDeque::new();
        for number in 1_u32.. {
            let window_ends = WINDOW * number;
            let mut latencies: Vec<Duration> = Vec::new();
            while let Some(left) = window_ends.checked_sub(started.elapsed()) {
                latencies.extend(receiver.recv_timeout(left).unwrap_or_default());
            }
            latencies.sort_unstable();
            paid_lately.push_back(latencies.len() as u64);
            if paid_lately.len() as u64 > RETENTION.as_secs() / WINDOW.as_secs() {
                paid_lately.pop_front();
            }
            let us = |latency: Duration| latency.as_secs_f64() * 1e6;
            say(&Line::Window(Window {
                at_s: window_ends.as_secs_f64(),
                payments_per_s: latencies.len() as f64 / WINDOW.as_secs_f64(),
                p50_us: us(percentile(&latencies, 50)),
                p99_us: us(percentile(&latencies, 99)),
                max_us: us(latencies.last().copied().unwrap_or_default()),
                memory_bytes: memory_bytes(),
                disk_bytes: disk_bytes(directory),
                live_bytes: (task.records + paid_lately.iter().sum::<u64>()) * bytes_each,
                swept: store.stats().unwrap().swept,
            }));
        }
    });
}

fn caller(store: &Store, sender: &Sender<Vec<Duration>>) {
    let mut latencies = Vec::with_capacity(HAND_OVER);
    loop {
        let number = new_number();
        let started = Instant::now();
        let key = Key::new("payments", id(number)).unwrap();
        match store.begin(&key, Fingerprint::from_bytes(REQUEST)).unwrap() {
            Begin::Fresh(lease) => lease.complete(payload(number)).unwrap(),
            other => panic!("a new key is fresh, not {other:?}"),
        };
        latencies.push(started.elapsed());
        if latencies.len() == HAND_OVER {
            let full = std::mem::replace(&mut latencies, Vec::with_capacity(HAND_OVER));
            if sender.send(full).is_err() {
                return;
            }
        }
    }
}
