//! Settings that change while routes are installed.

use std::fs;

use crate::namespace;
use crate::process::{Process, Signal};
use crate::scene::{BOTH, SERVER, Scene, both};

#[test]
fn a_subscription_that_goes_and_comes_back_is_installed_again() {
    namespace::run(|namespace| {
        let file = std::env::temp_dir().join(format!("metalbond-settings-{}.toml", std::process::id()));
        let put = |subscribe: &str, mappings: &str| {
            let text = format!(
                "[client]\nserver = '{SERVER}'\nsubscribe = [{subscribe}]\ninstall-routes = [{mappings}]\ntun = 't0'\n"
            );
            fs::write(&file, text).unwrap();
        };
        let mut scene = Scene::new(namespace);
        scene.announce(both("fd00::1"));
        put("23, 24", "'23#1000', '24#1001'");
        let mut client = Process::start(&["client", "--config", file.to_str().unwrap()]);
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        put("24", "'24#1001'");
        client.signal(Signal::HUP);
        client.log("subscriptions +0 -1");
        scene.until::<&str, &str>([]);
        // A VNI that had no table at the start is subscribed to but not installed; a VNI that had one is installed.
        put("23, 24, 25, 26", "'23#1000', '24#1001', '25#1002'");
        client.signal(Signal::HUP);
        assert!(client.log("--subscribe '26': VNI 26 has no table").contains(" WARN "));
        let said = client.log("--subscribe '25': VNI 25 had no table at the start, so its routes are not installed");
        assert!(said.contains(" WARN ") && said.contains("needs a restart"), "{said}");
        client.log("subscriptions +3 -0");
        scene.until(BOTH.map(|destination| (destination, "fd00::1")));
        fs::remove_file(file).unwrap();
    });
}
