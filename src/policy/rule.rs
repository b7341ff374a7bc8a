//! Rules of a policy: the peers that a rule matches, and what these may do.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{NextHopSet, PeerPattern, PrefixSet, VniSet};
use crate::KindSet;

/// A rule of a [`Policy`](super::Policy): the peers that it matches, and what these may do.
///
/// A minor version may add fields: write `..Rule::new(name, who)` for those that you leave out.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Rule {
    /// The rule's name in logs and in [`SessionInfo::rule`](crate::SessionInfo::rule). Names should be unique.
    pub name: Arc<str>,
    /// The patterns of peers. The rule matches a peer if one of them does.
    pub who: Vec<PeerPattern>,
    /// The virtual networks that a peer may subscribe to. Default: none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub subscribe: VniSet,
    /// The routes that a peer may announce: those that one of these permits. Default: none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub announce: Vec<AnnounceRule>,
    /// The most routes that a peer may announce. Default `None`: [`Limits::routes_per_peer`](crate::Limits::routes_per_peer).
    #[cfg_attr(feature = "serde", serde(default))]
    pub max_routes: Option<usize>,
    /// The most virtual networks in which a peer may announce routes, and the most to which it may subscribe. Default `None`:
    /// [`Limits::vnis_per_peer`](crate::Limits::vnis_per_peer).
    #[cfg_attr(feature = "serde", serde(default))]
    pub max_vnis: Option<usize>,
}

impl Rule {
    /// Returns a rule with these patterns that permits nothing.
    pub fn new(name: impl Into<Arc<str>>, who: impl IntoIterator<Item = PeerPattern>) -> Self {
        let (subscribe, announce) = (VniSet::default(), Vec::new());
        Self {
            name: name.into(),
            who: who.into_iter().collect(),
            subscribe,
            announce,
            max_routes: None,
            max_vnis: None,
        }
    }

    /// Returns whether the rule permits nothing. The peers that it matches are refused.
    pub fn permits_nothing(&self) -> bool {
        self.subscribe.is_empty() && self.announce.is_empty()
    }
}

/// A set of routes that a rule permits: those that match all of the fields.
///
/// A minor version may add fields: write `..AnnounceRule::own(vnis)` for those that you leave out.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct AnnounceRule {
    /// The virtual networks.
    pub vnis: VniSet,
    /// The prefixes within which a destination lies. Default: all.
    #[cfg_attr(feature = "serde", serde(default = "PrefixSet::all"))]
    pub prefixes: PrefixSet,
    /// The next hops. Default: the peer's own addresses only.
    #[cfg_attr(feature = "serde", serde(default))]
    pub next_hops: NextHopSet,
    /// The kinds of next hops. Default: all.
    #[cfg_attr(feature = "serde", serde(default))]
    pub types: KindSet,
    /// The [target VNIs](crate::NextHop::target_vni). The target VNI 0, the route's own, is always permitted. Default `None`: those of
    /// [`vnis`](Self::vnis).
    #[cfg_attr(feature = "serde", serde(default))]
    pub target_vnis: Option<VniSet>,
}

impl AnnounceRule {
    /// Returns the rule that permits all routes in these networks whose next hop is one of the peer's own addresses.
    pub fn own(vnis: VniSet) -> Self {
        Self {
            vnis,
            prefixes: PrefixSet::all(),
            next_hops: NextHopSet::default(),
            types: KindSet::default(),
            target_vnis: None,
        }
    }
}
