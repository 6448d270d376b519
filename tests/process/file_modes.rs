//! Only the owner of a store reads its files, and nobody else can replace them.

use crate::{child, options};
use idemstore::ErrorKind;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// Returns the permission bits of everything in a directory.
fn modes(directory: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().mode() & 0o7777)).collect()
}

#[test]
fn every_file_has_mode_0600_whatever_the_umask() {
    for umask in ["0", "022", "077"] {
        let directory = tempfile::tempdir().unwrap();
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let owner = child::start(&["sh", "-c", &script], "hold", &directory.path().join("s.idem"), &[]);
        owner.wait_for("READY");
        let found = modes(directory.path());
        assert_eq!(found.len(), 5, "store, note, reserve and both files of the journal: {found:?}");
        assert!(found.iter().all(|(_, mode)| *mode == 0o600), "umask {umask}: {found:?}");
        assert!(owner.finish().0.success());
    }
}

#[test]
fn a_store_is_not_created_where_others_may_write() {
    for mode in [0o770, 0o702, 0o777] {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = options().create(directory.path().join("s.idem")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("chmod go-w"), "{error}");
        assert_eq!(modes(directory.path()), [], "nothing is left behind");
    }
}

#[test]
fn a_directory_in_which_only_owners_may_replace_files_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let path = directory.path().join("s.idem");
    options().create(&path).unwrap().close().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
}
