//! idemstore alone, for long: many live records, full load of payments that expire after a minute, a sweep all the time; then
//! the process is killed at full load, and what is left is opened.
//!
//! The load runs in a process of its own, so that it can be killed and its memory is nobody else's. It reports by lines of
//! JSON.

mod after;
mod load;
mod memory;
mod plot;

use crate::{load as payments, process};
use lexopt::{Arg, Parser, ValueExt as _};
use serde::{Deserialize, Serialize};
use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

pub const USAGE: &str = "\
cargo run --release --manifest-path benches/compare/Cargo.toml -- sustained [OPTION]..
  --records N         live all the time (1000000)
  --seconds N         of full load (60)
  --callers N         at once (64)
  --dir PATH          where the files lie (target/tmp)";

const STORE: &str = "payments.idem";
/// What one line of the report is about.
const WINDOW: Duration = Duration::from_secs(10);
/// Payments of the load expire after this.
const RETENTION: Duration = Duration::from_mins(1);
/// Full load goes on for this long before the process is killed.
const BEFORE_KILL: Duration = Duration::from_secs(2);

/// What was asked for.
#[derive(Clone, Debug)]
struct Task {
    records: u64,
    seconds: u64,
    callers: usize,
    directory: Option<PathBuf>,
    /// Set in the process that does the load: where its store is.
    store: Option<PathBuf>,
    /// Set in the process that only opens a store and says how much memory that took.
    opened: Option<PathBuf>,
}

/// What the process that does the load says.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Filled(Filled),
    Window(Window),
}

/// The store with this many live records.
#[derive(Debug, Serialize, Deserialize)]
struct Filled {
    records: u64,
    seconds: f64,
    /// Memory that is no file's.
    memory_bytes: u64,
    record_bytes: u64,
    disk_bytes: u64,
}

/// A few seconds of load.
#[derive(Debug, Serialize, Deserialize)]
struct Window {
    at_s: f64,
    payments_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
    memory_bytes: u64,
    disk_bytes: u64,
    /// Of records that have not expired.
    live_bytes: u64,
    swept: u64,
}

/// Runs it all, or the load alone.
///
/// # Errors
/// What is wrong with the arguments.
pub fn main(parser: Parser, target: &Path) -> Result<(), lexopt::Error> {
    let Some(task) = read(parser)? else {
        println!("{USAGE}");
        return Ok(());
    };
    match (&task.store, &task.opened) {
        (Some(store), _) => load::run(&task, store),
        (_, Some(path)) => memory::say(path),
        _ => run(&task, target),
    }
    Ok(())
}

fn read(mut parser: Parser) -> Result<Option<Task>, lexopt::Error> {
    let mut task = Task { records: 1_000_000, seconds: 60, callers: 64, directory: None, store: None, opened: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("records") => task.records = parser.value()?.parse()?,
            Arg::Long("seconds") => task.seconds = parser.value()?.parse()?,
            Arg::Long("callers") => task.callers = parser.value()?.parse()?,
            Arg::Long("dir") => task.directory = Some(parser.value()?.into()),
            Arg::Long("opened") => task.opened = Some(parser.value()?.into()),
            Arg::Long("store") => task.store = Some(parser.value()?.into()),
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(task))
}

fn run(task: &Task, target: &Path) {
    let parent = task.directory.clone().unwrap_or_else(|| target.join("tmp"));
    fs::create_dir_all(&parent).unwrap();
    let directory = tempfile::Builder::new().prefix(super::PREFIX).tempdir_in(parent).unwrap();
    let store = directory.path().join("store");
    fs::create_dir(&store).unwrap();
    let (filled, windows) = load_and_kill(task, &store);
    report(&filled, &windows);
    plot::draw(&windows, &target.join("sustained.svg")).unwrap();
    let text = serde_json::to_vec_pretty(&(&filled, &windows)).unwrap();
    fs::write(target.join("sustained.json"), text).unwrap();
    println!("written: target/sustained.json, target/sustained.svg");
    after::run(task, directory.path(), &store.join(STORE));
}

/// Starts the load in a process of its own and kills it in the middle.
fn load_and_kill(task: &Task, store: &Path) -> (Vec<Filled>, Vec<Window>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["sustained", "--records", &task.records.to_string(), "--seconds", &task.seconds.to_string()])
        .args(["--callers", &task.callers.to_string(), "--store"])
        .arg(store)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut filled, mut windows): (Vec<Filled>, Vec<Window>) = (Vec::new(), Vec::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        match serde_json::from_str(&line.unwrap()).unwrap() {
            Line::Filled(line) => {
                println!("{} records after {:.0} s, {} MiB of memory", line.records, line.seconds, line.memory_bytes >> 20);
                filled.push(line);
            }
            Line::Window(line) => {
                println!("{:>5.0} s {:>8.0} payments/s, p99 {:>8.0} us", line.at_s, line.payments_per_s, line.p99_us);
                windows.push(line);
            }
        }
        if windows.last().is_some_and(|window| window.at_s >= task.seconds as f64) {
            break;
        }
    }
    thread::sleep(BEFORE_KILL);
    // SIGKILL; it was still at full load.
    assert!(child.try_wait().unwrap().is_none(), "the load goes on until it is killed");
    child.kill().unwrap();
    child.wait().unwrap();
    (filled, windows)
}

fn report(filled: &[Filled], windows: &[Window]) {
    let Some(all) = filled.last() else { return };
    println!("\n{} live records, {} bytes each with their keys", all.records, all.record_bytes / all.records);
    let minute = (60 / WINDOW.as_secs()).try_into().unwrap();
    let mean = |windows: &[Window], figure: fn(&Window) -> f64| windows.iter().map(figure).sum::<f64>() / windows.len() as f64;
    let count = windows.len().min(minute);
    let (first, last) = (&windows[..count], &windows[windows.len() - count..]);
    let rate = |windows| mean(windows, |window| window.payments_per_s);
    println!("payments/s: first minute {:.0}, last {:.0}, {:.2}x", rate(first), rate(last), rate(last) / rate(first));
    let p99 = |windows| mean(windows, |window| window.p99_us);
    let most = windows.iter().map(|window| window.p99_us).fold(0.0, f64::max);
    let max = windows.iter().map(|window| window.max_us).fold(0.0, f64::max);
    println!("p99 us: first minute {:.0}, last {:.0}, worst window {most:.0}; slowest payment {max:.0}", p99(first), p99(last));
    let memory = |windows| mean(windows, |window| window.memory_bytes as f64) / f64::from(1 << 20);
    println!("memory MiB: first minute {:.0}, last {:.0}", memory(first), memory(last));
    let disk = |window: &Window| window.disk_bytes as f64 / window.live_bytes as f64;
    let most = windows.iter().map(disk).fold(0.0, f64::max);
    println!("disk to live data: {:.2}x in the last minute, {most:.2}x at most", mean(last, disk));
    println!("swept: {} records", windows.last().map_or(0, |window| window.swept));
}

/// What the files of a directory take on the disk.
fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let files = fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().blocks() * 512).sum()
}

fn id(number: u64) -> String {
    payments::id(number)
}

fn memory_bytes() -> u64 {
    process::anonymous_memory().expect("the kernel tells it")
}
