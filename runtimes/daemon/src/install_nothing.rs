//! Replacement for `install` on systems without support for kernel routes: it has no arguments and does nothing.

use clap::Args;
pub(crate) use metalbond::fib::FibStats;
use metalbond::{Route, Vni};
use metalbond_tokio::{Changes, MetalBond};

use crate::http::Events;

#[derive(Args, Debug)]
pub(crate) struct InstallArgs {}

/// No kernel routes. The type has no values.
#[derive(Clone, Debug)]
pub(crate) enum KernelRoutes {}

impl InstallArgs {
    pub(crate) fn is_wanted(&self) -> bool {
        false
    }

    pub(crate) fn mapped(&self) -> impl Iterator<Item = Vni> {
        std::iter::empty()
    }

    pub(crate) fn warnings(&self, _: &[Vni]) -> Vec<String> {
        Vec::new()
    }

    pub(crate) fn start(&self) -> anyhow::Result<Option<KernelRoutes>> {
        Ok(None)
    }
}

impl KernelRoutes {
    pub(crate) async fn announced(&self, _: Vec<Route>) -> anyhow::Result<()> {
        match *self {}
    }

    pub(crate) async fn withdrawn(&self, _: Vec<Route>) -> anyhow::Result<()> {
        match *self {}
    }
}

pub(crate) async fn install(_: &MetalBond, _: &mut Changes, routes: &KernelRoutes, _: &Events) -> anyhow::Result<()> {
    match *routes {}
}

pub(crate) async fn stats(routes: &KernelRoutes) -> Option<FibStats> {
    match *routes {}
}

pub(crate) async fn stop(routes: &KernelRoutes, _: bool) {
    match *routes {}
}
