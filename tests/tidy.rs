//! The architecture, checked over the source text: who may name what, and who may import whom. Each check is also shown
//! something that it has to report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const LINES_MAX: usize = 400;

struct Source {
    /// Relative to the package.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The module of the crate's root that the file belongs to. The table of the protocol is part of its module.
    fn module(&self) -> &str {
        let name = self.path.trim_start_matches("src/").trim_end_matches(".rs").split('/').next().unwrap();
        name.trim_end_matches("_table")
    }

    /// The text without comments. Enough for this project: none of its string literals holds `//` before code.
    fn code(&self) -> String {
        self.text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<Source> {
    fn visit(folder: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    let mut found = Vec::new();
    visit(&root().join(folder), &mut found);
    assert!(found.len() > 3, "{folder} was read");
    found
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The first names behind `parent::`, in paths and in the braces of a use.
fn children(code: &str, parent: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let pattern = format!("{parent}::");
    for (at, _) in code.match_indices(&pattern) {
        if code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + pattern.len()..];
        let heads = rest.strip_prefix('{').map_or_else(|| vec![rest.to_owned()], items);
        found.extend(heads.iter().filter_map(|item| words(item).next().map(str::to_owned)));
    }
    found
}

/// The items of a brace that has just been opened, at its own depth.
fn items(rest: &str) -> Vec<String> {
    let (mut depth, mut items) = (0, vec![String::new()]);
    for c in rest.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            _ => (),
        }
        items.last_mut().unwrap().push(c);
    }
    items.iter().map(|item| item.trim_start_matches(',').to_owned()).collect()
}

/// A program has what a library gets from its caller: a runtime, files, a terminal.
fn is_program(source: &Source) -> bool {
    matches!(source.module(), "server" | "cli" | "bin")
}

/// As [`named_outside`], for what programs may name.
fn named_in_the_library(sources: &[Source], home: &str, forbidden: &[&str]) -> Vec<String> {
    let library: Vec<_> = sources.iter().filter(|source| !is_program(source)).collect();
    library.iter().flat_map(|source| named_outside(std::slice::from_ref(*source), home, forbidden)).collect()
}

/// Reports sources outside `home` that name one of `forbidden`: a word, or `std::name`.
fn named_outside(sources: &[Source], home: &str, forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !source.path.starts_with(home)) {
        let code = source.code();
        let (all, of_std): (BTreeSet<_>, _) = (words(&code).collect(), children(&code, "std"));
        for name in forbidden {
            let is_named = name.strip_prefix("std::").map_or_else(|| all.contains(name), |child| of_std.contains(child));
            if is_named {
                found.push(format!("{} names {name}, which only {home} may", source.path));
            }
        }
    }
    found
}

#[track_caller]
fn check(rule: impl Fn(&[Source]) -> Vec<String>, offender: Source, innocent: Source) {
    let none: Vec<String> = Vec::new();
    assert_eq!(rule(&sources("src")), none);
    assert_eq!(rule(&[innocent]), none);
    assert_eq!(rule(&[offender]).len(), 1, "the check reports an offender");
}

#[test]
fn only_the_storage_names_the_engine_and_the_codec() {
    check(
        |sources| named_outside(sources, "src/storage/", &["redb", "bincode"]),
        Source::new("src/store.rs", "use redb::Database;"),
        Source::new("src/store.rs", "// redb is below\nlet x = 1; // not bincode"),
    );
}

#[test]
fn only_the_system_clock_reads_the_clocks_of_the_system() {
    check(
        |sources| named_in_the_library(sources, "src/time/system.rs", &["SystemTime", "Instant"]),
        Source::new("src/timer.rs", "use std::time::{Duration, Instant};"),
        Source::new("src/timer.rs", "use std::time::Duration;"),
    );
}

#[test]
fn only_the_disk_names_files() {
    check(
        |sources| named_in_the_library(sources, "src/storage/disk/fs.rs", &["std::fs"]),
        Source::new("src/ndjson.rs", "use std::{\n    io::{self, Read},\n    fs::File,\n};"),
        Source::new("src/ndjson.rs", "use std::io;\nmod fs;\nuse fs::FsDisk;"),
    );
}

#[test]
fn only_the_synchronisation_layer_names_locks_channels_and_threads() {
    check(
        |sources| {
            named_in_the_library(sources, "src/sync/", &["crossbeam_channel", "parking_lot", "oneshot", "shuttle", "std::thread"])
        },
        Source::new("src/writer.rs", "fn f() { std::thread::yield_now() }"),
        Source::new("src/writer.rs", "use crate::sync::Mutex;\nlet thread = 1;"),
    );
    // Locks of the standard library would escape the scheduler as well.
    check(
        |sources| {
            let users = sources.iter().filter(|source| !source.path.starts_with("src/sync/")).filter_map(|source| {
                let of_sync = children(&source.code().replace("std::sync::", "stdsync::"), "stdsync");
                let locks: Vec<_> = of_sync.into_iter().filter(|name| name.ends_with("Lock") || name == "Mutex").collect();
                (!locks.is_empty()).then(|| format!("{} names {locks:?}", source.path))
            });
            users.collect()
        },
        Source::new("src/writer.rs", "use std::sync::{Arc, Mutex};"),
        Source::new("src/writer.rs", "use std::sync::{Arc, atomic::AtomicBool};"),
    );
}

#[test]
fn the_core_names_no_async_runtime() {
    const RUNTIMES: &[&str] = &["tokio", "async_std", "smol", "futures", "futures_util"];
    let rule = |sources: &[Source]| -> Vec<String> {
        let core = sources.iter().filter(|source| layer(source.module()) < 4);
        let naming = core.filter(|source| RUNTIMES.iter().any(|runtime| !children(&source.code(), runtime).is_empty()));
        naming.map(|source| format!("{} names an async runtime", source.path)).collect()
    };
    check(
        rule,
        Source::new("src/ticket.rs", "tokio::spawn(x)"),
        Source::new("src/ticket.rs", "use std::future::Future; // tokio::spawn\nlet text = \"futures\";"),
    );
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let core = |manifest: &str| {
        let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap().to_owned();
        let required = section.lines().filter(|line| !line.contains("optional = true"));
        required.filter(|line| RUNTIMES.iter().any(|name| line.starts_with(name))).count()
    };
    assert_eq!(core(&manifest), 0);
    assert_eq!(core("\n[dependencies]\ntokio = \"1\"\nsmol = { optional = true }\n[lints]"), 1);
}

/// What each module may import: those of its own layer and of the ones below.
fn layer(module: &str) -> u8 {
    match module {
        "sync" | "key" | "keyed" | "fingerprint" | "outcome" | "record" | "time" | "error" | "limits" | "json" | "random"
        | "histogram" => 0,
        "transition" => 1,
        "storage" => 2,
        "client" | "tower" | "conformance" | "x402" | "server" | "cli" => 4,
        "bin" => 5,
        _ => 3,
    }
}

/// The module that a name of the crate's root comes from.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for statement in lib.split("pub use ").skip(1) {
        let (module, names) = statement.split(';').next().unwrap().split_once("::").unwrap();
        exports.extend(words(names).map(|name| (name.to_owned(), module.to_owned())));
    }
    exports
}

fn upward_imports(sources: &[Source], exports: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path != "src/lib.rs") {
        let own = source.module();
        for name in children(&source.code(), "crate") {
            let module = exports.get(&name).unwrap_or(&name);
            if layer(module) > layer(own) {
                found.push(format!("{} imports {name} of {module}, which is above it", source.path));
            }
        }
    }
    found
}

#[test]
fn imports_go_downward_only() {
    let lib = Source { path: String::new(), text: fs::read_to_string(root().join("src/lib.rs")).unwrap() };
    let exports = exports(&lib.code());
    assert_eq!(exports.get("Store").map(String::as_str), Some("store"));
    assert_eq!(exports.get("Timestamp").map(String::as_str), Some("time"));
    check(
        |sources| upward_imports(sources, &exports),
        Source::new("src/storage/table.rs", "use crate::{\n    Key,\n    Store,\n    limits::{A, B},\n};"),
        Source::new("src/storage/table.rs", "use crate::{Key, limits::{Store}};"),
    );
    for (path, text) in [("src/transition.rs", "crate::storage::x()"), ("src/key.rs", "use crate::{Error, Begin};")] {
        assert_eq!(upward_imports(&[Source::new(path, text)], &exports).len(), 1, "{path}");
    }
}

/// Adapters stand on what users have: what the crate's root exports, modules that are public, and each other.
#[test]
fn adapters_use_the_public_interface_only() {
    let lib = Source { path: String::new(), text: fs::read_to_string(root().join("src/lib.rs")).unwrap() };
    let (code, exports) = (lib.code(), exports(&lib.code()));
    let is_public = |name: &String| exports.contains_key(name) || code.contains(&format!("pub mod {name};"));
    assert!(is_public(&"limits".to_owned()) && !is_public(&"writer".to_owned()));
    let rule = |sources: &[Source]| -> Vec<String> {
        let mut found = Vec::new();
        for source in sources.iter().filter(|source| layer(source.module()) == 4) {
            let names = children(&source.code(), "crate");
            // Locks and promises come from the one place that a model checker can take over; chance and quantiles from one place too.
            let is_shared = |name: &str| ["sync", "random", "histogram", source.module()].contains(&name);
            let hidden = names.into_iter().filter(|name| !is_public(name) && !is_shared(name));
            found.extend(hidden.map(|name| format!("{} names {name}, which no user can", source.path)));
        }
        found
    };
    check(
        rule,
        Source::new("src/tower/work.rs", "use crate::{Key, writer::Writer};"),
        Source::new("src/tower/work.rs", "use crate::{Key, limits::LEASE, sync::promise::promise};"),
    );
}

/// They are runtime-agnostic as well; only the programs choose a runtime.
#[test]
fn only_the_programs_name_an_async_runtime() {
    let rule = |sources: &[Source]| -> Vec<String> {
        let libraries = sources.iter().filter(|source| !is_program(source));
        let naming = libraries.filter(|source| !children(&source.code(), "tokio").is_empty());
        naming.map(|source| format!("{} names tokio", source.path)).collect()
    };
    check(
        rule,
        Source::new("src/tower/work.rs", "tokio::spawn(work)"),
        Source::new("src/tower/work.rs", "spawn.spawn(work) // not tokio::spawn"),
    );
}

#[test]
fn no_file_is_too_long() {
    let rule = |sources: &[Source]| -> Vec<String> {
        let long = sources.iter().filter(|source| source.text.lines().count() > LINES_MAX);
        long.map(|source| format!("{} has more than {LINES_MAX} lines", source.path)).collect()
    };
    check(rule, Source::new("src/a.rs", &"\n".repeat(LINES_MAX + 1)), Source::new("src/a.rs", &"\n".repeat(LINES_MAX)));
    for folder in ["tests/it", "tests/tower", "tests/conformance", "tests/cli", "tests/server", "tests/proxy"] {
        assert_eq!(rule(&sources(folder)), Vec::<String>::new());
    }
}

#[test]
fn every_file_of_the_tests_is_part_of_them() {
    let missing = |files: &[Source], main: &str| -> Vec<String> {
        let names = files.iter().map(|file| Path::new(&file.path).file_stem().unwrap().to_str().unwrap().to_owned());
        names.filter(|name| name != "main" && !main.lines().any(|line| line == format!("mod {name};"))).collect()
    };
    let main = fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    assert_eq!(missing(&sources("tests/it"), &main), Vec::<String>::new());
    assert_eq!(missing(&[Source::new("tests/it/forgotten.rs", "")], &main), ["forgotten"]);
    for folder in ["tests/tower", "tests/conformance", "tests/cli", "tests/server", "tests/proxy"] {
        let main = fs::read_to_string(root().join(folder).join("main.rs")).unwrap();
        assert_eq!(missing(&sources(folder), &main), Vec::<String>::new());
    }
}

#[test]
fn no_test_is_ignored_sleeps_or_expects_any_panic() {
    let rule = |sources: &[Source]| -> Vec<String> {
        let bad = |source: &&Source| {
            let code = source.code();
            ["#[ignore", "#[should_panic", "thread::sleep("].iter().any(|pattern| code.contains(pattern))
        };
        sources.iter().filter(bad).map(|source| source.path.clone()).collect()
    };
    check(rule, Source::new("a.rs", "#[test]\n#[ignore]"), Source::new("a.rs", "#[test]"));
    for folder in ["tests/it", "tests/tower", "tests/conformance", "tests/cli", "tests/server", "tests/proxy"] {
        assert_eq!(rule(&sources(folder)), Vec::<String>::new());
    }
}
