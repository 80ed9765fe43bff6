//! A device enters a fleet with a token and a key of its own, and then lets in nobody but its operators.

use crate::support::bundles::bundle;
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
