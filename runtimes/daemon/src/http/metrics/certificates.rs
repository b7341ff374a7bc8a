//! Metrics of the daemon's own certificates.

use std::fmt;

use prometheus_client::registry::Unit;

use super::super::App;
use super::out::Out;

#[derive(Debug)]
pub(super) struct Certificates(Vec<(&'static str, i64)>);

impl Certificates {
    pub(super) fn of(app: &App) -> Self {
        Self(app.secrets.borrow().certificates().map(|(what_for, expiry)| (what_for, expiry.not_after)).collect())
    }

    /// Writes the metrics. Writes nothing if there are no certificates.
    pub(super) fn encode(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let ends = self.0.iter().map(|(what_for, not_after)| ([("use", *what_for)], *not_after as f64));
        let help = "Expiry of the first certificate of the daemon's chain to expire, in seconds since 1970";
        out.gauges(("tls_certificate_not_after", help), Some(&Unit::Seconds), ends)
    }
}
