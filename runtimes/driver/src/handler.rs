//! The trait of those who act on each next hop, rather than keep a table.

use std::fmt;
use std::time::Duration;

use metalbond::Route;

/// Carries route changes out: into a firewall, a kernel, another program.
///
/// A driver's `Changes::apply_to` calls it, one call at a time. A call that fails is made again, 100 ms later at first and
/// up to 10 s apart, until it succeeds or the route has changed meanwhile; other routes go on. When some 4,000 calls are
/// owed, changes wait in the node until there are fewer. Of a
/// destination with several changes, additions come first.
///
/// Both calls have to be idempotent: after a failure or a resync, `add` is called for a route that is there already, and
/// `remove` for one that is not.
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

    /// A route is there.
    ///
    /// # Errors
    /// The handler's own. The call will be made again.
    fn add(&mut self, route: Route) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A route is gone.
    ///
    /// # Errors
    /// The handler's own. The call will be made again.
    fn remove(&mut self, route: Route) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A call has failed: for counters and the like. Failures are logged without it, the first and then every ten
    /// seconds.
    fn failed(&mut self, failure: &Failure<Self::Error>) {
        let _ = failure;
    }
}

/// What a [`RouteHandler`] is asked to do.
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
    /// Which call.
    pub operation: Operation,
    /// For which route.
    pub route: Route,
    /// Why.
    pub error: E,
    /// How often it has failed by now, in a row.
    pub times: u32,
    /// When it will be made again.
    pub retry_in: Duration,
}

/// A [`RouteHandler`] whose node is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Applied<H> {
    /// The handler.
    pub handler: H,
    /// Calls that failed, and will not be made again. Empty: all was carried out that came out of the stream. (What did not
    /// fit into it when the node ended never came.)
    pub undone: Vec<(Operation, Route)>,
}
