//! One batch in a segment: a check, the length of the body, a check of the head, the batch's number, the body.
//!
//! The head has a check of its own because whoever looks for a frame behind a damaged one meets bytes of payloads, which callers
//! choose: without it, each place there could claim to be the head of a long frame, all of which would have to be hashed.
//!
//! The check is keyed by the segment (see [`Header`](super::header::Header)) and bound to the frame's position, so that
//! what an earlier generation left in the same file, or a copy of a frame elsewhere, does not verify.

use crate::storage::frame::{CHECK_BYTES, CheckKey};

/// Everything of a frame but its body: check, length (u32), check of the head (u32), number (u64).
pub(crate) const FRAME_HEAD_BYTES: usize = CHECK_BYTES + LEN_BYTES + HEAD_CHECK_BYTES + 8;
/// Frames start at multiples of this.
pub(crate) const FRAME_STEP: usize = 8;
const LEN_BYTES: usize = 4;
const HEAD_CHECK_AT: usize = CHECK_BYTES + LEN_BYTES;
const HEAD_CHECK_BYTES: usize = 4;
const NUMBER_AT: usize = HEAD_CHECK_AT + HEAD_CHECK_BYTES;

/// A frame that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'b> {
    pub(crate) batch: u64,
    pub(crate) body: &'b [u8],
    /// Of the whole frame, with what fills it up to the next step.
    pub(crate) len: usize,
}

/// Starts a frame with room for that many bytes; the body is to be appended.
pub(crate) fn start(bytes: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(bytes.max(FRAME_HEAD_BYTES).next_multiple_of(FRAME_STEP));
    frame.resize(FRAME_HEAD_BYTES, 0);
    frame
}

/// Fills in the head of a frame for its place. Returns false for a body of 4 GiB or more.
pub(crate) fn seal(frame: &mut Vec<u8>, check: &CheckKey, position: u64, batch: u64) -> bool {
    let Some(Ok(len)) = frame.len().checked_sub(FRAME_HEAD_BYTES).map(u32::try_from) else { return false };
    frame.resize(frame.len().next_multiple_of(FRAME_STEP), 0);
    frame[CHECK_BYTES..CHECK_BYTES + LEN_BYTES].copy_from_slice(&len.to_le_bytes());
    frame[NUMBER_AT..FRAME_HEAD_BYTES].copy_from_slice(&batch.to_le_bytes());
    frame[HEAD_CHECK_AT..NUMBER_AT].copy_from_slice(&head_check(check, position, batch, len));
    let sum = check.check(&position.to_le_bytes(), &frame[CHECK_BYTES..]);
    frame[..CHECK_BYTES].copy_from_slice(&sum);
    true
}

/// Reads the frame that starts at the beginning of `bytes`, which is at `position` in its segment.
pub(crate) fn open<'b>(bytes: &'b [u8], check: &CheckKey, position: u64) -> Option<Frame<'b>> {
    let (batch, body_len) = head(bytes, check, position)?;
    let len = whole_len(body_len)?;
    let frame = bytes.get(..len)?;
    let is_sound = frame[..CHECK_BYTES] == check.check(&position.to_le_bytes(), &frame[CHECK_BYTES..]);
    is_sound.then(|| Frame { batch, body: &frame[FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + body_len], len })
}

/// Returns the number and the body's length, if the head is one of this place. The body is another matter.
fn head(bytes: &[u8], check: &CheckKey, position: u64) -> Option<(u64, usize)> {
    let head = bytes.get(..FRAME_HEAD_BYTES)?;
    let len = u32::from_le_bytes(*head[CHECK_BYTES..].first_chunk()?);
    let batch = number(bytes)?;
    let is_sound = head[HEAD_CHECK_AT..NUMBER_AT] == head_check(check, position, batch, len);
    is_sound.then_some((batch, usize::try_from(len).ok()?))
}

/// Returns the length of the whole frame, if the head is one of this place.
pub(crate) fn len(bytes: &[u8], check: &CheckKey, position: u64) -> Option<usize> {
    head(bytes, check, position).and_then(|(_, body_len)| whole_len(body_len))
}

fn whole_len(body_len: usize) -> Option<usize> {
    FRAME_HEAD_BYTES.checked_add(body_len)?.checked_next_multiple_of(FRAME_STEP)
}

/// Returns what stands where a frame has its number, verified or not.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(NUMBER_AT..)?.first_chunk()?))
}

fn head_check(check: &CheckKey, position: u64, batch: u64, len: u32) -> [u8; HEAD_CHECK_BYTES] {
    // Shorter than anything that a frame's check is for.
    let mut head = [0; 20];
    head[..8].copy_from_slice(&position.to_le_bytes());
    head[8..16].copy_from_slice(&batch.to_le_bytes());
    head[16..].copy_from_slice(&len.to_le_bytes());
    let [a, b, c, d, ..] = check.hash(&head).to_le_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(body: &[u8], position: u64) -> Vec<u8> {
        let mut frame = start(body.len());
        frame.extend_from_slice(body);
        assert!(seal(&mut frame, &CheckKey::for_frames(&[1; 16], 1, &[0; 16]), position, 7));
        frame
    }

    #[test]
    fn a_frame_opens_whole_and_in_its_place() {
        let check = CheckKey::for_frames(&[1; 16], 1, &[0; 16]);
        for body in [&b""[..], b"1234567", b"12345678", &[9; 1000]] {
            let frame = sealed(body, 512);
            assert_eq!(open(&frame, &check, 512), Some(Frame { batch: 7, body, len: frame.len() }));
            assert_eq!(open(&frame, &check, 520), None);
            assert_eq!(open(&frame, &CheckKey::for_frames(&[2; 16], 1, &[0; 16]), 512), None);
            for len in 0..frame.len() {
                assert_eq!(open(&frame[..len], &check, 512), None);
            }
        }
    }

    /// Else a payload could make an open hash the rest of the file at each of its bytes.
    #[test]
    fn a_head_that_nobody_sealed_says_nothing_of_a_length() {
        let check = CheckKey::for_frames(&[1; 16], 1, &[0; 16]);
        assert_eq!(len(&sealed(&[9; 1000], 512), &check, 512), Some(FRAME_HEAD_BYTES + 1000));
        for word in 0..5000_u64 {
            // Taken for a frame, it has this number and this length.
            let bytes = word.to_le_bytes().repeat(FRAME_HEAD_BYTES / 8);
            assert_eq!((number(&bytes), len(&bytes, &check, 512)), (Some(word), None));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let check = CheckKey::for_frames(&[1; 16], 1, &[0; 16]);
        let frame = sealed(b"the body of a batch", 4096);
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&flipped, &check, 4096), None, "bit {bit}");
        }
    }
}
