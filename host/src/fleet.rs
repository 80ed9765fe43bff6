//! The report of a device as lines for people.

use std::fmt::Write as _;
use tendon_identity::report::{Agent, Bundle, Report, Slot, Time};
use tendon_shared::protocol::adapt::Serving;
use tendon_shared::protocol::deploy::InstallStatus;
use tendon_trust::moment::Moment;

/// Seconds after 1970 at which years begin to have five digits.
const YEAR_10000: u64 = 253_402_300_800;
/// Characters of a text out of a report that are shown.
const MOST: usize = 400;

/// The report of a device. What the device wrote itself is shown without control characters, which could move a terminal's cursor.
#[must_use]
pub fn text(device: &str, report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = lines(&mut out, device, report);
    out
}

fn lines(out: &mut String, device: &str, report: &Report) -> std::fmt::Result {
    writeln!(
        out,
        "device  {device}, id {}, software {}, {} starts",
        plain(&report.device_id),
        plain(&report.software),
        report.boots
    )?;
    writeln!(out, "made    {}", moment(report.time))?;
    match &report.nonce {
        Some(nonce) => writeln!(out, "nonce   {}", plain(nonce))?,
        None => writeln!(out, "nonce   none: only the time says how old this is")?,
    }
    let serving = report.serving.as_ref().map_or("nothing".into(), bundle);
    writeln!(out, "serves  {serving}")?;
    slot(out, "A", &report.slots.a)?;
    slot(out, "B", &report.slots.b)?;
    let floors = report.floors;
    writeln!(
        out,
        "floors  model {}; repository: root {}, timestamp {}, snapshot {}, targets {}",
        floors.model, floors.root, floors.timestamp, floors.snapshot, floors.targets
    )?;
    match &report.update {
        Some(update) => writeln!(
            out,
            "update  {}: {}{}",
            moment(update.time),
            if update.well { "" } else { "failed: " },
            plain(&update.outcome)
        )?,
        None => writeln!(out, "update  none yet")?,
    }
    match &report.agent {
        Some(found) => agent(out, found),
        None => writeln!(out, "agent   none runs"),
    }
}

fn slot(out: &mut String, name: &str, slot: &Slot) -> std::fmt::Result {
    let boots = slot.trial_boots;
    let boots = boots.map_or_else(String::new, |boots| format!(", {boots} starts"));
    let state = format!("{}{boots}", plain(&slot.state));
    let content = slot.bundle.as_ref().map_or("nothing".into(), bundle);
    writeln!(out, "slot {name}  {state:<20} {content}")
}

fn agent(out: &mut String, agent: &Agent) -> std::fmt::Result {
    let counters = &agent.counters;
    writeln!(
        out,
        "agent   runs for {} s: {} poses, {} windows, {} sure, {} bundles refused",
        counters.uptime_ms / 1_000,
        counters.poses,
        counters.windows,
        counters.sure,
        counters.rejected
    )?;
    if let Some(status) = &agent.install {
        writeln!(out, "install {}", install(status))?;
    }
    if let Some(report) = &agent.adapt {
        writeln!(
            out,
            "adapt   {}, the {} tail serves, {} updates, {} discarded, guard {} adapted and {} base of 1000",
            if report.enabled { "on" } else { "off" },
            match report.serving {
                Serving::Base => "shipped",
                Serving::Adapted => "adapted",
            },
            report.updates,
            report.discarded,
            report.guard_adapted,
            report.guard_base
        )?;
    }
    if let Some(inputs) = &agent.inputs {
        writeln!(
            out,
            "input   {} persons now; poses {} foreign, {} out of order, {} dropped; windows {} poor, {} frozen, {} torn, {} unknown, {} named",
            inputs.tracks,
            inputs.foreign,
            inputs.out_of_order,
            counters.dropped_poses,
            inputs.poor,
            inputs.frozen,
            inputs.torn,
            inputs.unknown,
            inputs.named
        )?;
    }
    Ok(())
}

fn install(status: &InstallStatus) -> String {
    match status {
        InstallStatus::Idle => "nothing was offered since the start".into(),
        InstallStatus::Receiving(progress) => format!("{} bytes received", progress.next),
        InstallStatus::Verifying => "checking".into(),
        InstallStatus::Trial {
            model,
            healthy,
            needed,
        } => format!("version {model} on trial, {healthy} of {needed} windows went well"),
        InstallStatus::Confirmed { model } => format!("version {model} confirmed"),
        InstallStatus::Rejected(error) => format!("rejected, {error}"),
        InstallStatus::Kept(why) => why.to_string(),
    }
}

fn bundle(bundle: &Bundle) -> String {
    let digest: String = plain(&bundle.digest).chars().take(12).collect();
    let topology = plain(&bundle.topology);
    format!(
        "version {}, {topology}, {} bytes, sha256 {digest}",
        bundle.model, bundle.bytes
    )
}

fn moment(time: Time) -> String {
    match time {
        Time { seconds: 0, .. } => "at an unknown time".into(),
        Time { seconds, .. } if seconds >= YEAR_10000 => "at an impossible time".into(),
        Time {
            seconds,
            trusted: true,
        } => Moment::from_seconds(seconds).to_string(),
        Time { seconds, .. } => format!(
            "{} by a clock that was not set",
            Moment::from_seconds(seconds)
        ),
    }
}

fn plain(text: &str) -> String {
    let shown = text.chars().take(MOST);
    shown
        .map(|shown| if shown.is_control() { '?' } else { shown })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_identity::report::Update;

    #[test]
    fn a_report_says_everything_once_and_moves_no_cursor() {
        let time = |seconds, trusted| Time { seconds, trusted };
        let serving = Bundle {
            model: 3,
            topology: "kinect20".into(),
            bytes: 436,
            digest: "0123456789abcdef".into(),
        };
        let mut report = Report {
            nonce: Some("a\u{1b}[2J".into()),
            device_id: "d".into(),
            software: "0.1.0".into(),
            time: time(1_795_000_000, true),
            serving: Some(serving.clone()),
            update: Some(Update::new(time(0, false), false, "no\ndisk")),
            boots: 4,
            ..Report::default()
        };
        report.slots.a.state = "trial".into();
        report.slots.a.trial_boots = Some(1);
        report.slots.a.bundle = Some(serving);
        report.slots.b.state = "empty".into();
        report.floors.timestamp = 9;
        let expect = "\
device  kitchen, id d, software 0.1.0, 4 starts
made    2026-11-18T11:06:40Z
nonce   a?[2J
serves  version 3, kinect20, 436 bytes, sha256 0123456789ab
slot A  trial, 1 starts      version 3, kinect20, 436 bytes, sha256 0123456789ab
slot B  empty                nothing
floors  model 0; repository: root 0, timestamp 9, snapshot 0, targets 0
update  at an unknown time: failed: no?disk
agent   none runs
";
        assert_eq!(text("kitchen", &report), expect);
        report.time = time(u64::MAX, true);
        assert!(text("kitchen", &report).contains("impossible"));
        report.time = time(60, false);
        assert!(text("kitchen", &report).contains("1970-01-01T00:01:00Z by a clock"));
    }
}
