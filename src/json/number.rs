//! Numbers as RFC 8785 writes them, and only those that it can write without changing them.

use serde_json::Number;

/// ECMAScript writes numbers from this power of ten on with an exponent, and the smaller ones from the second on.
const PLAIN_BELOW: i64 = 21;
const PLAIN_ABOVE: i64 = -6;

/// Writes a number of JSON in its canonical form. `None` if that would be another number: the form has the precision of a
/// double, so 9007199254740993 would become 9007199254740992, and two different requests could look the same.
pub(super) fn canonical(text: &str) -> Option<String> {
    let exact = Decimal::parse(text)?;
    let nearest: f64 = text.parse().ok()?;
    // The shortest digits that read back as the same double, and of two that are equally near the even ones: ECMAScript's choice.
    // (`format!("{nearest:e}")` takes the upper ones.)
    let shortest = Decimal::parse(&Number::from_f64(nearest)?.to_string())?;
    (exact == shortest).then(|| exact.to_text())
}

/// The number `0.DIGITS * 10^point`, in one form for each number: no zeros at the ends, and zero is without digits and sign.
#[derive(PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    point: i64,
}

impl Decimal {
    /// Reads a number of JSON, or of a double's `Display`. `None` for anything else, and for exponents beyond all doubles.
    fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let leading_zeros = i64::try_from(all.len() - digits.len()).ok()?;
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits: String::new(), point: 0 });
        }
        let point = exponent.parse::<i64>().ok()?.checked_add(i64::try_from(whole.len()).ok()?)?.checked_sub(leading_zeros)?;
        Some(Self { is_negative, digits: digits.to_owned(), point })
    }

    /// Writes the number as ECMAScript's `Number::toString` does.
    fn to_text(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}{}", self.magnitude())
    }

    fn magnitude(&self) -> String {
        let (digits, point) = (&self.digits, self.point);
        if digits.is_empty() {
            return "0".to_owned();
        }
        if !(PLAIN_ABOVE + 1..=PLAIN_BELOW).contains(&point) {
            let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
            let dot = if rest.is_empty() { "" } else { "." };
            return format!("{first}{dot}{rest}e{:+}", point - 1);
        }
        let Ok(whole) = usize::try_from(point) else {
            return format!("0.{}{digits}", zeros(point.unsigned_abs()));
        };
        match digits.split_at_checked(whole) {
            Some(("", fraction)) => format!("0.{fraction}"),
            Some((whole, "")) => whole.to_owned(),
            Some((whole, fraction)) => format!("{whole}.{fraction}"),
            None => format!("{digits}{}", zeros((whole - digits.len()) as u64)),
        }
    }
}

fn zeros(count: u64) -> String {
    (0..count).map(|_| '0').collect()
}

#[cfg(test)]
mod tests {
    use super::{Number, canonical};
    use proptest::prelude::*;

    /// The samples of RFC 8785, appendix B, as bits of a double and text.
    const SAMPLES: &[(u64, &str)] = &[
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4340_0000_0000_0001, "9007199254740994"),
        (0x4340_0000_0000_0002, "9007199254740996"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];

    #[test]
    fn the_samples_of_the_standard_come_out_as_it_says() {
        for &(bits, text) in SAMPLES {
            let number = f64::from_bits(bits);
            assert_eq!(canonical(&Number::from_f64(number).unwrap().to_string()).as_deref(), Some(text), "{bits:x}");
            assert_eq!(canonical(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn equal_numbers_have_one_form() {
        for (texts, form) in [
            (&["0", "-0", "0.0", "-0.000e7", "0e999999999999999999999"][..], "0"),
            (&["100", "1e2", "1E+2", "100.00", "0.1e3", "10000e-2"], "100"),
            (&["1.5", "15e-1", "1.50"], "1.5"),
            (&["0.00001", "1e-5"], "0.00001"),
            (&["-1e-7", "-0.0000001"], "-1e-7"),
        ] {
            for text in texts {
                assert_eq!(canonical(text).as_deref(), Some(form), "{text}");
            }
        }
    }

    #[test]
    fn a_number_that_the_form_would_change_is_refused() {
        for text in [
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551615",
            "100000000000000000000000000000000000001",
            "0.10000000000000001",
            "0.1000000000000000055511151231257827",
            "1e309",
            "-1e309",
            "1e-400",
            "1e99999999999999999999",
            "1e-99999999999999999999",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "e5", "--1", "1e", "1.2.3", "0x10", "NaN", "inf", "-inf", "1_000", " 1"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_double_has_a_form_that_reads_back_as_itself(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let text = canonical(&Number::from_f64(number).unwrap().to_string());
            let read = text.as_deref().and_then(|text| text.parse::<f64>().ok());
            prop_assert_eq!(read, Some(number));
            prop_assert_eq!(text.as_deref().and_then(canonical), text);
        }

        #[test]
        fn different_integers_never_share_a_form(a: i64, b: i64) {
            prop_assume!(a != b);
            let (a, b) = (canonical(&a.to_string()), canonical(&b.to_string()));
            prop_assert!(a.is_none() || a != b);
        }
    }
}
