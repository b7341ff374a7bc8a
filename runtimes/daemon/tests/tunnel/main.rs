//! Packets through real ip6tnl and VRF devices. The kernel of the machine that runs the tests may lack both, so each test boots Debian's
//! kernel in a guest (`guest.rs`) that runs a scenario of `guest/`. There, network namespaces stand for the underlay, for hypervisors with
//! a `metalbond client` each, and for virtual machines. The commands are those of docs/data-plane.md (`documentation.rs`).
//!
//! Skipped if there is no qemu, no busybox or no kernel for the guest (`.ci/guest-kernel`).

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod documentation;
mod guest;

#[test]
fn the_example_of_the_documentation_shows_what_the_documentation_says() {
    let Some(printed) = guest::run("example", "") else { return };
    let answered = |line: &&String| line.contains("1 packets transmitted, 1 received, 0% packet loss");
    assert_eq!(printed.lines.iter().filter(answered).count(), 4, "{}", printed.lines.join("\n"));
    let routes = documentation::routes_of_the_example();
    assert!(routes.len() > 5, "{routes:?}");
    for route in routes {
        // `ip` separates some words by two spaces.
        let is_it = |line: &String| line.split_whitespace().eq(route.split_whitespace());
        assert!(printed.lines.iter().any(is_it), "{route}\nin:\n{}", printed.lines.join("\n"));
    }
    printed.expect(&[
        ("packets of VNI 23 on h1", "2"),
        ("packets of VNI 42 on h1", "2"),
        ("packets of VNI 23 on h2", "2"),
        ("packets of VNI 42 on h2", "2"),
        ("namespaces left", "0"),
    ]);
}

#[test]
fn two_hypervisors_with_vrfs_lose_no_packet() {
    let Some(printed) = guest::run("two", "way=vrf") else { return };
    expect_packets(&printed);
    printed.expect(&[
        ("IPv4 to an address without a route", "error"),
        ("IPv6 to an address without a route", "error"),
        ("IPv4 of 1461 bytes", "error"),
        ("the MTU that the error has", "1460"),
    ]);
}

/// The hypervisor's own errors have no way back to the virtual machine: no rule is about packets that begin on the hypervisor.
#[test]
fn two_hypervisors_with_rules_lose_no_packet() {
    let Some(printed) = guest::run("two", "way=rules") else { return };
    expect_packets(&printed);
    printed.expect(&[
        ("IPv4 to an address without a route", "nothing"),
        ("IPv6 to an address without a route", "nothing"),
        ("IPv4 of 1461 bytes", "nothing"),
    ]);
}

/// Checks what is the same with VRFs and with rules.
#[track_caller]
fn expect_packets(printed: &guest::Printed) {
    printed.expect(&[
        ("packets through the tunnel", "2"),
        ("IPv4 before it arrives", "overlay-tun"),
        ("IPv6 before it arrives", "overlay-tun"),
        ("IPv4 after it arrived", "vm-tap0"),
        ("IPv6 after it arrived", "vm-tap0"),
        ("lost in IPv4", "0"),
        ("lost in IPv6", "0"),
        ("IPv4 of 1460 bytes", "answer"),
        ("IPv6 of 1460 bytes", "answer"),
        ("IPv6 of 1461 bytes", "nothing"),
        ("IPv4 of 1461 bytes, with a device of 1500", "nothing"),
        ("IPv6 of 1461 bytes, with a device of 1500", "nothing"),
        ("IPv4 of 1500 bytes, on an underlay of 1540", "answer"),
        ("IPv6 of 1500 bytes, on an underlay of 1540", "answer"),
    ]);
}

#[test]
fn the_hash_policy_spreads_connections_over_the_hypervisors_of_a_destination() {
    let Some(printed) = guest::run("ecmp", "") else { return };
    // Of 64 datagrams to different ports.
    for (what, spreads) in [
        ("IPv4, policy 0", false),
        ("IPv6, policy 0", true),
        ("IPv6 without flow labels, policy 0", false),
        ("IPv4, policy 1", true),
        ("IPv6 without flow labels, policy 1", true),
        ("IPv6 without flow labels, policy 2", false),
        ("IPv6 without flow labels, policy 3 with ports", true),
    ] {
        let at = |hypervisor| printed.value(&format!("{what}, at {hypervisor}")).parse::<u32>().unwrap();
        assert_eq!(at("h2") + at("h3"), 64, "{what}");
        assert_eq!(at("h2") > 0 && at("h3") > 0, spreads, "{what}: {} and {}", at("h2"), at("h3"));
    }
    printed.expect(&[
        ("lost in IPv4 when a client ends", "0"),
        // With several processors it may be one: docs/kernel-routes.md, "What we do not promise".
        ("lost in IPv6 when a client ends", "0"),
        ("IPv4 without h2, at h2", "0"),
        ("IPv4 without h2, at h3", "64"),
        ("IPv6 without h2, at h2", "0"),
        ("IPv6 without h2, at h3", "64"),
        ("ways of a tunnel, policy 0", "1"),
        ("ways of a tunnel, policy 1", "1"),
        ("ways of a tunnel, policy 2", "1"),
        ("ways of a tunnel, policy 3", "1"),
    ]);
}
