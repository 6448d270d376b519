use crate::{Fingerprint, Result, Scope, limits::SCOPE_BYTES_MAX};
use std::fmt::Write as _;

/// Makes a scope of its parts, such that no two lists of parts make the same one: blanks separate the parts and are escaped within
/// them. One that would be too long is digested; a digest has no blank, so it equals no other scope.
pub(super) fn scope_of(parts: &[&str]) -> Result<Scope> {
    let name = parts.iter().map(|part| escaped(part)).collect::<Vec<_>>().join(" ");
    if name.len() <= SCOPE_BYTES_MAX {
        return Scope::new(name);
    }
    let bytes: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    Scope::new(format!("digest:{}", Fingerprint::of(&bytes)))
}

/// Escapes as a URI does, and only what separates, is not visible, or escapes.
fn escaped(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for c in part.chars() {
        if c == '%' || c.is_whitespace() || c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a string does not fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_lists_of_parts_make_the_same_scope() {
        let parts = ["", "a", " ", "a b", "%20", "a%20b", "%", "\n", "a b c", "digest:", "é", "\u{a0}"];
        let mut seen = HashSet::new();
        for (first, second) in parts.iter().flat_map(|first| parts.map(|second| (*first, second))) {
            for third in parts {
                assert!(seen.insert(scope_of(&[first, second, third]).unwrap()), "{first:?} {second:?} {third:?}");
            }
            assert!(seen.insert(scope_of(&[first, second]).unwrap()), "{first:?} {second:?}");
        }
        assert_eq!(seen.len(), parts.len().pow(3) + parts.len().pow(2));
    }

    #[test]
    fn a_long_scope_is_digested_and_stays_apart() {
        let (long, longer) = ("a".repeat(SCOPE_BYTES_MAX), "a".repeat(SCOPE_BYTES_MAX + 1));
        let scopes: HashSet<_> =
            [[&long[..], "b"], [&longer, "b"], [&longer, "c"], ["b", &longer]].iter().map(|p| scope_of(p).unwrap()).collect();
        assert_eq!(scopes.len(), 4);
        assert!(scopes.iter().all(|scope| scope.as_str().starts_with("digest:") && !scope.as_str().contains(' ')));
    }

    #[test]
    fn a_usual_scope_is_readable() {
        assert_eq!(scope_of(&["tenant-7", "POST", "/payments"]).unwrap().as_str(), "tenant-7 POST /payments");
    }
}
