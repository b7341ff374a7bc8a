//! The interface to the kernel's routes and nexthop objects.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

use metalbond::Prefix;
use metalbond::fib::{Found, FoundObject, Notice, Op, OpError, OpErrorKind, RouteTarget};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};

use crate::claim::Claim;
use crate::device::Device;
use crate::error::{DumpError, Lost, OpenError};
use crate::link::{self, Link};
use crate::message::{Message, Messages, REPLACE};
use crate::requests::Requests;
use crate::route::{self, Route};
use crate::strays::Strays;
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
    /// The objects that routes and groups of others use; `None` if that is to be read first.
    in_use: Option<BTreeSet<u32>>,
    claim: Option<Claim>,
    strays: Strays,
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
        Ok(Self {
            settings,
            requests,
            watch,
            device,
            has_objects,
            in_use: None,
            claim: None,
            strays: Strays::default(),
        })
    }

    /// Claims the settings' tables and ids for this process, until this value is dropped. Two processes that use the same ones with the same
    /// protocol number would remove each other's routes and objects.
    ///
    /// # Errors
    /// [`OpenError::Taken`] if another process of this network namespace has claimed some of them, and does not end within a second.
    pub fn claim(&mut self) -> Result<(), OpenError> {
        self.claim = Some(Claim::take(&self.settings)?);
        Ok(())
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
    /// The removal of a route removes only a route with this program's protocol and metric. A replacement affects the first route with this
    /// metric, of any protocol. An object that a route of another table or protocol uses, or a group of another program, is not removed:
    /// before the first removal, and when it may have changed, all tables are read to know.
    ///
    /// # Errors
    /// If answers were lost: it is unknown which of the operations were carried out, until the next [`dump`](Self::dump).
    pub fn execute(&mut self, ops: &[Op]) -> Result<Vec<Result<(), OpError>>, Lost> {
        if self.in_use.is_none() && ops.iter().any(|op| matches!(op, Op::RemoveObject { .. })) {
            self.read_uses()?;
        }
        let (protocol, metric, device) = (self.settings.protocol, self.settings.metric, self.device.index());
        let mut results: Vec<Result<(), OpError>> = Vec::with_capacity(ops.len());
        let mut ops = ops.iter().peekable();
        while ops.peek().is_some() {
            // For each message in this send: its sequence number, its operation's index in the results, and the operation.
            let mut sent = Vec::new();
            while let Some(op) = ops.next_if(|_| !self.requests.is_full()) {
                let checked = operation::check(op, device).and_then(|()| self.check_use(op));
                if checked.is_ok() {
                    let sequence =
                        self.requests.add(|out, sequence| operation::put(out, sequence, op, protocol, metric, device));
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

    /// Returns an error if an operation removes an object that others use, or may use.
    fn check_use(&self, op: &Op) -> Result<(), OpError> {
        let Op::RemoveObject { id } = op else { return Ok(()) };
        match &self.in_use {
            Some(in_use) if !in_use.contains(id) => Ok(()),
            Some(_) => Err(OpError { kind: OpErrorKind::InUse, errno: 0, text: None }),
            None => Err(OpError { kind: OpErrorKind::Busy, errno: 0, text: None }),
        }
    }

    /// Reads which objects are used by groups of other programs, and by routes of all tables that are not reported as this program's. If the
    /// kernel does not say, it stays unknown.
    fn read_uses(&mut self) -> Result<(), Lost> {
        let Self { settings, requests, device, .. } = self;
        let mut in_use = BTreeSet::new();
        let mut is_known = dump_part(requests, nexthop::put_dump, |message| {
            if is_group_of_others(settings, message.body) {
                in_use.extend(nexthop::members(message.body).filter(|id| settings.ids.contains(id)));
            }
        });
        for family in [route::AF_INET, route::AF_INET6] {
            is_known = is_known.and_then(|()| {
                dump_part(
                    requests,
                    |out, sequence| route::put_dump(out, sequence, family, None),
                    |message| {
                        in_use.extend(
                            Route::parse(message.body).and_then(|route| used_by_others(settings, device, &route)),
                        );
                    },
                )
            });
        }
        match is_known {
            Ok(()) => self.in_use = Some(in_use),
            Err(DumpError::Lost(lost)) => return Err(lost),
            Err(_) => {}
        }
        Ok(())
    }

    /// Calls `found` for each of this program's objects, then for each route in its tables that is this program's, or that the kernel
    /// prefers to one with its metric. It collects nothing, so its memory does not grow with them.
    ///
    /// If other programs change the state at the same time, a part may be reported again from its beginning: the later report counts, and
    /// routes and objects that were removed since the earlier one are reported by [`notices`](Self::notices).
    ///
    /// # Errors
    /// If the dump could not be completed.
    pub fn dump(&mut self, mut found: impl FnMut(Found)) -> Result<(), DumpError> {
        let Self { settings, requests, device, strays, .. } = self;
        if self.has_objects {
            let (protocol, device) = (settings.protocol, device.index());
            dump_part(requests, nexthop::put_dump, |message| {
                if let (nexthop::RTM_NEWNEXTHOP, Some((id, what))) =
                    (message.kind, nexthop::parse(message.body, device, protocol))
                    && settings.ids.contains(&id)
                {
                    found(Found::Object { id, what });
                }
            })?;
        }
        let put = |out: &mut Vec<u8>, sequence| {
            route::put_dump(out, sequence, route::AF_INET6, Some(route::LOCAL_TABLE));
        };
        dump_part(requests, put, |message| {
            if let Some(prefix) = Route::parse(message.body).and_then(|route| route.local()) {
                found(Found::Local { prefix });
            }
        })?;
        for &table in &settings.tables {
            for family in [route::AF_INET, route::AF_INET6] {
                let put = |out: &mut Vec<u8>, sequence| route::put_dump(out, sequence, family, Some(table));
                // The last route in this program's place, and where it leads.
                let mut last = None;
                dump_part(requests, put, |message| {
                    if let (route::RTM_NEWROUTE, Some(route)) = (message.kind, Route::parse(message.body))
                        && route.table == table
                    {
                        report_found(settings, device, &route, &mut last, strays, &mut found);
                    }
                })?;
            }
        }
        Ok(())
    }

    /// Returns the commands that remove routes of this program's protocol in its tables that are not its own, as far as a [`dump`](Self::dump)
    /// has found them and they have not been returned before. They are treated as those of other protocols.
    pub fn take_strays(&mut self) -> Vec<String> {
        self.strays.take()
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
                        note_use(&self.settings, &self.device, &message, &mut self.in_use);
                        report(&self.settings, &mut self.device, &message, &mut |reported| match reported {
                            Notice::Anything => anything = true,
                            reported => notice(reported),
                        });
                    }
                }
                Ok(None) => break,
                Err(Lost::Overflow) => is_refreshed = false,
                Err(lost) => {
                    self.in_use = None;
                    return Err(lost);
                }
            }
        }
        if !is_refreshed {
            anything = true;
            self.in_use = None;
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
            let is_new = message.kind == route::RTM_NEWROUTE;
            if let Some(prefix) = route.local() {
                // One of several devices with the address may have lost it.
                notice(if is_new { Notice::LocalAdded { prefix } } else { Notice::Anything });
            }
            if settings.tables.binary_search(&table).is_err() {
                return;
            }
            if route.protocol == settings.protocol && route.is_for_all() {
                notice(if is_new {
                    Notice::RouteAdded { table, prefix }
                } else {
                    Notice::RouteRemoved { table, prefix }
                });
            } else if let Some(rival) = route.rival(settings.metric) {
                let is_replacement = message.flags & REPLACE != 0;
                notice(if is_new {
                    Notice::ForeignAdded { table, prefix, rival, is_replacement }
                } else {
                    Notice::ForeignRemoved { table, prefix, rival }
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

/// Returns whether a route in one of the tables is one that this program makes, with any metric.
fn is_own(settings: &Settings, route: &Route<'_>, target: Option<&RouteTarget>) -> bool {
    route.protocol == settings.protocol
        && route.is_for_all()
        && match target {
            Some(RouteTarget::Object(id)) => settings.ids.contains(id),
            Some(RouteTarget::Nexthops(_)) => true,
            None => false,
        }
}

/// Reports a route of a dump, if it concerns this program. `last`: the last route in this program's place.
fn report_found(
    settings: &Settings,
    device: &Device,
    route: &Route<'_>,
    last: &mut Option<(Prefix, Option<RouteTarget>)>,
    strays: &mut Strays,
    found: &mut impl FnMut(Found),
) {
    let (table, prefix) = (route.table, route.prefix);
    let is_in_place = route.is_in_place(settings.metric);
    if route.protocol != settings.protocol {
        if let Some(rival) = route.rival(settings.metric) {
            found(Found::Foreign { table, prefix, rival });
        }
        return;
    }
    let target = route.target(device.index());
    if is_in_place {
        match last {
            Some((other, at)) if *other == prefix => {
                // A change of the table may have the kernel return a route twice.
                if target.is_none() || *at != target {
                    let route = route.as_surplus();
                    found(Found::Surplus { table, prefix, target, is_in_place, route });
                }
            }
            _ => {
                *last = Some((prefix, target.clone()));
                found(Found::Route { table, prefix, target });
            }
        }
    } else if is_own(settings, route, target.as_ref()) {
        found(Found::Surplus { table, prefix, target, is_in_place, route: route.as_surplus() });
    } else {
        strays.add(route.removal());
        if let Some(rival) = route.rival(settings.metric) {
            found(Found::Foreign { table, prefix, rival });
        }
    }
}

/// Returns whether this is a group that is not this program's.
fn is_group_of_others(settings: &Settings, body: &[u8]) -> bool {
    nexthop::members(body).next().is_some()
        && nexthop::parse(body, None, settings.protocol)
            .is_some_and(|(id, what)| what == FoundObject::Foreign || !settings.ids.contains(&id))
}

/// Returns the object of this program that a route uses, if the route is not reported as this program's.
fn used_by_others(settings: &Settings, device: &Device, route: &Route<'_>) -> Option<u32> {
    let id = route.object().filter(|id| settings.ids.contains(id))?;
    let is_ours = settings.tables.binary_search(&route.table).is_ok()
        && route.protocol == settings.protocol
        && (route.is_in_place(settings.metric) || is_own(settings, route, route.target(device.index()).as_ref()));
    (!is_ours).then_some(id)
}

/// Follows which objects others use. To know it for certain takes a dump, which is made only before an object is removed.
fn note_use(settings: &Settings, device: &Device, message: &Message<'_>, in_use: &mut Option<BTreeSet<u32>>) {
    match message.kind {
        route::RTM_NEWROUTE | route::RTM_DELROUTE => {
            let Some(known) = in_use else { return };
            let Some(id) = Route::parse(message.body).and_then(|route| used_by_others(settings, device, &route)) else {
                return;
            };
            if message.kind == route::RTM_NEWROUTE {
                known.insert(id);
            } else if known.contains(&id) {
                *in_use = None;
            }
        }
        nexthop::RTM_NEWNEXTHOP | nexthop::RTM_DELNEXTHOP if is_group_of_others(settings, message.body) => {
            *in_use = None
        }
        _ => {}
    }
}
