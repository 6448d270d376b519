//! Ids that nobody else makes up and nobody guesses.

use crate::{Error, Result};

const RANDOM_BYTES: usize = 16;

/// Returns `prefix` and 32 hex digits: 128 bits of the operating system's random source. `what` names the id in an error.
pub(crate) fn hex_id(prefix: &str, what: &str) -> Result<String> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| Error::io(format_args!("generating {what}"), error.into()))?;
    Ok(format!("{prefix}{:032x}", u128::from_be_bytes(random)))
}
