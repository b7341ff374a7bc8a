//! Time: a point on the driver's monotonic clock. The core reads no clock.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time: the [`Duration`] since an epoch that the driver chooses, for example its own start.
///
/// Every call into the core that depends on time takes one as an argument. Time never runs back: the core takes an earlier one as
/// the latest that it has seen (invariant *clock*).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(Duration);

impl Instant {
    /// The driver's epoch.
    pub const EPOCH: Self = Self(Duration::ZERO);

    /// Returns the point that lies `since_epoch` after the driver's epoch.
    pub const fn from_epoch(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// Returns the time since the driver's epoch.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// Returns the time since `earlier`; zero if this point is before it.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the latest point that can be represented.
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// Saturates at the epoch.
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(rhs))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t+{:?}", self.0)
    }
}
