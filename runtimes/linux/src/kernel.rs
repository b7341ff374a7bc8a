//! The interface to the kernel's routes and nexthop objects.

use std::os::fd::{AsFd, BorrowedFd};

use metalbond::fib::{Found, Notice, Op, OpError};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};

use crate::device::Device;
use crate::error::{DumpError, Lost, OpenError};
use crate::link::{self, Link};
use crate::message::{Message, Messages};
use crate::requests::Requests;
use crate::route::{self, Route};
use crate::watch::Watch;
use crate::{Settings, nexthop, operation};

/// How often a part of a dump is tried when it is interrupted.
const DUMP_TRIES: usize = 5;
/// The most datagrams that one call of [`Kernel::notices`] reads.
const NOTICES_MAX: usize = 4096;

/// An interface to the kernel's own routes and nexthop objects: those that belong to this program by its [`Settings`], in the network
/// namespace of the thread that opened it.
///
/// One thread owns it: all methods except [`notices`](Self::notices) wait for the kernel. The kernel carries out requests before a send
/// returns, so no answer takes long.
#[derive(Debug)]
pub struct Kernel {
    settings: Settings,
    requests: Requests,
    watch: Watch,
    device: Device,
    /// Whether the kernel has nexthop objects.
    has_objects: bool,
}

impl Kernel {
    /// Opens the sockets, and looks for the device and for nexthop objects. From now on, changes by other programs are kept for
    /// [`notices`](Self::notices).
    ///
    /// # Errors
    /// If the process may not change routes, the device does not exist, the settings are not valid, or a netlink socket fails. A kernel
    /// without nexthop objects is no error: see [`has_nexthop_objects`](Self::has_nexthop_objects). A device that is down is no error
    /// either: see [`is_device_up`](Self::is_device_up).
    pub fn open(mut settings: Settings) -> Result<Self, OpenError> {
        settings.check()?;
        settings.tables.sort_unstable();
        settings.tables.dedup();
        let mut requests = Requests::open().map_err(Lost::Socket)?;
        let has_objects = probe(&mut requests)?;
        let watch = Watch::open(requests.port()).map_err(Lost::Socket)?;
        let mut device = Device::new(settings.device.clone());
        device.refresh(&mut requests, |_| ())?;
        if device.index().is_none() {
            return Err(OpenError::NoDevice(settings.device));
        }
        Ok(Self { settings, requests, watch, device, has_objects })
    }

    /// Returns true if the kernel has nexthop objects and the settings permit them.
    pub fn has_nexthop_objects(&self) -> bool {
        self.has_objects && self.settings.nexthop_objects
    }

    /// Returns true if the device exists, is up, and has a carrier, at the time of the last [`notices`](Self::notices).
    pub fn is_device_up(&self) -> bool {
        self.device.is_up()
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns a descriptor that is readable when [`notices`](Self::notices) has something to report.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watch.socket.as_fd()
    }

    /// Carries out operations in their order, and returns the result of each. After a failed operation, the next ones are still tried.
    ///
    /// The removal of a route removes only a route with this program's protocol. A replacement, and the removal of an object, affect any
    /// route or object.
    ///
    /// # Errors
    /// If answers were lost: it is unknown which of the operations were carried out, until the next [`dump`](Self::dump).
    pub fn execute(&mut self, ops: &[Op]) -> Result<Vec<Result<(), OpError>>, Lost> {
        let (protocol, device) = (self.settings.protocol, self.device.index());
        let mut results: Vec<Result<(), OpError>> = Vec::with_capacity(ops.len());
        let mut ops = ops.iter().peekable();
        while ops.peek().is_some() {
            // For each message in this send: its sequence number, its operation's index in the results, and the operation.
            let mut sent = Vec::new();
            while let Some(op) = ops.next_if(|_| !self.requests.is_full()) {
                let checked = operation::check(op, device);
                if checked.is_ok() {
                    let sequence =
                        self.requests.add(|out, sequence| operation::put(out, sequence, op, protocol, device));
                    sent.push((sequence, results.len(), op));
                }
                results.push(checked);
            }
            let mut sent = sent.into_iter();
            self.requests.flush(|sequence, answer| {
                if let Some((_, place, op)) = sent.find(|sent| sent.0 == sequence) {
                    results[place] = Err(operation::error(op, answer.errno, answer.text));
                }
            })?;
        }
        Ok(results)
    }

    /// Calls `found` for each of this program's objects, then for each of its routes. It collects nothing, so its memory does not grow with
    /// them.
    ///
    /// If other programs change the state at the same time, a part may be reported again from its beginning: the later report counts, and
    /// routes and objects that were removed since the earlier one are reported by [`notices`](Self::notices). Routes with another metric
    /// are not this program's.
    ///
    /// # Errors
    /// If the dump could not be completed.
    pub fn dump(&mut self, mut found: impl FnMut(Found)) -> Result<(), DumpError> {
        let Self { settings, requests, device, .. } = self;
        let (protocol, device) = (settings.protocol, device.index());
        if self.has_objects {
            dump_part(requests, nexthop::put_dump, |message| {
                if let (nexthop::RTM_NEWNEXTHOP, Some((id, what))) =
                    (message.kind, nexthop::parse(message.body, device, protocol))
                    && settings.ids.contains(&id)
                {
                    found(Found::Object { id, what });
                }
            })?;
        }
        for &table in &settings.tables {
            for family in [route::AF_INET, route::AF_INET6] {
                let put = |out: &mut Vec<u8>, sequence| route::put_dump(out, sequence, family, protocol, table);
                dump_part(requests, put, |message| {
                    if let (route::RTM_NEWROUTE, Some(route)) = (message.kind, Route::parse(message.body))
                        && (route.table, route.protocol, route.is_in_our_place) == (table, protocol, true)
                    {
                        found(Found::Route { table, prefix: route.prefix, target: route.target(device) });
                    }
                })?;
            }
        }
        Ok(())
    }

    /// Calls `notice` for each change by other programs since the last call. Does not wait. Reads some thousand changes at most; if there
    /// are more, [`fd`](Self::fd) stays readable.
    ///
    /// Changes by [`execute`](Self::execute) are not reported. When the kernel drops routes and objects with the device, only the IPv6
    /// routes are reported, before or after [`DeviceDown`](Notice::DeviceDown). [`Anything`](Notice::Anything) is reported at most once per
    /// call, as the last notice.
    ///
    /// # Errors
    /// If the socket failed. An overflow is no error: it is reported as [`Anything`](Notice::Anything).
    pub fn notices(&mut self, mut notice: impl FnMut(Notice)) -> Result<(), Lost> {
        let mut anything = false;
        let mut is_refreshed = true;
        for _ in 0..NOTICES_MAX {
            match self.watch.next() {
                Ok(Some(datagram)) => {
                    for message in Messages::new(datagram) {
                        report(&self.settings, &mut self.device, &message, &mut |reported| match reported {
                            Notice::Anything => anything = true,
                            reported => notice(reported),
                        });
                    }
                }
                Ok(None) => break,
                Err(Lost::Overflow) => is_refreshed = false,
                Err(lost) => return Err(lost),
            }
        }
        if !is_refreshed {
            anything = true;
            self.device.refresh(&mut self.requests, &mut notice)?;
        }
        if anything {
            notice(Notice::Anything);
        }
        Ok(())
    }
}

/// Returns true if the kernel has nexthop objects.
fn probe(requests: &mut Requests) -> Result<bool, OpenError> {
    let mut errno = 0;
    requests.add(nexthop::put_probe);
    requests.flush(|_, answer| errno = answer.errno)?;
    match Errno::from_raw_os_error(errno) {
        Errno::PERM | Errno::ACCESS => Err(OpenError::NotPermitted),
        // A kernel that does not know the message does not check the permission either.
        Errno::OPNOTSUPP => {
            let ours = capabilities(None).map_err(|errno| Lost::Socket(errno.into()))?;
            let may = ours.effective.contains(CapabilitySet::NET_ADMIN);
            if may { Ok(false) } else { Err(OpenError::NotPermitted) }
        }
        _ => Ok(true),
    }
}

/// Dumps one kind of object. Starts again if the dump was interrupted.
fn dump_part(
    requests: &mut Requests,
    put: impl Fn(&mut Vec<u8>, u32),
    mut each: impl FnMut(&Message<'_>),
) -> Result<(), DumpError> {
    for _ in 0..DUMP_TRIES {
        match requests.dump(&put, &mut each) {
            Err(DumpError::Interrupted) => {}
            // The table does not exist before it has a route.
            Err(DumpError::Refused(error)) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                return Ok(());
            }
            ended => return ended,
        }
    }
    Err(DumpError::Interrupted)
}

/// Reports a message from the kernel as a notice, if it concerns this program.
fn report(settings: &Settings, device: &mut Device, message: &Message<'_>, notice: &mut impl FnMut(Notice)) {
    match message.kind {
        link::RTM_NEWLINK => {
            if let Some(link) = Link::parse(message.body) {
                device.link(&link, notice);
            }
        }
        link::RTM_DELLINK => {
            if let Some(link) = Link::parse(message.body) {
                device.link_gone(link.index, notice);
            }
        }
        route::RTM_NEWROUTE | route::RTM_DELROUTE => {
            let Some(route) = Route::parse(message.body) else { return };
            let (table, prefix) = (route.table, route.prefix);
            if settings.tables.binary_search(&table).is_ok() {
                notice(if message.kind == route::RTM_NEWROUTE {
                    Notice::RouteAdded { table, prefix }
                } else if route.protocol == settings.protocol && route.is_in_our_place {
                    Notice::RouteRemoved { table, prefix }
                } else {
                    Notice::ForeignRemoved { table, prefix }
                });
            }
        }
        nexthop::RTM_NEWNEXTHOP | nexthop::RTM_DELNEXTHOP => {
            let object = nexthop::parse(message.body, None, settings.protocol);
            if object.is_some_and(|(id, _)| settings.ids.contains(&id)) {
                notice(Notice::Anything);
            }
        }
        _ => {}
    }
}
