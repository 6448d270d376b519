//! The text format 0.0.4 of Prometheus.

use std::fmt::{self, Display, Write as _};

/// What a metric is, in the words of the format.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Rises until the process ends.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Observations by size; its samples are those of [`Exposition::distribution`].
    Histogram,
}

/// Families of samples, as text.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// Labels and their values, all known when the program is built: what clients choose never becomes one.
pub(super) type Labels<'l> = &'l [(&'static str, &'l str)];

impl Exposition {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// Adds a sample to the family that was begun last.
    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", Pairs(labels)) };
        self.line(format_args!("{name}{braces} {value}"));
    }

    /// Adds a family of a single sample.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// Adds a distribution to a family of histograms: how many observations were at most each bound, how many there were, and
    /// what they add up to.
    pub(super) fn distribution(&mut self, name: &str, labels: Labels<'_>, up_to: &[(f64, u64)], count: u64, sum: f64) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in up_to {
            self.sample(&bucket, &[labels, &[("le", &bound.to_string())]].concat(), count);
        }
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), count);
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, count);
    }

    /// Returns the text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string never fails.
        let _ = writeln!(self.text, "{line}");
    }
}

struct Pairs<'l>(Labels<'l>);

impl Display for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{}{name}=\"{value}\"", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_its_help_its_type_and_its_samples() {
        let mut exposition = Exposition::default();
        exposition.family("records", Kind::Gauge, "Records by state.");
        exposition.sample("records", &[("state", "failed")], 3);
        exposition.single("syncs_total", Kind::Counter, "Syncs.", 7);
        let lines = ["# HELP records Records by state.", "# TYPE records gauge", "records{state=\"failed\"} 3"];
        let single = ["# HELP syncs_total Syncs.", "# TYPE syncs_total counter", "syncs_total 7", ""];
        assert_eq!(exposition.finish(), [&lines[..], &single].concat().join("\n"));
    }

    #[test]
    fn the_last_bucket_counts_all() {
        let mut exposition = Exposition::default();
        exposition.distribution("d", &[("route", "begin")], &[(0.001, 2), (0.5, 5)], 6, 2.25);
        let expected = [
            "d_bucket{route=\"begin\",le=\"0.001\"} 2",
            "d_bucket{route=\"begin\",le=\"0.5\"} 5",
            "d_bucket{route=\"begin\",le=\"+Inf\"} 6",
            "d_sum{route=\"begin\"} 2.25",
            "d_count{route=\"begin\"} 6",
            "",
        ];
        assert_eq!(exposition.finish(), expected.join("\n"));
    }

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let mut exposition = Exposition::default();
        exposition.sample("m", &[("l", "a\"b\\c\nd")], 1);
        assert_eq!(exposition.finish(), "m{l=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}
