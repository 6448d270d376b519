//! The payments that are made: ids, the request and the outcomes, the same for every system.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of an outcome: what an x402 facilitator answers, roughly.
pub const PAYLOAD_BYTES: usize = 352;
/// A fingerprint of what was asked.
pub type Request = [u8; 32];
pub const REQUEST: Request = [0x11; 32];
/// Payments whose replays are asked for.
const RECENT: usize = 4096;

/// Numbers below it are loaded before; payments take the ones above.
static NEXT: AtomicU64 = AtomicU64::new(1 << 40);

/// Returns the number of a payment that was never made in this process.
pub fn new_number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A bijection (the finaliser of `SplitMix64`): no two numbers share an id.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A key of 36 bytes, spread like a random UUID.
pub fn id(number: u64) -> String {
    format!("pay_{:016x}{number:016x}", mix(number))
}

/// An outcome that no engine can compress, and that no other payment has.
pub fn payload(number: u64) -> [u8; PAYLOAD_BYTES] {
    let mut bytes = [0; PAYLOAD_BYTES];
    let (words, _) = bytes.as_chunks_mut::<8>();
    let mut word = number;
    for place in words {
        word = mix(word);
        *place = word.to_le_bytes();
    }
    bytes
}

/// The last payments that a system completed.
pub struct Recent {
    numbers: Vec<AtomicU64>,
    next: AtomicU64,
}

impl Recent {
    pub fn new() -> Self {
        Self { numbers: (0..RECENT).map(|_| AtomicU64::new(0)).collect(), next: AtomicU64::new(0) }
    }

    pub fn push(&self, number: u64) {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        self.numbers[index(place, RECENT)].store(number, Ordering::Release);
    }

    /// Returns one of them by chance.
    pub fn pick(&self, dice: &mut Dice) -> u64 {
        let known = index(self.next.load(Ordering::Relaxed), usize::MAX).min(RECENT);
        assert!(known > 0, "nothing was paid yet");
        loop {
            // Zero: counted but not written yet.
            match self.numbers[index(dice.roll(), known)].load(Ordering::Acquire) {
                0 => std::hint::spin_loop(),
                number => return number,
            }
        }
    }
}

fn index(number: u64, len: usize) -> usize {
    usize::try_from(number % len as u64).expect("below a usize")
}

/// Chance that costs nothing.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_have_36_bytes_and_differ() {
        let ids: HashSet<String> = (0..10_000).map(id).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 36));
    }

    #[test]
    fn payloads_differ_in_every_word() {
        let (one, other) = (payload(1), payload(2));
        assert!(one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0).all(|(one, other)| one != other));
    }

    #[test]
    fn recent_payments_are_picked_from_the_last_ones_only() {
        let recent = Recent::new();
        (1..=10_000).for_each(|number| recent.push(number));
        let mut dice = Dice::new(7);
        let picked: HashSet<u64> = (0..20_000).map(|_| recent.pick(&mut dice)).collect();
        assert!(picked.iter().all(|number| (10_000 - RECENT as u64 + 1..=10_000).contains(number)));
        assert!(picked.len() > RECENT / 2);
    }
}
