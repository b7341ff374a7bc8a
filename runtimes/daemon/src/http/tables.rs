//! `GET /api/v1/vnis`, and the list of all tables for other handlers.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use metalbond::TableInfo;
use serde::Deserialize;

use super::App;
use super::filter::Limit;
use super::refusal::Result;
use crate::api::{Page, Vni};
use crate::look::PIECE;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    vni: Option<u32>,
    #[serde(default)]
    limit: Limit,
    /// The last VNI of the page before.
    after: Option<u32>,
}

pub(super) async fn vnis(
    State(app): State<Arc<App>>,
    asked: std::result::Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Page<Vni>>> {
    let Query(Asked { vni, limit, after }) = asked?;
    let tables = match vni {
        Some(vni) => app.look(move |node| node.table(metalbond::Vni(vni))).await?.into_iter().collect(),
        None => app.tables().await?,
    };
    let from = after.map_or(0, |after| tables.partition_point(|table| table.vni.0 <= after));
    let to = tables.len().min(from + limit.0);
    let items: Vec<_> = tables[from..to].iter().map(shown).collect();
    let next = items.last().filter(|_| to < tables.len()).map(|last: &Vni| last.vni.to_string());
    Ok(Json(Page { items, next }))
}

impl App {
    /// Returns all tables in the order of their VNIs.
    pub(super) async fn tables(&self) -> Result<Vec<TableInfo>> {
        let (mut tables, mut from) = (Vec::new(), 0);
        loop {
            let piece = self.look(move |node| node.tables(from).take(PIECE).collect::<Vec<_>>()).await?;
            let Some((last, _)) = piece.last() else { break };
            from = last + 1;
            tables.extend(piece.into_iter().map(|(_, table)| table));
        }
        // A table that was removed and added again between two pieces may be listed twice.
        tables.sort_by_key(|table| table.vni);
        tables.dedup_by_key(|table| table.vni);
        Ok(tables)
    }
}

fn shown(table: &TableInfo) -> Vni {
    Vni {
        vni: table.vni.0,
        destinations: table.destinations,
        routes: table.routes,
        subscribers: table.subscribers,
        digest: format!("{:016x}", table.digest),
    }
}
