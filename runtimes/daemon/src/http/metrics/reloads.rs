//! Metrics of reloads.

use std::fmt;

use prometheus_client::registry::Unit;

use super::super::App;
use super::out::Out;
use crate::reload::Outcomes;

#[derive(Debug)]
pub(super) struct Reloads(Outcomes);

impl Reloads {
    pub(super) fn of(app: &App) -> Self {
        Self(*app.reloads.borrow())
    }

    pub(super) fn encode(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let Outcomes { done, failed, is_last_good, last_success } = self.0;
        let counts = [([("result", "done")], done), ([("result", "failed")], failed)];
        let help = "Reloads of settings and files; of one that failed, what was no good stays as it was";
        out.counters(("reloads", help), None, counts)?;
        let help = "1 if the last reload did not fail, or there was none";
        out.gauge(("reload_last_successful", help), is_last_good.into())?;
        let time = [([], last_success.as_millisecond() as f64 / 1e3)];
        let help = "When all that is in use was read without an error, since 1970";
        out.gauges(("reload_last_success_time", help), Some(&Unit::Seconds), time)
    }
}
