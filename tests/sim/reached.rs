//! The situations that the worlds are meant to reach, with counts: a test that no longer reaches a situation no longer
//! tests it.

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
    /// A session announces a retained route. It was open before its client departed with another session.
    NotTakenOverByOlder,
    /// The restart time of a departed client is over, and that of another session of the same client is not.
    ExpiresBesideItself,
    /// A session ends, and another session with the same names also announces one of its routes.
    NamesakeStays,
    /// The same with two sessions that come from one address, the first one without names.
    NeighbourStays,
    /// A client loses its connection, and its server does not notice.
    ServerKeeps,
    /// A server loses a connection, and the client does not notice.
    ClientKeeps,
    /// A client connects while its server still has its last connection.
    BackBeforeLoss,
    /// A stale route stays although the server's new session has sent everything: the server is converging.
    StaysWhileConverging,
    /// A session with a server without the capabilities is open.
    OfReference,
    /// A stale route stays with such a session, which cannot say whether it is gone.
    StaysWithReference,
    /// Such a session stays subscribed to a VNI in which the client announces, although its application has
    /// unsubscribed.
    FiltersVni,
    /// The application subscribes to such a VNI again: the routes are there.
    WantsFilteredVni,
    /// A client withdraws a route that such a server has sent while the client announced it: from now on the client
    /// lacks the route, although another client announces it.
    LacksEchoed,
    /// A command is refused, and nothing has changed.
    CommandRefused,
    /// A server learns a route from a server that it dials, and passes it on to a client.
    SeenThroughServer,
    /// The same with a server without the capabilities.
    SeenThroughReference,
    /// The same in a VNI to which the application of the first server does not subscribe any more, but cannot leave.
    FilteredSeenThroughServer,
    /// A server learns a route from a server that it dials, and may not pass it on to a third server, or back.
    HiddenFromServer,
    /// A server learns a route from a server that it dials, and the route goes from its client when it is withdrawn.
    WithdrawnThroughServer,
    /// A server loses a server that it dials, and its client keeps a route of that server.
    StaleSeenThroughServer,
    /// Such a route goes from the client.
    StaleEndsThroughServer,
    /// A server learns a route from a server that it dials, and a server that dials it announces the route too.
    ServerBothWays,
    /// A policy that asks for names permits an announcement.
    PermittedByName,
    /// A policy that asks for names denies an announcement that it permits to other clients.
    DeniedByName,
    /// A new policy that asks for names denies a retained route of a client that has names.
    RetainedDeniedByName,
}

/// The situations of servers that dial servers.
pub(crate) const BETWEEN_SERVERS: [Situation; 8] = [
    Situation::SeenThroughServer,
    Situation::SeenThroughReference,
    Situation::FilteredSeenThroughServer,
    Situation::HiddenFromServer,
    Situation::WithdrawnThroughServer,
    Situation::StaleSeenThroughServer,
    Situation::StaleEndsThroughServer,
    Situation::ServerBothWays,
];

/// Number of times that each situation was reached.
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
