//! The interface to the kernel's routes and nexthop objects.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};

use metalbond::Vni;
use metalbond::fib::{DeviceState, Found, Notice, Op, OpError, OpErrorKind};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};

use crate::claim::{Claim, Part};
use crate::device::Device;
use crate::error::{DumpError, Lost, OpenError};
use crate::link::{self, Link};
use crate::log;
use crate::mark::Mark;
use crate::message::{Message, Messages, REPLACE};
use crate::ours::Ours;
use crate::remains::{self, Remains};
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
    ours: Ours,
    /// The marks of the settings. Empty: nothing is claimed.
    marks: Vec<Mark>,
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
    /// either: see [`device`](Self::device).
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
            ours: Ours::new(settings),
            marks: Vec::new(),
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
    /// protocol number would remove each other's routes and objects. `tables`: the table of each VNI. Then call
    /// [`take_over`](Self::take_over): until then another process that claims something waits, for a second.
    ///
    /// # Errors
    /// [`OpenError::Taken`] if another process of this network namespace has claimed some of them, and does not end within a second.
    pub fn claim(&mut self, tables: &BTreeMap<Vni, u32>) -> Result<(), OpenError> {
        let Settings { protocol, ids, .. } = self.ours.settings();
        let mark = |(&vni, &table): (&Vni, &u32)| Mark { table, vni, protocol: *protocol, ids: ids.clone() };
        self.marks = tables.iter().map(mark).collect();
        self.claim = Some(Claim::take(&Part::of(self.ours.settings()))?);
        Ok(())
    }

    /// After [`claim`](Self::claim), and before anything is changed: marks the tables as those of their VNIs, and finds by its marks what was
    /// left under other settings. Routes of a VNI that is no longer in a table of the settings are removed now. Routes in other tables, those
    /// with another protocol number, and objects with other ids belong to this program from now on, until none is left. The log names all of
    /// it. [`KernelRoutes`](crate::KernelRoutes) calls this itself.
    ///
    /// # Errors
    /// If the kernel's state could not be read. Call it again then.
    pub fn take_over(&mut self) -> Result<(), OpenError> {
        let Self { ours, requests, device, marks, claim: Some(claim), .. } = self else { return Ok(()) };
        let found = read_marks(requests)?;
        let is_live = |mark: &Mark| {
            let part = Part { protocol: mark.protocol, ids: mark.ids.clone(), tables: vec![mark.table] };
            claim.others().iter().any(|other| other.shared(&part).is_some())
        };
        let unmarked = marks.iter().filter(|mark| !found.iter().any(|found| found.table == mark.table));
        let unmarked: BTreeSet<u32> = unmarked.map(|mark| mark.table).collect();
        let survey = remains::survey(marks, found.clone(), is_live);
        ours.set_remains(survey.remains);
        take_over(ours, requests, device.index(), &survey.other_vnis, &unmarked)?;
        log::left_alone(&survey.left_alone);
        for part in ours.remains().parts() {
            claim.add(&part)?;
        }
        self.put_marks(&found)?;
        // Those of the tables that were emptied.
        for mark in survey.other_vnis.iter().filter(|mark| self.marks.iter().any(|own| own.is_like(mark))) {
            self.requests.add(|out, sequence| mark.put_remove(out, sequence));
        }
        self.requests.flush(|_, _| ())?;
        // Until here, another attempt has to find the same.
        self.claim.iter_mut().for_each(Claim::end_look);
        Ok(())
    }

    /// Adds those marks of the settings that are not among the ones in the kernel.
    fn put_marks(&mut self, present: &[Mark]) -> Result<(), Lost> {
        let Self { marks, requests, .. } = self;
        for mark in marks.iter().filter(|mark| !present.iter().any(|other| mark.is_in_place_of(other))) {
            let mut refused = None;
            requests.add(|out, sequence| mark.put(out, sequence));
            requests.flush(|_, answer| refused = Some(answer))?;
            match refused {
                // One of earlier settings is in its place.
                Some(answer) if answer.errno != Errno::EXIST.raw_os_error() => log::cannot_mark(mark.table, &answer),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns whether something of earlier settings is perhaps left.
    pub(crate) fn has_remains(&self) -> bool {
        !self.ours.remains().is_empty()
    }

    /// Looks whether something of earlier settings is left. If not, removes its marks.
    ///
    /// # Errors
    /// If the kernel's state could not be read.
    pub(crate) fn look_for_remains(&mut self) -> Result<(), DumpError> {
        let Self { ours, requests, device, .. } = self;
        let mut is_left = false;
        let tables: BTreeSet<u32> = ours.remains().marks().iter().map(|mark| mark.table).collect();
        for table in tables {
            each_route(requests, table, |route| is_left |= ours.has_as_remains(device.index(), route))?;
        }
        if self.has_objects {
            dump_part(requests, nexthop::put_dump, |message| is_left |= ours.has_object_as_remains(message.body))?;
        }
        if is_left {
            return Ok(());
        }
        for mark in ours.set_remains(Remains::default()).marks() {
            match self.marks.iter().find(|own| own.is_in_place_of(mark)) {
                Some(own) => requests.add(|out, sequence| own.put_in_place(out, sequence)),
                None => requests.add(|out, sequence| mark.put_remove(out, sequence)),
            };
            requests.flush(|_, _| ())?;
        }
        Ok(())
    }

    /// Removes the marks of the settings, when no route is left that they are for.
    pub(crate) fn remove_marks(&mut self) -> Result<(), Lost> {
        for mark in std::mem::take(&mut self.marks) {
            self.requests.add(|out, sequence| mark.put_remove(out, sequence));
            self.requests.flush(|_, _| ())?;
        }
        Ok(())
    }

    /// Returns true if the kernel has nexthop objects and the settings permit them.
    pub fn has_nexthop_objects(&self) -> bool {
        self.has_objects && self.ours.settings().nexthop_objects
    }

    /// Returns the state of the device, at the time of the last [`notices`](Self::notices) or [`look_at_device`](Self::look_at_device).
    pub fn device(&self) -> DeviceState {
        self.device.state()
    }

    /// Reads the state of the device. The kernel does not report that IPv6 is switched off or on for it.
    ///
    /// # Errors
    /// If answers were lost.
    pub fn look_at_device(&mut self, notice: impl FnMut(Notice)) -> Result<(), Lost> {
        self.device.refresh(&mut self.requests, notice)
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        self.ours.settings()
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
        let Settings { protocol, metric, .. } = *self.ours.settings();
        let device = self.device.index();
        let mut results: Vec<Result<(), OpError>> = Vec::with_capacity(ops.len());
        let mut ops = ops.iter().peekable();
        while ops.peek().is_some() {
            // For each message in this send: its sequence number, its operation's index in the results, and the operation.
            let mut sent = Vec::new();
            while let Some(op) = ops.next_if(|_| !self.requests.is_full()) {
                let checked = operation::check(op, device).and_then(|()| self.check_use(op));
                if checked.is_ok() {
                    if let Op::RemoveRoute { table, prefix } = op {
                        // One of earlier settings may be in its place.
                        for former in self.ours.remains().protocols(*table) {
                            let put = |out: &mut Vec<u8>, sequence| {
                                route::put_remove(out, sequence, *table, *prefix, metric, former);
                            };
                            self.requests.add(put);
                        }
                    }
                    let sequence =
                        self.requests.add(|out, sequence| operation::put(out, sequence, op, protocol, metric, device));
                    sent.push((sequence, results.len(), op));
                }
                results.push(checked);
            }
            self.requests.flush(|sequence, answer| {
                // The removals of earlier settings' routes have no result of their own.
                if let Some((_, place, op)) = sent.iter().find(|sent| sent.0 == sequence) {
                    results[*place] = Err(operation::error(op, answer.errno, answer.text));
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
        let Self { ours, requests, device, .. } = self;
        let mut in_use = BTreeSet::new();
        let mut is_known = dump_part(requests, nexthop::put_dump, |message| {
            if ours.is_group_of_others(message.body) {
                in_use.extend(ours.members(message.body));
            }
        });
        for family in [route::AF_INET, route::AF_INET6] {
            is_known = is_known.and_then(|()| {
                dump_part(
                    requests,
                    |out, sequence| route::put_dump(out, sequence, family, None),
                    |message| {
                        let route = Route::parse(message.body);
                        in_use.extend(route.and_then(|route| ours.used_by_others(device.index(), &route)));
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
        let Self { ours, requests, device, strays, .. } = self;
        let device = device.index();
        if self.has_objects {
            let ended = dump_part(requests, nexthop::put_dump, |message| {
                if let (nexthop::RTM_NEWNEXTHOP, Some((id, what))) = (message.kind, ours.object(device, message.body)) {
                    found(Found::Object { id, what });
                }
            });
            match ended {
                // The kernel goes on after the id that it has sent last. So it has sent each object that was there all the time, and it
                // reports those of this program that came or went.
                Ok(()) | Err(DumpError::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        let put = |out: &mut Vec<u8>, sequence| {
            route::put_dump(out, sequence, route::AF_INET6, Some(route::LOCAL_TABLE));
        };
        dump_part(requests, put, |message| {
            if let Some(prefix) = Route::parse(message.body).and_then(|route| route.local()) {
                found(Found::Local { prefix });
            }
        })?;
        let mut marks = Vec::new();
        for table in ours.tables() {
            // The last route in this program's place, and where it leads.
            let mut last = None;
            each_route(requests, table, |route| match Mark::parse(route) {
                Some(mark) => marks.push(mark),
                None => ours.report(device, route, &mut last, strays, &mut found),
            })?;
        }
        Ok(self.put_marks(&marks)?)
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
    /// routes are reported, before or after [`Device`](Notice::Device). [`Anything`](Notice::Anything) or
    /// [`ForeignGone`](Notice::ForeignGone) is reported at most once per call, as the last notice.
    ///
    /// # Errors
    /// If the socket failed. An overflow is no error: it is reported as [`Anything`](Notice::Anything).
    pub fn notices(&mut self, mut notice: impl FnMut(Notice)) -> Result<(), Lost> {
        let (mut anything, mut foreign_gone) = (false, false);
        let (before, mut has_changed, mut down) = (self.device.state(), false, None);
        let mut note_state = |state: DeviceState| {
            has_changed = true;
            down = Some(state).filter(|state| !state.is_up()).or(down);
        };
        let mut is_refreshed = true;
        for _ in 0..NOTICES_MAX {
            match self.watch.next() {
                Ok(Some(datagram)) => {
                    for message in Messages::new(datagram) {
                        self.ours.note_use(self.device.index(), &message, &mut self.in_use);
                        report(&self.ours, &mut self.device, &message, &mut |reported| match reported {
                            Notice::Anything => anything = true,
                            Notice::ForeignGone => foreign_gone = true,
                            Notice::Device(state) => note_state(state),
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
            self.device.refresh(&mut self.requests, |reported| match reported {
                Notice::Device(state) => note_state(state),
                reported => notice(reported),
            })?;
        }
        // One event may be several changes: a device that is removed goes down first.
        let now = self.device.state();
        if let Some(down) = down.filter(|_| before.is_up() && now.is_up()) {
            notice(Notice::Device(down));
        }
        if has_changed && (now != before || now.is_up()) {
            notice(Notice::Device(now));
        }
        if anything {
            notice(Notice::Anything);
        } else if foreign_gone {
            notice(Notice::ForeignGone);
        }
        Ok(())
    }
}

/// Returns true if the kernel has nexthop objects.
pub(crate) fn probe(requests: &mut Requests) -> Result<bool, OpenError> {
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
pub(crate) fn dump_part(
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
fn report(ours: &Ours, device: &mut Device, message: &Message<'_>, notice: &mut impl FnMut(Notice)) {
    match message.kind {
        // The kernel drops IPv4 routes with their device, address or nexthop object, without a notice of each.
        link::RTM_NEWLINK => {
            let Some(link) = Link::parse(message.body) else { return };
            device.link(&link, &mut *notice);
            if !link.is_up {
                notice(Notice::ForeignGone);
            }
        }
        link::RTM_DELLINK => {
            let Some(link) = Link::parse(message.body) else { return };
            device.link_gone(link.index, &mut *notice);
            notice(Notice::ForeignGone);
        }
        link::RTM_DELADDR => notice(Notice::ForeignGone),
        route::RTM_NEWROUTE | route::RTM_DELROUTE => {
            let Some(route) = Route::parse(message.body) else { return };
            let (table, prefix) = (route.table, route.prefix);
            let is_new = message.kind == route::RTM_NEWROUTE;
            if let Some(prefix) = route.local() {
                // One of several devices with the address may have lost it.
                notice(if is_new { Notice::LocalAdded { prefix } } else { Notice::LocalGone });
            }
            let is_mark_of_others = Mark::parse(&route).is_some() && !ours.has_protocol(&route);
            if !ours.has_table(table) || is_mark_of_others {
                return;
            }
            if ours.has_protocol(&route) && route.is_for_all() {
                notice(if is_new {
                    Notice::RouteAdded { table, prefix }
                } else {
                    Notice::RouteRemoved { table, prefix }
                });
            } else if let Some(rival) = route.rival(ours.settings().metric) {
                let is_replacement = message.flags & REPLACE != 0;
                notice(if is_new {
                    Notice::ForeignAdded { table, prefix, rival, is_replacement }
                } else {
                    Notice::ForeignRemoved { table, prefix, rival }
                });
            }
        }
        nexthop::RTM_NEWNEXTHOP | nexthop::RTM_DELNEXTHOP if ours.object(None, message.body).is_some() => {
            notice(Notice::Anything);
        }
        nexthop::RTM_DELNEXTHOP => notice(Notice::ForeignGone),
        _ => {}
    }
}

/// Returns all marks of the network namespace.
fn read_marks(requests: &mut Requests) -> Result<Vec<Mark>, OpenError> {
    let mut marks: Vec<Mark> = Vec::new();
    let each = |message: &Message<'_>| {
        let mark = Route::parse(message.body).and_then(|route| Mark::parse(&route));
        // Of a dump that was interrupted, they come again.
        marks.extend(mark.filter(|mark| !marks.contains(mark)));
    };
    dump_part(requests, route::put_dump_unreachable, each).map_err(OpenError::Unread)?;
    Ok(marks)
}

/// Calls `each` for each route of a table.
fn each_route(requests: &mut Requests, table: u32, mut each: impl FnMut(&Route<'_>)) -> Result<(), DumpError> {
    for family in [route::AF_INET, route::AF_INET6] {
        let put = |out: &mut Vec<u8>, sequence| route::put_dump(out, sequence, family, Some(table));
        dump_part(requests, put, |message| {
            if let (route::RTM_NEWROUTE, Some(route)) = (message.kind, Route::parse(message.body))
                && route.table == table
            {
                each(&route);
            }
        })?;
    }
    Ok(())
}

/// Takes what a dump has found that other programs have interrupted.
fn as_far_as_possible(ended: Result<(), DumpError>) -> Result<(), OpenError> {
    match ended {
        Ok(()) | Err(DumpError::Interrupted) => Ok(()),
        Err(error) => Err(OpenError::Unread(error)),
    }
}

/// Empties the tables with routes of other VNIs, and logs what else is not of the present settings. `unmarked`: the tables whose routes, if
/// there are any, have no mark.
fn take_over(
    ours: &Ours,
    requests: &mut Requests,
    device: Option<u32>,
    other_vnis: &[Mark],
    unmarked: &BTreeSet<u32>,
) -> Result<(), OpenError> {
    let mut vnis: BTreeMap<u32, BTreeSet<Vni>> = BTreeMap::new();
    for mark in other_vnis {
        vnis.entry(mark.table).or_default().insert(mark.vni);
    }
    for (table, vnis) in vnis {
        let removed = empty(ours, requests, device, table)?;
        if removed > 0 {
            log::emptied(table, &vnis, removed);
        }
    }
    for table in ours.remains().tables() {
        let routes = count(ours, requests, device, table)?;
        if routes > 0 {
            let of_table = ours.remains().marks().iter().filter(|mark| mark.table == table);
            log::no_longer_mapped(table, &of_table.map(|mark| mark.vni).collect(), routes);
        }
    }
    for &table in unmarked {
        let routes = count(ours, requests, device, table)?;
        if routes > 0 {
            log::unmarked(table, routes);
        }
    }
    let Settings { protocol, ids, .. } = ours.settings();
    for former in ours.remains().parts().iter().filter(|part| (part.protocol, &part.ids) != (*protocol, ids)) {
        log::former_numbers(former.protocol, &former.ids);
    }
    Ok(())
}

/// Returns how many routes of this program a table has.
fn count(ours: &Ours, requests: &mut Requests, device: Option<u32>, table: u32) -> Result<usize, OpenError> {
    let mut routes = BTreeSet::new();
    let each = |route: &Route<'_>| {
        if ours.has_route(device, route) {
            routes.insert(route.prefix);
        }
    };
    as_far_as_possible(each_route(requests, table, each))?;
    Ok(routes.len())
}

/// Removes all routes of this program from a table. Returns how many there were.
fn empty(ours: &Ours, requests: &mut Requests, device: Option<u32>, table: u32) -> Result<usize, OpenError> {
    let mut removed = 0;
    // After an interruption, some may have been missed.
    for tries in 0.. {
        let mut routes = Vec::new();
        let each = |route: &Route<'_>| routes.extend(ours.has_route(device, route).then(|| route.as_surplus()));
        as_far_as_possible(each_route(requests, table, each))?;
        if routes.is_empty() {
            break;
        }
        if tries == DUMP_TRIES {
            log::not_emptied(table, routes.len());
            break;
        }
        for route in &routes {
            requests.add(|out, sequence| route::put_remove_surplus(out, sequence, route));
            removed += 1;
            if requests.is_full() {
                requests.flush(|_, _| removed -= 1)?;
            }
        }
        requests.flush(|_, _| removed -= 1)?;
    }
    Ok(removed)
}
