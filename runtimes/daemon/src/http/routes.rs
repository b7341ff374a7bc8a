//! `GET /api/v1/routes`.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use metalbond::{Bookmark, Moved, Prefix, Vni};
use serde::Deserialize;

use super::App;
use super::filter::{self, Filter, Limit};
use super::pieces::Found;
use super::refusal::{Fault, Result};
use crate::api::{Destination, NextHop, Page};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    vni: Option<u32>,
    prefix: Option<Prefix>,
    addr: Option<IpAddr>,
    next_hop: Option<IpAddr>,
    peer: Option<String>,
    #[serde(default)]
    limit: Limit,
    after: Option<String>,
}

/// The end of a page: a table and a position in it.
struct Place(u32, Bookmark);

impl FromStr for Place {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(':').and_then(|(vni, at)| Some(Self(vni.parse().ok()?, at.parse().ok()?)));
        parts.ok_or_else(|| Fault::bad("after: not what a page said as its next"))
    }
}

pub(super) async fn routes(
    State(app): State<Arc<App>>,
    asked: std::result::Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Page<Destination>>> {
    let Query(Asked { vni, prefix, addr, next_hop, peer, limit: Limit(limit), after }) = asked?;
    let announcer = peer.as_deref().map(filter::announcer).transpose().map_err(Fault::bad)?;
    let filter = Filter { within: prefix, addr, next_hop, announcer };
    let Place(first, mut at) = after.map_or(Ok(Place(0, Bookmark::default())), |after| after.parse())?;
    let vnis: Vec<u32> = match vni {
        Some(vni) => vec![vni],
        None => app.tables().await?.iter().map(|table| table.vni.0).collect(),
    };
    let mut items = Vec::new();
    for vni in vnis.into_iter().filter(|vni| *vni >= first) {
        if vni != first {
            at = Bookmark::default();
        }
        loop {
            let piece = app.piece(Vni(vni), at, filter, limit - items.len()).await?;
            let (found, next) = piece.map_err(|Moved| Fault::gone(Moved.to_string()))?;
            items.extend(found.into_iter().map(|found| shown(vni, found)));
            let Some(next) = next else { break };
            if items.len() == limit {
                return Ok(Json(Page { items, next: Some(format!("{vni}:{next}")) }));
            }
            at = next;
        }
    }
    Ok(Json(Page { items, next: None }))
}

fn shown(vni: u32, Found { prefix, next_hops }: Found) -> Destination {
    let next_hops = next_hops.into_iter().map(|(hop, announcers)| NextHop {
        addr: hop.addr,
        target_vni: hop.target_vni,
        kind: hop.kind,
        announcers: announcers.iter().map(ToString::to_string).collect(),
    });
    Destination { vni, prefix, next_hops: next_hops.collect() }
}
