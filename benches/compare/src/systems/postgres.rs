//! PostgreSQL over a Unix socket with its defaults (`fsync` and `synchronous_commit` on) and room for checkpoints. One
//! statement claims a key or returns what it holds; callers that commit at the same time share syncs.

use super::CACHE_BYTES;
use crate::{
    engine::timed,
    load::{self, REQUEST, Request},
    process::{Server, as_user, find},
    record::{Record, expiry},
    system::{Answer, Caller, Io, System},
};
use postgres::{Client, Config, NoTls, Statement};
use rustix::process::geteuid;
use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The server refuses to run as root; Debian's package brings this user.
const USER: &str = "postgres";
const CONNECTIONS: u32 = 300;

/// Room in each page for the outcome: "in heavily updated tables smaller fillfactors are appropriate".
const SCHEMA: &str = "
    CREATE TABLE records (
        id text COLLATE \"C\" PRIMARY KEY, request bytea NOT NULL, expires_at bigint NOT NULL, payload bytea
    ) WITH (fillfactor = 70)";
/// The second half does not see what the first half inserted.
const BEGIN: &str = "
    WITH claimed AS (
        INSERT INTO records (id, request, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING id
    )
    SELECT true AS fresh, NULL::bytea AS request, NULL::bytea AS payload FROM claimed
    UNION ALL
    SELECT false, request, payload FROM records WHERE id = $1";
const COMPLETE: &str = "UPDATE records SET payload = $2 WHERE id = $1 AND payload IS NULL";
const IO: &str = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, wal_sync FROM pg_stat_wal";

pub struct Postgres {
    config: Config,
    _server: Server,
    _sockets: TempDir,
}

impl Postgres {
    /// Starts a server and fills it.
    ///
    /// # Errors
    /// What to install.
    pub fn open(directory: &Path, records: u64) -> Result<Self, String> {
        let places = versions();
        let missing = "install Debian's package postgresql";
        let (initdb, program) = (find("initdb", &places).ok_or(missing)?, find("postgres", &places).ok_or(missing)?);
        // The path of a Unix socket must be short.
        let sockets = tempfile::tempdir().unwrap();
        fs::create_dir(directory).unwrap();
        let user = geteuid().is_root().then_some(USER);
        if user.is_some() {
            let id = user_id().ok_or("there is no user postgres; install Debian's package postgresql")?;
            chown(directory, Some(id), None).unwrap();
            chown(sockets.path(), Some(id), None).unwrap();
            open_the_way(directory);
        }
        let data = directory.join("data");
        let made = as_user(user, &[])
            .arg(initdb)
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(&data)
            .current_dir("/")
            .output()
            .unwrap();
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let mut server = Server::start(&program, &settings(&data, sockets.path()), user, &directory.join("log"));
        let mut config = Config::new();
        config.host_path(sockets.path()).user(USER).dbname("postgres");
        let mut client = server.wait_for(|| config.connect(NoTls))?;
        for setting in ["fsync", "synchronous_commit"] {
            let value: String = client.query_one(&format!("SHOW {setting}"), &[]).unwrap().get(0);
            assert_eq!(value, "on");
        }
        timed("postgres", records, || fill(&mut client, records));
        Ok(Self { config, _server: server, _sockets: sockets })
    }
}

/// Debian's programs, the newest version first.
fn versions() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path()).collect();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    versions.sort_by_key(number);
    versions.iter().rev().map(|version| version.join("bin")).collect()
}

fn user_id() -> Option<u32> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let user = users.lines().find(|line| line.split(':').next() == Some(USER))?;
    user.split(':').nth(2)?.parse().ok()
}

/// Lets the server's user pass through the temporary directories above, which are ours alone otherwise.
fn open_the_way(directory: &Path) {
    for parent in directory.ancestors().skip(1) {
        let Ok(metadata) = parent.metadata() else { return };
        let mode = metadata.mode();
        if metadata.uid() == 0 && mode & 0o777 == 0o700 && is_temporary(parent) {
            fs::set_permissions(parent, Permissions::from_mode(0o711)).unwrap();
        }
    }
}

fn is_temporary(directory: &Path) -> bool {
    directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with(crate::PREFIX))
}

fn settings(data: &Path, sockets: &Path) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
    let shared_buffers = format!("shared_buffers={}MB", CACHE_BYTES >> 20);
    let connections = format!("max_connections={CONNECTIONS}");
    let sockets = format!("unix_socket_directories={}", sockets.display());
    // Long between checkpoints, as the documentation advises for many writes.
    let fixed = ["listen_addresses=", "fsync=on", "synchronous_commit=on", "max_wal_size=4GB", "track_wal_io_timing=off"];
    for setting in fixed.into_iter().chain([&*shared_buffers, &*connections, &*sockets]) {
        arguments.extend(["-c".to_owned(), setting.to_owned()]);
    }
    arguments
}

fn fill(client: &mut Client, records: u64) {
    client.batch_execute(SCHEMA).unwrap();
    let mut rows = client.copy_in("COPY records FROM STDIN").unwrap();
    let (request, expires_at) = (hex(&REQUEST), expiry());
    for number in 0..records {
        let (id, payload) = (load::id(number), hex(&load::payload(number)));
        writeln!(rows, "{id}\t{request}\t{expires_at}\t{payload}").unwrap();
    }
    rows.finish().unwrap();
    // Not in one go: that would be a transaction.
    client.batch_execute("VACUUM ANALYZE records").unwrap();
    client.batch_execute("CHECKPOINT").unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("\\\\x"), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

impl System for Postgres {
    fn caller(&self) -> Box<dyn Caller + '_> {
        let mut client = self.config.connect(NoTls).unwrap();
        let (begin, complete) = (client.prepare(BEGIN).unwrap(), client.prepare(COMPLETE).unwrap());
        Box::new(PostgresCaller { client, begin, complete })
    }

    /// What the write-ahead log grew by, and how often it was synced.
    fn io(&self) -> Io {
        let row = self.config.connect(NoTls).unwrap().query_one(IO, &[]).unwrap();
        let figure = |index| u64::try_from(row.get::<_, i64>(index)).ok();
        Io { syncs: figure(1), bytes: figure(0) }
    }

    fn syncs_here(&self) -> bool {
        false
    }
}

struct PostgresCaller {
    client: Client,
    begin: Statement,
    complete: Statement,
}

impl Caller for PostgresCaller {
    fn begin(&mut self, id: &str, request: &Request) -> Answer {
        loop {
            let row = self.client.query_opt(&self.begin, &[&id, &&request[..], &expiry()]).unwrap();
            // No row: somebody else's insert ended while this one waited for it; the next look sees it.
            let Some(row) = row else { continue };
            if row.get(0) {
                return Answer::Fresh;
            }
            let stored: &[u8] = row.get(1);
            let stored: Request = stored.try_into().expect("32 bytes");
            return Record { request: stored, expires_at: 0, payload: row.get(2) }.answer(request);
        }
    }

    fn complete(&mut self, id: &str, payload: &[u8]) {
        let changed = self.client.execute(&self.complete, &[&id, &payload]).unwrap();
        assert_eq!(changed, 1, "only what runs can be completed");
    }

    fn settle(&mut self) {
        self.client.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    }
}
