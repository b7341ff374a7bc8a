//! Filters and paging of requests.

use std::net::IpAddr;

use metalbond::{Announcer, ConnId, Entry, PeerId, Prefix};
use serde::Deserialize;
use serde::de::Error;

/// Maximum number of items of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit(pub(super) usize);

impl Limit {
    const MAX: usize = 10_000;
}

impl Default for Limit {
    fn default() -> Self {
        Self(1000)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = usize::deserialize(deserializer)?;
        if !(1..=Self::MAX).contains(&limit) {
            return Err(D::Error::custom(format_args!("{limit} is not from 1 to {}", Self::MAX)));
        }
        Ok(Self(limit))
    }
}

/// A filter of a table's destinations. All conditions that are set must hold.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Filter {
    /// Destinations equal to this prefix or within it.
    pub(super) within: Option<Prefix>,
    /// Destinations that contain this address.
    pub(super) addr: Option<IpAddr>,
    /// Destinations with a next hop of this address.
    pub(super) next_hop: Option<IpAddr>,
    /// Destinations that this peer announces.
    pub(super) announcer: Option<Announcer>,
}

impl Filter {
    pub(super) fn matches(&self, entry: &Entry<'_>) -> bool {
        let prefix = entry.prefix();
        self.within.as_ref().is_none_or(|within| within.covers(prefix))
            && self.addr.is_none_or(|addr| prefix.contains(addr))
            && self.next_hop.is_none_or(|addr| entry.next_hops().any(|(hop, _)| hop.addr == addr))
            && self.announcer.is_none_or(|name| {
                entry.next_hops().any(|(_, mut announcers)| announcers.any(|announcer| announcer == name))
            })
    }
}

/// Parses the name of a peer, as the API shows it.
pub(super) fn announcer(name: &str) -> Result<Announcer, String> {
    let server = || name.strip_prefix('p').and_then(|number| number.parse().ok()).map(PeerId).map(Announcer::Peer);
    let client = || name.parse::<ConnId>().ok().map(Announcer::Conn);
    match name {
        "local" => Ok(Announcer::Local),
        "departed" => Ok(Announcer::Departed),
        _ => server()
            .or_else(client)
            .ok_or_else(|| format!("peer: '{name}' is not a name like a7, p0, local or departed")),
    }
}
