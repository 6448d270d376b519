//! The program, as a child that is killed when its value goes.

use crate::client::{Answer, Client};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
};
use tempfile::TempDir;

/// A place for one store.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.path("payments.idem")
    }

    pub(crate) fn serve(&self, arguments: &[&str]) -> Program {
        Program::start(&self.db(), arguments)
    }
}

/// `idemstore serve`, running.
pub(crate) struct Program {
    process: Child,
    out: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    pub(crate) line: String,
}

fn command(db: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idemstore"));
    command.arg("serve").arg("--db").arg(db);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program until it ends by itself.
pub(crate) fn run(db: &Path, arguments: &[&str]) -> Output {
    command(db, arguments).output().unwrap()
}

impl Program {
    fn start(db: &Path, arguments: &[&str]) -> Self {
        let mut process = command(db, arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let Some(address) = address else {
            let _ = process.kill();
            panic!("the program did not say where it listens: {line:?}, {:?}", process.wait());
        };
        Self { process, out, address, line }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::tcp(self.address).unwrap()
    }

    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Answer {
        self.connect().post(target, body).unwrap()
    }

    #[track_caller]
    pub(crate) fn post_json(&self, target: &str, body: &Value) -> Answer {
        self.post(target, body.to_string())
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.connect().get(target).unwrap()
    }

    /// Begins, and returns the token.
    #[track_caller]
    pub(crate) fn granted(&self, key: &str) -> u64 {
        let answer = self.post_json("/v1/begin", &begin(key)).check(201);
        answer.field("token").as_u64().unwrap()
    }

    /// Begins and completes.
    #[track_caller]
    pub(crate) fn completed(&self, key: &str, payload: &Value) {
        let token = self.granted(key);
        let body = json!({"scope": "shop", "key": key, "token": token, "payload": payload});
        self.post_json("/v1/complete", &body).check(200);
    }

    /// SIGKILL: no chance to tidy up.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.process.kill().unwrap();
        self.process.wait().unwrap()
    }

    /// Sends a signal by its name, through the shell's own command, since the standard library only knows SIGKILL.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until it has ended; returns how, and what it wrote after its first line.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap(), rest)
    }

    /// A figure of its memory in KiB: `VmRSS`, or `VmHWM`, which is the most that there ever was.
    pub(crate) fn memory_kib(&self, figure: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The body of a begin, always of the same request.
pub(crate) fn begin(key: &str) -> Value {
    json!({"scope": "shop", "key": key, "request": {"amount": 100}})
}
