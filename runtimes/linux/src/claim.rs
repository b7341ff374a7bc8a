//! Claims: which tables and object ids of a network namespace a live process uses, with which protocol number.
//!
//! Invariant: of two processes that would take each other's routes or objects for their own, only one has a claim. A claim is a listening
//! socket, whose name says what is claimed: such names belong to a network namespace, and the kernel removes the socket at the latest when
//! the process ends.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::thread::CapabilitySet;

use crate::error::{Lost, OpenError, Taken};
use crate::settings::Settings;

/// The beginning of all names.
const NAME: &str = "metalbond/kernel-routes";
/// The longest name in bytes. A socket's name has at most 107.
const NAME_MAX: usize = 100;
/// How long another claim is waited for: its process may be about to end.
const PATIENCE: Duration = Duration::from_secs(1);
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// What this process uses, until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    sockets: Vec<UnixListener>,
    /// As long as it is there, no other process claims anything.
    look: Option<UnixListener>,
    others: Vec<Part>,
}

impl Claim {
    /// Claims what these settings use. Waits a second for another process that may be about to end.
    ///
    /// # Errors
    /// If another process uses some of them with the same protocol number, or if a socket cannot be opened.
    pub(crate) fn take(own: &Part) -> Result<Self, OpenError> {
        let end = Instant::now() + PATIENCE;
        let (look, others) = loop {
            let is_last = Instant::now() >= end;
            match look(own, is_last)? {
                Ok(found) => break found,
                Err(Some(taken)) if is_last => return Err(OpenError::Taken(taken)),
                Err(_) => std::thread::sleep(PAUSE),
            }
        };
        let mut claim = Self { sockets: Vec::new(), look, others };
        claim.add(own)?;
        Ok(claim)
    }

    /// Returns what other processes had when this was claimed. None of them claims more before [`end_look`](Self::end_look).
    pub(crate) fn others(&self) -> &[Part] {
        &self.others
    }

    /// Claims more. What is claimed already, stays.
    pub(crate) fn add(&mut self, part: &Part) -> Result<(), Lost> {
        for name in names_of(part) {
            match bind(&name) {
                Ok(socket) => self.sockets.push(socket),
                // The name has the number of this process.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(Lost::Socket(error)),
            }
        }
        Ok(())
    }

    /// Lets other processes claim something.
    pub(crate) fn end_look(&mut self) {
        self.look = None;
        self.others = Vec::new();
    }
}

/// What other live processes have, and the right to look, until the first value is dropped.
type Look = (Option<UnixListener>, Vec<Part>);

/// Returns what other processes have. Fails if one of them has a part of `own`; `None`: another process is looking. At the last try, that
/// does not count.
fn look(own: &Part, is_last: bool) -> Result<Result<Look, Option<Taken>>, OpenError> {
    // Two processes do not look at the same time, and then both refuse.
    let look = bind(&format!("{NAME}/look")).ok();
    if look.is_none() && !is_last {
        return Ok(Err(None));
    }
    let mut others = Vec::new();
    for (part, process, program) in live()? {
        if let Some(shared) = part.shared(own) {
            return Ok(Err(Some(Taken { process, program, protocol: own.protocol, part: shared })));
        }
        others.push(part);
    }
    Ok(Ok((look, others)))
}

/// Returns a live process that uses a protocol number, in one of these tables or anywhere.
pub(crate) fn holder_of(protocol: u8, tables: Option<&[u32]>) -> Result<Option<Taken>, OpenError> {
    for (part, process, program) in live()? {
        let table = part.tables.iter().find(|table| tables.is_none_or(|tables| tables.contains(table)));
        if let Some(table) = table.filter(|_| part.protocol == protocol) {
            return Ok(Some(Taken { process, program, protocol, part: format!("table {table}") }));
        }
    }
    Ok(None)
}

/// Returns what live processes have, each with its number and program.
fn live() -> Result<Vec<(Part, u32, String)>, OpenError> {
    let names = std::fs::read_to_string("/proc/thread-self/net/unix").map_err(Lost::Socket)?;
    let names = names.lines().filter_map(|line| line.split_whitespace().nth(7)?.strip_prefix('@'));
    let live = names.filter_map(|name| {
        let part = Part::parse(name)?;
        let (process, program) = holder(name)?;
        Some((part, process, program))
    });
    Ok(live.collect())
}

/// What a process uses with one protocol number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) protocol: u8,
    pub(crate) ids: RangeInclusive<u32>,
    pub(crate) tables: Vec<u32>,
}

impl Part {
    /// Returns what these settings use.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self { protocol: settings.protocol, ids: settings.ids.clone(), tables: settings.tables.clone() }
    }

    /// Returns the part that a name says.
    fn parse(name: &str) -> Option<Self> {
        let mut words = name.strip_prefix(NAME)?.strip_prefix('/')?.split('/');
        let protocol = words.next()?.parse().ok()?;
        let (first, last) = words.next()?.split_once('-')?;
        let ids = first.parse().ok()?..=last.parse().ok()?;
        let tables = words.next()?.split(',').map(|table| table.parse().ok()).collect::<Option<_>>()?;
        Some(Self { protocol, ids, tables })
    }

    /// Returns in words what it has in common with another one.
    pub(crate) fn shared(&self, other: &Self) -> Option<String> {
        if self.protocol != other.protocol {
            return None;
        }
        if let Some(table) = self.tables.iter().find(|table| other.tables.contains(table)) {
            return Some(format!("table {table}"));
        }
        let (ids, ours) = (&self.ids, &other.ids);
        (ids.start() <= ours.end() && ours.start() <= ids.end())
            .then(|| format!("nexthop ids {}-{}", ids.start(), ids.end()))
    }
}

/// Returns the names of a part. As many tables are in a name as there is room for.
fn names_of(part: &Part) -> Vec<String> {
    let (ids, process) = (&part.ids, std::process::id());
    let begin = format!("{NAME}/{}/{}-{}/", part.protocol, ids.start(), ids.end());
    let mut names: Vec<String> = Vec::new();
    for table in &part.tables {
        let end = format!("{table}/{process}");
        match names.last_mut() {
            Some(name) if begin.len() + name.len() + end.len() < NAME_MAX => *name += &format!(",{table}"),
            _ => names.push(table.to_string()),
        }
    }
    names.iter().map(|tables| format!("{begin}{tables}/{process}")).collect()
}

fn bind(name: &str) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

/// Returns the process that has a claim, and its program. `None` if it has gone, or may not change routes: anybody can open a socket with
/// such a name.
fn holder(name: &str) -> Option<(u32, String)> {
    let process = match connect(name) {
        Ok(socket) => socket_peercred(&socket).ok()?.pid.as_raw_pid().unsigned_abs(),
        // It exists, but many have looked at it, and nobody accepts them. The name has its process, too.
        Err(Errno::AGAIN) => name.rsplit('/').next()?.parse().ok()?,
        Err(_) => return None,
    };
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).ok();
    let may = read("status").and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        Some(u64::from_str_radix(line.trim(), 16).ok()? & CapabilitySet::NET_ADMIN.bits() != 0)
    });
    // The processes of others may be hidden.
    if may == Some(false) {
        return None;
    }
    let program = read("comm").map_or_else(|| "?".to_owned(), |comm| comm.trim().to_owned());
    Some((process, program))
}

/// Connects to a socket, without waiting.
fn connect(name: &str) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(protocol: u8, ids: RangeInclusive<u32>, tables: &[u32]) -> Part {
        Part { protocol, ids, tables: tables.to_vec() }
    }

    #[test]
    fn names_say_what_is_claimed_and_have_room_for_many_tables() {
        let all: Vec<u32> = (0..300).map(|n| u32::MAX - n).collect();
        let names = names_of(&part(254, 2_000_000_000..=2_099_999_999, &all));
        let parts: Vec<Part> = names.iter().map(|name| Part::parse(name).unwrap()).collect();
        assert!(names.iter().all(|name| name.len() <= 107), "{names:#?}");
        assert!(names.len() < 150, "{}", names.len());
        assert_eq!(parts.iter().flat_map(|part| part.tables.clone()).collect::<Vec<_>>(), all);
        assert!(parts.iter().all(|part| (part.protocol, &part.ids) == (254, &(2_000_000_000..=2_099_999_999))));
    }

    #[test]
    fn claims_overlap_in_a_protocol_and_a_table_or_an_id() {
        let ours = part(254, 10..=20, &[5, 6]);
        let shared = |other: Part| Part::parse(&names_of(&other)[0]).unwrap().shared(&ours);
        assert_eq!(shared(part(254, 30..=40, &[4, 6])).as_deref(), Some("table 6"));
        assert_eq!(shared(part(254, 20..=40, &[7])).as_deref(), Some("nexthop ids 20-40"));
        assert_eq!(shared(part(254, 21..=40, &[7])), None);
        assert_eq!(shared(part(253, 10..=20, &[5])), None);
    }

    #[test]
    fn a_claim_that_very_many_have_looked_at_is_still_seen_and_nobody_waits_for_it() {
        let name = &names_of(&part(254, 77..=88, &[4_000_000_001]))[0];
        let _claim = bind(name).unwrap();
        // The kernel keeps those that are closed, too, up to net.core.somaxconn.
        assert!((0..70_000).any(|_| connect(name).is_err()));
        assert_eq!(connect(name).unwrap_err(), Errno::AGAIN);
        let held = holder(name).map(|(process, _)| process);
        // Without the capability, the claim would not count.
        let may = rustix::thread::capabilities(None).unwrap().effective.contains(CapabilitySet::NET_ADMIN);
        assert_eq!(held, may.then(std::process::id));
    }

    #[test]
    fn a_part_can_be_claimed_again() {
        let mut claim = Claim { sockets: Vec::new(), look: None, others: Vec::new() };
        for _ in 0..2 {
            claim.add(&part(253, 901..=902, &[4_000_000_002])).unwrap();
        }
        assert_eq!(claim.sockets.len(), 1);
    }

    #[test]
    fn other_names_claim_nothing() {
        for name in
            ["", "metalbond", "metalbond/kernel-routes/look", "metalbond/kernel-routes/254/1-2/x/1", "a/254/1-2/3/4"]
        {
            assert!(Part::parse(name).is_none(), "{name}");
        }
    }
}
