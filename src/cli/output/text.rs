//! Values as people read them.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Characters that do something to a terminal, or that hide what is there: controls, and those that turn the direction of text or
/// have no width.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Shows text on one line, with whatever a terminal would obey as an escape.
pub(in crate::cli) fn escaped(text: &str) -> String {
    escaped_except(text, |_| false)
}

/// Shows text that may have lines.
pub(in crate::cli) fn escaped_text(text: &str) -> String {
    escaped_except(text, |c| c == '\n' || c == '\t')
}

fn escaped_except(text: &str, is_welcome: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) && !is_welcome(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Shows text as a shell takes it for one word.
pub(in crate::cli) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if !text.contains(is_unsafe) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    // As bash, zsh and ksh read it.
    let mut word = "$'".to_owned();
    for c in text.chars() {
        match c {
            '\'' | '\\' => word.extend(['\\', c]),
            c if is_unsafe(c) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(word, "\\{byte:03o}");
                }
            }
            c => word.push(c),
        }
    }
    word + "'"
}

/// JSON with the characters that a terminal would obey written as escapes of JSON: the same value.
pub(super) fn escaped_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        // Below the space there is only white space between the values: inside a string it would be no JSON.
        if is_unsafe(c) && c > ' ' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Shows a length of time with its largest unit, and the next smaller one.
pub(in crate::cli) fn length(millis: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut left = millis / 1000;
    if left == 0 {
        return format!("{millis}ms");
    }
    let counts = UNITS.map(|(seconds, unit)| {
        let count = left / seconds;
        left %= seconds;
        (count, unit)
    });
    let shown = counts.iter().skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

/// Shows how long ago a time was, or how far off it is.
pub(in crate::cli) fn age(now_ms: u64, then_ms: u64) -> String {
    if then_ms > now_ms { format!("in {}", length(then_ms - now_ms)) } else { format!("{} ago", length(now_ms - then_ms)) }
}

/// Shows how long it has been since a time.
pub(in crate::cli) fn since(now_ms: u64, then_ms: u64) -> String {
    length(now_ms.saturating_sub(then_ms))
}

/// Shows how long it is until a time.
pub(in crate::cli) fn until(now_ms: u64, then_ms: u64) -> String {
    if then_ms > now_ms { format!("in {}", length(then_ms - now_ms)) } else { "expired".to_owned() }
}

/// Shows a time: date and time in UTC.
pub(in crate::cli) fn instant(millis: u64) -> String {
    // The year 9999 is as far as RFC 3339 goes.
    const LAST_MS: u64 = 253_402_300_799_999;
    let time: SystemTime = UNIX_EPOCH + Duration::from_millis(millis.min(LAST_MS));
    humantime::format_rfc3339_millis(time).to_string()
}

/// Shows a size with three digits.
pub(in crate::cli) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_an_escape() {
        assert_eq!(escaped("a\u{1b}[2Jb\r\n\u{9b}c\u{202e}\u{7f}"), r"a\u{1b}[2Jb\r\n\u{9b}c\u{202e}\u{7f}");
        assert_eq!(escaped_text("a\n\tb\u{7}"), "a\n\tb\\u{7}");
        assert_eq!(escaped("Käse 支払い 🦀"), "Käse 支払い 🦀");
    }

    #[test]
    fn a_quoted_word_comes_back_from_a_shell() {
        assert_eq!(quoted("pay_7d5d"), "pay_7d5d");
        for text in ["a b", "", "it's", "$HOME `id` \"x\"", "-x", "a\u{1b}[2J'\\\u{9b}\n9", "Käse\u{202e}"] {
            let script = format!("printf %s {}", quoted(text));
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
            assert!(!quoted(text).contains(is_unsafe));
        }
    }

    #[test]
    fn json_for_a_terminal_has_the_same_value() {
        let value = serde_json::json!({"key": "a\u{9b}31m\u{7f}\u{202e}", "n": [1, 2]});
        let shown = escaped_json(&format!("{value:#}"));
        assert!(!shown.contains(|c| is_unsafe(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn times_and_sizes_are_short() {
        assert_eq!(age(10_000, 9_750), "250ms ago");
        assert_eq!(age(90_061_001, 0), "1d 1h ago");
        assert_eq!(age(0, 61_500), "in 1m 1s");
        assert_eq!([86_459_000, 3_599_999, 0, 999].map(length), ["1d", "59m 59s", "0ms", "999ms"]);
        assert_eq!([until(0, 61_500), until(5, 5), since(61_500, 0), since(0, 9)], ["in 1m 1s", "expired", "1m 1s", "0ms"]);
        assert_eq!(instant(1_700_000_000_000), "2023-11-14T22:13:20.000Z");
        assert_eq!(instant(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(bytes(1536), "1.50 KiB");
    }
}
