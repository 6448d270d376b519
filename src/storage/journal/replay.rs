//! Finds the frames of a segment again.
//!
//! Each frame is synced before the next one is written, so a power cut can spoil the last frame only. A frame that does not
//! verify is therefore the end of the journal if nothing follows it, and damage if something does.

use super::{
    frame::{self, FRAME_STEP},
    header::HEADER_BYTES,
};
use crate::storage::{disk::DiskFile, frame::CheckKey};
use std::io;

/// How far ahead the number of a frame may be that follows a damaged one.
const NUMBERS_AHEAD: u64 = 1 << 24;

/// One frame of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed<'b> {
    pub(crate) batch: u64,
    pub(crate) body: &'b [u8],
    pub(crate) position: usize,
    pub(crate) len: usize,
}

/// What a segment holds.
#[derive(Debug, Default)]
pub(crate) struct Replay<'b> {
    pub(crate) frames: Vec<Placed<'b>>,
    /// Where the next frame is to be written.
    pub(crate) end: usize,
    /// Where a frame is damaged, with others behind it, which are in `frames` as well.
    pub(crate) damaged_at: Option<usize>,
}

/// Reads all frames of a segment's bytes, the header included. `after` is the number before the first one that is expected.
pub(crate) fn frames<'b>(bytes: &'b [u8], check: &CheckKey, after: u64) -> Replay<'b> {
    let mut replay = Replay { frames: Vec::new(), end: HEADER_BYTES.min(bytes.len()), damaged_at: None };
    let mut expected = after.saturating_add(1);
    loop {
        while let Some(placed) = at(bytes, check, replay.end) {
            expected = placed.batch.saturating_add(1);
            replay.end += placed.len;
            replay.frames.push(placed);
        }
        let Some(next) = next_sound(bytes, check, replay.end, expected) else { return replay };
        replay.damaged_at.get_or_insert(replay.end);
        replay.end = next;
    }
}

/// Returns whether the first frame of a segment is of a batch after `last`. A table that needs no journal was closed: nothing is written
/// behind it before the table says that it is live.
pub(crate) fn has_newer(file: &dyn DiskFile, check: &CheckKey, last: u64) -> io::Result<bool> {
    let end = file.len()?;
    let read = |len: u64| {
        let mut bytes = vec![0; usize::try_from(len.min(end.saturating_sub(HEADER_BYTES as u64))).unwrap_or_default()];
        file.read_at(HEADER_BYTES as u64, &mut bytes).map(|()| bytes)
    };
    let Some(len) = frame::len(&read(frame::FRAME_HEAD_BYTES as u64)?, check, HEADER_BYTES as u64) else { return Ok(false) };
    let first = read(len as u64)?;
    Ok(frame::open(&first, check, HEADER_BYTES as u64).is_some_and(|frame| frame.batch > last))
}

fn at<'b>(bytes: &'b [u8], check: &CheckKey, position: usize) -> Option<Placed<'b>> {
    let frame = frame::open(bytes.get(position..)?, check, position as u64)?;
    Some(Placed { batch: frame.batch, body: frame.body, position, len: frame.len })
}

/// Looks for a frame behind one that does not verify. Its number tells most other bytes apart from a frame's, so that few
/// have to be verified.
fn next_sound(bytes: &[u8], check: &CheckKey, from: usize, expected: u64) -> Option<usize> {
    let plausible = expected..=expected.saturating_add(NUMBERS_AHEAD);
    let mut positions = (from..bytes.len()).step_by(FRAME_STEP).skip(1);
    positions.find(|&position| {
        let numbered = bytes.get(position..).and_then(frame::number).is_some_and(|batch| plausible.contains(&batch));
        numbered && at(bytes, check, position).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: [u8; 16] = [3; 16];

    fn append(bytes: &mut Vec<u8>, batch: u64, body: &[u8]) {
        let mut frame = frame::start(0);
        frame.extend_from_slice(body);
        assert!(frame::seal(&mut frame, &CheckKey::for_frames(&CHECK, 1, &CHECK), bytes.len() as u64, batch));
        bytes.extend(frame);
    }

    fn segment(batches: std::ops::Range<u64>) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (vec![0; HEADER_BYTES], Vec::new());
        for batch in batches {
            append(&mut bytes, batch, &vec![7; usize::try_from(batch * 37 % 900).unwrap()]);
            ends.push(bytes.len());
        }
        bytes.extend([0; 4096]);
        (bytes, ends)
    }

    #[test]
    fn frames_come_back_up_to_the_first_that_is_missing() {
        let (bytes, ends) = segment(11..31);
        let replay = frames(&bytes, &CheckKey::for_frames(&CHECK, 1, &CHECK), 10);
        assert_eq!(replay.frames.iter().map(|frame| frame.batch).collect::<Vec<_>>(), (11..31).collect::<Vec<_>>());
        assert_eq!((replay.end, replay.damaged_at), (*ends.last().unwrap(), None));
    }

    #[test]
    fn a_spoilt_last_frame_is_the_end() {
        let (mut bytes, ends) = segment(11..31);
        bytes[ends[18] + 3] ^= 1;
        let replay = frames(&bytes, &CheckKey::for_frames(&CHECK, 1, &CHECK), 10);
        assert_eq!((replay.frames.len(), replay.end, replay.damaged_at), (19, ends[18], None));
    }

    #[test]
    fn a_damaged_byte_before_other_frames_is_never_taken_for_the_end() {
        let (bytes, ends) = segment(11..31);
        for at in HEADER_BYTES..ends[18] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let replay = frames(&damaged, &CheckKey::for_frames(&CHECK, 1, &CHECK), 10);
            assert!(replay.damaged_at.is_some_and(|found| found <= at), "byte {at}");
            assert_eq!(replay.frames.len(), 19, "byte {at}: all others are found");
        }
    }

    #[test]
    fn frames_of_an_earlier_generation_are_not_frames() {
        let (mut bytes, _) = segment(11..31);
        bytes.truncate(HEADER_BYTES);
        let (stale, _) = segment(11..31);
        append(&mut bytes, 31, b"new");
        let end = bytes.len();
        bytes.extend(&stale[end..]);
        let other = CheckKey::for_frames(&[9; 16], 1, &CHECK);
        assert_eq!(frames(&stale, &other, 30).frames.len(), 0);
        let replay = frames(&stale[..end], &other, 30);
        assert_eq!((replay.frames.len(), replay.damaged_at), (0, None));
    }
}
