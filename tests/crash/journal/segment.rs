//! Reads a segment as its format says, without the store's help.

use super::{super::sim::SimDisk, SEGMENTS};

pub(super) const HEADER_BYTES: usize = 512;
const FRAME_HEAD_BYTES: usize = 32;
const CHECK_BYTES: usize = 16;

/// One frame that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) batch: u64,
}

impl Frame {
    pub(super) fn end(&self) -> usize {
        self.at + self.len
    }
}

/// The frames of the current generation, as far as they follow each other.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) generation: u64,
    pub(super) frames: Vec<Frame>,
    pub(super) bytes: Vec<u8>,
}

impl Segment {
    pub(super) fn read(bytes: Vec<u8>) -> Self {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let (mut frames, mut at) = (Vec::new(), HEADER_BYTES);
        while let Some(frame) = frame(&bytes, at) {
            at = frame.end();
            frames.push(frame);
        }
        Self { generation: number(36), frames, bytes }
    }

    pub(super) fn of(disk: &SimDisk, name: &str) -> Self {
        Self::read(disk.bytes(name))
    }

    /// Where the next frame goes.
    pub(super) fn end(&self) -> usize {
        self.frames.last().map_or(HEADER_BYTES, Frame::end)
    }
}

/// The segment that is being written, with its name.
pub(super) fn active(disk: &SimDisk) -> (&'static str, Segment) {
    let segments = SEGMENTS.map(|name| (name, Segment::of(disk, name)));
    let with_frames =
        |(_, segment): &(_, Segment)| (segment.frames.last().map(|frame| frame.batch), u64::MAX - segment.generation);
    segments.into_iter().max_by_key(with_frames).unwrap()
}

fn frame(bytes: &[u8], at: usize) -> Option<Frame> {
    let head = bytes.get(at..at + FRAME_HEAD_BYTES)?;
    let body_len = u32::from_le_bytes(head[16..20].try_into().unwrap()) as usize;
    let len = (FRAME_HEAD_BYTES + body_len).next_multiple_of(8);
    let sealed = bytes.get(at..at + len)?;
    let numbers = [&(at as u64).to_le_bytes(), &head[24..32], &head[16..20]].concat();
    let is_head = blake3::keyed_hash(&key(bytes), &numbers).as_bytes()[..4] == head[20..24];
    let is_sound = is_head && check(bytes, at, &sealed[CHECK_BYTES..]) == sealed[..CHECK_BYTES];
    is_sound.then(|| Frame { at, len, batch: u64::from_le_bytes(head[24..32].try_into().unwrap()) })
}

fn key(bytes: &[u8]) -> [u8; 32] {
    // Store, generation and salt, one after the other.
    blake3::derive_key("idemstore 2026-11-21 journal frame check v1", &bytes[20..60])
}

fn check(bytes: &[u8], at: usize, sealed: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new_keyed(&key(bytes));
    hasher.update(sealed).update(&(at as u64).to_le_bytes()).update(&8u64.to_le_bytes());
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    check
}

/// Changes the header and makes it verify again.
pub(super) fn forge_header(bytes: &mut [u8], change: impl FnOnce(&mut [u8])) {
    change(&mut bytes[..HEADER_BYTES]);
    let mut hasher = blake3::Hasher::new_derive_key("idemstore 2026-11-21 journal header check v1");
    hasher.update(&bytes[..60]).update(&bytes[76..HEADER_BYTES]);
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    bytes[60..76].copy_from_slice(&check);
}
