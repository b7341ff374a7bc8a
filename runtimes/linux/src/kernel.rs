//! The kernel's routes and nexthop objects.

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

/// How often a part of a dump that was interrupted is begun anew.
const DUMP_TRIES: usize = 5;
/// Datagrams that one call of [`Kernel::notices`] reads at most.
const NOTICES_MAX: usize = 4096;

/// The kernel's routes and nexthop objects: those that are ours by [`Settings`], in the network namespace of the thread
/// that opened it.
///
/// Owned by one thread: everything here waits for the kernel, [`notices`](Self::notices) excepted. The kernel carries out
/// what it is asked for before a send returns, so an answer is never waited for long.
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
    /// Opens the sockets, and looks for the device and for nexthop objects. From now on changes by others are noted down
    /// for [`notices`](Self::notices).
    ///
    /// # Errors
    /// If the process may not change routes, the device is not there, the settings make no sense, or the kernel cannot be
    /// talked to. A kernel without nexthop objects is none: see [`has_nexthop_objects`](Self::has_nexthop_objects). Neither
    /// is a device that is down: see [`is_device_up`](Self::is_device_up).
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

    /// Whether nexthop objects can and may be used.
    pub fn has_nexthop_objects(&self) -> bool {
        self.has_objects && self.settings.nexthop_objects
    }

    /// Whether the device is there, up, and has a carrier, as of the last [`notices`](Self::notices).
    pub fn is_device_up(&self) -> bool {
        self.device.is_up()
    }

    /// What it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Becomes readable when there is something for [`notices`](Self::notices).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watch.socket.as_fd()
    }

    /// Carries out operations, in their order, and returns how each ended. One that fails does not keep the next from being
    /// tried.
    ///
    /// A removal of a route hits ours only. A replacement and the removal of an object hit whatever is there.
    ///
    /// # Errors
    /// If answers were lost: which of the operations were carried out is unknown, until the next [`dump`](Self::dump).
    pub fn execute(&mut self, ops: &[Op]) -> Result<Vec<Result<(), OpError>>, Lost> {
        let (protocol, device) = (self.settings.protocol, self.device.index());
        let mut results: Vec<Result<(), OpError>> = Vec::with_capacity(ops.len());
        let mut ops = ops.iter().peekable();
        while ops.peek().is_some() {
            // Of each message in this send: its sequence number, the operation's place in the results, and itself.
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

    /// Tells what of ours is in the kernel: first the objects, then the routes. Nothing is collected, however much there is.
    ///
    /// When others change things at the same time, a part may be told once more, from its beginning: what was told last
    /// holds, and what is gone by then comes with the [`notices`](Self::notices). Routes with another metric than ours have
    /// are not ours.
    ///
    /// # Errors
    /// If it did not come to an end.
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

    /// Tells what others did since the last call. Does not wait. Reads some thousand at most: then [`fd`](Self::fd) stays
    /// readable.
    ///
    /// What [`execute`](Self::execute) did is not told. Of what the kernel drops with the device, it tells the IPv6 routes
    /// only, before or after [`DeviceDown`](Notice::DeviceDown). [`Anything`](Notice::Anything) is told once a call at
    /// most, as the last.
    ///
    /// # Errors
    /// If the socket failed. An overflow is none: [`Anything`](Notice::Anything) may have happened then.
    pub fn notices(&mut self, mut notice: impl FnMut(Notice)) -> Result<(), Lost> {
        let mut anything = false;
        let mut is_refreshed = true;
        for _ in 0..NOTICES_MAX {
            match self.watch.next() {
                Ok(Some(datagram)) => {
                    for message in Messages::new(datagram) {
                        tell(&self.settings, &mut self.device, &message, &mut |told| match told {
                            Notice::Anything => anything = true,
                            told => notice(told),
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

/// Whether there are nexthop objects.
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

/// A dump of one kind of thing, begun anew if it was interrupted.
fn dump_part(
    requests: &mut Requests,
    put: impl Fn(&mut Vec<u8>, u32),
    mut each: impl FnMut(&Message<'_>),
) -> Result<(), DumpError> {
    for _ in 0..DUMP_TRIES {
        match requests.dump(&put, &mut each) {
            Err(DumpError::Interrupted) => {}
            // The table is not there before its first route.
            Err(DumpError::Refused(error)) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                return Ok(());
            }
            ended => return ended,
        }
    }
    Err(DumpError::Interrupted)
}

/// What a message from the kernel means to us.
fn tell(settings: &Settings, device: &mut Device, message: &Message<'_>, notice: &mut impl FnMut(Notice)) {
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
