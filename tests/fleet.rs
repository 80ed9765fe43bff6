//! A device enters a fleet with a token and a key of its own, lets in nobody but its operators, and signs what it reports.

use crate::deploy::deploy;
use crate::support::bundles::{bundle, tracks};
use crate::support::edge::{Home, PATIENCE};
use crate::support::fleet::{enrol, good, run};
use serialport::SerialPort as _;
use std::time::Duration;
use tendon_host::transport::client::{Client, Patience};

#[test]
fn an_enrolled_device_talks_to_the_operators_of_its_fleet_alone() {
    let home = Home::new();
    let folder = home.folder();
    enrol(folder);
    let (well, said) = run(
        folder,
        "tendon",
        "fleet admit homes request.json -o again.json",
    );
    assert!(!well && said.contains("was used"), "{said}");
    let listed = good(folder, "tendon", "fleet status homes");
    assert!(
        listed.contains("kitchen") && listed.contains("admitted"),
        "{listed}"
    );

    good(folder, "tendon", "fleet init others");
    good(
        folder,
        "tendon",
        "fleet operator others --name eve -o eve.json",
    );
    let edge = home.start(&["--tls"]);
    std::fs::write(folder.join("model.tendon"), bundle(3).bytes).unwrap();
    let deploy = |who: &str| {
        let address = edge.address();
        let line = format!("deploy --reconnects 0 --to tls:{who}{address} model.tendon");
        run(folder, "tendon", &line)
    };
    for stranger in ["eve.json@", "anna.json@hall="] {
        let (well, said) = deploy(stranger);
        assert!(!well && said.contains("a device of this fleet"), "{said}");
    }
    let once = Patience {
        tries: 2,
        ..PATIENCE
    };
    assert!(Client::open(edge.link(), once).is_err(), "without TLS");
    let (well, said) = deploy("anna.json@kitchen=");
    assert!(well && said.contains("version 3"), "{said}");
}

#[test]
fn a_serial_line_of_a_fleet_is_for_its_operators_alone() {
    let home = Home::new();
    let folder = home.folder();
    enrol(folder);
    // Both ends stay open here, so that the line is there before and after each program.
    let (host, hosts_end) = serialport::TTYPort::pair().unwrap();
    let (device, devices_end) = serialport::TTYPort::pair().unwrap();
    let [host_name, device_name] = [&hosts_end, &devices_end].map(|end| end.name().unwrap());
    let pumps = [(&host, &device), (&device, &host)].map(|(from, to)| {
        let mut from = from.try_clone_native().unwrap();
        let mut to = to.try_clone_native().unwrap();
        from.set_timeout(Duration::from_secs(60)).unwrap();
        std::thread::spawn(move || std::io::copy(&mut from, &mut to))
    });
    let _edge = home.start(&["--tls", "--serial", &device_name]);
    std::fs::write(folder.join("model.tendon"), bundle(3).bytes).unwrap();
    let line = |whom: &str| {
        let line = format!("deploy --reconnects 0 --to {whom}serial:{host_name} model.tendon");
        run(folder, "tendon", &line)
    };
    let (well, said) = line("");
    assert!(!well && said.contains("tls:IDENTITY@"), "{said}");
    let (well, said) = line("tls:anna.json@hall=");
    assert!(!well && said.contains("a device of this fleet"), "{said}");
    let (well, said) = line("tls:anna.json@kitchen=");
    assert!(well && said.contains("version 3"), "{said}");
    drop((host, device, hosts_end, devices_end));
    drop(pumps);
}

#[test]
fn tls_without_an_identity_says_how_to_get_one() {
    let home = Home::new();
    let (well, said) = run(
        home.folder(),
        "tendon-edge",
        "run --data-dir data --trust key.pub --listen 127.0.0.1:0 --tls",
    );
    assert!(!well && said.contains("tendon-edge enroll"), "{said}");
}

#[test]
fn a_devices_report_is_read_by_its_fleet_alone() {
    let home = Home::new();
    let folder = home.folder();
    enrol(folder);
    let mut edge = home.start(&[]);
    deploy(&edge, &bundle(3)).unwrap();
    edge.send_poses(&tracks(1, 3));
    edge.wait_for_install("Confirmed");
    let report = "report --data-dir data -o report.json --time set --nonce quux-1";
    good(folder, "tendon-edge", report);
    let read = "fleet read homes report.json --nonce quux-1";
    let said = good(folder, "tendon", read);
    for expect in [
        "device  kitchen",
        "serves  version 3, kinect20",
        "floors  model 3",
        "3 windows",
        "nonce   quux-1",
        "update  none yet",
    ] {
        assert!(said.contains(expect), "{expect}: {said}");
    }
    let said = good(folder, "tendon", &format!("{read} --json"));
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["device"], "kitchen");
    let report = &said["report"];
    assert_eq!(report["agent"]["counters"]["windows"], 3);
    assert_eq!(report["slots"]["a"]["state"], "confirmed");
    assert!(no_fraction(report), "{report}");

    // An old one for new, another fleet, a changed byte, a file of another kind.
    let (well, said) = run(
        folder,
        "tendon",
        "fleet read homes report.json --nonce quux-2",
    );
    assert!(
        !well && said.contains("old one") && !said.contains("serves"),
        "{said}"
    );
    good(folder, "tendon", "fleet init others");
    let (well, said) = run(folder, "tendon", "fleet read others report.json");
    assert!(!well && said.contains("this fleet's authority"), "{said}");
    let text = std::fs::read_to_string(folder.join("report.json")).unwrap();
    let changed = text.replace("quux-1", "quux-2");
    std::fs::write(folder.join("changed.json"), changed).unwrap();
    let (well, said) = run(folder, "tendon", "fleet read homes changed.json");
    assert!(!well && said.contains("has not signed this"), "{said}");
    let (well, said) = run(folder, "tendon", "fleet read homes key.pub");
    assert!(!well && said.contains("no signed statement"), "{said}");

    // Without an agent the folder is enough, and no nonce is no error unless one is wanted.
    edge.terminate();
    let report = "report --data-dir data -o later.json";
    let said = good(folder, "tendon-edge", report);
    assert!(said.contains("no agent runs"), "{said}");
    let said = good(folder, "tendon", "fleet read homes later.json");
    assert!(
        said.contains("agent   none runs") && said.contains("version 3"),
        "{said}"
    );
    let (well, said) = run(
        folder,
        "tendon",
        "fleet read homes later.json --nonce quux-1",
    );
    assert!(!well && said.contains("no nonce"), "{said}");
}

/// Whether every number is a whole one: a coordinate is not.
fn no_fraction(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => !number.is_f64(),
        serde_json::Value::Array(values) => values.iter().all(no_fraction),
        serde_json::Value::Object(values) => values.values().all(no_fraction),
        _ => true,
    }
}

#[test]
fn a_device_that_is_in_no_fleet_says_how_to_get_in() {
    let home = Home::new();
    drop(home.start(&[]));
    let (well, said) = run(
        home.folder(),
        "tendon-edge",
        "report --data-dir data -o report.json",
    );
    assert!(!well && said.contains("tendon-edge enroll"), "{said}");
}
