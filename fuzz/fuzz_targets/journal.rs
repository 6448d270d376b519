//! No bytes behind a valid check make the journal's decoder panic or take much memory, what decodes is written again as it
//! was, and the frames of a segment are found wherever bits are flipped between them.
#![no_main]

use arbitrary::Arbitrary;
use idemstore::fuzzing;
use libfuzzer_sys::fuzz_target;

const STORE: [u8; 16] = [7; 16];

#[derive(Arbitrary, Debug)]
enum Input {
    /// Of a batch, behind the version.
    Body(u64, Vec<u8>),
    Bytes(Vec<u8>),
    Segment {
        bodies: Vec<Vec<u8>>,
        behind: Vec<u8>,
        flips: Vec<(u16, u8)>,
    },
}

fuzz_target!(|input: Input| {
    match input {
        Input::Body(batch, body) => {
            fuzzing::decode_batch(batch, &body);
            fuzzing::decode_batch(batch, &[&[1], &body[..]].concat());
        }
        Input::Bytes(bytes) => fuzzing::replay_unsealed(STORE, &bytes),
        Input::Segment { bodies, behind, flips } => drop(fuzzing::replay_sealed(STORE, &bodies, &behind, &flips)),
    }
});
