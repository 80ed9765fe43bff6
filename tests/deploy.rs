//! A bundle reaches a device whole, over real links and bad ones, and a device accepts only what it should.

use crate::support::bundles::{TRUSTED, bundle, bundle_for, reissued, tracks, with_bytes};
use crate::support::edge::{Edge, Home, PATIENCE};
use std::cell::{Cell, RefCell};
use std::time::Duration;
use tendon_host::transport::client::ClientError;
use tendon_host::transport::deploy::{Delivered, Plan, Step, deliver};
use tendon_host::transport::faulty::{Faults, Faulty};
use tendon_host::transport::offer::Parcel;
use tendon_host::transport::serial::Serial;
use tendon_host::transport::ship;
use tendon_host::transport::{Link, LinkError};
use tendon_shared::protocol::deploy::{CHUNK_BYTES, InstallStatus};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::telemetry::Subscription;
use tendon_shared::protocol::{Event, Request, Response};
use tendon_shared::topology::TopologyId;

fn ship<L: Link>(
    parcel: &Parcel,
    connect: impl FnMut() -> Result<L, LinkError>,
    on_step: &mut dyn FnMut(Step),
) -> Result<Delivered, ClientError> {
    let plan = Plan::default();
    deliver(connect, || {}, PATIENCE, plan, parcel.goods(), on_step)
}

pub(crate) fn deploy(edge: &Edge, parcel: &Parcel) -> Result<Delivered, ClientError> {
    ship(parcel, || Ok(edge.link()), &mut |_| {})
}

fn chunks(parcel: &Parcel) -> u32 {
    parcel.offer.size.div_ceil(CHUNK_BYTES as u32)
}

fn on_trial(version: u64) -> InstallStatus {
    InstallStatus::Trial {
        model: version,
        healthy: 0,
        needed: 3,
    }
}

fn refusal(outcome: Result<Delivered, ClientError>) -> WireError {
    match outcome {
        Err(ClientError::Device(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_link_needs_every_chunk_once() {
    let home = Home::new();
    let edge = home.start(&[]);
    let parcel = bundle(1);
    let delivered = deploy(&edge, &parcel).unwrap();
    let expect = Delivered {
        status: on_trial(1),
        sent: chunks(&parcel),
        connections: 1,
    };
    assert_eq!(delivered, expect);
}

#[test]
fn a_bundle_arrives_intact_over_a_link_that_loses_flips_and_delays() {
    let home = Home::new();
    let edge = home.start(&[]);
    let parcel = bundle(1);
    let faults = Faults {
        drop: 0.05,
        flip: 0.000_02,
        delay: 0.05,
        cut_after: None,
    };
    let delivered = ship(
        &parcel,
        || Ok(Faulty::new(edge.link(), faults, 7)),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(delivered.status, on_trial(1));
    assert!(
        delivered.sent > chunks(&parcel),
        "nothing was lost: the test is too easy"
    );
    assert!(
        delivered.sent < 2 * chunks(&parcel),
        "{} sent for {}",
        delivered.sent,
        chunks(&parcel)
    );
    assert_eq!(
        std::fs::read(home.data().join("slots/a.tendon")).unwrap(),
        parcel.bytes
    );
}

#[test]
fn deploying_goes_on_after_every_cut() {
    let home = Home::new();
    let edge = home.start(&[]);
    let parcel = bundle(1);
    let cut = u64::from(parcel.offer.size) / 3;
    let begun = RefCell::new(Vec::new());
    let connect = || {
        let faults = Faults {
            cut_after: Some(cut),
            ..Faults::default()
        };
        Ok(Faulty::new(edge.link(), faults, 1))
    };
    let mut on_step = |step| {
        if let Step::Begun { there, .. } = step {
            begun.borrow_mut().push(there);
        }
    };
    let delivered = ship(&parcel, connect, &mut on_step).unwrap();
    assert_eq!(delivered.status, on_trial(1));
    assert!(delivered.connections >= 4, "{delivered:?}");
    assert!(
        begun.borrow().is_sorted() && begun.borrow()[1] > 0,
        "{begun:?}"
    );
    // A cut costs at most what was under way.
    let most = chunks(&parcel) + delivered.connections * u32::from(Plan::default().window);
    assert!(delivered.sent <= most, "{delivered:?}");
}

#[test]
fn a_bundle_travels_over_a_serial_line() {
    // The device's end stays open here, so that the line is there before and after the agent.
    let (host, device) = serialport::TTYPort::pair().unwrap();
    let name = serialport::SerialPort::name(&device).unwrap();
    let home = Home::new();
    let edge = home.start(&["--serial", &name]);
    let parcel = bundle(1);
    let host = Cell::new(Some(host));
    let connect = || host.take().map(Serial::new).ok_or(LinkError::Closed);
    let delivered = ship(&parcel, connect, &mut |_| {}).unwrap();
    assert_eq!(delivered.status, on_trial(1));
    drop(edge);
}

#[test]
fn an_agent_that_is_killed_while_it_receives_goes_on_where_it_was() {
    let home = Home::new();
    let parcel = bundle(1);
    let edge = RefCell::new(Some(home.start(&[])));
    let begun = RefCell::new(Vec::new());
    let connect = || {
        let mut edge = edge.borrow_mut();
        Ok(edge.get_or_insert_with(|| home.start(&[])).link())
    };
    let mut on_step = |step| match step {
        Step::Begun { there, .. } => begun.borrow_mut().push(there),
        Step::Moved { there, .. } if there > parcel.offer.size / 2 && begun.borrow().len() == 1 => {
            if let Some(edge) = edge.borrow_mut().take() {
                edge.kill();
            }
        }
        _ => {}
    };
    let delivered = ship(&parcel, connect, &mut on_step).unwrap();
    assert_eq!((delivered.status, delivered.connections), (on_trial(1), 2));
    // Not from the beginning: what was synced is there.
    assert!(
        begun.borrow()[1] > parcel.offer.size / 4,
        "{begun:?} of {}",
        parcel.offer.size
    );
}

/// Ships by difference if the device takes it.
fn update(edge: &Edge, parcel: &Parcel, since: &[&Parcel]) -> ship::Shipped {
    let differences = since.iter().filter_map(|base| parcel.since(base).unwrap());
    let differences: Vec<_> = differences.collect();
    ship::ship(
        || Ok(edge.link()),
        || {},
        PATIENCE,
        Plan::default(),
        parcel,
        &differences,
        &mut |_| {},
    )
    .unwrap()
}

#[test]
fn an_update_sends_the_difference_and_the_whole_bundle_where_none_fits() {
    let home = Home::new();
    let mut edge = home.start(&[]);
    let (first, second) = (bundle(1), reissued(2, 1));
    deploy(&edge, &first).unwrap();
    edge.send_poses(&tracks(1, 3));
    edge.wait_for_install("Confirmed");
    let shipped = update(&edge, &second, &[&bundle(9), &first]);
    assert!(shipped.difference && shipped.bytes < second.offer.size / 10);
    assert_eq!(shipped.delivered.status, on_trial(2));
    let installed = std::fs::read(home.data().join("slots/b.tendon")).unwrap();
    assert!(installed == second.bytes);
    edge.send_poses(&tracks(10, 3));
    edge.wait_for_install("Confirmed");
    // The device does not serve the first one any more.
    let third = reissued(3, 1);
    let shipped = update(&edge, &third, &[&first]);
    assert!(!shipped.difference && shipped.bytes == third.offer.size);
    assert_eq!(shipped.delivered.status, on_trial(3));
}

#[test]
fn a_bundle_proves_itself_and_survives_restarts() {
    let home = Home::new();
    let mut edge = home.start(&[]);
    deploy(&edge, &bundle(3)).unwrap();
    let mut client = edge.client();
    let all = Subscription {
        recognitions: true,
        changes: true,
        counters_every_ms: 0,
    };
    client.ask(&Request::Subscribe(all)).unwrap();
    edge.send_poses(&tracks(1, 3));
    edge.wait_for_install("Confirmed");
    let recognised = loop {
        if let Some(Event::Numbered(found)) = client.event(Duration::from_secs(60)).unwrap() {
            assert!(found.window < 3);
            break found.recognition;
        }
    };
    assert_eq!((recognised.track, recognised.time_ms), (1, 1627));
    edge.kill();

    let mut edge = home.start(&[]);
    let mut client = edge.client();
    assert_eq!(client.welcome().unwrap().model, Some(3));
    edge.send_poses(&tracks(5, 1));
    assert_eq!(
        edge.wait_for(|line| line["event"] == "recognition")["track"],
        5
    );
    let Response::Counters(counters) = client.ask(&Request::Counters).unwrap() else {
        panic!()
    };
    assert_eq!(
        (counters.model, counters.boots, counters.windows),
        (3, 2, 1)
    );
    edge.terminate();
}

#[test]
fn an_agent_that_dies_on_trial_too_often_goes_back() {
    let home = Home::new();
    let mut edge = home.start(&[]);
    deploy(&edge, &bundle(1)).unwrap();
    edge.send_poses(&tracks(1, 3));
    edge.wait_for_install("Confirmed");
    deploy(&edge, &bundle(2)).unwrap();
    edge.kill();
    for _ in 0..2 {
        let edge = home.start(&[]);
        assert_eq!(edge.client().welcome().unwrap().model, Some(2));
        edge.kill();
    }
    assert_eq!(home.start(&[]).client().welcome().unwrap().model, Some(1));
}

#[test]
fn every_bundle_that_must_not_run_is_refused_with_its_own_error() {
    let home = Home::new();
    let mut edge = home.start(&[]);
    let good = bundle(5);
    deploy(&edge, &good).unwrap();
    edge.send_poses(&tracks(1, 3));
    edge.wait_for_install("Confirmed");

    let older = WireError::OlderVersion {
        floor: 5,
        offered: 4,
    };
    assert_eq!(refusal(deploy(&edge, &bundle(4))), older);
    let ntu = bundle_for(TopologyId::Ntu25, 6, TRUSTED);
    assert_eq!(refusal(deploy(&edge, &ntu)), WireError::WrongTopology);
    let foreign = bundle_for(TopologyId::Kinect20, 6, TRUSTED + 1);
    assert_eq!(refusal(deploy(&edge, &foreign)), WireError::ForeignKey);
    let next = bundle(6);
    let tampered = with_bytes(&next, |bytes| *bytes.last_mut().unwrap() ^= 1);
    assert_eq!(refusal(deploy(&edge, &tampered)), WireError::Tampered);
    let truncated = with_bytes(&next, |bytes| bytes.truncate(bytes.len() - 1000));
    assert_eq!(refusal(deploy(&edge, &truncated)), WireError::Truncated);

    assert_eq!(edge.client().welcome().unwrap().model, Some(5));
    assert_eq!(deploy(&edge, &next).unwrap().status, on_trial(6));
}
