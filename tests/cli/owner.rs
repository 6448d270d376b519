//! Commands reach the process that has this very file open, and no other; and say so when they cannot.

use crate::support::*;
use std::{
    fs,
    io::Read as _,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink},
        process::CommandExt as _,
    },
    process::Stdio,
};

const NOBODY: u32 = 65_534;

#[test]
fn a_file_that_an_application_embeds_is_said_to_be_so() {
    let place = Place::filled();
    let store = place.open();
    let said = place.run(&["list"]).failed(1);
    let pid = format!("pid {}", std::process::id());
    assert!(said.contains(&pid) && said.contains("embeds") && said.contains("Stop it"), "{said}");
    store.close().unwrap();
    place.run(&["list"]).done();
}

#[test]
fn the_socket_is_for_its_owner_only_and_goes_with_the_server() {
    let place = Place::filled();
    let server = place.serve();
    let socket = place.path("payments.idem.sock");
    let meta = fs::symlink_metadata(&socket).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    server.stop();
    assert!(!socket.exists());
}

#[test]
fn a_socket_that_a_crash_left_is_passed_over_and_replaced() {
    let place = Place::filled();
    place.serve().kill();
    let socket = place.path("payments.idem.sock");
    assert!(socket.exists());
    assert!(place.run(&["list"]).err.starts_with("opened "));
    let server = place.serve();
    until("the new owner answers", || place.run(&["list"]).err.starts_with("asking "));
    server.stop();
}

#[test]
fn the_owner_is_found_by_any_name_of_the_file() {
    let place = Place::filled();
    symlink("payments.idem", place.path("link")).unwrap();
    let server = place.serve();
    let ran = run(&["list", "--json", "--db", place.path("link").to_str().unwrap()], "");
    assert!(ran.err.contains(&format!("pid {}", server.pid())), "{ran:?}");
    let mut relative = program();
    let output =
        relative.args(["list", "--json", "--db", "./payments.idem"]).current_dir(place.directory.path()).output().unwrap();
    assert!(output.status.success() && String::from_utf8(output.stderr).unwrap().starts_with("asking "));
    server.stop();
    // And a server that was given the link has its socket beside the file.
    let server = Server::start(&place.path("link").canonicalize().unwrap());
    assert!(place.run(&["list"]).err.starts_with("asking "));
    server.stop();
}

#[test]
fn the_owner_is_found_in_a_deep_directory() {
    let place = Place::filled();
    let deep = place.path(&"d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    let db = deep.join("payments.idem");
    fs::rename(&place.db, &db).unwrap();
    let server = Server::start(&db);
    assert!(deep.join("payments.idem.sock").exists());
    let ran = run(&["list", "--json", "--db", db.to_str().unwrap()], "");
    assert!(ran.err.starts_with("asking "), "{ran:?}");
    assert_eq!(ran.lines().len(), 4);
    server.stop();
    assert!(!deep.join("payments.idem.sock").exists());
}

#[test]
fn the_owner_of_another_file_is_not_asked() {
    let (place, other) = (Place::filled(), Place::filled());
    let server = place.serve();
    assert!(place.run(&["list"]).err.starts_with("asking "));
    // Somebody puts another file in its place.
    fs::rename(&other.db, &place.db).unwrap();
    let said = place.run(&["list"]).failed(1);
    assert!(said.contains("another file") && said.contains(&server.pid().to_string()), "{said}");
    drop(server);
}

#[test]
fn a_socket_of_another_user_is_not_trusted() {
    let place = Place::filled();
    if fs::metadata(&place.db).unwrap().uid() != 0 {
        eprintln!("skipped: only root can be two users");
        return;
    }
    // Theirs answers as an owner does, beside our file.
    let theirs = tempfile::tempdir().unwrap();
    let (db, socket) = (theirs.path().join("theirs.idem"), theirs.path().join("socket"));
    let mut program = program();
    program.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(&db).arg("--unix").arg(&socket);
    // The test's own build may be where others cannot go.
    let copy = theirs.path().join("idemstore");
    fs::copy(env!("CARGO_BIN_EXE_idemstore"), &copy).unwrap();
    for path in [theirs.path(), &copy] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut as_them = std::process::Command::new(&copy);
    as_them.args(program.get_args()).uid(NOBODY).gid(NOBODY).stdout(Stdio::null()).stderr(Stdio::null());
    let mut them = as_them.spawn().unwrap();
    until("they listen", || socket.exists() && std::os::unix::net::UnixStream::connect(&socket).is_ok());
    fs::rename(&socket, place.path("payments.idem.sock")).unwrap();
    let ran = place.run(&["list"]);
    them.kill().unwrap();
    them.wait().unwrap();
    assert!(ran.failed(1).contains("another user (65534)"));
}

#[test]
fn a_closed_file_of_another_user_is_left_alone() {
    let place = Place::filled();
    if fs::metadata(&place.db).unwrap().uid() != 0 {
        eprintln!("skipped: only root can open what belongs to others");
        return;
    }
    chown(&place.db, Some(NOBODY), Some(NOBODY)).unwrap();
    let before = place.names();
    assert!(place.run(&["list"]).failed(1).contains("sudo -u '#65534'"));
    assert_eq!(place.names(), before);
    // Whoever has it open does not mind who asks.
    let server = place.serve();
    place.run(&["list"]).done();
    server.stop();
}

#[test]
fn a_compacted_file_still_has_its_owner() {
    let place = Place::filled();
    let server = place.serve();
    for _ in 0..3 {
        place.run(&["compact"]).done();
        assert!(place.run(&["list"]).err.starts_with("asking "));
    }
    server.stop();
}

#[test]
fn a_proxy_is_an_owner_as_well() {
    let place = Place::filled();
    let proxy = Server::start_with(&["proxy", "--upstream", "http://127.0.0.1:9"], &place.db);
    let ran = place.run(&["list", "--json"]);
    assert!(ran.err.contains(&format!("asking the owner of {} (pid {})", place.db.display(), proxy.pid())), "{ran:?}");
    assert_eq!(ran.lines().len(), 4);
    place.run(&["verify"]).done();
    proxy.stop();
    assert!(!place.path("payments.idem.sock").exists());
}

#[test]
fn a_server_serves_where_no_socket_can_be_and_says_so() {
    let place = Place::filled();
    let long = place.path(&"n".repeat(120));
    fs::rename(&place.db, &long).unwrap();
    let occupied = Place::filled();
    fs::write(occupied.path("payments.idem.sock"), "somebody's").unwrap();
    for (db, why) in [(&long, "too long for a socket"), (&occupied.db, "is not a socket")] {
        let server = Server::start_without_socket(db);
        assert_eq!(server.begin("new").0, 201);
        let said = run(&["list", "--db", db.to_str().unwrap()], "").failed(1);
        assert!(said.contains(&format!("pid {}", server.pid())), "{said}");
        let said = server.stop();
        assert!(said.contains("no command will find its way") && said.contains(why), "{said}");
    }
    assert_eq!(fs::read(occupied.path("payments.idem.sock")).unwrap(), b"somebody's");
}

#[test]
fn a_server_stops_though_a_client_is_in_the_middle_of_long_work() {
    let place = Place::large();
    let server = place.serve();
    let mut export = place.begin_export();
    // It has begun, and its reader stops.
    let mut out = export.stdout.take().unwrap();
    out.read_exact(&mut [0; 100]).unwrap();
    server.stop();
    // And who asked learns that it is not all.
    let rest = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    let ended = wait(export);
    rest.join().unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(place.run(&["verify", "--json"]).json()["records"], 200);
}

#[test]
fn long_work_is_not_offered_to_clients_of_the_api() {
    let place = Place::filled();
    let server = place.serve();
    for path in ["/v1/verify", "/v1/backup", "/v1/compact", "/v1/export", "/v1/import", "/v1/preview-sweep", "/v1/find"] {
        let (status, problem) = server.post(path, &serde_json::json!({}));
        assert_eq!((status, &problem["kind"]), (404, &"unknown_route".into()), "{path}");
    }
    server.stop();
}
