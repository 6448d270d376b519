//! Completions that the shells accept.

use crate::support::*;
use std::process::Command;

#[test]
fn each_shell_gets_completions_and_bash_accepts_its_own() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell], "").done();
        assert!(script.contains("stuck") && script.contains("dry-run"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("idemstore");
    let is_accepted = |script: &str| {
        std::fs::write(&file, script).unwrap();
        Command::new("bash").arg("-n").arg(&file).output().unwrap().status.success()
    };
    assert!(is_accepted(&run(&["completions", "bash"], "").done()));
    assert!(!is_accepted("if then"), "the check notices a script that is none");
}
