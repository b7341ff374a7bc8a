//! Moves of routes at a steady rate: which routes move, from which next hop, and when. Pure: time is an argument.

use std::time::Duration;

use super::plan::{Digest, Plan};
use metalbond::Route;

/// The state of the moves.
pub(super) struct Churn {
    plan: Plan,
    rate: u32,
    /// The next hop of each route, by route number.
    next_hops: Vec<u64>,
    moved: u64,
}

/// Routes of one announcer that move at the same time.
#[derive(PartialEq, Eq, Default, Debug)]
pub(super) struct Moves {
    pub(super) from: Vec<Route>,
    pub(super) to: Vec<Route>,
}

impl Churn {
    pub(super) fn new(plan: Plan, rate: u32, routes: u32) -> Self {
        Self { plan, rate, next_hops: vec![0; routes as usize], moved: 0 }
    }

    /// Returns the moves that are due `after` this time since the start, for each announcer. All of them go to
    /// `next_hop`, which must be new. Each route moves at most once per call; further moves are left for the next call.
    pub(super) fn due(&mut self, after: Duration, next_hop: u64, announcers: usize) -> Vec<Moves> {
        let routes = self.next_hops.len() as u64;
        let due = (after.as_nanos() * u128::from(self.rate) / 1_000_000_000) as u64;
        let until = due.clamp(self.moved, self.moved + routes);
        let mut moves: Vec<Moves> = (0..announcers).map(|_| Moves::default()).collect();
        for number in (self.moved..until).map(|n| n % routes) {
            let of = &mut moves[owner(number, announcers)];
            let hop = &mut self.next_hops[number as usize];
            of.from.push(self.plan.route(number, *hop));
            of.to.push(self.plan.route(number, next_hop));
            *hop = next_hop;
        }
        self.moved = until;
        moves
    }

    /// Returns the number of moves so far.
    pub(super) const fn moved(&self) -> u64 {
        self.moved
    }

    /// Returns the routes of an announcer with their current next hops.
    pub(super) fn routes(&self, announcer: usize, announcers: usize) -> impl Iterator<Item = Route> + '_ {
        let hops = (0..).zip(&self.next_hops);
        let own = hops.filter(move |(number, _)| owner(*number, announcers) == announcer);
        own.map(|(number, hop)| self.plan.route(number, *hop))
    }

    /// Returns the digest of all routes with their current next hops.
    pub(super) fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        (0..).zip(&self.next_hops).for_each(|(number, hop)| digest.add(number, *hop));
        digest
    }
}

/// Returns the announcer of a route.
const fn owner(number: u64, announcers: usize) -> usize {
    (number % announcers as u64) as usize
}

#[cfg(test)]
mod tests {
    use metalbond::Vni;

    use super::*;

    #[test]
    fn routes_move_at_the_given_rate_from_their_current_next_hop() {
        let plan = Plan::new(Vni(23));
        let mut churn = Churn::new(plan, 1000, 4);
        let route = |number, hop| plan.route(number, hop);
        let at = |ms| Duration::from_millis(ms);
        assert_eq!(
            churn.due(at(3), 50, 2),
            [
                Moves { from: vec![route(0, 0), route(2, 0)], to: vec![route(0, 50), route(2, 50)] },
                Moves { from: vec![route(1, 0)], to: vec![route(1, 50)] },
            ]
        );
        assert_eq!(churn.due(at(3), 60, 2), [Moves::default(), Moves::default()]);
        assert_eq!(
            churn.due(at(5), 70, 2),
            [
                Moves { from: vec![route(0, 50)], to: vec![route(0, 70)] },
                Moves { from: vec![route(3, 0)], to: vec![route(3, 70)] },
            ]
        );
        assert_eq!(churn.moved(), 5);
        assert_eq!(churn.routes(0, 2).collect::<Vec<_>>(), [route(0, 70), route(2, 50)]);
    }

    #[test]
    fn a_late_call_moves_each_route_once_and_leaves_the_rest_to_the_next_call() {
        let mut churn = Churn::new(Plan::new(Vni(23)), 1000, 4);
        for (next_hop, moves) in [(1, 4), (2, 4), (3, 2), (4, 0)] {
            let due = churn.due(Duration::from_millis(10), next_hop, 1);
            assert_eq!(due[0].to.len(), moves);
        }
    }

    #[test]
    fn the_digest_is_that_of_the_routes() {
        let plan = Plan::new(Vni(23));
        let mut churn = Churn::new(plan, 1000, 3);
        churn.due(Duration::from_millis(2), 9, 1);
        let mut expected = Digest::default();
        [(0, 9), (1, 9), (2, 0)].into_iter().for_each(|(number, hop)| expected.add(number, hop));
        assert_eq!(churn.digest(), expected);
    }
}
