use crate::Timestamp;
use http::{
    HeaderMap, HeaderValue,
    header::{DATE, RETRY_AFTER},
};
use std::time::{Duration, UNIX_EPOCH};

/// Reads how long a response asks to wait: seconds, or a date of HTTP. None if it does not say, or says something else.
///
/// A date is compared with the response's own `Date`, because both were read from one clock; without that, with `now`. A date that
/// has passed asks for no wait.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?;
    if let Some(seconds) = seconds(value.as_bytes().trim_ascii()) {
        return Some(Duration::from_secs(seconds));
    }
    let there = headers.get(DATE).and_then(date).unwrap_or(Duration::from_millis(now.as_millis()));
    Some(date(value)?.saturating_sub(there))
}

/// Reads digits; a number that is too large counts as the largest.
fn seconds(text: &[u8]) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(sum.saturating_mul(10).saturating_add(u64::from(digit)))
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, add) }
}

/// Reads a date, as the time since 1970.
fn date(value: &HeaderValue) -> Option<Duration> {
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()?.duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

    fn asked(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        retry_after(&headers, NOW)
    }

    #[test]
    fn seconds_are_read() {
        assert_eq!(asked(&[("retry-after", "120")]), Some(Duration::from_secs(120)));
        assert_eq!(asked(&[("retry-after", " 0 ")]), Some(Duration::ZERO));
        assert_eq!(asked(&[("retry-after", "99999999999999999999999")]), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn each_form_of_a_date_is_read() {
        for date in ["Sun, 06 Nov 1994 08:50:37 GMT", "Sunday, 06-Nov-94 08:50:37 GMT", "Sun Nov  6 08:50:37 1994"] {
            assert_eq!(asked(&[("retry-after", date)]), Some(Duration::from_secs(60)), "{date}");
        }
    }

    #[test]
    fn a_date_that_has_passed_asks_for_no_wait() {
        assert_eq!(asked(&[("retry-after", "Sun, 06 Nov 1994 08:49:36 GMT")]), Some(Duration::ZERO));
    }

    #[test]
    fn a_date_is_compared_with_the_servers_own_clock() {
        let (date, retry_after) = ("Tue, 08 Nov 1994 00:00:00 GMT", "Tue, 08 Nov 1994 00:00:05 GMT");
        assert_eq!(asked(&[("date", date), ("retry-after", retry_after)]), Some(Duration::from_secs(5)));
        assert_eq!(
            asked(&[("date", "yesterday"), ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]),
            Some(Duration::from_secs(10))
        );
    }

    #[test]
    fn what_is_neither_counts_as_absent() {
        for value in ["", "-1", "+1", "1.5", "soon", "1e3", "Sun, 06 Nov 1994", "\u{661}"] {
            assert_eq!(asked(&[("retry-after", value)]), None, "{value}");
        }
        assert_eq!(asked(&[]), None);
    }
}
