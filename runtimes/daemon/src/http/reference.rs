//! `GET /routes.json` and `/routes.yaml`: all routes in the format of the reference implementation, for tools that read
//! it. As there, the keys of destinations are JSON in a string. The answer is written table by table, so that large
//! tables use little memory.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use jiff::ZonedDateTime;
use metalbond::{Bookmark, Moved, NextHop, NextHopKind, Prefix, Vni};
use serde::Serialize;
use tracing::warn;

use super::App;
use super::filter::Filter;
use super::pieces::Found;
use super::refusal::Result;

pub(super) async fn json(State(app): State<Arc<App>>) -> Result<Response> {
    answer(app, Format::Json).await
}

pub(super) async fn yaml(State(app): State<Arc<App>>) -> Result<Response> {
    answer(app, Format::Yaml).await
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Yaml,
}

/// A next hop in the format of the reference implementation.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Hop {
    target_address: IpAddr,
    #[serde(rename = "TargetVNI")]
    target_vni: u32,
    /// The protocol's number of the next hop type.
    r#type: u8,
    #[serde(rename = "NATPortRangeFrom")]
    from: u16,
    #[serde(rename = "NATPortRangeTo")]
    to: u16,
}

impl From<&NextHop> for Hop {
    fn from(hop: &NextHop) -> Self {
        let (r#type, from, to) = match hop.kind {
            NextHopKind::Standard => (0, 0, 0),
            NextHopKind::Nat { from, to } => (1, from, to),
            NextHopKind::LoadBalancer => (2, 0, 0),
        };
        Self { target_address: hop.addr, target_vni: hop.target_vni.0, r#type, from, to }
    }
}

/// Returns a destination in the format of the reference implementation, as a string.
fn key(prefix: &Prefix) -> String {
    format!(r#"{{"IPVersion":{},"Prefix":"{prefix}"}}"#, if prefix.is_ipv6() { 6 } else { 4 })
}

/// The progress of writing.
struct Writer {
    app: Arc<App>,
    format: Format,
    vnis: std::vec::IntoIter<Vni>,
    /// The current table and the position in it.
    at: Option<(Vni, Bookmark)>,
    /// True until the first table has been written.
    is_first_table: bool,
    is_first_destination: bool,
    is_done: bool,
}

async fn answer(app: Arc<App>, format: Format) -> Result<Response> {
    let tables = app.tables().await?.into_iter().filter(|table| table.routes > 0);
    let vnis: Vec<_> = tables.map(|table| table.vni).collect();
    let content_type = match format {
        Format::Json => "application/json",
        Format::Yaml => "text/yaml",
    };
    let writer = Writer {
        app,
        format,
        at: None,
        is_first_table: true,
        is_first_destination: true,
        is_done: false,
        vnis: vnis.into_iter(),
    };
    let head = writer.head();
    // An error after the start cuts the answer off, so that a client can't mistake a part for the whole.
    let stream = unfold((writer, Some(head)), |(mut writer, head)| async move {
        let piece = match head {
            Some(head) => Ok(head),
            None if writer.is_done => return None,
            None => writer.next().await,
        };
        let piece = piece.map(Bytes::from).inspect_err(|why| warn!("/routes: the list ended early: {why}"));
        Some((piece, (writer, None)))
    });
    Ok(([(CONTENT_TYPE, content_type)], Body::from_stream(stream)).into_response())
}

impl Writer {
    fn head(&self) -> String {
        let date = ZonedDateTime::now();
        let date = date.strftime("%Y-%m-%d %H:%M:%S");
        match self.format {
            Format::Json => format!("{{\n  \"date\": \"{date}\",\n  \"vnet\": {{"),
            Format::Yaml if self.vnis.len() == 0 => format!("date: \"{date}\"\nvnet: {{}}\n"),
            Format::Yaml => format!("date: \"{date}\"\nvnet:\n"),
        }
    }

    /// Returns the next part of the text.
    async fn next(&mut self) -> std::result::Result<String, String> {
        let mut out = String::new();
        let Some((vni, from)) = self.at.or_else(|| self.vnis.next().map(|vni| (vni, Bookmark::default()))) else {
            self.is_done = true;
            self.tail(&mut out);
            return Ok(out);
        };
        let piece = self.app.piece(vni, from, Filter::default(), usize::MAX).await.map_err(|fault| fault.why)?;
        let (found, next) = piece.map_err(|Moved| Moved.to_string())?;
        if self.at.is_none() {
            self.begin_table(&mut out, vni, found.is_empty() && next.is_none());
        }
        for destination in found {
            self.destination(&mut out, destination);
        }
        self.at = next.map(|next| (vni, next));
        if self.at.is_none() && matches!(self.format, Format::Json) {
            out.push_str("\n    }");
        }
        Ok(out)
    }

    fn begin_table(&mut self, out: &mut String, vni: Vni, is_empty: bool) {
        let comma = if self.is_first_table { "" } else { "," };
        // Writing to a String can't fail, here and below.
        let _ = match self.format {
            Format::Json => write!(out, "{comma}\n    \"{vni}\": {{"),
            Format::Yaml if is_empty => writeln!(out, "  {vni}: {{}}"),
            Format::Yaml => writeln!(out, "  {vni}:"),
        };
        (self.is_first_table, self.is_first_destination) = (false, true);
    }

    fn destination(&mut self, out: &mut String, Found { prefix, next_hops }: Found) {
        let mut hops: Vec<_> = next_hops.iter().map(|(hop, _)| Hop::from(hop)).collect();
        // Sorted by their texts, as in the reference implementation.
        hops.sort_by_cached_key(|hop| (hop.target_address.to_string(), hop.target_vni, hop.r#type, hop.from, hop.to));
        let key = key(&prefix);
        let comma = if self.is_first_destination { "" } else { "," };
        self.is_first_destination = false;
        let _ = match self.format {
            Format::Json => {
                let texts = (serde_json::to_string(&key), serde_json::to_string(&hops));
                // Serialising strings and numbers does not fail.
                let (Ok(key), Ok(hops)) = texts else { return };
                write!(out, "{comma}\n      {key}: {hops}")
            }
            Format::Yaml => {
                let _ = writeln!(out, "    '{key}':");
                hops.iter().try_for_each(|Hop { target_address, target_vni, r#type, from, to }| {
                    writeln!(
                        out,
                        "    - targetaddress: \"{target_address}\"\n      targetvni: {target_vni}\n      type: {type}\n      \
                         natportrangefrom: {from}\n      natportrangeto: {to}"
                    )
                })
            }
        };
    }

    fn tail(&self, out: &mut String) {
        let version = env!("CARGO_PKG_VERSION");
        let _ = match self.format {
            Format::Json if self.is_first_table => write!(out, "}},\n  \"metalbondVersion\": \"{version}\"\n}}\n"),
            Format::Json => write!(out, "\n  }},\n  \"metalbondVersion\": \"{version}\"\n}}\n"),
            Format::Yaml => writeln!(out, "metalbondversion: \"{version}\""),
        };
    }
}
