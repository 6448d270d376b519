//! The program as a child.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
};
use tempfile::TempDir;

pub(crate) fn idemstore() -> Command {
    Command::new(env!("CARGO_BIN_EXE_idemstore"))
}

/// A proxy that is killed when this value goes.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    child: Child,
    out: BufReader<ChildStdout>,
    complaints: Option<JoinHandle<String>>,
    upstream: String,
    options: Vec<String>,
    directory: Option<TempDir>,
    db: PathBuf,
}

impl Proxy {
    /// Starts one on a store of its own.
    pub(crate) fn start(upstream: &str, options: &[&str]) -> Self {
        Self::start_on(tempfile::tempdir().unwrap(), upstream, options)
    }

    /// Starts one on a store that is there.
    pub(crate) fn start_on(directory: TempDir, upstream: &str, options: &[&str]) -> Self {
        let db = directory.path().join("proxy.idem");
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self::run(upstream.to_owned(), options, Some(directory), db)
    }

    fn run(upstream: String, options: Vec<String>, directory: Option<TempDir>, db: PathBuf) -> Self {
        let mut command = idemstore();
        command.arg("proxy").arg("--db").arg(&db).args(["--listen", "127.0.0.1:0", "--upstream", &upstream]).args(&options);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let complaints = thread::spawn(move || {
            let mut said = String::new();
            let _ = errors.read_to_string(&mut said);
            said
        });
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("listening on http://") else {
            let _ = child.kill();
            panic!("the proxy did not start: {line:?}, {}", complaints.join().unwrap());
        };
        let address = address.parse().unwrap();
        Self { address, child, out, complaints: Some(complaints), upstream, options, directory, db }
    }

    pub(crate) fn db(&self) -> &Path {
        &self.db
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of the second line.
    pub(crate) fn admin(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().strip_prefix("admin on http://").expect(&line).parse().unwrap()
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Kills it without a warning, and starts another on the same store.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        let ended = self.child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "it was killed");
        self.again()
    }

    /// Starts another on the store of one that has ended.
    pub(crate) fn again(mut self) -> Self {
        let (upstream, options) = (self.upstream.clone(), self.options.clone());
        let (directory, db) = (self.directory.take(), self.db.clone());
        drop(self);
        Self::run(upstream, options, directory, db)
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; returns how it ended and what it complained about.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        (self.child.wait().unwrap(), self.complaints.take().unwrap().join().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
