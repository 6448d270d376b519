//! A store file has one owner process.

use crate::{child, options};
use idemstore::ErrorKind;
use std::path::Path;

fn hold(store: &Path) -> child::Child {
    child::start(&[], "hold", store, &[])
}

#[test]
fn a_second_opener_is_told_who_has_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.idem");
    let owner = hold(&path);
    owner.wait_for("READY");
    let error = options().open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&format!("pid {}", owner.pid())), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    // The refused open has not disturbed the owner's lock.
    let (_, said) = hold(&path).finish();
    assert!(said.iter().any(|line| line.contains("REFUSED Locked") && line.contains(&owner.pid().to_string())), "{said:?}");
    assert!(owner.finish().0.success());
    options().open(&path).unwrap().close().unwrap();
}

#[test]
fn a_killed_owner_leaves_the_file_free_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.idem");
    for _ in 0..5 {
        let owner = hold(&path);
        owner.wait_for("READY");
        assert_eq!(options().open(&path).unwrap_err().kind(), ErrorKind::Locked);
        owner.kill();
        options().open(&path).unwrap().close().unwrap();
    }
}
