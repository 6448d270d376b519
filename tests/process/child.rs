//! Children: this same test binary, started again with a job in its environment.

use crate::journal;
use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child as Process, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// A child that is killed when this value goes.
pub(crate) struct Child {
    process: Process,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

/// Starts a child with a job on a store. `wrapper` is a program and its arguments that run the child, or nothing.
pub(crate) fn start(wrapper: &[&str], job: &str, store: &Path, settings: &[(&str, String)]) -> Child {
    let this = env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(this),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
    };
    command.args([crate::jobs::TEST, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(crate::jobs::JOB, job).env(crate::jobs::STORE, store).envs(settings.iter().map(|(name, value)| (name, value)));
    Child::new(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
}

impl Child {
    fn new(mut process: Process) -> Self {
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        let reader = thread::spawn(move || {
            let mut line = String::new();
            // A last line without its end was cut off with the child.
            while out.read_line(&mut line).is_ok_and(|len| len > 0) && line.ends_with('\n') {
                if line.starts_with(journal::MARK) && sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { process, lines, reader: Some(reader) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for a line of the journal that starts so; returns all lines up to it.
    pub(crate) fn wait_for(&self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the child never said {start:?}: {lines:?}"));
            let is_it = line[journal::MARK.len()..].starts_with(start);
            lines.push(line);
            if is_it {
                return lines;
            }
        }
    }

    /// Lets the child work until it has this many answers from the store, or stops; returns its journal.
    pub(crate) fn work(&self, acks: u64) -> Vec<String> {
        let has_stopped = |line: &String| line == "@ STOPPED" || line.starts_with("@ REFUSED");
        let (mut lines, mut left) = (Vec::new(), acks);
        while left > 0 && !lines.last().is_some_and(has_stopped) {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the child stopped silently: {lines:?}"));
            left -= u64::from(line.starts_with("@ A "));
            lines.push(line);
        }
        lines
    }

    /// Kills the child with SIGKILL; returns what else it said, and asserts that the signal is what ended it.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        let (ended, lines) = self.drain();
        assert_eq!(ended.signal(), Some(SIGKILL), "the child ended by itself: {ended}, {:?}", lines.last());
        lines
    }

    /// Lets the child end; returns how it did and what else it said.
    pub(crate) fn finish(mut self) -> (ExitStatus, Vec<String>) {
        drop(self.process.stdin.take());
        self.drain()
    }

    /// As [`finish`](Child::finish), for a child that ends of its own accord.
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let _stdin = self.process.stdin.take();
        self.drain()
    }

    fn drain(&mut self) -> (ExitStatus, Vec<String>) {
        let ended = self.process.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        (ended, self.lines.try_iter().collect())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
