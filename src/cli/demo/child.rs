//! The demo's processes: this program again, under other names.

use crate::cli::failure::Failure;
use std::{ffi::OsString, net::SocketAddr, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child as Process, Command},
    time::timeout,
};

const START_WAIT: Duration = Duration::from_secs(20);

/// A server that ends with this value, by SIGKILL.
pub(super) struct Child {
    process: Process,
    arguments: Vec<OsString>,
    pub(super) address: SocketAddr,
}

impl Child {
    /// Starts a command of this program that listens somewhere, and says where in its first line.
    pub(super) async fn start<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Result<Self, Failure> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_on(arguments.into_iter().map(Into::into).collect(), any).await
    }

    async fn start_on(arguments: Vec<OsString>, listen: SocketAddr) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| Failure::io("finding this program", &error))?;
        let mut command = Command::new(program);
        command.args(&arguments).arg("--listen").arg(listen.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| Failure::io("starting this program again", &error))?;
        let mut line = String::new();
        if let Some(out) = process.stdout.take() {
            // A server that says nothing, or that is gone, is found out below.
            let _ = timeout(START_WAIT, BufReader::new(out).read_line(&mut line)).await;
        }
        let address = line.trim_end().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        if let Some(address) = address {
            return Ok(Self { process, arguments, address });
        }
        let _ = process.start_kill();
        let mut said = String::new();
        if let Some(mut errors) = process.stderr.take() {
            let _ = errors.read_to_string(&mut said).await;
        }
        Err(Failure::new(format_args!("a process of the demo did not start: {}", said.trim_end())))
    }

    /// Kills it without a warning, and starts another in its place.
    pub(super) async fn kill_and_restart(mut self) -> Result<Self, Failure> {
        self.process.kill().await.map_err(|error| Failure::io("killing a process of the demo", &error))?;
        Self::start_on(self.arguments, self.address).await
    }
}
