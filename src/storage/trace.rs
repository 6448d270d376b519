//! Where a key may be in the table, as far as memory knows. Most keys are new, and to know that is to cost no read.

use super::{
    in_flight::InFlight,
    run::{Catalog, Run},
};
use std::sync::Arc;

/// What memory says of a key.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    /// False only if it is not among the records in flight.
    pub(crate) in_flight: bool,
    /// The runs that were asked, and the first of them that may have it.
    asked: Option<(Arc<Catalog>, usize)>,
}

impl Trace {
    /// Says that a key may be anywhere.
    pub(crate) fn unknown(hash: u64) -> Self {
        Self { hash, in_flight: true, asked: None }
    }

    /// Looks for a key; `None` only if the table does not have it. What this says holds for every view that is taken from here on.
    pub(crate) fn of(hash: u64, in_flight: &InFlight, catalog: impl FnOnce() -> Arc<Catalog>) -> Option<Self> {
        // In this order: a record that ends leaves the ones in flight after its run is in the catalog, and in every view.
        let in_flight = in_flight.may_have(hash);
        let catalog = catalog();
        let first = catalog.first_holder(hash);
        let is_somewhere = in_flight || first.is_some();
        let first = first.unwrap_or(catalog.runs().len());
        is_somewhere.then_some(Self { hash, in_flight, asked: Some((catalog, first)) })
    }

    /// Returns the runs of a view that may have the key, newest first.
    pub(crate) fn holders<'c>(&self, of: &'c Arc<Catalog>) -> impl Iterator<Item = &'c Run> {
        let asked = self.asked.as_ref().filter(|(catalog, _)| Arc::ptr_eq(catalog, of));
        of.holders(self.hash, asked.map_or(0, |(_, first)| *first))
    }
}
