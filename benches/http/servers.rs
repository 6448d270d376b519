//! The servers, as children that end with this program.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    process: Child,
    pub address: SocketAddr,
}

impl Server {
    /// `idemstore serve`, as it comes.
    pub fn idemstore(directory: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_idemstore"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(directory.join("payments.idem"));
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        Self { process, address: address.expect("the server says where it listens") }
    }

    /// Redis, if it is installed, which syncs its file before it answers.
    pub fn redis(directory: &Path) -> Option<Self> {
        let directory = directory.join("redis");
        fs::create_dir(&directory).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no", "--loglevel", "warning"]);
        command.args([
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--maxmemory-policy",
            "noeviction",
            "--save",
            "",
            "--dir",
        ]);
        let process = match command.arg(&directory).stdout(Stdio::null()).spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            process => process.unwrap(),
        };
        let server = Self { process, address: ([127, 0, 0, 1], port).into() };
        let started = Instant::now();
        while !server.syncs_always() {
            assert!(started.elapsed() < PATIENCE, "redis does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    /// Asks Redis whether it does what the figures are about.
    fn syncs_always(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address) else { return false };
        let asked = stream.write_all(b"CONFIG GET appendfsync\r\nQUIT\r\n");
        let mut answer = String::new();
        asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.contains("always")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
