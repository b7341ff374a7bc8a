//! The conversion of operations to messages, and of error numbers to their meaning.

use metalbond::fib::{Op, OpError, OpErrorKind, RouteTarget};
use rustix::io::Errno;

use crate::message::{CREATE, EXCLUSIVE, REPLACE};
use crate::nexthop;
use crate::route::{self, NewRoute};

/// The most nexthops of a route, and the most members of a group. An attribute has at most 64 KiB, and in a dump the kernel has 32 KiB for
/// a route, in which each nexthop, also one of a group, takes about 104 bytes.
const PARTS_MAX: usize = 256;

/// Appends the message for an operation that [`check`] has accepted.
pub(crate) fn put(out: &mut Vec<u8>, sequence: u32, op: &Op, protocol: u8, metric: u32, device: Option<u32>) {
    // `check` refuses an operation that needs the device when there is none.
    let device = device.unwrap_or(0);
    let put_route = |out: &mut Vec<u8>, flags, &table, &prefix, target| {
        route::put_route(out, flags, sequence, &NewRoute { table, prefix, metric, protocol, target, device });
    };
    match op {
        Op::AddObject { id, addr } => nexthop::put_object(out, sequence, *id, *addr, device, protocol),
        Op::AddGroup { id, members } => nexthop::put_group(out, sequence, *id, members, protocol),
        Op::ReplaceGroup { id, members } => nexthop::put_replacement(out, sequence, *id, members, protocol),
        Op::RemoveObject { id } => nexthop::put_remove(out, sequence, *id),
        Op::AddRoute { table, prefix, target } => put_route(out, CREATE | EXCLUSIVE, table, prefix, target),
        Op::ReplaceRoute { table, prefix, target } => put_route(out, CREATE | REPLACE, table, prefix, target),
        Op::RemoveRoute { table, prefix } => route::put_remove(out, sequence, *table, *prefix, metric, protocol),
        Op::RemoveSurplus { route, .. } => route::put_remove_surplus(out, sequence, route),
    }
}

/// Checks that an operation can be sent.
///
/// # Errors
/// If it needs the device, and the device does not exist; if it has no nexthops or members, or too many.
pub(crate) fn check(op: &Op, device: Option<u32>) -> Result<(), OpError> {
    let (parts, needs_device) = match op {
        Op::AddObject { .. } => (1, true),
        Op::AddGroup { members, .. } | Op::ReplaceGroup { members, .. } => (members.len(), false),
        Op::AddRoute { target: RouteTarget::Nexthops(nexthops), .. }
        | Op::ReplaceRoute { target: RouteTarget::Nexthops(nexthops), .. } => (nexthops.len(), true),
        _ => (1, false),
    };
    if !(1..=PARTS_MAX).contains(&parts) {
        return Err(error(op, Errno::INVAL.raw_os_error(), Some(format!("{parts} next hops"))));
    }
    if needs_device && device.is_none() {
        return Err(error(op, Errno::NODEV.raw_os_error(), None));
    }
    Ok(())
}

/// Returns the meaning of the kernel's refusal of an operation.
pub(crate) fn error(op: &Op, errno: i32, text: Option<String>) -> OpError {
    let kind = match Errno::from_raw_os_error(errno) {
        Errno::EXIST => OpErrorKind::Exists,
        Errno::SRCH | Errno::NOENT => OpErrorKind::Missing,
        // The route's object or a member of the group does not exist.
        Errno::INVAL if refers_to_object(op) && text.as_deref().is_some_and(says_missing) => OpErrorKind::Missing,
        Errno::INVAL if matches!(op, Op::AddObject { .. }) && text.as_deref().is_some_and(says_device_away) => {
            OpErrorKind::NoDevice
        }
        Errno::NODEV | Errno::NETDOWN | Errno::NXIO => OpErrorKind::NoDevice,
        Errno::PERM | Errno::ACCESS => OpErrorKind::NotPermitted,
        Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN | Errno::BUSY => OpErrorKind::Busy,
        _ => OpErrorKind::Refused,
    };
    OpError { kind, errno, text }
}

fn refers_to_object(op: &Op) -> bool {
    match op {
        Op::AddRoute { target, .. } | Op::ReplaceRoute { target, .. } => matches!(target, RouteTarget::Object(_)),
        Op::AddGroup { .. } | Op::ReplaceGroup { .. } => true,
        _ => false,
    }
}

/// Returns true for the kernel's text about an object that does not exist; it has this text since 5.3.
fn says_missing(text: &str) -> bool {
    text.contains("Nexthop id does not exist") || text.contains("Invalid nexthop id")
}

/// Returns true for the kernel's text about an object whose device is missing or down; it has this text since 5.3.
fn says_device_away(text: &str) -> bool {
    text.contains("Invalid device index")
}

#[cfg(test)]
mod tests {
    use metalbond::fib::{FoundObject, Nexthops};

    use super::*;
    use crate::message::Messages;
    use crate::route::Route;

    fn prefix() -> metalbond::Prefix {
        "10.0.0.0/24".parse().unwrap()
    }

    fn route(target: RouteTarget) -> Op {
        Op::AddRoute { table: 7, prefix: prefix(), target }
    }

    #[test]
    fn operations_that_the_kernel_cannot_accept_are_not_sent() {
        let none = route(RouteTarget::Nexthops(Nexthops::default()));
        assert_eq!(check(&none, Some(3)).unwrap_err().kind, OpErrorKind::Refused);
        let many = Op::AddGroup { id: 1, members: (1..=257).map(|id| (id, 1)).collect() };
        assert_eq!(check(&many, Some(3)).unwrap_err().kind, OpErrorKind::Refused);
        let addr = "fd00::1".parse().unwrap();
        assert_eq!(check(&Op::AddObject { id: 1, addr }, None).unwrap_err().kind, OpErrorKind::NoDevice);
        assert_eq!(check(&route(RouteTarget::Object(1)), None), Ok(()));
        assert_eq!(check(&Op::RemoveRoute { table: 7, prefix: prefix() }, None), Ok(()));
    }

    #[test]
    fn the_most_members_and_nexthops_fit_into_a_message() {
        let members = (1..=256).map(|id| (id, 1)).collect();
        let nexthop = metalbond::fib::Nexthop { addr: "fd00::1".parse().unwrap(), weight: 1 };
        for op in
            [Op::AddGroup { id: 1, members }, route(RouteTarget::Nexthops(std::iter::repeat_n(nexthop, 256).collect()))]
        {
            assert_eq!(check(&op, Some(3)), Ok(()));
            let mut out = Vec::new();
            put(&mut out, 1, &op, 254, 2048, Some(3));
            let body = Messages::new(&out).next().unwrap().body;
            match op {
                Op::AddGroup { id, members } => {
                    assert_eq!(nexthop::parse(body, Some(3), 254), Some((id, FoundObject::Group(members))));
                }
                Op::AddRoute { target, .. } => assert_eq!(Route::parse(body).unwrap().target(Some(3)), Some(target)),
                _ => panic!("{op:?}"),
            }
        }
    }

    #[test]
    fn the_meaning_of_an_error_number_depends_on_the_operation() {
        let kind = |op: &Op, errno: Errno, text: &str| error(op, errno.raw_os_error(), Some(text.into())).kind;
        let to_object = route(RouteTarget::Object(1));
        assert_eq!(kind(&to_object, Errno::INVAL, "Nexthop id does not exist"), OpErrorKind::Missing);
        assert_eq!(kind(&to_object, Errno::INVAL, "Invalid prefix"), OpErrorKind::Refused);
        assert_eq!(kind(&to_object, Errno::EXIST, ""), OpErrorKind::Exists);
        assert_eq!(kind(&to_object, Errno::NETDOWN, ""), OpErrorKind::NoDevice);
        let addr = "fd00::1".parse().unwrap();
        let object = Op::AddObject { id: 1, addr };
        assert_eq!(kind(&object, Errno::INVAL, "Invalid device index"), OpErrorKind::NoDevice);
        assert_eq!(kind(&Op::RemoveObject { id: 1 }, Errno::NOENT, ""), OpErrorKind::Missing);
    }
}
