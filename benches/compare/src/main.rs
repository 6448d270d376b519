//! idemstore beside what one would take instead of it: the same payments, each durable before it is acknowledged.
//!
//! `cargo run --release --manifest-path benches/compare/Cargo.toml -- --quick`; see README.md.

mod args;
mod check;
mod contest;
mod engine;
mod figures;
mod load;
mod plot;
mod process;
mod record;
mod row;
mod slice;
mod sustained;
mod syncs;
mod system;
mod systems;
mod table;

use args::{Args, Medium, USAGE};
use contest::Contender;
use load::Recent;
use row::Row;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use system::System;
use systems::{Floor, Place};
use tempfile::TempDir;

/// Of the names of temporary directories.
const PREFIX: &str = "idemstore-compare-";
const RAM: &str = "/dev/shm";
const SLOW_SYNC: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == "sustained").is_some() {
        return match sustained::main(lexopt::Parser::from_args(arguments), &target()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}\n{}", sustained::USAGE);
                ExitCode::FAILURE
            }
        };
    }
    let args = match Args::read(lexopt::Parser::from_env()) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    process::raise_file_limit();
    let mut rows = Vec::new();
    for &medium in &args.media {
        rows.extend(measure(&args, medium));
    }
    write(&rows);
    ExitCode::SUCCESS
}

/// The repository's target directory.
fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

fn directory(args: &Args, medium: Medium) -> TempDir {
    let parent = match (medium, &args.directory) {
        (Medium::Disk, Some(directory)) => directory.clone(),
        (Medium::Disk, None) => target().join("tmp"),
        (Medium::Ram | Medium::SlowSync, _) => PathBuf::from(RAM),
    };
    fs::create_dir_all(&parent).unwrap();
    let parent = parent.canonicalize().unwrap();
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).unwrap()
}

/// A system that runs, and what it paid last.
struct Running {
    name: String,
    system: Box<dyn System>,
    recent: Recent,
}

fn measure(args: &Args, medium: Medium) -> Vec<Row> {
    let directory = directory(args, medium);
    syncs::check(directory.path());
    let systems = start(args, medium, directory.path());
    let mut contenders = Vec::new();
    if args.systems.iter().any(|name| name == "floor") {
        contenders.push(Contender::floor(Floor::open(directory.path())));
    }
    // Those with as many callers are neighbours in time.
    for &callers in &args.callers {
        let one = |running| contender(running, callers);
        contenders.extend(systems.iter().map(one));
    }
    if medium == Medium::SlowSync {
        syncs::slow_down(SLOW_SYNC);
    }
    contest::run(&mut contenders, args.rounds, args.slice);
    syncs::slow_down(Duration::ZERO);
    let rows: Vec<Row> = contenders.iter().map(|contender| Row::of(contender, medium_of(contender, medium))).collect();
    let (rounds, slice, records) = (args.rounds, args.slice, args.records);
    println!("\n{}: {records} records, {rounds} alternating slices of {slice:?}", medium.name());
    println!("{}", table::table(&rows));
    rows
}

fn contender(running: &Running, callers: usize) -> Contender<'_> {
    Contender::new(&running.name, callers, &*running.system, &running.recent)
}

fn medium_of(contender: &Contender<'_>, medium: Medium) -> &'static str {
    if contender.system == systems::NOT_DURABLE { "memory" } else { medium.name() }
}

/// Starts, fills and checks what can be; says what cannot and why.
fn start(args: &Args, medium: Medium, directory: &Path) -> Vec<Running> {
    let mut place = Place::new(directory, args.records);
    let mut systems = Vec::new();
    for name in args.systems.iter().filter(|name| *name != "floor") {
        if medium == Medium::SlowSync && !systems::can_be_slowed(name) {
            println!("{name}: left out, its syncs cannot be made to take a millisecond from here");
            continue;
        }
        match place.open(name) {
            Ok(system) => {
                check::check(name, &*system);
                systems.push(Running { name: name.clone(), system, recent: Recent::new() });
            }
            Err(reason) => println!("{name}: left out: {reason}"),
        }
    }
    systems
}

fn write(rows: &[Row]) {
    let target = target();
    row::write(rows, &target.join("compare.json")).unwrap();
    println!("written: target/compare.json");
    for path in plot::draw(rows, &target) {
        println!("written: target/{path}");
    }
}
