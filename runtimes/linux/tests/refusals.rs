//! Tests of operations that the kernel refuses, and of the errors that they return.

use metalbond::fib::{Nexthops, Op, OpErrorKind, RouteTarget};
use metalbond_linux::{Kernel, OpenError, Settings};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::look::*;
use crate::netns::{self, *};

const IPV4: &str = "10.1.2.0/24";
const IPV6: &str = "fd10::/64";

fn own() -> RouteTarget {
    RouteTarget::Nexthops(Nexthops::from(nexthop(1)))
}

#[test]
fn a_route_to_a_missing_object_is_refused_as_missing() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        for destination in [IPV4, IPV6] {
            let error = fail(&mut kernel, add(destination, to_object(1)));
            assert_eq!((error.kind, error.text.as_deref()), (OpErrorKind::Missing, Some("Nexthop id does not exist")));
            assert_eq!(fail(&mut kernel, replace(destination, to_object(1))).kind, OpErrorKind::Missing);
        }
    });
}

#[test]
fn a_group_with_a_missing_member_is_refused_as_missing() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1)]);
        let members = [(id(1), 1), (id(2), 1)].into_iter().collect();
        assert_eq!(fail(&mut kernel, Op::AddGroup { id: id(3), members }).kind, OpErrorKind::Missing);
    });
}

#[test]
fn the_removal_of_a_missing_route_or_object_is_refused_as_missing() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        for op in [remove(IPV4), remove(IPV6), Op::RemoveObject { id: id(1) }] {
            assert_eq!(fail(&mut kernel, op).kind, OpErrorKind::Missing);
        }
        // The same if the table exists.
        execute(&mut kernel, &[object(1), add("10.0.0.0/8", to_object(1)), add("fd00::/8", to_object(1))]);
        for op in [remove(IPV4), remove(IPV6)] {
            assert_eq!(fail(&mut kernel, op).kind, OpErrorKind::Missing);
        }
    });
}

#[test]
fn an_id_or_a_destination_in_use_is_refused_as_existing() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        execute(&mut kernel, &[object(1), add(IPV4, to_object(1)), add(IPV6, to_object(1))]);
        let group = Op::AddGroup { id: id(1), members: [(id(1), 1)].into_iter().collect() };
        for op in [object(1), group, add(IPV4, to_object(1)), add(IPV6, to_object(1)), add(IPV6, own())] {
            assert_eq!(fail(&mut kernel, op).kind, OpErrorKind::Exists);
        }
    });
}

#[test]
fn on_a_device_that_is_down_no_route_or_object_can_be_made() {
    netns::run(|namespace| {
        let mut kernel = namespace.open();
        for args in ["link set t0 down", "link set t0 up", "link set t1 down"] {
            namespace.ip(args);
            if args.ends_with("up") {
                continue;
            }
            assert_eq!(fail(&mut kernel, object(1)).kind, OpErrorKind::NoDevice, "{args}");
        }
        namespace.ip("link set t0 down");
        for destination in [IPV4, IPV6] {
            assert_eq!(fail(&mut kernel, add(destination, own())).kind, OpErrorKind::NoDevice);
        }
        namespace.ip("link del t0");
        for op in [object(1), add(IPV4, own()), add(IPV6, own())] {
            let error = fail(&mut kernel, op);
            assert_eq!(error.kind, OpErrorKind::NoDevice, "{error}");
        }
        // This reads the notice that the device is gone.
        notices(&mut kernel);
        for op in [object(1), add(IPV4, own()), add(IPV6, own())] {
            assert_eq!(fail(&mut kernel, op).kind, OpErrorKind::NoDevice);
        }
    });
}

#[test]
fn an_error_names_a_device_that_does_not_exist() {
    netns::run(|_| {
        let error = Kernel::open(Settings { device: "tunnel7".into(), ..settings() }).unwrap_err();
        assert_eq!(error.to_string(), "there is no device tunnel7");
    });
}

#[test]
fn invalid_settings_are_refused() {
    for settings in [
        Settings { device: String::new(), ..settings() },
        Settings { device: "sixteen-letters!".into(), ..settings() },
        Settings { protocol: 0, ..settings() },
        Settings { metric: 0, ..settings() },
        Settings { ids: 0..=7, ..settings() },
        #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
        Settings { ids: 7..=1, ..settings() },
        Settings { tables: vec![], ..settings() },
        Settings { tables: vec![7, 0], ..settings() },
    ] {
        assert!(matches!(Kernel::open(settings), Err(OpenError::Settings(_))));
    }
}

#[test]
fn without_the_capability_a_kernel_cannot_be_opened() {
    netns::run(|_| {
        let mut ours = capabilities(None).unwrap();
        ours.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, ours).unwrap();
        assert!(matches!(Kernel::open(settings()), Err(OpenError::NotPermitted)));
    });
}
