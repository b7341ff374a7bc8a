//! `metalbond flush-routes`.

use std::path::Path;
use std::process::Command;

use crate::namespace;
use crate::picture::{Table, lines_of, routes_in, table};
use crate::process::{Ended, run};
use crate::scene::{BOTH, Scene, both, end};

fn flush(args: &str) -> Ended {
    run(&["flush-routes"].into_iter().chain(args.split_whitespace()).collect::<Vec<_>>())
}

fn removed(routes: usize, objects: usize) -> (Option<i32>, Vec<String>) {
    (Some(0), vec![format!("removed {routes} routes and {objects} nexthop objects")])
}

#[test]
fn all_that_a_client_has_left_is_removed_and_nothing_of_others() {
    namespace::run(|namespace| {
        for more in [&[][..], &["--no-nexthop-objects"]] {
            let mut scene = Scene::new(namespace);
            scene.announce([both("fd00::1"), both("fd00::2")].concat());
            scene.announce(["10.2.0.0/24#fd00::3"]);
            let all = [(BOTH[0], "fd00::1 fd00::2"), (BOTH[1], "fd00::1 fd00::2"), ("10.2.0.0/24", "fd00::3")];
            let client = scene.synced_client(&[&["--subscribe", "24", "--install-routes", "24#1001"], more].concat());
            if more.is_empty() {
                scene.until(all);
            } else {
                // Without objects, an IPv6 route has one next hop.
                scene.until([(BOTH[0], "fd00::1 fd00::2"), (BOTH[1], "fd00::1"), ("10.2.0.0/24", "fd00::3")]);
            }
            scene.feeder.write("24#10.9.0.0/24#fd00::9\n");
            scene.until_equal(&table([("10.9.0.0/24", "fd00::9")]), |_| routes_in(namespace, 1001));
            // Not those of a running client, whatever is asked for.
            for args in ["--rt-proto 254", "--rt-proto 254 --table 7 --table 1001"] {
                let ended = flush(args);
                assert_eq!((ended.code, ended.stdout), (Some(1), vec![]));
                assert!(ended.stderr[0].starts_with("metalbond: cannot remove routes: process "), "{:?}", ended.stderr);
                assert!(ended.stderr[0].ends_with(": stop it first"), "{:?}", ended.stderr);
            }
            end(client);
            // Of others: with another number, and with this number but no tunnel.
            namespace.ip("route add 10.7.0.0/24 dev t1 table 1000 proto 254");
            namespace.ip("route add 10.8.0.0/24 encap ip6 id 0 dst fd00::8 dev t0 table 1000 proto 77");
            let theirs = [("10.7.0.0/24", "dev t1 proto 254 scope link"), ("10.8.0.0/24", "fd00::8 proto 77")];
            // An object of ours that another program uses.
            if more.is_empty() {
                let object = scene.objects().into_iter().find(|object| object.legs == "fd00::3").unwrap();
                namespace.ip(&format!("route add 10.70.0.0/24 nhid {} table 7", object.id));
            }
            let objects = if more.is_empty() { 2 } else { 0 };
            let ended = flush("--rt-proto 254 --table 1001 --table 7");
            assert_eq!((ended.code, ended.stdout), removed(1, usize::from(more.is_empty())));
            assert_eq!(routes_in(namespace, 1001), Table::new());
            let ended = flush("--rt-proto 254");
            assert_eq!((ended.code, ended.stdout), removed(3, objects + usize::from(more.is_empty())));
            assert_eq!(scene.routes(), table(theirs));
            let mut left = lines_of(namespace, 254);
            left.retain(|line| !line.starts_with("10.7.0.0/24 "));
            assert_eq!(left.len(), usize::from(more.is_empty()), "{left:#?}");
            // The object goes when nothing uses it any more.
            let _ = namespace.try_ip("route del 10.70.0.0/24 table 7");
            let ended = flush("--rt-proto 254");
            assert_eq!((ended.code, ended.stdout), removed(0, usize::from(more.is_empty())));
            namespace.ip("route flush table 1000");
            end(scene.feeder);
        }
    });
}

#[test]
fn a_bad_number_ends_with_code_2_and_a_missing_one_too() {
    for (args, why) in [
        ("", "--rt-proto <NUMBER>"),
        ("--rt-proto 4", "not a number from 5 to 255"),
        ("--rt-proto 254 --table x", "not a number from 0 to 4294967295"),
    ] {
        let ended = flush(args);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.join(" ").contains(why), "{:?}", ended.stderr);
    }
}

/// The scripts of the Debian package, with other paths, in the order of `dpkg --purge`: between them, the program and its settings go.
#[test]
fn a_purge_of_the_package_removes_what_the_client_has_left_and_a_removal_does_not() {
    namespace::run(|namespace| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("purge-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("etc")).unwrap();
        let (program, settings) = (dir.join("program"), dir.join("etc/metalbond.toml"));
        let script = |text: &str, argument: &str| {
            let text = text.replace("/usr/bin/metalbond", program.to_str().unwrap());
            let text = text.replace("/etc/metalbond/", &format!("{}/", dir.join("etc").display()));
            let text = text.replace("/var/lib/metalbond", dir.join("lib").to_str().unwrap());
            let done = Command::new("sh").args(["-c", &text, "script", argument]).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8(done.stdout).unwrap()
        };
        let prerm = include_str!("../../packaging/deb/prerm");
        let postrm = include_str!("../../packaging/deb/postrm");
        for (text, number) in [("[client]\n#rt-proto = 99\n  rt-proto = 77\n", "77"), ("[client]\n", "254")] {
            std::fs::copy(env!("CARGO_BIN_EXE_metalbond"), &program).unwrap();
            std::fs::write(&settings, text).unwrap();
            let mut scene = Scene::new(namespace);
            let client = scene.synced_client(&["--rt-proto", number]);
            scene.announce(["10.2.0.0/24#fd00::3"]);
            scene.watch.until("+ 10.2.0.0/24");
            end(client);
            script(prerm, "remove");
            std::fs::remove_file(&program).unwrap();
            script(postrm, "remove");
            assert_eq!(scene.routes().len(), 1, "a removal leaves them for the next installation");
            std::fs::remove_file(&settings).unwrap();
            assert_eq!(script(postrm, "purge"), "removed 1 routes and 1 nexthop objects\n");
            assert_eq!(lines_of(namespace, number.parse().unwrap()), [""; 0]);
            assert!(!dir.join("lib").exists());
            // Nothing is left to do for a second one, nor for an upgrade.
            assert_eq!(script(postrm, "purge"), "");
            assert_eq!(script(prerm, "upgrade"), "");
            assert!(!dir.join("lib").exists());
        }
        std::fs::remove_dir_all(dir).unwrap();
    });
}
