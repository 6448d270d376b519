//! Which keys a run may have, in memory: most keys are new, and a new key is to cost no read.
//!
//! A binary fuse filter says "no" rightly always and "yes" wrongly once in 65,536 times, at 2.3 bytes for a key. It cannot
//! change, and neither can a run. ("Binary Fuse Filters", Graf and Lemire, 2022.)

use xorf::{BinaryFuse16, Filter as _};

/// Up to this many hashes are kept as they are: a filter of few keys is large, and fails to come about now and then.
const PLAIN_MAX: usize = 256;
const PLAIN: u8 = 1;
const FUSE: u8 = 2;
const FUSE_HEAD_BYTES: usize = 1 + 8 + 4 + 4 + 4;

/// A set of hashes.
#[derive(Debug)]
pub(crate) enum Filter {
    /// In order.
    Plain(Box<[u64]>),
    Fuse(BinaryFuse16),
    /// Nothing is known: every key may be there.
    Unknown,
}

impl Filter {
    pub(crate) fn of(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.len() <= PLAIN_MAX {
            return Self::Plain(hashes.into());
        }
        // A member that it denied would be a payment that runs twice: look at each once more.
        match BinaryFuse16::try_from(&hashes) {
            Ok(filter) if hashes.iter().all(|hash| filter.contains(hash)) => Self::Fuse(filter),
            _ => Self::Unknown,
        }
    }

    /// Returns false only if the hash is not in the set.
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        match self {
            Self::Plain(hashes) => hashes.binary_search(&hash).is_ok(),
            Self::Fuse(filter) => filter.contains(&hash),
            Self::Unknown => true,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Unknown => Vec::new(),
            Self::Plain(hashes) => std::iter::once(PLAIN).chain(hashes.iter().flat_map(|hash| hash.to_le_bytes())).collect(),
            Self::Fuse(BinaryFuse16 { descriptor, fingerprints }) => {
                let mut bytes = vec![FUSE];
                bytes.extend(descriptor.seed.to_le_bytes());
                for number in [descriptor.segment_length, descriptor.segment_length_mask, descriptor.segment_count_length] {
                    bytes.extend(number.to_le_bytes());
                }
                bytes.extend(fingerprints.iter().flat_map(|print| print.to_le_bytes()));
                bytes
            }
        }
    }

    /// Reads bytes that have been verified.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        match bytes.first() {
            Some(&PLAIN) => Self::Plain(bytes[1..].as_chunks().0.iter().map(|hash| u64::from_le_bytes(*hash)).collect()),
            Some(&FUSE) => fuse(bytes).map_or(Self::Unknown, Self::Fuse),
            _ => Self::Unknown,
        }
    }
}

fn fuse(bytes: &[u8]) -> Option<BinaryFuse16> {
    let (head, prints) = bytes.split_at_checked(FUSE_HEAD_BYTES)?;
    let number = |at: usize| head.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    // Its descriptor has no constructor.
    let mut filter = BinaryFuse16::try_from(&[0, 1][..]).ok()?;
    filter.descriptor.seed = u64::from_le_bytes(*head[1..].first_chunk()?);
    filter.descriptor.segment_length = number(9)?;
    filter.descriptor.segment_length_mask = number(13)?;
    filter.descriptor.segment_count_length = number(17)?;
    filter.fingerprints = prints.as_chunks().0.iter().map(|print| u16::from_le_bytes(*print)).collect();
    let descriptor = &filter.descriptor;
    // What the filter reads lies within this, whatever it is asked.
    let reach = u64::from(descriptor.segment_count_length) + 2 * u64::from(descriptor.segment_length);
    let is_whole = filter.fingerprints.len() as u64 >= reach
        && descriptor.segment_length.is_power_of_two()
        && descriptor.segment_length_mask == descriptor.segment_length - 1;
    is_whole.then_some(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> u64 {
        u64::from_le_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes().first_chunk().unwrap())
    }

    #[test]
    fn no_member_is_denied_and_few_others_are_not() {
        for count in [0, 1, 2, 3, 10, 255, 256, 257, 300, 1000, 50_000] {
            let built = Filter::of((0..count).map(hash).collect());
            assert!(!matches!(built, Filter::Unknown), "{count}");
            let read = Filter::from_bytes(&built.to_bytes());
            for filter in [&built, &read] {
                assert!((0..count).all(|number| filter.may_have(hash(number))), "{count}");
                let wrong = (count..count + 100_000).filter(|&number| filter.may_have(hash(number))).count();
                assert!(wrong < 20, "{count}: {wrong} of 100,000");
            }
        }
    }

    #[test]
    fn bytes_cut_short_make_no_filter_that_denies() {
        let bytes = Filter::of((0..1000).map(hash).collect()).to_bytes();
        for len in [0, 1, 5, 20, 21, 100, bytes.len() - 1] {
            assert!(matches!(Filter::from_bytes(&bytes[..len]), Filter::Unknown), "{len}");
        }
    }
}
