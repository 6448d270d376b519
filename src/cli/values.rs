//! Values as people write them.

use std::time::Duration;

/// Reads a length of time: `24h`, `5m`, `1500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write it like 24h, 5m or 1500ms"))
}

/// Reads a number of bytes: `4096`, `64KiB`, `1MiB`, `2GiB`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("the unit is not known: write it like 4096, 64KiB, 1MiB or 2GiB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|error| format!("{error}: write it like 4096, 64KiB, 1MiB or 2GiB"))?;
    number.checked_mul(factor).ok_or_else(|| "too many bytes".to_owned())
}
