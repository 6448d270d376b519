//! How the program was called.

use crate::systems;
use lexopt::{Arg, Parser, ValueExt as _};
use std::{path::PathBuf, time::Duration};

pub const USAGE: &str = "\
cargo run --release --manifest-path benches/compare/Cargo.toml -- [OPTION]..
  --quick             idemstore in both ways, floor, redb-group, redis-always; 100,000 records; 1 and 64 callers; under a minute
  --systems a,b,..    only these (all)
  --callers 1,64,..   so many at once (1,16,64,256)
  --records N         loaded before (1000000)
  --slice-ms N        how long each works in a round; replays: a quarter of it (2000)
  --rounds N          how often each works (5)
  --media a,b,..      disk, ram (/dev/shm), sync-1ms (/dev/shm, every sync takes a millisecond more) (disk)
  --ram               as --media ram
  --dir PATH          where the files of `disk` lie (target/tmp)
or `-- sustained`: idemstore alone, for long; see `-- sustained --help`";

/// Where files lie and what a sync costs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    Disk,
    Ram,
    SlowSync,
}

impl Medium {
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Ram => "ram",
            Self::SlowSync => "sync-1ms",
        }
    }

    fn parse(name: &str) -> Result<Self, String> {
        let all = [Self::Disk, Self::Ram, Self::SlowSync];
        all.into_iter().find(|medium| medium.name() == name).ok_or_else(|| format!("there is no medium {name}"))
    }
}

#[derive(Debug)]
pub struct Args {
    pub systems: Vec<String>,
    pub callers: Vec<usize>,
    pub records: u64,
    pub slice: Duration,
    pub rounds: usize,
    pub media: Vec<Medium>,
    pub directory: Option<PathBuf>,
}

impl Args {
    /// Returns none if only the usage was asked for.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(mut parser: Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut is_quick = false;
        let (mut systems, mut callers, mut media, mut directory) = (None, None, None, None);
        let (mut records, mut slice_ms, mut rounds) = (None, None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("quick") => is_quick = true,
                Arg::Long("systems") => systems = Some(list(&parser.value()?.string()?, system)?),
                Arg::Long("callers") => callers = Some(list(&parser.value()?.string()?, count)?),
                Arg::Long("records") => records = Some(parser.value()?.parse_with(count)?),
                Arg::Long("slice-ms") => slice_ms = Some(parser.value()?.parse_with(count)?),
                Arg::Long("rounds") => rounds = Some(parser.value()?.parse_with(count)?),
                Arg::Long("media") => media = Some(list(&parser.value()?.string()?, Medium::parse)?),
                Arg::Long("ram") => media = Some(vec![Medium::Ram]),
                Arg::Long("dir") => directory = Some(parser.value()?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Ok(Some(Self {
            systems: systems.unwrap_or_else(|| if is_quick { names(&systems::QUICK) } else { names(&systems::ALL) }),
            callers: callers.unwrap_or_else(|| if is_quick { vec![1, 64] } else { vec![1, 16, 64, 256] }),
            records: records.unwrap_or(if is_quick { 100_000 } else { 1_000_000 }) as u64,
            slice: Duration::from_millis(slice_ms.unwrap_or(if is_quick { 800 } else { 2000 }) as u64),
            rounds: rounds.unwrap_or(if is_quick { 2 } else { 5 }),
            media: media.unwrap_or_else(|| vec![Medium::Disk]),
            directory,
        }))
    }
}

fn list<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, lexopt::Error> {
    Ok(text.split(',').map(parse).collect::<Result<_, _>>()?)
}

fn system(name: &str) -> Result<String, String> {
    let is_known = systems::ALL.contains(&name);
    is_known.then(|| name.to_owned()).ok_or_else(|| format!("there is no {name}; there are {}", systems::ALL.join(", ")))
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| format!("{text} is no number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Option<Args>, lexopt::Error> {
        Args::read(Parser::from_args(arguments))
    }

    #[test]
    fn quick_is_small_and_what_is_given_counts() {
        let args = read(&["--quick", "--callers", "2,3", "--ram"]).unwrap().unwrap();
        assert_eq!((args.records, args.rounds, args.media), (100_000, 2, vec![Medium::Ram]));
        assert_eq!((args.callers, args.systems), (vec![2, 3], systems::QUICK.map(str::to_owned).to_vec()));
    }

    #[test]
    fn unknown_names_and_zeros_are_refused() {
        for wrong in [&["--systems", "idemstor"][..], &["--callers", "0"], &["--media", "tape"], &["--fast"], &["quick"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn all_systems_are_the_default() {
        let args = read(&[]).unwrap().unwrap();
        assert_eq!((args.systems.len(), args.records), (systems::ALL.len(), 1_000_000));
    }
}
