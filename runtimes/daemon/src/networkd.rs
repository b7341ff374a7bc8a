//! What systemd-networkd does with routes, rules and nexthop objects that are not in its files. Source: networkd.conf(5).

use std::collections::BTreeMap;
use std::path::Path;

/// The settings of `[Network]`, each with what networkd removes unless it is `no`.
const SETTINGS: [&str; 3] = ["ManageForeignRoutes", "ManageForeignRoutingPolicyRules", "ManageForeignNextHops"];
/// Where its settings are: what comes first wins.
const PLACES: [&str; 4] = ["etc", "run", "usr/local/lib", "usr/lib"];

/// Returns the settings of systemd-networkd that have to be set to `no`, so that it leaves our routes and objects and your rules alone. Empty if
/// it does not run, or all are. `root`: the root directory.
pub(crate) fn missing(root: &Path) -> Vec<&'static str> {
    if !root.join("run/systemd/netif/state").exists() {
        return Vec::new();
    }
    let mut is_no = [false; SETTINGS.len()];
    let main =
        PLACES.iter().find_map(|place| std::fs::read_to_string(root.join(place).join("systemd/networkd.conf")).ok());
    for text in main.into_iter().chain(drop_ins(root)) {
        read(&text, &mut is_no);
    }
    SETTINGS.into_iter().zip(is_no).filter(|(_, is_no)| !is_no).map(|(setting, _)| setting).collect()
}

/// Returns the drop-ins in their order. Of several with the same name, the first place counts.
fn drop_ins(root: &Path) -> Vec<String> {
    let mut texts = BTreeMap::new();
    for place in PLACES {
        let Ok(dir) = std::fs::read_dir(root.join(place).join("systemd/networkd.conf.d")) else { continue };
        for file in dir.flatten().filter(|file| file.path().extension().is_some_and(|ending| ending == "conf")) {
            if let Ok(text) = std::fs::read_to_string(file.path()) {
                texts.entry(file.file_name()).or_insert(text);
            }
        }
    }
    texts.into_values().collect()
}

/// Notes the settings in a file. The last one counts; an empty one is the default.
fn read(text: &str, is_no: &mut [bool; SETTINGS.len()]) {
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[Network]"
            && let Some((setting, value)) = line.split_once('=')
            && let Some(at) = SETTINGS.iter().position(|known| *known == setting.trim())
        {
            let value = value.trim().to_ascii_lowercase();
            is_no[at] = ["0", "no", "n", "false", "f", "off"].contains(&value.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn what_is_not_set_to_no_is_missing() {
        let dir = std::env::temp_dir().join(format!("metalbond-networkd-{}", std::process::id()));
        let root = dir.as_path();
        assert_eq!(missing(root), [""; 0], "it does not run");
        put(root, "run/systemd/netif/state", "");
        assert_eq!(missing(root), SETTINGS);
        put(
            root,
            "etc/systemd/networkd.conf",
            "# ManageForeignRoutes=no\n[DHCPv4]\nManageForeignRoutes=no\n[Network]\nManageForeignNextHops = off\n",
        );
        assert_eq!(missing(root), SETTINGS[..2]);
        // The main file of another place does not count any more.
        put(root, "usr/lib/systemd/networkd.conf", "[Network]\nManageForeignRoutes=no\n");
        assert_eq!(missing(root), SETTINGS[..2]);
        put(
            root,
            "usr/lib/systemd/networkd.conf.d/50-metalbond.conf",
            "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=0\n",
        );
        assert_eq!(missing(root), [""; 0]);
        put(
            root,
            "run/systemd/networkd.conf.d/60-other.conf",
            "[Network]\nManageForeignRoutes=yes\nManageForeignNextHops=\n",
        );
        assert_eq!(missing(root), [SETTINGS[0], SETTINGS[2]]);
        // A file with the same name takes the place of the package's.
        put(root, "etc/systemd/networkd.conf.d/60-other.conf", "");
        put(root, "etc/systemd/networkd.conf.d/50-metalbond.conf", "");
        put(root, "etc/systemd/networkd.conf.d/not-read.txt", "[Network]\nManageForeignRoutes=no\n");
        assert_eq!(missing(root), SETTINGS[..2]);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_packages_file_sets_all_of_them() {
        let mut is_no = [false; SETTINGS.len()];
        read(include_str!("../packaging/networkd/50-metalbond.conf"), &mut is_no);
        assert_eq!(is_no, [true; SETTINGS.len()]);
    }
}
