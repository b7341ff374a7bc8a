//! Metrics of the routes in the kernel.

use std::fmt;

use super::super::App;
use super::out::Out;
use crate::install::{self, FibStats};

#[derive(Debug)]
pub(super) struct Kernel(FibStats);

impl Kernel {
    /// Reads the figures. Returns `None` if no routes are installed.
    pub(super) async fn of(app: &App) -> Option<Self> {
        install::stats(app.kernel.as_ref()?).await.map(Self)
    }

    pub(super) fn encode(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let Self(stats) = self;
        out.gauge(("kernel_routes_wanted", "Destinations that should have a kernel route"), stats.wanted)?;
        out.gauge(("kernel_routes_installed", "Kernel routes of this daemon that are in effect"), stats.installed)?;
        out.gauge(("kernel_nexthop_objects", "Nexthop objects of this daemon, including groups"), stats.objects)?;
        let help = "Destinations that are not installed, or without effect, because of a route of another protocol or of a lower VNI in the same table";
        out.gauge(("kernel_route_conflicts", help), stats.conflicts)?;
        let help = "Destinations that are not installed because a route of a lower VNI in the same table exists; also counted in kernel_route_conflicts";
        out.gauge(("kernel_route_vni_conflicts", help), stats.vni_conflicts)?;
        let help = "Kernel routes and nexthop objects whose last operation the kernel refused; each is tried again";
        out.gauge(("kernel_operations_failing", help), stats.failing)?;
        let help = "Destinations with more next hops than the 256 that are installed";
        out.gauge(("kernel_routes_with_too_many_next_hops", help), stats.too_many_next_hops)?;
        let operations = [([("result", "done")], stats.done), ([("result", "failed")], stats.failed)];
        out.counters(("kernel_operations", "Changes that the kernel made or refused"), None, operations)?;
        let help = "Kernel routes of this daemon that another program removed";
        out.counter(("kernel_routes_removed_by_others", help), None, stats.removed)?;
        out.counter(("kernel_dumps", "Number of reads of the kernel's state"), None, stats.dumps)
    }
}
