//! What the benchmarks share. Each of them uses a part.
#![allow(dead_code)]

pub mod alternate;
pub mod clock;
pub mod floor;
pub mod load;
pub mod peers;
pub mod slow_disk;

use std::{env, fmt::Debug, path::PathBuf, str::FromStr, time::Duration};

/// How the benchmark was called.
pub struct Call {
    /// `cargo bench` says `--bench`; without it (`cargo test --all-targets`) nothing is to run.
    pub is_bench: bool,
    is_quick: bool,
    filters: Vec<String>,
}

impl Call {
    pub fn read() -> Self {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).cloned().collect();
        Self { is_bench: has("--bench"), is_quick: has("--quick"), filters }
    }

    /// Whether a section is wanted: all are, unless names were given.
    pub fn wants(&self, section: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| section.contains(filter))
    }

    /// Fewer rounds with `--quick`.
    pub fn rounds(&self, full: usize) -> usize {
        if self.is_quick { 2.min(full) } else { full }
    }

    /// Shorter slices with `--quick`.
    pub fn slice(&self) -> Duration {
        Duration::from_millis(if self.is_quick { 200 } else { 500 })
    }
}

/// A number from the environment.
pub fn env_or<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}")))
}

/// A directory on a real disk: `IDEMSTORE_BENCH_DIR`, or one below the target directory.
pub fn directory() -> tempfile::TempDir {
    let parent = env::var_os("IDEMSTORE_BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    tempfile::tempdir_in(parent).unwrap()
}

/// Median, least and greatest.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self { median: values[values.len() / 2], min: values[0], max: values[values.len() - 1] }
    }
}

/// What `percent` of sorted values do not exceed.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}
