//! What the peers of one kind may do.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{NextHopSet, PeerPattern, PrefixSet, VniSet};
use crate::KindSet;

/// A rule of a [`Policy`](super::Policy): whom it is for, and all that they may do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Rule {
    /// What it is called in logs. Up to the operator; best if no two are the same.
    pub name: Arc<str>,
    /// Whom it is for: peers that one of these matches.
    pub who: Vec<PeerPattern>,
    /// The virtual networks that they may subscribe to. Default: none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub subscribe: VniSet,
    /// What they may announce: all that one of these allows. Default: nothing.
    #[cfg_attr(feature = "serde", serde(default))]
    pub announce: Vec<Grant>,
    /// Routes that one of them may announce, in place of [`Limits::routes_per_peer`](crate::Limits::routes_per_peer).
    #[cfg_attr(feature = "serde", serde(default))]
    pub max_routes: Option<usize>,
    /// Virtual networks in which one of them may announce something, and as many to which it may subscribe, in place of
    /// [`Limits::vnis_per_peer`](crate::Limits::vnis_per_peer).
    #[cfg_attr(feature = "serde", serde(default))]
    pub max_vnis: Option<usize>,
}

impl Rule {
    /// One that is for these, and allows nothing yet.
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

    /// Whether it is there to keep somebody out.
    pub fn allows_nothing(&self) -> bool {
        self.subscribe.is_empty() && self.announce.is_empty()
    }
}

/// Routes that may be announced: those for which all of this holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
pub struct Grant {
    /// In these virtual networks.
    pub vnis: VniSet,
    /// To destinations within these prefixes. Default: all.
    #[cfg_attr(feature = "serde", serde(default = "PrefixSet::all"))]
    pub prefixes: PrefixSet,
    /// Via these next hops. Default: the announcer's own addresses only.
    #[cfg_attr(feature = "serde", serde(default))]
    pub next_hops: NextHopSet,
    /// Of these types. Default: all.
    #[cfg_attr(feature = "serde", serde(default))]
    pub types: KindSet,
    /// With these virtual networks on the far side, where a route names one (0 is the route's own and needs none). Default:
    /// those of `vnis`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub target_vnis: Option<VniSet>,
}

impl Grant {
    /// All routes in these networks whose next hop is an address of the announcer's own.
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
