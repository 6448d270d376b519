//! What an earlier generation left in a segment is never read again.

use super::{
    super::{
        power_cut::Cuts,
        rng::{Rng, seed},
    },
    Desk, SEGMENTS, check_disk,
    segment::{Frame, Segment},
};
use std::collections::{BTreeMap, BTreeSet};

/// Where the frames of the generations before the current one ended, by segment.
type Boundaries = BTreeMap<&'static str, BTreeSet<usize>>;

#[derive(Debug, Default)]
struct Figures {
    images: u64,
    /// With old frames behind the new end.
    beside_stale: u64,
    /// With an old frame that starts exactly where the next new one would.
    at_a_boundary: u64,
}

fn check_images(desk: &Desk, old: &Boundaries, rng: &mut Rng, figures: &mut Figures) {
    for name in SEGMENTS {
        let segment = Segment::of(&desk.disk, name);
        let Some(boundaries) = old.get(name).filter(|_| !segment.frames.is_empty()) else { continue };
        let end = segment.end();
        let Some(&last) = boundaries.last().filter(|&&last| last > end) else { continue };
        assert!(segment.bytes[end..last].iter().any(|&byte| byte != 0), "nothing stale lies behind {end}");
        figures.beside_stale += 1;
        figures.at_a_boundary += u64::from(boundaries.contains(&end));
        for _ in 0..2 {
            figures.images += 1;
            let disk = desk.disk.freeze().cut(rng, &mut Cuts::default());
            check_disk(&disk, &desk.book).unwrap_or_else(|what| panic!("{name}, end {end}: {what}"));
        }
    }
}

#[test]
fn frames_of_a_recycled_segment_never_come_back() {
    let (mut desk, mut rng, mut figures) = (Desk::new(), Rng::new(seed()), Figures::default());
    let (mut old, mut before): (Boundaries, BTreeMap<&str, Segment>) = Default::default();
    while desk.checkpoints() < 16 {
        // Mostly one length, so that new frames end where old ones did.
        desk.pay(if rng.chance(1, 20) { 40 + rng.below(100) } else { 40 });
        for name in SEGMENTS {
            let segment = Segment::of(&desk.disk, name);
            if let Some(last) = before.get(name).filter(|last| last.generation != segment.generation) {
                old.insert(name, last.frames.iter().map(Frame::end).collect());
            }
            before.insert(name, segment);
        }
        check_images(&desk, &old, &mut rng, &mut figures);
    }
    println!("{figures:?}");
    assert!(figures.at_a_boundary > 20 && figures.beside_stale > figures.at_a_boundary + 10, "{figures:?}");
}
