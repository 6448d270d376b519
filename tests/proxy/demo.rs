//! `idemstore demo`, as somebody sees it who has just installed the program.

use crate::program::idemstore;
use std::path::Path;

#[test]
fn every_payment_of_the_demo_is_charged_exactly_once_and_those_without_the_proxy_are_not() {
    let place = tempfile::tempdir().unwrap();
    let output = idemstore().arg("demo").env("TMPDIR", place.path()).output().unwrap();
    let (said, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), complained.as_str()), (Some(0), ""), "{said}");
    let row = |name: &str| -> Vec<usize> {
        let row = said.lines().find_map(|line| line.strip_prefix(name)).expect(&said);
        row.split_whitespace().map(|number| number.parse().unwrap()).collect()
    };
    let [payments, _, charges, again] = row("without idemstore")[..] else { panic!("{said}") };
    assert!(charges > payments && again > 0, "{said}");
    let [payments, requests, charges, again] = row("behind idemstore proxy")[..] else { panic!("{said}") };
    assert!(charges == payments && again == 0 && requests > 4 * payments, "{said}");
    for killed in ["the proxy was killed", "the shop was killed too"] {
        assert!(said.contains(killed), "{said}");
    }
    assert!(is_empty(place.path()), "it leaves nothing behind");
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().unwrap().next().is_none()
}
