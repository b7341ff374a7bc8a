//! The situations that the worlds are there for, and how often they were reached: a test that reaches one no more tests it no more.

use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Situation {
    /// A client comes back from the same address, without a certificate before it left, and announces a retained route.
    TakenOverByAddress,
    /// A client comes back with the same names, and announces a retained route.
    TakenOverByName,
    /// The same from another address.
    TakenOverFromElsewhere,
    /// Another client at the same address announces a route that is retained for its neighbour.
    NotTakenOverByNeighbour,
    /// A session that was open before its client departed with another one announces a route that is retained.
    NotTakenOverByOlder,
    /// The restart time of a departed client is over, and that of another session of the same client is not.
    ExpiresBesideItself,
    /// A session ends, and another session with the same names announces one of its routes, too.
    NamesakeStays,
    /// The same with two sessions that come from one address, the first one without names.
    NeighbourStays,
    /// A client loses its connection, and its server does not notice.
    ServerKeeps,
    /// A server loses a connection, and the client does not notice.
    ClientKeeps,
    /// A client connects while its server takes its last connection to be there.
    BackBeforeLoss,
    /// A stale route stays, although the server's new session has sent all: the server is converging.
    StaysWhileConverging,
    /// A session with a server without our capabilities is open.
    OfReference,
    /// A stale route stays with such a session, which cannot say whether it is gone.
    StaysWithReference,
    /// Such a session stays subscribed to a VNI in which the client announces, although the client does not want the VNI any more.
    FiltersVni,
    /// The client wants such a VNI again: it has the routes.
    WantsFilteredVni,
    /// A client withdraws a route that such a server has sent while the client announced it: the client lacks the route from now on, although
    /// another one announces it.
    LacksEchoed,
    /// A command is refused, and nothing has changed.
    CommandRefused,
    /// A policy that asks for names permits an announcement.
    PermittedByName,
    /// A policy that asks for names denies an announcement, which other clients may make.
    DeniedByName,
    /// A new policy that asks for names takes a retained route from a client that has some.
    RetainedDeniedByName,
}

/// How often each situation was reached.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Reached(BTreeMap<Situation, u32>);

impl Reached {
    pub(crate) fn count(&mut self, situation: Situation) {
        *self.0.entry(situation).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (situation, n) in &other.0 {
            *self.0.entry(*situation).or_default() += n;
        }
    }

    pub(crate) fn times(&self, situation: Situation) -> u32 {
        self.0.get(&situation).copied().unwrap_or(0)
    }
}
