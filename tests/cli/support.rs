//! What the tests share: a store file, the program, and a running server.

use idemstore::{Begin, ErrorKind, Fingerprint, Key, Lease, Options, Store};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Longer than any step takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const SCOPE: &str = "shop/POST /payments";

/// A directory with a store file.
pub struct Place {
    pub directory: TempDir,
    pub db: PathBuf,
}

/// How the program ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A running `idemstore serve`, killed when this goes.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Place {
    /// Makes an empty store.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let db = directory.path().canonicalize().unwrap().join("payments.idem");
        Store::create(&db).unwrap().close().unwrap();
        Self { directory, db }
    }

    /// Makes a store with a record in each state: `done`, `refused`, `running` (with a checkpoint) and `started`.
    pub fn filled() -> Self {
        let place = Self::new();
        let store = place.open();
        begin(&store, "done").complete(r#"{"receipt": 7}"#).unwrap();
        begin(&store, "refused").fail(r#""no funds""#).unwrap();
        begin(&store, "running").checkpoint(r#""charge requested""#).unwrap();
        drop(begin(&store, "started"));
        store.close().unwrap();
        place
    }

    /// Makes a store of 200 records: more than all that lies between it and the reader of an export can hold.
    pub fn large() -> Self {
        let place = Self::new();
        let store = place.open();
        for n in 0..200 {
            begin(&store, &n.to_string()).complete(vec![b'x'; 100_000]).unwrap();
        }
        store.close().unwrap();
        place
    }

    /// Starts an export whose output nobody reads yet.
    pub fn begin_export(&self) -> Child {
        let mut command = program();
        command.args(["export", "--db"]).arg(&self.db).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Opens the store in this process.
    pub fn open(&self) -> Store {
        let (options, mut opened) = (Options::new().sweep_interval(None), None);
        until("the file is free", || {
            opened = Some(options.open(&self.db));
            // A child that another test is just starting has this process's files, and so its locks, until it becomes another program.
            !matches!(&opened, Some(Err(error)) if error.kind() == ErrorKind::Locked)
        });
        opened.unwrap().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command on the store.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "")
    }

    /// Runs a command on the store, with text on its stdin.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let db = self.db.to_str().unwrap();
        run(&[&arguments[..1], &["--db", db], &arguments[1..]].concat(), input)
    }

    pub fn serve(&self) -> Server {
        Server::start(&self.db)
    }

    pub fn names(&self) -> Vec<String> {
        let entries = self.directory.path().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub fn key(id: &str) -> Key {
    Key::new(SCOPE, id).unwrap()
}

pub fn begin(store: &Store, id: &str) -> Lease {
    match store.begin(&key(id), Fingerprint::of(&[id.as_bytes()])).unwrap() {
        Begin::Fresh(lease) | Begin::Takeover(lease) => lease,
        other => panic!("{id}: {other:?}"),
    }
}

/// The program, with nothing of this process's environment that changes what it says.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idemstore"));
    command.env_remove("IDEMSTORE_DB").env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str], input: &str) -> Ran {
    let mut command = program();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeding = thread::spawn(move || {
        // A command that does not read it is none the worse.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = wait(child);
    feeding.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Waits for a child and its output; kills it when it takes for ever.
pub fn wait(child: Child) -> Output {
    let pid = child.id();
    let ended = watch(pid);
    let output = child.wait_with_output().unwrap();
    drop(ended);
    output
}

/// Kills a process unless what is returned goes before.
fn watch(pid: u32) -> Sender<()> {
    let (ended, has_ended) = channel::<()>();
    thread::spawn(move || {
        if has_ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            signal(pid, "KILL");
        }
    });
    ended
}

pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

/// Waits for something that other processes do.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::yield_now();
    }
}

impl Ran {
    /// Expects that it was done, and returns its output.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Expects that it could not be done, and returns what it says.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!((self.code, &*self.out), (Some(code), ""), "{self:?}");
        self.err
    }

    /// Expects one document of JSON, and nothing else.
    #[track_caller]
    pub fn json(self) -> Value {
        let out = self.done();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Expects lines of JSON, and nothing else.
    #[track_caller]
    pub fn lines(self) -> Vec<Value> {
        self.done().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Server {
    pub fn start(db: &Path) -> Self {
        Self::start_with(&["serve"], db)
    }

    /// Starts what listens and owns the store, and waits for its socket.
    pub fn start_with(command: &[&str], db: &Path) -> Self {
        let server = Self::start_alone(command, db);
        let mut socket = db.as_os_str().to_owned();
        socket.push(".sock");
        until("the owner's socket is there", || PathBuf::from(&socket).exists());
        server
    }

    /// Starts a server that has no socket of its own to wait for.
    pub fn start_without_socket(db: &Path) -> Self {
        Self::start_alone(&["serve"], db)
    }

    fn start_alone(arguments: &[&str], db: &Path) -> Self {
        let mut started = None;
        until("the server has the file", || {
            let tried = Self::try_start(arguments, db);
            // As above.
            let is_locked = matches!(&tried, Err(said) if said.contains("has it open"));
            started = Some(tried);
            !is_locked
        });
        started.unwrap().unwrap_or_else(|said| panic!("no readiness line: {said}"))
    }

    fn try_start(arguments: &[&str], db: &Path) -> Result<Self, String> {
        let mut command = program();
        command.args(arguments).arg("--db").arg(db).args(["--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let starting = watch(child.id());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        drop(starting);
        let Some(address) = line.trim_end().strip_prefix("listening on http://") else {
            let _ = child.kill();
            child.wait().unwrap();
            return Err(format!("{line:?} {}", said(&mut child)));
        };
        Ok(Self { address: address.parse().unwrap(), child })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as an operator does; returns what it said on stderr.
    pub fn stop(mut self) -> String {
        signal(self.pid(), "TERM");
        let ending = watch(self.pid());
        let status = self.child.wait().unwrap();
        drop(ending);
        let said = said(&mut self.child);
        assert!(status.success(), "{status}: {said}");
        said
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn said(child: &mut Child) -> String {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
