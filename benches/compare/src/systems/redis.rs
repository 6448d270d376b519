//! Redis with an append-only file that is synced before each answer. One command claims a key or returns what it holds.

use crate::{
    engine::timed,
    load::{self, REQUEST, Request},
    process::{Server, find},
    record::Record,
    system::{Answer, Caller, Io, System},
};
use redis::{Client, Cmd, Connection, RedisResult, cmd, pipe};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const DAY_MS: u64 = 86_400_000;
/// Commands sent at once while the server is filled.
const FILL: u64 = 10_000;

#[derive(Clone, Copy)]
pub enum Socket {
    Unix,
    Loopback,
}

/// A server of its own.
pub struct RedisServer {
    pub client: Client,
    _process: Server,
    _sockets: TempDir,
}

impl RedisServer {
    /// Starts Debian's server.
    ///
    /// # Errors
    /// What to install.
    pub fn start(directory: &Path, socket: Socket) -> Result<Self, String> {
        let program = find("redis-server", &[]).ok_or("install Debian's package redis-server")?;
        fs::create_dir(directory).unwrap();
        // The path of a Unix socket must be short.
        let sockets = tempfile::tempdir().unwrap();
        let path = sockets.path().join("redis");
        let (port, address) = match socket {
            Socket::Unix => (0, format!("redis+unix://{}", path.display())),
            Socket::Loopback => {
                let port = free_port();
                (port, format!("redis://127.0.0.1:{port}"))
            }
        };
        let settings = format!(
            "--port {port} --bind 127.0.0.1 --unixsocket {} --unixsocketperm 700 --dir {} --daemonize no \
             --appendonly yes --appendfsync always --maxmemory-policy noeviction --loglevel warning --save",
            path.display(),
            directory.display(),
        );
        let mut arguments: Vec<String> = settings.split_whitespace().map(str::to_owned).collect();
        arguments.push(String::new());
        let mut process = Server::start(&program, &arguments, None, &directory.join("log"));
        let client = Client::open(address).unwrap();
        process.wait_for(|| cmd("PING").exec(&mut client.get_connection()?))?;
        let server = Self { client, _process: process, _sockets: sockets };
        let (_, durability): (String, String) = cmd("CONFIG").arg("GET").arg("appendfsync").query(&mut server.connect()).unwrap();
        assert_eq!(durability, "always");
        Ok(server)
    }

    pub fn connect(&self) -> Connection {
        self.client.get_connection().unwrap()
    }

    /// Lets the rewrite of the file that loading caused come to its end.
    pub fn settle(&self) {
        let started = Instant::now();
        while self.figure("aof_rewrite_in_progress") != Some(0) || self.figure("aof_rewrite_scheduled") != Some(0) {
            assert!(started.elapsed() < Duration::from_mins(5), "the rewrite of the file does not end");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The file's growth, unless it was rewritten in between; how often it was synced Redis does not tell.
    pub fn io(&self) -> Io {
        Io { syncs: None, bytes: self.figure("aof_current_size") }
    }

    fn figure(&self, name: &str) -> Option<u64> {
        let text: String = cmd("INFO").arg("persistence").query(&mut self.connect()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line?.trim().parse().ok()
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub struct Redis(pub RedisServer);

impl Redis {
    /// Starts a server and fills it.
    ///
    /// # Errors
    /// What to install.
    pub fn open(directory: &Path, records: u64, socket: Socket) -> Result<Self, String> {
        let server = RedisServer::start(directory, socket)?;
        timed("redis", records, || fill(&server, records).unwrap());
        server.settle();
        Ok(Self(server))
    }
}

fn fill(server: &RedisServer, records: u64) -> RedisResult<()> {
    let mut connection = server.connect();
    for first in (0..records).step_by(usize::try_from(FILL).unwrap()) {
        let mut commands = pipe();
        for number in first..records.min(first + FILL) {
            let record = Record { payload: Some(load::payload(number).into()), ..Record::begun(&REQUEST) };
            commands.cmd("SET").arg(load::id(number)).arg(record.encode()).arg("PX").arg(DAY_MS).ignore();
        }
        commands.exec(&mut connection)?;
    }
    Ok(())
}

impl System for Redis {
    fn caller(&self) -> Box<dyn Caller + '_> {
        Box::new(RedisCaller { connection: self.0.connect(), begun: None })
    }

    fn io(&self) -> Io {
        self.0.io()
    }

    fn syncs_here(&self) -> bool {
        false
    }
}

struct RedisCaller {
    connection: Connection,
    begun: Option<Record>,
}

impl Caller for RedisCaller {
    fn begin(&mut self, id: &str, request: &Request) -> Answer {
        let record = Record::begun(request);
        let existing: Option<Vec<u8>> = claim(id, &record).query(&mut self.connection).unwrap();
        if let Some(existing) = existing {
            return Record::decode(&existing).answer(request);
        }
        self.begun = Some(record);
        Answer::Fresh
    }

    fn complete(&mut self, id: &str, payload: &[u8]) {
        let begun = self.begun.take().expect("begun by this caller");
        let is_stored: Option<String> = store(id, &begun, payload).query(&mut self.connection).unwrap();
        check_stored(is_stored.as_deref());
    }
}

/// Takes the key, or returns what it has.
pub fn claim(id: &str, record: &Record) -> Cmd {
    let mut claim = cmd("SET");
    claim.arg(id).arg(record.encode()).arg("NX").arg("GET").arg("PX").arg(DAY_MS);
    claim
}

/// Stores the outcome of what runs.
pub fn store(id: &str, begun: &Record, payload: &[u8]) -> Cmd {
    let record = Record { payload: Some(payload.to_vec()), ..begun.clone() };
    let mut store = cmd("SET");
    store.arg(id).arg(record.encode()).arg("XX").arg("PX").arg(DAY_MS);
    store
}

pub fn check_stored(answer: Option<&str>) {
    assert_eq!(answer, Some("OK"), "only what runs can be completed");
}
