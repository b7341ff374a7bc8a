//! A change of a destination that the application subscribed to, as [`Node::poll_change`](crate::Node::poll_change) returns it.

use core::fmt;

use smallvec::SmallVec;

use crate::{NextHop, Prefix, Vni};

/// A change of a destination: all of its next hops now, and which of them were added and removed since the last report.
///
/// An application that keeps a table replaces a destination's next hops by [`next_hops`](Self::next_hops). An application that
/// acts on single next hops handles [`added`](Self::added) first, then [`removed`](Self::removed): in this order a
/// destination that always has a next hop is never without one.
///
/// ```
/// use metalbond::{NextHop, RouteChange, Vni};
///
/// let [a, b, c] = [1, 2, 3].map(|n| NextHop::standard([192, 0, 2, n].into()));
/// let change = RouteChange::new(Vni(23), "10.0.0.1/32".parse().unwrap(), [a], [b], [c]);
/// assert_eq!(change.next_hops(), [a, b]);
/// assert_eq!((change.added(), change.removed()), (&[b][..], &[c][..]));
/// assert_eq!(change.to_string(), "23 10.0.0.1/32 via 192.0.2.1, +192.0.2.2, -192.0.2.3");
/// ```
///
/// With the feature `serde` it is serialized (it cannot be deserialized) as an object: `vni`, `prefix`, and the lists `next_hops`, `added`
/// and `removed`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[must_use = "a change is reported once"]
pub struct RouteChange {
    /// The virtual network.
    pub vni: Vni,
    /// The destination.
    pub prefix: Prefix,
    /// Next hops: those reported before, then the added ones, then the removed ones.
    hops: SmallVec<[NextHop; 1]>,
    added_from: u32,
    removed_from: u32,
}

impl RouteChange {
    /// Returns a change after which a destination has the next hops `known`, which were reported before, and `added`, which were not.
    /// It no longer has those in `removed`.
    pub fn new(
        vni: Vni,
        prefix: Prefix,
        known: impl IntoIterator<Item = NextHop>,
        added: impl IntoIterator<Item = NextHop>,
        removed: impl IntoIterator<Item = NextHop>,
    ) -> Self {
        // `push` is faster than `extend` for the usual single next hop.
        let mut hops = SmallVec::new();
        known.into_iter().for_each(|hop| hops.push(hop));
        let added_from = hops.len() as u32;
        added.into_iter().for_each(|hop| hops.push(hop));
        let removed_from = hops.len() as u32;
        removed.into_iter().for_each(|hop| hops.push(hop));
        Self { vni, prefix, hops, added_from, removed_from }
    }

    /// Returns all next hops that the destination has now. Without any, the destination is gone.
    pub fn next_hops(&self) -> &[NextHop] {
        &self.hops[..self.removed_from as usize]
    }

    /// Returns the next hops that the destination did not have at the last report.
    pub fn added(&self) -> &[NextHop] {
        &self.hops[self.added_from as usize..self.removed_from as usize]
    }

    /// Returns the next hops that the destination had at the last report and does not have now.
    pub fn removed(&self) -> &[NextHop] {
        &self.hops[self.removed_from as usize..]
    }
}

impl fmt::Display for RouteChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let via = if self.next_hops().is_empty() { "gone, " } else { "via " };
        write!(f, "{} {} {via}", self.vni, self.prefix)?;
        for (n, hop) in self.hops.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let sign = match n as u32 {
                n if n < self.added_from => "",
                n if n < self.removed_from => "+",
                _ => "-",
            };
            write!(f, "{comma}{sign}{hop}")?;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for RouteChange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut fields = serializer.serialize_struct("RouteChange", 5)?;
        fields.serialize_field("vni", &self.vni)?;
        fields.serialize_field("prefix", &self.prefix)?;
        fields.serialize_field("next_hops", self.next_hops())?;
        fields.serialize_field("added", self.added())?;
        fields.serialize_field("removed", self.removed())?;
        fields.end()
    }
}
