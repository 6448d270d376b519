//! What the command refuses to do, and what it says.

use super::{Proxy, exchange, payment, shop};
use crate::program::idemstore;

/// Runs a command that has to end by itself; returns its exit code and what it complained about.
fn refused(options: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = idemstore();
    command.arg("proxy").arg("--db").arg(directory.path().join("proxy.idem")).args(options);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

const USUAL: &[&str] = &["--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:9"];

#[test]
fn arguments_that_cannot_be_meant_are_refused_with_2_and_say_what_to_do() {
    let cases: &[(&[&str], &str)] = &[
        (&["--upstream", "https://127.0.0.1:9"], "give http://HOST:PORT"),
        (&["--upstream", "127.0.0.1:9"], "give http://HOST:PORT"),
        (&["--upstream", "http://127.0.0.1:9/api"], "give http://HOST:PORT"),
        (&["--upstream", "http://me:secret@127.0.0.1:9"], "give http://HOST:PORT"),
        (&["--lease", "30"], "30s"),
        (&["--lease", "0s"], "--lease"),
        (&["--retention", "1ms"], "--retention"),
        (&["--wait", "2h"], "--wait"),
        (&["--max-response", "16MiB"], "--max-response"),
        (&["--max-body", "big"], "1MiB"),
        (&["--upstream-timeout", "0s"], "--upstream-timeout"),
        (&["--methods", "P O S T"], "POST,PATCH"),
        (&["--profile", "visa"], "x402"),
        (&["--on-takeover", "guess"], "refuse"),
        (&["--scope-header", "x y"], "--scope-header"),
        (&["--profile", "x402", "--key-header", "x-key"], "--key-header"),
        (&["--token-file", "/nowhere"], "--admin-listen"),
        (&["--admin-listen", "0.0.0.0:0"], "--token-file"),
    ];
    for (options, advice) in cases {
        let replaced = options.contains(&"--upstream");
        let usual = if replaced { &USUAL[..2] } else { USUAL };
        let (code, said) = refused(&[usual, options].concat());
        assert_eq!(code, Some(2), "{options:?}: {said}");
        assert!(said.contains(advice), "{options:?}: {said}");
    }
}

#[test]
fn what_cannot_be_done_is_said_with_1() {
    let (upstream, proxy) = shop(&[]);
    let taken = proxy.address.to_string();
    let (code, said) = refused(&["--listen", &taken, "--upstream", &upstream.url()]);
    assert!(code == Some(1) && said.contains(&taken), "{said}");
    let db = proxy.db().to_str().unwrap();
    let mut command = idemstore();
    command.args(["proxy", "--db", db]).args(USUAL);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains(&proxy.pid().to_string()), "{said}");
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).status(), 201, "the one that runs goes on");
}

#[test]
fn that_all_clients_share_their_keys_is_said_once() {
    for (options, is_told) in [(&[][..], true), (&["--scope-header", "X-Tenant"], false)] {
        let mut proxy = Proxy::start("http://127.0.0.1:9", options);
        proxy.terminate("-TERM");
        let (_, said) = proxy.wait();
        assert_eq!(said.matches("all clients share their keys").count(), usize::from(is_told), "{said}");
    }
}

/// Who gives it a password has been told.
#[test]
fn help_says_what_of_a_scope_header_is_stored() {
    let output = idemstore().args(["proxy", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("a digest without a secret is stored") && help.contains("not by passwords"), "{help}");
}
