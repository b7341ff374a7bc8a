//! Metrics of each VNI.

use std::fmt;

use metalbond::TableInfo;

use super::super::App;
use super::super::refusal::Result;
use super::out::Out;

#[derive(Debug)]
pub(super) struct Tables(Vec<(String, TableInfo)>);

impl Tables {
    pub(super) async fn of(app: &App) -> Result<Self> {
        let tables = app.tables().await?;
        Ok(Self(tables.into_iter().map(|table| (table.vni.to_string(), table)).collect()))
    }

    pub(super) fn encode(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let gauges =
            |value: fn(&TableInfo) -> f64| self.0.iter().map(move |(vni, table)| ([("vni", &**vni)], value(table)));
        out.gauges(("vni_routes", "Routes of a VNI"), None, gauges(|table| table.routes as f64))?;
        let help = "Peers that are subscribed to the VNI";
        out.gauges(("vni_subscribers", help), None, gauges(|table| table.subscribers as f64))?;
        // A sample is a double, which represents 52 bits of the digest exactly.
        let help = "Digest of the VNI's routes: servers with the same routes have the same digest";
        out.gauges(("vni_digest", help), None, gauges(|table| (table.digest >> 12) as f64))
    }
}
