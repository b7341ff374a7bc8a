//! Replacement for `privileges` on systems without capabilities: nothing is dropped.

pub(crate) fn reduce(_has_kernel_routes: bool, _has_low_port: bool) {}

pub(crate) fn settle(_has_kernel_routes: bool) {}

pub(crate) fn drop_all_of_this_thread() {}

pub(crate) fn hide_memory() {}
