//! How well a slow serial line is used while a bundle is shipped, whole and by difference.
//!
//! `TENDON_BAUD=115200 cargo test -p tendon-system-tests slow_line -- --nocapture` measures at that speed; without, a faster line keeps the
//! test short.
#![allow(
    clippy::print_stdout,
    reason = "the shares of the line are what is shown"
)]

use crate::support::bundles::{bundle, reissued};
use crate::support::edge::{Home, PATIENCE};
use crate::support::fleet::enrol;
use crate::support::slow_line::{Badness, SlowLine};
use std::cell::Cell;
use std::time::{Duration, Instant};
use tendon_host::transport::client::Patience;
use tendon_host::transport::deploy::Plan;
use tendon_host::transport::offer::Parcel;
use tendon_host::transport::sealed::{self, Sealed};
use tendon_host::transport::serial::Serial;
use tendon_host::transport::ship::{Shipped, ship};
use tendon_host::transport::target::{Target, on_the_line};
use tendon_host::transport::{Link, LinkError};
use tendon_shared::protocol::deploy::InstallStatus;

/// Bits on the line for each byte.
const BITS: f64 = 10.0;

/// Whether the line was used well enough. Beside other tests a machine may be slower than the line, so less is asked for then.
fn assert_used(share: f64, wanted: f64) {
    let alone = std::env::var_os("TENDON_BAUD").is_some();
    let wanted = if alone { wanted } else { wanted / 3.0 };
    assert!(share > wanted, "{share} of {wanted}");
}

fn baud() -> u32 {
    let named = std::env::var("TENDON_BAUD").ok();
    named.map_or(460_800, |baud| baud.parse().unwrap())
}

/// Ships `parcel` to a new device, or to one that has `since`, over a line on which everybody is heard, or `operators` alone; the share of
/// the line's speed that the file had, and what was shipped.
fn shipped(
    parcel: &Parcel,
    since: Option<&Parcel>,
    badness: Badness,
    operators: bool,
) -> (f64, Shipped) {
    let home = Home::new();
    let (line, host) = SlowLine::new(baud(), badness, 5);
    let mut more = vec!["--serial", line.device()];
    if operators {
        enrol(home.folder());
        more.push("--tls");
    }
    let mut edge = home.start(&more);
    if let Some(since) = since {
        crate::deploy::deploy(&edge, since).unwrap();
        edge.send_poses(&crate::support::bundles::tracks(1, 3));
        edge.wait_for_install("Confirmed");
    }
    let differences: Vec<_> = since
        .and_then(|since| parcel.since(since).unwrap())
        .into_iter()
        .collect();
    let plan = Plan::default();
    let target = Target::Serial {
        path: String::new(),
        baud: baud(),
    };
    // What does not come back in time is asked for again; a loaded machine is slower than a line.
    let patience = Patience {
        tries: PATIENCE.tries.max(20),
        ..target.patience(plan.window)
    };
    let host = Cell::new(Some(host));
    let began = Instant::now();
    let mut sent = Duration::ZERO;
    let connect = || -> Result<Box<dyn Link>, LinkError> {
        let line = host.take().map(Serial::new).ok_or(LinkError::Closed)?;
        if !operators {
            return Ok(Box::new(line));
        }
        let anna = home.folder().join("anna.json");
        let patience = sealed::patience(on_the_line(baud(), 1));
        let link = Sealed::open(line, "the line", &anna, Some("kitchen"), patience, 7)?;
        Ok(Box::new(link))
    };
    let shipped = ship(
        connect,
        || {},
        patience,
        plan,
        parcel,
        &differences,
        &mut |step| {
            use tendon_host::transport::deploy::Step;
            if let Step::Moved { .. } = step {
                sent = began.elapsed();
            }
        },
    )
    .unwrap();
    assert!(matches!(
        shipped.delivered.status,
        InstallStatus::Trial { .. }
    ));
    let least = f64::from(shipped.bytes) * BITS / f64::from(baud());
    let share = least / sent.as_secs_f64();
    println!(
        "{} baud, {badness:?}{}: {} bytes{} in {:.1} s, {} sent; {:.1} % of the line",
        baud(),
        if operators { ", sealed" } else { "" },
        shipped.bytes,
        if shipped.difference {
            " of difference"
        } else {
            ""
        },
        sent.as_secs_f64(),
        line.carried(),
        100.0 * share
    );
    (share, shipped)
}

#[test]
fn a_good_line_carries_little_but_the_bundle() {
    let (share, _) = shipped(&bundle(1), None, Badness::default(), false);
    assert_used(share, 0.85);
}

#[test]
fn a_bad_line_is_still_used_well() {
    let badness = Badness {
        lost: 2,
        flipped: 2,
    };
    let (share, _) = shipped(&bundle(1), None, badness, false);
    assert_used(share, 0.6);
}

#[test]
fn knowing_each_other_costs_little_of_the_line() {
    let (share, _) = shipped(&bundle(1), None, Badness::default(), true);
    assert_used(share, 0.85);
    let badness = Badness {
        lost: 2,
        flipped: 2,
    };
    let (share, _) = shipped(&bundle(1), None, badness, true);
    assert_used(share, 0.6);
}

#[test]
fn a_difference_takes_a_fraction_of_the_time() {
    let since = Some(&bundle(1));
    let (_, shipped) = shipped(&reissued(2, 1), since, Badness::default(), false);
    assert!(shipped.difference);
}
