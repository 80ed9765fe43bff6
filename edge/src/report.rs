//! What a device reports about itself, gathered from its data folder and from the agent that runs on it.

use crate::slots::storage::Disk;
use crate::slots::store::{Store, StoreError};
use crate::transport::local;
use crate::update::{keep, note};
use std::io;
use std::path::Path;
use tendon_identity::report::{Agent, Bundle, Floors, Report, Slot, Slots, Time, Update};
use tendon_shared::protocol::adapt::AdaptCommand;
use tendon_shared::protocol::deploy::Offer;
use tendon_shared::protocol::{Request, Response};
use tendon_shared::slot::{Side, SlotState};
use tendon_trust::floors::Keeper;

/// Gathers a report. `now` is what the clock says, `nonce` what the asker gave.
///
/// # Errors
/// [`StoreError`]. A folder on which no agent runs is no error.
pub fn gather(data_dir: &Path, now: Time, nonce: Option<String>) -> Result<Report, StoreError> {
    let store = Store::open(Box::new(Disk::open(&data_dir.join("slots"))?))?;
    let (floors, update) = trusted(data_dir, store.record().floor)?;
    Ok(Report {
        nonce,
        device_id: std::fs::read_to_string(data_dir.join("device-id")).unwrap_or_default(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        time: now,
        serving: store.serving().map(|(_, offer)| bundle(offer)),
        slots: Slots {
            a: slot(&store, Side::A),
            b: slot(&store, Side::B),
        },
        boots: store.record().boots,
        floors,
        update,
        agent: agent(data_dir),
    })
}

/// The floors, and what the last update came to; zeroes and none where there was no update.
fn trusted(data_dir: &Path, model: u64) -> io::Result<(Floors, Option<Update>)> {
    let folder = keep::folder(data_dir);
    let mut floors = Floors {
        model,
        ..Floors::default()
    };
    if !folder.is_dir() {
        return Ok((floors, None));
    }
    let mut disk = Disk::open(&folder)?;
    let update = note::read(&disk)?;
    let mut kept = keep::Kept(&mut disk);
    let keeper = Keeper::open(&mut kept)?;
    let known = keeper.floors();
    floors.model = model.max(known.bundle);
    floors.root = known.root;
    floors.timestamp = known.timestamp;
    floors.snapshot = known.snapshot;
    floors.targets = known.targets;
    Ok((floors, update))
}

fn bundle(offer: Offer) -> Bundle {
    Bundle {
        model: offer.model,
        topology: offer.topology.name().to_owned(),
        bytes: offer.size,
        digest: offer.digest.to_string(),
    }
}

fn slot(store: &Store, side: Side) -> Slot {
    let state = store.slots().state(side);
    let (name, trial_boots) = match state {
        SlotState::Empty => ("empty", None),
        SlotState::Receiving => ("receiving", None),
        SlotState::Verified => ("verified", None),
        SlotState::Trial { boots } => ("trial", Some(boots)),
        SlotState::Confirmed => ("confirmed", None),
        SlotState::Rejected => ("rejected", None),
    };
    Slot {
        state: name.to_owned(),
        trial_boots,
        bundle: store.record().content(side).map(bundle),
    }
}

/// What the agent that runs on the folder says; none when none runs.
fn agent(data_dir: &Path) -> Option<Agent> {
    let ask = |request| local::ask(data_dir, &[request]).ok()?.pop();
    let Response::Counters(counters) = ask(Request::Counters)? else {
        return None;
    };
    Some(Agent {
        install: match ask(Request::InstallStatus) {
            Some(Response::Install(status)) => Some(status),
            _ => None,
        },
        counters,
        inputs: match ask(Request::Inputs) {
            Some(Response::Inputs(inputs)) => Some(inputs),
            _ => None,
        },
        // Without a bundle there is nothing that adapts.
        adapt: match ask(Request::Adapt(AdaptCommand::Report)) {
            Some(Response::Adapt(report)) => Some(report),
            _ => None,
        },
    })
}
