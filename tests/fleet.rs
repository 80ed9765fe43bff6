//! A device enters a fleet with a token and a key of its own, and then lets in nobody but its operators.

use crate::support::bundles::bundle;
use crate::support::edge::{Home, PATIENCE};
use crate::support::program;
use std::path::Path;
use std::process::Command;
use tendon_host::transport::client::{Client, Patience};

/// Runs a program in a folder, and returns whether it went well and what it said.
fn run(folder: &Path, name: &str, line: &str) -> (bool, String) {
    let output = Command::new(program(name))
        .args(line.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn good(folder: &Path, name: &str, line: &str) -> String {
    let (well, said) = run(folder, name, line);
    assert!(well, "{name} {line}: {said}");
    said
}

#[test]
fn an_enrolled_device_talks_to_the_operators_of_its_fleet_alone() {
    let home = Home::new();
    let folder = home.folder();
    good(folder, "tendon", "fleet init homes");
    let token = good(folder, "tendon", "fleet token homes --device kitchen");
    let token = token.trim();
    let enroll = format!("enroll --data-dir data --token {token} -o request.json");
    good(folder, "tendon-edge", &enroll);
    good(
        folder,
        "tendon",
        "fleet admit homes request.json -o reply.json",
    );
    let (well, said) = run(
        folder,
        "tendon",
        "fleet admit homes request.json -o again.json",
    );
    assert!(!well && said.contains("was used"), "{said}");
    good(
        folder,
        "tendon-edge",
        "enroll --data-dir data --accept reply.json",
    );
    good(
        folder,
        "tendon",
        "fleet operator homes --name anna -o anna.json",
    );
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
fn tls_without_an_identity_says_how_to_get_one() {
    let home = Home::new();
    let (well, said) = run(
        home.folder(),
        "tendon-edge",
        "run --data-dir data --trust key.pub --listen 127.0.0.1:0 --tls",
    );
    assert!(!well && said.contains("tendon-edge enroll"), "{said}");
}
