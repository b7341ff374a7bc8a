//! Files of packages, as far as they can be checked without being installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use metalbond_conformance::has_program;
use serde_json::Value;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

fn units() -> Vec<PathBuf> {
    let dir = std::fs::read_dir(packaging().join("systemd")).unwrap();
    dir.map(|entry| entry.unwrap().path()).collect()
}

/// Runs `systemd-analyze`. Returns `None` if there is no systemd.
fn analyze(args: &[&str]) -> Option<String> {
    if !has_program("systemd-analyze") {
        return None;
    }
    let done = Command::new("systemd-analyze").args(args).env("SYSTEMD_LOG_LEVEL", "warning").output().unwrap();
    Some(String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr))
}

#[test]
fn systemd_accepts_the_units() {
    for unit in units() {
        let Some(said) = analyze(&["verify", "--man=no", unit.to_str().unwrap()]) else { return };
        // Ignores complaints about files that are not installed.
        let complaints: Vec<_> =
            said.lines().filter(|line| !line.contains("/usr/bin/metalbond is not executable")).collect();
        assert_eq!(complaints, Vec::<&str>::new(), "{}", unit.display());
    }
}

/// Checks the units with their examples enabled.
#[test]
fn examples_in_units_are_valid() {
    for name in ["server", "client"] {
        let text = std::fs::read_to_string(packaging().join(format!("systemd/metalbond-{name}.service"))).unwrap();
        let used = text.replace("\n#LoadCredential=", "\nLoadCredential=").replace("\n#Environment=", "\nEnvironment=");
        assert_eq!(used.lines().filter(|line| line.starts_with("LoadCredential=")).count(), 2);
        let unit = std::env::temp_dir().join(format!("metalbond-example-{name}-{}.service", std::process::id()));
        std::fs::write(&unit, used).unwrap();
        let said = analyze(&["verify", "--man=no", unit.to_str().unwrap()]);
        std::fs::remove_file(&unit).unwrap();
        let Some(said) = said else { return };
        let complaints: Vec<_> =
            said.lines().filter(|line| !line.contains("/usr/bin/metalbond is not executable")).collect();
        assert_eq!(complaints, Vec::<&str>::new());
    }
}

#[test]
fn services_are_exposed_no_more_than_they_must_be() {
    for (unit, bound) in [("server", 1.5), ("client", 2.0), ("tunnel", 2.0)] {
        let path = packaging().join(format!("systemd/metalbond-{unit}.service"));
        let Some(said) = analyze(&["security", "--offline=true", path.to_str().unwrap()]) else { return };
        let (_, rest) = said.rsplit_once(".service: ").unwrap_or_else(|| panic!("{said}"));
        let level: f64 = rest.split(' ').next().unwrap().parse().unwrap();
        assert!(level <= bound, "{unit}: {level}");
    }
}

#[test]
fn no_service_is_root_and_none_has_more_than_it_needs() {
    for (unit, user, right) in [
        ("server", "DynamicUser=yes", None),
        ("client", "User=metalbond", Some("CAP_NET_ADMIN")),
        ("tunnel", "DynamicUser=yes", Some("CAP_NET_ADMIN")),
    ] {
        let text = std::fs::read_to_string(packaging().join(format!("systemd/metalbond-{unit}.service"))).unwrap();
        assert!(text.lines().any(|line| line == user), "{unit}");
        let rights: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("CapabilityBoundingSet=")).collect();
        assert_eq!(rights, [right.unwrap_or_default()], "{unit}");
        assert!(text.lines().any(|line| line == "NoNewPrivileges=yes"), "{unit}");
        // The tunnel's service only runs `ip`, which has no secrets.
        assert!(unit == "tunnel" || text.lines().any(|line| line == "LimitCORE=0"), "{unit}");
    }
}

/// The package itself is built only before a release.
#[test]
fn the_files_of_the_debian_package_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: Value = toml::from_str(&std::fs::read_to_string(root.join("Cargo.toml")).unwrap()).unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let (mut own, mut targets) = (0, Vec::new());
    for asset in deb["assets"].as_array().unwrap() {
        let [from, to] = [&asset[0], &asset[1]].map(|path| path.as_str().unwrap());
        targets.push(format!("/{to}"));
        // The other files are built by deb.sh.
        if !from.starts_with("target/release/") {
            assert!(root.join(from).is_file(), "{from}");
            own += 1;
        }
    }
    assert!(own > 5, "{own}");
    for file in deb["conf-files"].as_array().unwrap() {
        assert!(targets.iter().any(|target| target == file.as_str().unwrap()), "{file}");
    }
    let mut services: Vec<_> = units().into_iter().filter(|path| path.extension().unwrap() == "service").collect();
    services.retain(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        !deb["systemd-units"].as_array().unwrap().iter().any(|unit| unit["unit-name"].as_str() == Some(name))
    });
    assert_eq!(services, Vec::<PathBuf>::new());
}

#[test]
fn the_program_is_where_units_of_the_reference_start_it() {
    let text = |name: &str| std::fs::read_to_string(packaging().join(name)).unwrap();
    let link = "../bin/metalbond";
    assert!(text("Dockerfile").lines().any(|line| line == format!("RUN ln -s {link} /usr/sbin/metalbond")));
    // The package contains the link that deb.sh makes.
    assert!(text("deb.sh").lines().any(|line| line == format!("ln -s {link} \"$assets/sbin/metalbond\"")));
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: Value = toml::from_str(&manifest).unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    assert_eq!(deb["preserve-symlinks"], true);
    let assets = deb["assets"].as_array().unwrap();
    let from = |to: &str| assets.iter().find(|asset| asset[1] == to).map(|asset| &asset[0]);
    assert_eq!(from("usr/sbin/metalbond").unwrap(), "target/release/packaging/sbin/metalbond");
    assert_eq!(from("usr/bin/").unwrap(), "target/release/metalbond");
    // The working directory of these units.
    assert!(assets.iter().any(|asset| asset[1].as_str().unwrap().starts_with("usr/share/metalbond/")));
}

/// Runs `metalbond check`.
fn check(path: &Path) {
    let done = Command::new(env!("CARGO_BIN_EXE_metalbond")).arg("check").arg(path).output().unwrap();
    assert!(done.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&done.stderr));
}

#[test]
fn the_installed_settings_are_valid() {
    check(&packaging().join("metalbond.toml"));
}

#[test]
fn servers_retain_routes_for_as_long_as_the_clients_ask() {
    let clients = objects("client.yaml");
    let settings = of_kind(&clients, "ConfigMap")[0]["data"]["metalbond.toml"].as_str().unwrap().to_owned();
    let settings: Value = toml::from_str(&settings).unwrap();
    let asked = settings["client"]["restart-time"].as_u64().unwrap();
    let servers = objects("server.yaml");
    for deployment in of_kind(&servers, "Deployment") {
        let args = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
        let at = args.iter().position(|arg| arg == "--restart-time-max").expect("the default is lower");
        let granted: u64 = args[at + 1].as_str().unwrap().parse().unwrap();
        assert!(granted >= asked, "{granted} s are granted, {asked} s asked for");
    }
}

#[test]
fn the_memory_of_a_client_has_room_for_as_many_routes_as_it_takes() {
    let clients = objects("client.yaml");
    let settings = of_kind(&clients, "ConfigMap")[0]["data"]["metalbond.toml"].as_str().unwrap().to_owned();
    let settings: Value = toml::from_str(&settings).unwrap();
    let routes = settings["client"]["max-routes"].as_u64().unwrap();
    let pod = &of_kind(&clients, "DaemonSet")[0]["spec"]["template"]["spec"];
    let limit = pod["containers"][0]["resources"]["limits"]["memory"].as_str().unwrap();
    let mebibytes: u64 = limit.strip_suffix("Mi").unwrap().parse().unwrap();
    // The figures of docs/kernel-routes.md, with a fifth to spare.
    let needed = routes * (281 + 490) * 6 / 5;
    assert!(needed <= mebibytes << 20, "{routes} routes take {needed} B, and the limit is {limit}");
}

fn objects(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(packaging().join("kubernetes").join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[test]
fn each_server_has_an_address_of_its_own_and_clients_name_them_all() {
    let servers = objects("server.yaml");
    let (services, deployments) = (of_kind(&servers, "Service"), of_kind(&servers, "Deployment"));
    assert_eq!((services.len(), deployments.len()), (2, 2));
    for (service, deployment) in services.iter().zip(&deployments) {
        assert_eq!(service["metadata"]["name"], deployment["metadata"]["name"]);
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        assert_eq!(&service["spec"]["selector"], labels);
        assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
        assert_eq!(deployment["spec"]["replicas"], 1);
        let ports: Vec<_> =
            service["spec"]["ports"].as_array().unwrap().iter().map(|port| port["port"].clone()).collect();
        assert_eq!(ports, [4711, 4712]);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let args: Vec<_> = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        assert_eq!(args[..5], ["server", "--listen", "[::]:4711", "--http", "[::]:4712"]);
        assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
        for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"]["path"], path);
        }
    }

    let clients = objects("client.yaml");
    let settings = of_kind(&clients, "ConfigMap")[0]["data"]["metalbond.toml"].as_str().unwrap().to_owned();
    for service in services {
        let name = service["metadata"]["name"].as_str().unwrap();
        assert!(settings.contains(&format!("\"{name}.metalbond.svc:4711\"")), "{name}");
    }
    // As in the pod, except for the file that exists only on nodes.
    let path = std::env::temp_dir().join(format!("metalbond-configmap-{}.toml", std::process::id()));
    std::fs::write(&path, settings.replace("/var/lib/metalbond/announcements", "/dev/null")).unwrap();
    check(&path);
    std::fs::remove_file(path).unwrap();
    let pod = &of_kind(&clients, "DaemonSet")[0]["spec"]["template"]["spec"];
    assert_eq!(pod["hostNetwork"], true);
    assert_eq!(pod["containers"][0]["securityContext"]["capabilities"]["add"].as_array().unwrap().len(), 1);
}
