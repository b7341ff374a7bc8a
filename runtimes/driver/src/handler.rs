//! The trait for applications that act on each next hop, instead of keeping a table.

use std::fmt;
use std::time::Duration;

use metalbond::Route;

/// A handler that carries out route changes, one next hop at a time: in a firewall, a kernel or another program.
///
/// [`Changes::apply_to`](crate::Changes::apply_to) calls it, one call at a time. In a change of a destination, additions come before
/// removals. A call that fails is repeated, first after 100 ms and later at least every 10 s, until it succeeds or the route changes again.
/// Calls for other routes go on meanwhile. When 4,096 failed calls wait, further changes wait in the node until there are fewer.
///
/// Both calls have to be idempotent: after a failure or a resync, `add` may be called for a route that is there, and `remove` for one that
/// is not there.
///
/// ```
/// use std::collections::BTreeSet;
/// use metalbond::Route;
/// use metalbond_driver::RouteHandler;
///
/// struct Table(BTreeSet<Route>);
///
/// impl RouteHandler for Table {
///     type Error = std::io::Error;
///
///     async fn add(&mut self, route: Route) -> Result<(), Self::Error> {
///         self.0.insert(route);
///         Ok(())
///     }
///
///     async fn remove(&mut self, route: Route) -> Result<(), Self::Error> {
///         self.0.remove(&route);
///         Ok(())
///     }
/// }
/// ```
pub trait RouteHandler: Send {
    /// The error of a call that failed.
    type Error: fmt::Display + Send;

    /// Adds a route.
    ///
    /// # Errors
    /// The handler's own errors. The call is repeated later.
    fn add(&mut self, route: Route) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Removes a route.
    ///
    /// # Errors
    /// The handler's own errors. The call is repeated later.
    fn remove(&mut self, route: Route) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Is called after each call that failed, for counters of your own. By default it does nothing. Failures are also logged: the first
    /// one, then at most one every ten seconds.
    fn failed(&mut self, failure: &Failure<Self::Error>) {
        let _ = failure;
    }
}

/// The kind of a call of a [`RouteHandler`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operation {
    /// [`RouteHandler::add`].
    Add,
    /// [`RouteHandler::remove`].
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Add => "add",
            Self::Remove => "remove",
        })
    }
}

/// A call of a [`RouteHandler`] that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Failure<E> {
    /// The kind of the call.
    pub operation: Operation,
    /// The route of the call.
    pub route: Route,
    /// The handler's error.
    pub error: E,
    /// How many times the call has failed in a row, from 1.
    pub times: u32,
    /// The wait before the call is repeated.
    pub retry_in: Duration,
}

/// The result of [`Changes::apply_to`](crate::Changes::apply_to), after the end of the node.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Applied<H> {
    /// The handler.
    pub handler: H,
    /// The calls that failed and will not be repeated. If it is empty, all changes that came out of the stream were carried out. (Changes
    /// for which the stream had no room when the node ended did not come out.)
    pub undone: Vec<(Operation, Route)>,
}
