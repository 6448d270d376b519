use indicatif::{ProgressBar, ProgressStyle};

/// How far long work has got, on stderr if that is a terminal.
pub(in crate::cli) struct Bar(ProgressBar);

impl Bar {
    /// Starts a bar that says what is being done.
    pub(in crate::cli) fn new(doing: &'static str) -> Self {
        let bar = ProgressBar::no_length().with_message(doing);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len} records, {eta} left") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Starts a count of what is being done: nobody knows yet how much there is to do.
    pub(in crate::cli) fn counting(doing: &'static str) -> Self {
        let bar = ProgressBar::no_length().with_message(doing);
        if let Ok(style) = ProgressStyle::with_template("{msg} {human_pos} records, {per_sec}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows how far it has got. The store may have grown since the work began.
    pub(in crate::cli) fn show(&self, records: u64, total: u64) {
        self.0.set_length(total.max(records));
        self.0.set_position(records);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
