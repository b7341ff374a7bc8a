//! Claims: which tables and object ids of a network namespace a live process uses, with which protocol number.
//!
//! Invariant: of two processes that would take each other's routes or objects for their own, only one has a claim. A claim is a listening
//! socket, whose name says what is claimed: such names belong to a network namespace, and the kernel removes the socket at the latest when
//! the process ends.

use std::io;
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;
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
    _sockets: Vec<UnixListener>,
}

impl Claim {
    /// Claims the tables and ids of these settings. Waits a second for another process that may be about to end.
    ///
    /// # Errors
    /// If another process uses some of them with the same protocol number, or if a socket cannot be opened.
    pub(crate) fn take(settings: &Settings) -> Result<Self, OpenError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let is_last = Instant::now() >= end;
            match Self::try_take(settings, is_last)? {
                Ok(claim) => return Ok(claim),
                Err(Some(taken)) if is_last => return Err(OpenError::Taken(taken)),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Returns the claim, or what another process has. `None`: another process is looking. At the last try, that does not count.
    fn try_take(settings: &Settings, is_last: bool) -> Result<Result<Self, Option<Taken>>, OpenError> {
        // Two processes do not look at the same time, and then both refuse.
        let look = bind(&format!("{NAME}/look"));
        if look.is_err() && !is_last {
            return Ok(Err(None));
        }
        let names = std::fs::read_to_string("/proc/thread-self/net/unix").map_err(Lost::Socket)?;
        for name in names.lines().filter_map(|line| line.split_whitespace().nth(7)?.strip_prefix('@')) {
            let Some(part) = Part::parse(name).and_then(|part| part.shared(settings)) else { continue };
            if let Some((process, program)) = holder(name) {
                return Ok(Err(Some(Taken { process, program, protocol: settings.protocol, part })));
            }
        }
        let sockets = names_of(settings).iter().map(|name| bind(name)).collect::<Result<_, _>>();
        Ok(Ok(Self { _sockets: sockets.map_err(Lost::Socket)? }))
    }
}

/// What one name says.
#[derive(Debug)]
struct Part {
    protocol: u8,
    ids: RangeInclusive<u32>,
    tables: Vec<u32>,
}

impl Part {
    fn parse(name: &str) -> Option<Self> {
        let mut words = name.strip_prefix(NAME)?.strip_prefix('/')?.split('/');
        let protocol = words.next()?.parse().ok()?;
        let (first, last) = words.next()?.split_once('-')?;
        let ids = first.parse().ok()?..=last.parse().ok()?;
        let tables = words.next()?.split(',').map(|table| table.parse().ok()).collect::<Option<_>>()?;
        Some(Self { protocol, ids, tables })
    }

    /// Returns in words what it has in common with the settings.
    fn shared(&self, settings: &Settings) -> Option<String> {
        if self.protocol != settings.protocol {
            return None;
        }
        if let Some(table) = self.tables.iter().find(|table| settings.tables.contains(table)) {
            return Some(format!("table {table}"));
        }
        let (ids, ours) = (&self.ids, &settings.ids);
        (ids.start() <= ours.end() && ours.start() <= ids.end())
            .then(|| format!("nexthop ids {}-{}", ids.start(), ids.end()))
    }
}

/// Returns the names of a claim. As many tables are in a name as there is room for.
fn names_of(settings: &Settings) -> Vec<String> {
    let (ids, process) = (&settings.ids, std::process::id());
    let begin = format!("{NAME}/{}/{}-{}/", settings.protocol, ids.start(), ids.end());
    let mut names: Vec<String> = Vec::new();
    for table in &settings.tables {
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
    let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()?;
    let process = socket_peercred(&stream).ok()?.pid.as_raw_pid().unsigned_abs();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(protocol: u8, ids: RangeInclusive<u32>, tables: &[u32]) -> Settings {
        let (device, metric, nexthop_objects) = ("t0".into(), 2048, true);
        Settings { device, protocol, metric, ids, tables: tables.to_vec(), nexthop_objects }
    }

    #[test]
    fn names_say_what_is_claimed_and_have_room_for_many_tables() {
        let all: Vec<u32> = (0..300).map(|n| u32::MAX - n).collect();
        let names = names_of(&settings(254, 2_000_000_000..=2_099_999_999, &all));
        let parts: Vec<Part> = names.iter().map(|name| Part::parse(name).unwrap()).collect();
        assert!(names.iter().all(|name| name.len() <= 107), "{names:#?}");
        assert!(names.len() < 150, "{}", names.len());
        assert_eq!(parts.iter().flat_map(|part| part.tables.clone()).collect::<Vec<_>>(), all);
        assert!(parts.iter().all(|part| (part.protocol, &part.ids) == (254, &(2_000_000_000..=2_099_999_999))));
    }

    #[test]
    fn claims_overlap_in_a_protocol_and_a_table_or_an_id() {
        let ours = settings(254, 10..=20, &[5, 6]);
        let shared = |other: Settings| Part::parse(&names_of(&other)[0]).unwrap().shared(&ours);
        assert_eq!(shared(settings(254, 30..=40, &[4, 6])).as_deref(), Some("table 6"));
        assert_eq!(shared(settings(254, 20..=40, &[7])).as_deref(), Some("nexthop ids 20-40"));
        assert_eq!(shared(settings(254, 21..=40, &[7])), None);
        assert_eq!(shared(settings(253, 10..=20, &[5])), None);
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
