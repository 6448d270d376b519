//! Any options give a store or a refusal that names the option; never a panic, and no memory beyond what is used.
#![no_main]

use idemstore::{Begin, ErrorKind, Fingerprint, Key, Options};
use idemstore_fuzz::{ensure, wrong};
use libfuzzer_sys::fuzz_target;
use std::{ops::RangeInclusive, time::Duration};

/// Either anything, or close to a limit.
#[derive(arbitrary::Arbitrary, Clone, Copy, Debug)]
enum Time {
    Any(Duration),
    Millis(u16),
    Seconds(u32),
    Days(u16),
}

impl Time {
    fn get(self) -> Duration {
        match self {
            Self::Any(duration) => duration,
            Self::Millis(millis) => Duration::from_millis(millis.into()),
            Self::Seconds(seconds) => Duration::from_secs(seconds.into()),
            Self::Days(days) => DAY * u32::from(days),
        }
    }
}

#[derive(arbitrary::Arbitrary, Debug)]
struct Input {
    /// Options that are set; the others have their defaults, so that a store is opened often enough.
    set: u16,
    times: [Time; 7],
    no_sweeps: bool,
    never_settle: bool,
    attempts_max: u32,
    limits: [u64; 4],
    sizes: [usize; 3],
    payload: u16,
}

const DAY: Duration = Duration::from_secs(86_400);
const YEARS: Duration = Duration::from_secs(10 * 366 * 86_400);
const MIB: usize = 1 << 20;

fuzz_target!(|input: Input| {
    let (options, is_sound) = build(&input);
    let store = match options.in_memory() {
        Ok(store) => store,
        Err(error) => {
            ensure!(error.kind() == ErrorKind::InvalidInput && !is_sound, "{error} for {input:?}");
            return;
        }
    };
    ensure!(is_sound, "opened with {input:?}");
    let key = Key::new("scope", "id").unwrap();
    match store.begin(&key, Fingerprint::of(&[])) {
        Ok(Begin::Fresh(lease)) => {
            let payload = vec![1; input.payload.into()];
            // The lease may have lapsed, but nobody took it.
            match lease.complete(&payload) {
                Ok(_) => (),
                Err(error) if error.kind() == ErrorKind::InvalidInput => (),
                // A lapsed attempt may be swept, after a second at the earliest.
                Err(error) => wrong(format_args!("{error} for {input:?}")),
            }
        }
        other => wrong(format_args!("a new key was answered {other:?}")),
    }
});

/// Sets what the input says, and returns whether all of it is in its documented range.
fn build(input: &Input) -> (Options, bool) {
    let mut options = Options::new();
    let mut is_sound = true;
    let mut bit = 0;
    let mut is_set = || {
        bit += 1;
        input.set >> (bit - 1) & 1 == 1
    };
    let mut times = input.times.map(Time::get).into_iter();
    let mut next = move || times.next().unwrap();
    macro_rules! set {
        ($name:ident, $value:expr, $range:expr) => {{
            let value = $value;
            if is_set() {
                is_sound &= in_range(&value, &$range);
                options = options.$name(value);
            }
        }};
    }
    set!(lease, next(), Duration::from_millis(10)..=DAY);
    set!(retention, next(), Duration::from_secs(1)..=YEARS);
    set!(failed_retention, next(), Duration::from_secs(1)..=YEARS);
    set!(queue_wait, next(), Duration::ZERO..=DAY);
    set!(clock_jump_max, next(), Duration::from_secs(1)..=DAY);
    set!(downtime_max, next(), Duration::from_secs(1)..=YEARS);
    set!(attempts_max, input.attempts_max, 1..=u32::MAX);
    set!(records_max, input.limits[0], 1..=u64::MAX);
    set!(bytes_max, input.limits[1], 1..=u64::MAX);
    set!(scope_records_max, input.limits[2], 1..=u64::MAX);
    set!(payload_bytes_max, input.sizes[0], 0..=16 * MIB);
    set!(sweep_batch, input.sizes[1], 1..=10_000);
    set!(cache_bytes, input.sizes[2], MIB..=MIB * MIB);
    let last = next();
    if is_set() {
        let interval = (!input.no_sweeps).then_some(last);
        is_sound &= interval.is_none_or(|interval| (Duration::from_millis(10)..=DAY).contains(&interval));
        options = options.sweep_interval(interval);
    }
    if is_set() {
        let settle = (!input.never_settle).then_some(last);
        is_sound &= settle.is_none_or(|settle| (Duration::from_secs(1)..=30 * DAY).contains(&settle));
        options = options.clock_settle(settle);
    }
    // In memory there is no reserve: its range is checked for files only.
    (options, is_sound)
}

fn in_range<T: PartialOrd>(value: &T, range: &RangeInclusive<T>) -> bool {
    range.contains(value)
}
