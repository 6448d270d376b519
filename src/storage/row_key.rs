//! The type of all keys in redb: bytes in their order, with separators of our own.
//!
//! Between two leaves redb's tree stores a separator, and a lookup goes left of it or right. A chunk answers for all keys from the start
//! in its row up to the next row's; with a separator anywhere between the two rows, a lookup of a key behind it would read the
//! next leaf first, find that all of it lies behind, and come back. So the separator is the last place before the right row.

use redb::{Key, TypeName, Value};
use std::{borrow::Cow, cmp::Ordering};

/// A name for the type; keys are plain slices.
#[derive(Debug)]
pub(crate) enum RowKey {}

impl Value for RowKey {
    type SelfType<'a> = &'a [u8];
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        None
    }

    fn from_bytes<'a>(data: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        data
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a &'b [u8]) -> &'a [u8]
    where
        Self: 'b,
    {
        value
    }

    fn type_name() -> TypeName {
        TypeName::new("idemstore::row-key")
    }
}

impl Key for RowKey {
    fn compare(left: &[u8], right: &[u8]) -> Ordering {
        left.cmp(right)
    }

    /// Returns nearly the greatest key that is less than `right`: what lies between them takes one read more, if there is such a key.
    fn separator<'a>(left: &'a [u8], right: &'a [u8]) -> Cow<'a, [u8]> {
        let below = match right.split_last() {
            Some((0, rest)) => rest.to_vec(),
            Some((last, rest)) => [rest, &[last - 1, u8::MAX]].concat(),
            None => return Cow::Borrowed(left),
        };
        if left <= &below[..] { Cow::Owned(below) } else { Cow::Borrowed(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What redb asks of every separator.
        #[test]
        fn it_is_not_before_the_left_key_and_before_the_right_one(
            a in proptest::collection::vec(prop_oneof![Just(0), Just(0xFF), 1u8..4], 0..6),
            b in proptest::collection::vec(prop_oneof![Just(0), Just(0xFF), 1u8..4], 0..6),
        ) {
            prop_assume!(a != b);
            let (left, right) = if a < b { (a, b) } else { (b, a) };
            let separator = RowKey::separator(&left, &right);
            prop_assert!(left[..] <= *separator && *separator < right[..], "{left:?} {separator:?} {right:?}");
        }
    }

    #[test]
    fn a_key_before_the_right_one_goes_left() {
        let separator = RowKey::separator(b"run 1, pay_3a", b"run 1, pay_4");
        for key in ["run 1, pay_3a", "run 1, pay_3f72", "run 1, pay_3ffffff", "run 1, pay_3zzzz"] {
            assert!(key.as_bytes() <= &separator[..], "{key}");
        }
        assert!(separator.len() <= "run 1, pay_4".len() + 1);
    }
}
