//! Which of the learned routes are installed in the kernel, and where.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::{KindSet, Prefix, Vni};

/// The settings of a [`Fib`](super::Fib). Write `..FibSettings::default()` for those that you leave out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FibSettings {
    /// The kernel's routing table for each VNI, from 1 (254 is the main table). Routes of other VNIs are not installed. Default: none.
    ///
    /// Several VNIs may share a table. A destination that several of them have is then installed for the lowest of these
    /// VNIs; for the others it is a conflict ([`FibReport::VniConflict`](super::FibReport::VniConflict)).
    pub tables: BTreeMap<Vni, u32>,
    /// The ids that the FIB's nexthop objects and groups may have. Default 2,000,000,000 to 2,099,999,999.
    pub ids: RangeInclusive<u32>,
    /// Whether the kernel has nexthop objects (from Linux 5.3 on). Without them, each route contains its encapsulations, and an IPv6 route
    /// has only one next hop: a preferred one if there is one, with the lowest address. Default true.
    pub nexthop_objects: bool,
    /// Whether only IPv4 destinations are installed. Default false.
    pub ipv4_only: bool,
    /// The kinds of next hops that are not installed. Default: none.
    pub exclude: KindSet,
    /// The networks of preferred next hops. Their weight is 99 times the weight of other next hops of the same destination. Default: none.
    pub prefer: Vec<Prefix>,
    /// How many routes a nexthop group must have to be replaced although there is an object with the new next hops, to which its routes are moved
    /// afterwards: they change at once, for one more operation in all. Those of a smaller group are moved directly. Default 64.
    pub replace_min: usize,
    /// The shortest wait before a failed operation is tried again. It doubles at each failure. Over zero, at most
    /// [`retry_max`](Self::retry_max). Default 100 ms.
    pub retry_min: Duration,
    /// The longest wait before a failed operation is tried again. Default 30 s.
    pub retry_max: Duration,
    /// The seed of hash maps. The default, 0, is for tests only. If routes come from strangers, set a random one: see
    /// [`Config::seed`](crate::Config::seed).
    pub seed: u64,
}

impl Default for FibSettings {
    fn default() -> Self {
        Self {
            tables: BTreeMap::new(),
            ids: 2_000_000_000..=2_099_999_999,
            nexthop_objects: true,
            ipv4_only: false,
            exclude: KindSet::NONE,
            prefer: Vec::new(),
            replace_min: 64,
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(30),
            seed: 0,
        }
    }
}

/// A setting that is out of its range.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FibSettingsError {
    /// The table of this VNI is 0. The numbers of tables begin with 1.
    TableZero(Vni),
    /// [`FibSettings::ids`] is empty or begins with 0. The ids of objects begin with 1.
    Ids(RangeInclusive<u32>),
    /// [`FibSettings::retry_min`] is zero or over [`FibSettings::retry_max`].
    Retry,
}

impl fmt::Display for FibSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableZero(vni) => write!(f, "VNI {vni} can't be in table 0: tables are 1 to 4294967295"),
            Self::Ids(ids) => write!(f, "no nexthop ids in {}-{}: the first is at least 1", ids.start(), ids.end()),
            Self::Retry => f.write_str("the shortest wait before a retry must be over 0 and not over the longest"),
        }
    }
}

impl core::error::Error for FibSettingsError {}

impl FibSettings {
    /// Returns whether a next hop is in one of the preferred networks.
    pub(super) fn prefers(&self, addr: Ipv6Addr) -> bool {
        self.prefer.iter().any(|network| network.contains(IpAddr::V6(addr)))
    }

    /// # Errors
    /// If a setting is out of its range.
    pub(super) fn check(&self) -> Result<(), FibSettingsError> {
        if let Some((&vni, _)) = self.tables.iter().find(|(_, table)| **table == 0) {
            return Err(FibSettingsError::TableZero(vni));
        }
        if self.nexthop_objects && (self.ids.is_empty() || *self.ids.start() == 0) {
            return Err(FibSettingsError::Ids(self.ids.clone()));
        }
        if self.retry_min.is_zero() || self.retry_min > self.retry_max {
            return Err(FibSettingsError::Retry);
        }
        Ok(())
    }
}
