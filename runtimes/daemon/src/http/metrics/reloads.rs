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
        let help = "Reloads of settings and files; after a failed one, the previous settings stay in use";
        out.counters(("reloads", help), None, counts)?;
        let help = "1 if the last reload succeeded or there was none, otherwise 0";
        out.gauge(("reload_last_successful", help), is_last_good.into())?;
        let time = [([], last_success.as_millisecond() as f64 / 1e3)];
        let help = "Time at which everything in use was read without an error, in seconds since 1970";
        out.gauges(("reload_last_success_time", help), Some(&Unit::Seconds), time)
    }
}
