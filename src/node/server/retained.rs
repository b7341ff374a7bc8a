//! Departed clients: until when their routes are retained, and which sessions may take these over.
//!
//! A session of the same client takes a retained route over when it announces it. Whether a session may do so decides whether a stranger can
//! withdraw another client's routes, so the rule is strict where there is proof, and open where there is none:
//!
//! - A client whose certificate had names is the same client only if the new session has exactly the same names. One name in
//!   common is not enough: clients may share a name beside their own, that of their cluster for example. The address plays no part: the client's
//!   host may have another one now.
//! - A client without names is the same client if it comes from the same address, with or without names. Names are additional
//!   proof: a client that is moved to TLS takes over the routes that it announced without it, and another client at that address could come
//!   without a certificate as well.
//!
//! A client that is not recognised loses nothing: the new session announces its routes, and the retained ones are removed when the restart time
//! is over, which other peers do not notice.
//!
//! Invariant: `keys` counts, for each identity, the clients in `by_origin` that have it.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Bound;

use smallvec::SmallVec;

use crate::rib::{ClientKey, OriginId};
use crate::{HostAddr, Instant, PeerName};

/// A client that went away, while its routes are retained.
#[derive(Debug)]
pub(super) struct Departed {
    until: Instant,
    remote: Option<SocketAddr>,
    names: Option<Arc<[PeerName]>>,
}

/// What a client is recognised by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Identity {
    /// All names in its certificate, sorted, each once; at least one.
    Names(Vec<PeerName>),
    /// The host of a client without names.
    Host(HostAddr),
}

impl Identity {
    /// Returns the identity that consists of all these names. `None` without a name.
    fn of_names(names: Option<&[PeerName]>) -> Option<Self> {
        let mut names = names.unwrap_or_default().to_vec();
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then_some(Self::Names(names))
    }

    fn of_host(remote: Option<SocketAddr>) -> Option<Self> {
        remote.map(HostAddr::from).map(Self::Host)
    }
}

/// The clients that are departed now, by their origins.
#[derive(Debug, Default)]
pub(super) struct Retained {
    by_origin: BTreeMap<OriginId, Departed>,
    /// For each identity of a departed client: its key, and how many of them have it.
    keys: BTreeMap<Identity, (ClientKey, usize)>,
    /// The key of the next identity. Each departure uses one at most: 64 bits last for ever.
    next_key: u64,
}

impl Retained {
    /// Adds a client. Returns the key of the sessions that may take its routes over.
    pub(super) fn insert(&mut self, origin: OriginId, departed: Departed) -> ClientKey {
        let next = ClientKey(self.next_key);
        self.next_key += 1;
        let key = match departed.identity() {
            // No session has this key.
            None => next,
            Some(identity) => {
                let (key, count) = self.keys.entry(identity).or_insert((next, 0));
                *count += 1;
                *key
            }
        };
        self.by_origin.insert(origin, departed);
        key
    }

    /// Removes a client, of which the routes are not retained any longer.
    pub(super) fn remove(&mut self, origin: OriginId) {
        let Some(departed) = self.by_origin.remove(&origin) else { return };
        if let Some(identity) = departed.identity()
            && let Entry::Occupied(mut entry) = self.keys.entry(identity)
        {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }

    /// Returns the keys of the departed clients that a new session may be: those with its names, and those without names that came from
    /// its address.
    pub(super) fn keys_of(&self, names: Option<&[PeerName]>, remote: Option<SocketAddr>) -> SmallVec<[ClientKey; 2]> {
        if self.keys.is_empty() {
            return SmallVec::new();
        }
        let identities = Identity::of_names(names).into_iter().chain(Identity::of_host(remote));
        identities.filter_map(|identity| self.keys.get(&identity)).map(|(key, _)| *key).collect()
    }

    pub(super) fn get(&self, origin: OriginId) -> Option<&Departed> {
        self.by_origin.get(&origin)
    }

    /// Returns the first client whose origin's number is after that of `last`; without `last`, the first of all.
    pub(super) fn next(&self, last: Option<OriginId>) -> Option<(OriginId, &Departed)> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_origin.range((from, Bound::Unbounded)).next().map(|(&origin, departed)| (origin, departed))
    }
}

impl Departed {
    /// A client whose routes are retained until `until`.
    pub(super) fn new(until: Instant, remote: Option<SocketAddr>, names: Option<Arc<[PeerName]>>) -> Self {
        Self { until, remote, names }
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    pub(super) fn host(&self) -> Option<HostAddr> {
        self.remote.map(HostAddr::from)
    }

    pub(super) fn names(&self) -> Option<&Arc<[PeerName]>> {
        self.names.as_ref()
    }

    fn identity(&self) -> Option<Identity> {
        Identity::of_names(self.names.as_deref()).or_else(|| Identity::of_host(self.remote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use core::net::Ipv6Addr;
    use proptest::prelude::*;

    /// Names by number, `None` without a certificate; and where it comes from.
    type Client = (Option<Vec<u8>>, u8);

    fn names(client: &Client) -> Option<Arc<[PeerName]>> {
        let name = |n: &u8| PeerName::Dns([b'a' + n].map(char::from).iter().collect::<alloc::string::String>().into());
        client.0.as_ref().map(|names| names.iter().map(name).collect())
    }

    fn remote(client: &Client) -> Option<SocketAddr> {
        Some((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, client.1.into()), 1025).into())
    }

    /// The rule in the module's documentation.
    fn is_same(old: &Client, new: &Client) -> bool {
        let set = |client: &Client| client.0.iter().flatten().copied().collect::<BTreeSet<_>>();
        if set(old).is_empty() { old.1 == new.1 } else { set(old) == set(new) }
    }

    fn client() -> impl Strategy<Value = Client> {
        (prop::option::of(prop::collection::vec(0..3u8, 0..4)), 0..3u8)
    }

    proptest! {
        #[test]
        fn a_session_may_be_exactly_the_departed_clients_that_the_rule_names(
            departed in prop::collection::vec((client(), any::<bool>()), 0..8), new in client()
        ) {
            let mut clients = Retained::default();
            let mut all = Vec::new();
            for (n, (client, stays)) in departed.into_iter().enumerate() {
                let origin = OriginId::from_number(n as u32);
                let (names, remote) = (names(&client), remote(&client));
                let key = clients.insert(origin, Departed::new(Instant::EPOCH, remote, names));
                all.push((client, stays, origin, key));
            }
            for (.., origin, _) in all.extract_if(.., |one| !one.1) {
                clients.remove(origin);
            }
            let keys = clients.keys_of(names(&new).as_deref(), remote(&new));
            for (client, .., key) in &all {
                prop_assert_eq!(keys.contains(key), is_same(client, &new), "{:?} after {:?}", new, client);
            }
            for (.., origin, _) in all {
                clients.remove(origin);
            }
            prop_assert!(clients.keys.is_empty() && clients.by_origin.is_empty(), "nothing is remembered of who is gone");
        }
    }
}
