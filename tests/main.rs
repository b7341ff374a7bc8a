//! The tests of the core: one module per behaviour, in one program, so that the simulator is compiled and linked once
//! and the compiler finds unused parts of it.

mod adopted_routes;
mod application;
mod bad_input;
mod between_iterations;
mod broken_nodes_are_noticed;
mod end_of_rib;
mod exhaustive;
mod fault_worlds;
mod fib;
mod figures;
mod fuzz_corpus;
mod invariants;
mod legacy_peers;
mod limits;
mod many_sessions;
mod module_order;
mod policy;
mod reconnect_storm;
mod regressions;
mod restart_time;
mod routes_converge;
#[cfg(feature = "serde")]
mod serde;
mod servers_that_dial;
mod sessions;
mod settings;
mod situations;
mod slow_peers;
mod stale_time;
mod window;
mod wire_format;
mod words;

mod sim;
#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

#[test]
fn every_file_of_tests_is_a_module_here_or_a_target_of_its_own() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let declared = include_str!("main.rs");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for entry in std::fs::read_dir(folder.join("tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".rs") else { continue };
        let is_module = declared.lines().any(|line| line == format!("mod {name};"));
        let is_target = manifest.contains(&format!("[[test]]\nname = \"{name}\"\n"));
        assert!(is_module || is_target, "nothing runs tests/{name}.rs");
    }
}
