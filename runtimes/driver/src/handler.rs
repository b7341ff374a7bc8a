//! The trait for applications that act on each next hop, instead of keeping a table.

use std::fmt;
use std::time::Duration;

use metalbond::Route;

/// Carries route changes out: into a firewall, a kernel, another program.
///
/// [`Changes::apply_to`](crate::Changes::apply_to) calls it, one call at a time. A call that fails is repeated, 100 ms later at first and
/// up to 10 s apart, until it succeeds or the route has changed meanwhile; other routes go on. When some 4,000 calls are
/// owed, changes wait in the node until there are fewer. Of one destination, additions come first.
///
/// Both calls have to be idempotent: after a failure or a resync, `add` is called for a route that was added already, and
/// `remove` for one that was not.
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
    /// Why a call fails.
    type Error: fmt::Display + Send;

    /// Adds a route.
    ///
    /// # Errors
    /// The handler's own. The call will be repeated.
    fn add(&mut self, route: Route) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Removes a route.
    ///
    /// # Errors
    /// The handler's own. The call will be repeated.
    fn remove(&mut self, route: Route) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Notes that a call has failed, for counters of your own. Failures are also logged, the first and then one every ten
    /// seconds.
    fn failed(&mut self, failure: &Failure<Self::Error>) {
        let _ = failure;
    }
}

/// A call of a [`RouteHandler`].
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
    /// The call.
    pub operation: Operation,
    /// Its route.
    pub route: Route,
    /// The handler's error.
    pub error: E,
    /// How often the call has failed in a row.
    pub times: u32,
    /// How long until the call is repeated.
    pub retry_in: Duration,
}

/// A [`RouteHandler`] after the end of its node.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Applied<H> {
    /// The handler.
    pub handler: H,
    /// Calls that failed, and will not be repeated. If there are none, everything was carried out that came out of the stream. (Changes that did
    /// not fit into the stream when the node ended never came.)
    pub undone: Vec<(Operation, Route)>,
}
