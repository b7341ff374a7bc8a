//! A progress bar on standard error, if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// The progress bar of one phase.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(phase: &'static str, of: u64) -> Self {
        // Hides itself if there is no terminal.
        let bar = ProgressBar::new(of).with_message(phase);
        let style = ProgressStyle::with_template("{msg:9} [{bar:40}] {human_pos} of {human_len}, {elapsed}");
        Self(bar.with_style(style.expect("the template is one")))
    }

    pub(super) fn at(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    /// Clears the bar's line, so that later output starts on an empty line.
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
