//! Rows that go into a table many at a time, in key order.

use super::table::Writing;
use redb::Error;
use std::ops::Bound;

/// A row of this size has a leaf of its own.
const LARGE_BYTES: usize = 4096;

/// Inserts rows that are in key order, none of them there, and no other between them.
///
/// Through a cursor these cost far less than one by one, and the pages that lead to them are packed, so that a cache holds more of these.
/// But a cursor writes the leaf before it once more; so a large row goes in by itself, and so does the row behind, which may be next to one.
pub(super) fn insert_sorted<K, V>(table: &mut Writing<'_>, rows: impl Iterator<Item = (K, V)>) -> Result<(), Error>
where
    K: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let is_small = |(key, value): &(K, V)| key.as_ref().len() + value.as_ref().len() < LARGE_BYTES;
    let mut rows = rows.peekable();
    while let Some(row) = rows.next() {
        let key = row.0.as_ref();
        // As the cursor does: an old row in a new run would be lost, or worse, found.
        if table.insert(key, row.1.as_ref())?.is_some() {
            return Err(Error::Corrupted("a row is where a new one is to go".into()));
        }
        if is_small(&row) && rows.peek().is_some_and(is_small) {
            let mut behind = table.upper_bound_mut(Bound::Included(key))?;
            while let Some((key, value)) = rows.next_if(is_small) {
                behind.insert_before(key.as_ref(), value.as_ref())?;
            }
            behind.close()?;
        }
    }
    Ok(())
}
