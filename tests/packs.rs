//! A repository in one file reaches a device over a link, and the device takes out of it only what it should.

use crate::support::bundles::{bundle, bundle_for, tracks};
use crate::support::edge::{Edge, Home, PATIENCE};
use crate::support::fleet::run;
use sha2::{Digest as _, Sha256};
use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;
use tendon_host::transport::client::Patience;
use tendon_host::transport::deploy::{Delivered, Plan, Step};
use tendon_host::transport::faulty::{Faults, Faulty};
use tendon_host::transport::loopback::{self, Loopback};
use tendon_host::transport::offer::Pack;
use tendon_host::transport::ship::{PackError, ship_pack};
use tendon_host::transport::{Link, LinkError};
use tendon_shared::packet::{Decoder, PACKET_BYTES};
use tendon_shared::protocol::deploy::{CHUNK_BYTES, Digest, InstallStatus, Kept, PackOffer};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::hello::Welcome;
use tendon_shared::protocol::{Envelope, Message, Request, Response};
use tendon_shared::topology::TopologyId;
use tendon_trust::moment::Moment;
use tendon_trust::offers;
use tendon_trust::testing::Repository;

/// A repository that is good until the end of the calendar. Its root file goes to the home's folder.
fn repository(home: &Home) -> Repository {
    let mut repository = Repository::new();
    repository.now = Moment::parse("9000-01-01T00:00:00Z").unwrap();
    repository.publish_root();
    let root = repository.factory_root();
    std::fs::write(home.folder().join("root.json"), root).unwrap();
    repository
}

/// Releases a bundle, and one for another skeleton standard beside it.
fn release(repository: &mut Repository, version: u64) -> Pack {
    for (name, parcel) in [
        ("kinect20", bundle(version)),
        ("ntu25", bundle_for(TopologyId::Ntu25, version + 1, 1)),
    ] {
        let custom = offers::custom(&parcel.manifest);
        repository.offer(&format!("{name}-{version}.tendon"), &parcel.bytes, custom);
    }
    repository.publish();
    Pack::new(repository.pack(), Path::new("update.tendon")).unwrap()
}

fn start(home: &Home, time: &str) -> Edge {
    let root = home.folder().join("root.json");
    home.start(&["--root", root.to_str().unwrap(), "--time", time])
}

fn ship<L: Link>(
    pack: &Pack,
    connect: impl FnMut() -> Result<L, LinkError>,
    on_step: &mut dyn FnMut(Step),
) -> Result<Delivered, PackError> {
    ship_pack(connect, || {}, PATIENCE, Plan::default(), pack, on_step)
}

fn on_trial(version: u64) -> InstallStatus {
    InstallStatus::Trial {
        model: version,
        healthy: 0,
        needed: 3,
    }
}

#[test]
fn deploying_a_pack_installs_its_bundle_and_shares_floors_with_updates() {
    let home = Home::new();
    let mut repository = repository(&home);
    let old = release(&mut repository, 2);
    let pack = release(&mut repository, 3);
    std::fs::write(home.folder().join("old.tendon"), &old.bytes).unwrap();
    std::fs::write(home.folder().join("update.tendon"), &pack.bytes).unwrap();
    let mut edge = start(&home, "set");
    let deploy = |edge: &Edge, file: &str| {
        let line = format!("deploy --json --to tcp://{} {file}", edge.address());
        run(home.folder(), "tendon", &line)
    };
    let (well, said) = deploy(&edge, "update.tendon");
    assert!(well && said.contains("\"Trial\""), "{said}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["model"], &said["bytes"]),
        (&3.into(), &pack.offer.size.into())
    );
    edge.send_poses(&tracks(1, 3));
    edge.wait_for_install("Confirmed");
    let installed = std::fs::read(home.data().join("slots/a.tendon")).unwrap();
    assert!(installed == bundle(3).bytes);
    // Nothing is sent a second time.
    let (well, said) = deploy(&edge, "update.tendon");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(well && said["chunks_sent"] == 0, "{said}");
    assert_eq!(said["status"]["Confirmed"]["model"], 3);
    let (well, said) = deploy(&edge, "old.tendon");
    assert!(!well && said.contains("is older than"), "{said}");
    let update = "update --data-dir data --root root.json --trust key.pub --topology kinect20 --time set --repo";
    let (well, said) = run(
        home.folder(),
        "tendon-edge",
        &format!("{update} old.tendon"),
    );
    assert!(!well && said.contains("is older than"), "{said}");
    let (well, said) = run(
        home.folder(),
        "tendon-edge",
        &format!("{update} update.tendon"),
    );
    assert!(well && said.contains("nothing newer"), "{said}");
}

#[test]
fn a_pack_goes_on_after_every_cut() {
    let home = Home::new();
    let pack = release(&mut repository(&home), 3);
    let edge = start(&home, "set");
    let begun = RefCell::new(Vec::new());
    let connect = || {
        let faults = Faults {
            cut_after: Some(u64::from(pack.offer.size) / 3),
            ..Faults::default()
        };
        Ok(Faulty::new(edge.link(), faults, 1))
    };
    let mut on_step = |step| {
        if let Step::Begun { there, .. } = step {
            begun.borrow_mut().push(there);
        }
    };
    let delivered = ship(&pack, connect, &mut on_step).unwrap();
    assert_eq!(delivered.status, on_trial(3));
    assert!(delivered.connections >= 4, "{delivered:?}");
    assert!(begun.borrow().is_sorted() && begun.borrow()[1] > 0);
    // A cut costs at most what was under way.
    let chunks = pack.offer.size.div_ceil(CHUNK_BYTES as u32);
    let most = chunks + delivered.connections * u32::from(Plan::default().window);
    assert!(delivered.sent <= most, "{delivered:?} of {chunks}");
}

#[test]
fn an_agent_that_is_killed_while_it_receives_a_pack_goes_on_where_it_was() {
    let home = Home::new();
    let pack = release(&mut repository(&home), 3);
    let edge = RefCell::new(Some(start(&home, "set")));
    let begun = RefCell::new(Vec::new());
    let connect = || {
        let mut edge = edge.borrow_mut();
        Ok(edge.get_or_insert_with(|| start(&home, "set")).link())
    };
    let mut on_step = |step| match step {
        Step::Begun { there, .. } => begun.borrow_mut().push(there),
        Step::Moved { there, .. } if there > pack.offer.size / 2 && begun.borrow().len() == 1 => {
            if let Some(edge) = edge.borrow_mut().take() {
                edge.kill();
            }
        }
        _ => {}
    };
    let delivered = ship(&pack, connect, &mut on_step).unwrap();
    assert_eq!((delivered.status, delivered.connections), (on_trial(3), 2));
    // Not from the beginning: what was synced is there.
    assert!(begun.borrow()[1] > pack.offer.size / 4, "{begun:?}");
}

#[test]
fn a_pack_is_only_checked_while_the_clock_is_not_set() {
    let home = Home::new();
    let pack = release(&mut repository(&home), 3);
    let edge = start(&home, "unset");
    let delivered = ship(&pack, || Ok(edge.link()), &mut |_| {}).unwrap();
    let kept = InstallStatus::Kept(Kept::ClockUnset { model: 3 });
    assert_eq!(delivered.status, kept);
    drop(edge);
    // With the time the pack that is there is enough.
    let edge = start(&home, "set");
    let delivered = ship(&pack, || Ok(edge.link()), &mut |_| {}).unwrap();
    assert_eq!((delivered.status, delivered.sent), (on_trial(3), 0));
}

#[test]
fn a_device_without_a_root_file_says_what_to_do() {
    let home = Home::new();
    let pack = release(&mut repository(&home), 3);
    let edge = home.start(&[]);
    let refused = ship(&pack, || Ok(edge.link()), &mut |_| {}).unwrap_err();
    assert!(refused.to_string().contains("--root"), "{refused}");
    drop(edge);
    let edge = start(&home, "set");
    let bytes = [&b"metadata/1.root.json"[..], &[0; 600]].concat();
    let other = Pack {
        offer: PackOffer {
            digest: Digest(Sha256::digest(&bytes).into()),
            size: bytes.len() as u32,
        },
        bytes,
    };
    let refused = ship(&other, || Ok(edge.link()), &mut |_| {}).unwrap_err();
    let expect = WireError::NotAPack.to_string();
    assert_eq!(refused.to_string(), expect);
}

/// A device that answers what is not about packs, and `answer` to the rest, until the link is closed.
fn device(mut link: Loopback, answer: WireError) {
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    while let Ok(length) = link.receive(&mut buffer, Duration::from_secs(60)) {
        for byte in &buffer[..length] {
            let Some(Ok(payload)) = decoder.push(*byte) else {
                continue;
            };
            let Ok(Envelope {
                id,
                message: Message::Request(request),
                ..
            }) = Envelope::decode(payload)
            else {
                panic!("no request");
            };
            let response = match request {
                Request::Hello(_) => Response::Welcome(Welcome {
                    version: 1,
                    device: Default::default(),
                    software: Default::default(),
                    model: None,
                    topology: None,
                    free_bytes: 0,
                    chunks_ahead: 32,
                }),
                Request::Subscribe(_) => Response::Done,
                _ => Response::Error(answer),
            };
            let mut packet = [0; PACKET_BYTES];
            let envelope = Envelope::new(id, Message::Response(response));
            let length = envelope.encode(&mut packet).unwrap();
            let _ = link.send(&packet[..length]);
        }
    }
}

#[test]
fn a_device_that_knows_no_packs_is_said_to_be_older_at_once() {
    let pack = Pack {
        bytes: vec![1; 3000],
        offer: PackOffer {
            digest: Digest([1; 32]),
            size: 3000,
        },
    };
    for (answer, expect) in [
        (WireError::Malformed, "tendon deploy model.tendon"),
        (WireError::Unsupported, "tendon deploy model.tendon"),
        (WireError::NoRoot, "tendon-edge run --root"),
    ] {
        let mut opened = 0;
        let connect = || {
            opened += 1;
            let (near, far) = loopback::pair();
            std::thread::spawn(move || device(far, answer));
            Ok(near)
        };
        let (patience, plan) = (Patience::default(), Plan::default());
        let shipped = ship_pack(connect, || {}, patience, plan, &pack, &mut |_| {});
        let error = shipped.unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
        assert_eq!(opened, 1);
    }
}
