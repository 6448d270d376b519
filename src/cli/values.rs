//! Quantities as people write them: `24h`, `5m`, `1h30m`; `1MiB`, `64KiB`, `4096`.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

/// Letters a size may end in, and the bytes of one.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Reads a length of time. A bare number is refused: nobody knows whether seconds or milliseconds were meant.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(format!("{text} of what? give a unit, as in {text}s, {text}m or {text}h"));
    }
    humantime::parse_duration(text).map_err(|_| "not a length of time: write it as in 30s, 5m, 1h30m or 7d".to_owned())
}

/// Reads a number of bytes: `KiB`, `MiB` and `GiB` are powers of 1024, `KB`, `MB` and `GB` powers of 1000.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let wrong = || "not a size: write it as in 65536, 64KiB, 1MiB or 10MB".to_owned();
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    if number.is_empty() {
        return Err(wrong());
    }
    let number = number.parse::<u64>().ok();
    number.and_then(|number| number.checked_mul(*size)).ok_or_else(|| format!("{text} is more than {} bytes", u64::MAX))
}

/// Reads an address to listen on: a name or an IP address, and a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |what: &dyn fmt::Display| format!("{what}: give an address and a port, like 127.0.0.1:4040");
    let mut addresses = text.to_socket_addrs().map_err(|error| wrong(&error))?;
    addresses.next().ok_or_else(|| wrong(&"the name has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text| duration(text).unwrap().as_secs();
        assert_eq!(
            [seconds("24h"), seconds("5m"), seconds("1h30m"), seconds("7d"), seconds(" 30s ")],
            [86_400, 300, 5_400, 604_800, 30]
        );
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("0s").unwrap(), Duration::ZERO);
    }

    #[test]
    fn a_bare_number_is_no_duration_and_the_refusal_says_what_is() {
        assert!(duration("30").unwrap_err().contains("30s"));
        for text in ["", " ", "five minutes", "5 parsecs", "-5m", "m5", "99999999999999999999h", "1.5"] {
            duration(text).unwrap_err();
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = ["4096", "1b", "64KiB", "1MiB", "10MB", "2 gib", "1kb", " 0 "].map(|text| bytes(text).unwrap());
        assert_eq!(read, [4096, 1, 65_536, 1_048_576, 10_000_000, 2_147_483_648, 1000, 0]);
        assert_eq!(bytes("18446744073709551615").unwrap(), u64::MAX);
    }

    #[test]
    fn an_address_has_a_port_and_may_be_a_name() {
        assert!(address("localhost:4040").unwrap().ip().is_loopback());
        assert_eq!(address("[::1]:0").unwrap().to_string(), "[::1]:0");
        for text in ["", "4040", "127.0.0.1", "127.0.0.1:65536", ":"] {
            assert!(address(text).unwrap_err().contains("127.0.0.1:4040"), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "-1", "1.5MiB", "1XB", "ten", "18446744073709551616", "99999999TiB", "1 2"] {
            bytes(text).unwrap_err();
        }
    }
}
