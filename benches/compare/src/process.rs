//! What the operating system knows about this process, and servers that end with it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::syncs;
use rustix::{
    process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit},
    time::{ClockId, clock_gettime},
};

/// Without a write and almost without computing for so long is quiet.
const QUIET: Duration = Duration::from_millis(60);
const QUIET_WAIT_MAX: Duration = Duration::from_secs(20);
/// A server gets this long to end by itself.
const GRACE: Duration = Duration::from_secs(20);
/// And this long to answer first.
const PATIENCE: Duration = Duration::from_mins(1);

/// Returns the bytes that this process handed to the operating system with write calls of any kind.
pub fn bytes_written() -> Option<u64> {
    io_count("wchar: ")
}

/// Returns the bytes that the disk had to be read for, by this process.
pub fn bytes_read_from_disk() -> Option<u64> {
    io_count("read_bytes: ")
}

fn io_count(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.parse().ok()
}

/// Returns the memory of this process that is no file's.
pub fn anonymous_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Lets this process have as many files open as it may: 256 callers have a connection or two each.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        println!("the limit of open files stays as it is: {error}");
    }
}

/// Waits until this process neither writes nor computes any more: what a system put off must not fall into the next one's turn.
pub fn wait_until_quiet() {
    let started = Instant::now();
    let mut before = (syncs::count(), bytes_written(), cpu_time());
    while started.elapsed() < QUIET_WAIT_MAX {
        thread::sleep(QUIET);
        let now = (syncs::count(), bytes_written(), cpu_time());
        let is_quiet = (now.0, now.1) == (before.0, before.1) && now.2.saturating_sub(before.2) < QUIET / 20;
        if is_quiet {
            return;
        }
        before = now;
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("time that was used is not negative")
}

/// Finds a program in `PATH` or in one of `places`.
pub fn find(program: &str, places: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.iter().chain(&path).map(|place| place.join(program)).find(|file| file.is_file())
}

/// A server that this process started. It is ended by its process id when this is dropped, also by a panic; the kernel ends
/// it should this process be killed.
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `program`, as `user` if one is given; it must not go to the background.
    pub fn start(program: &Path, arguments: &[String], user: Option<&str>, log: &Path) -> Self {
        let output = File::create(log).unwrap();
        let child = as_user(user, &["--pdeathsig", "TERM"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("setpriv of util-linux");
        Self { child, log: log.to_owned() }
    }

    /// Asks until it answers.
    pub fn wait_for<T, E: std::fmt::Display>(&mut self, ask: impl Fn() -> Result<T, E>) -> Result<T, String> {
        let started = Instant::now();
        loop {
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || started.elapsed() > PATIENCE {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("it does not answer: {error}; its log says: {log}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let started = Instant::now();
        let mut is_told = false;
        while matches!(self.child.try_wait(), Ok(None)) {
            if !is_told {
                // For PostgreSQL: end at once, in order. Redis and others end as well.
                is_told = kill_process(pid, Signal::INT).is_ok();
            }
            if started.elapsed() > GRACE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Returns a command that runs what is added to it as another user, if one is given.
pub fn as_user(user: Option<&str>, options: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(options);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_ends_when_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let sleep = find("sleep", &[]).unwrap();
        let server = Server::start(&sleep, &["600".to_owned()], None, &directory.path().join("log"));
        let process = format!("/proc/{}", server.child.id());
        assert!(Path::new(&process).exists());
        drop(server);
        assert!(!Path::new(&process).exists());
    }
}
