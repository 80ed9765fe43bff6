//! Events of a device as lines, for people and for programs.

use serde_json::{Value, json as object};
use tendon_shared::protocol::Event;
use tendon_shared::protocol::adapt::{AdaptReport, Serving};
use tendon_shared::protocol::deploy::InstallStatus;
use tendon_shared::protocol::telemetry::{Counters, Recognition};

/// The event as a JSON object with a field `event`.
pub fn json(event: &Event) -> Value {
    let (name, content) = match event {
        Event::Recognition(found) => ("recognition", object!(found)),
        Event::Numbered(numbered) => {
            let mut found = object!(numbered.recognition);
            if let Some(fields) = found.as_object_mut() {
                fields.insert("window".into(), numbered.window.into());
            }
            ("recognition", found)
        }
        Event::Counters(counters) => ("counters", object!(counters)),
        Event::Install(status) => ("install", object!({ "status": status })),
        Event::Adapt(report) => ("adapt", object!(report)),
        Event::Capture(capture) => ("capture", object!({ "capture": capture })),
        Event::Bridge(report) => ("bridge", object!(report)),
        Event::Answer(answer) => ("recognition", object!(answer.recognition)),
    };
    let mut content = content;
    if let Some(fields) = content.as_object_mut() {
        fields.insert("event".into(), name.into());
    }
    content
}

/// The event as a line for people.
pub fn text(event: &Event) -> String {
    match event {
        Event::Recognition(found) => recognition(found),
        Event::Numbered(numbered) => {
            let text = recognition(&numbered.recognition);
            format!("{text:<64}  window {}", numbered.window)
        }
        Event::Counters(counted) => counters(counted),
        Event::Install(status) => install(status),
        Event::Adapt(report) => adapt(report),
        Event::Capture(_) => "a pose".to_owned(),
        Event::Bridge(report) => format!(
            "bridge: {} poses or answers sent, {} broken packets, {} of {} bytes of stack used",
            report.sent, report.bad_packets, report.stack_used, report.stack_bytes,
        ),
        Event::Answer(answer) => recognition(&answer.recognition),
    }
}

fn recognition(found: &Recognition) -> String {
    format!(
        "{:>10.1} s  person {:<6} {:<24} {:>5.1} %{}",
        found.time_ms as f64 / 1000.0,
        found.track,
        found.name,
        f64::from(found.confidence) / 10.0,
        if found.sure { "" } else { "  (not sure)" },
    )
}

fn counters(counted: &Counters) -> String {
    let mut line = format!(
        "up {} s, {} poses ({} bad, {} dropped), {} windows ({} sure, {:.1} ms each), {} updates",
        counted.uptime_ms / 1000,
        counted.poses,
        counted.bad_poses,
        counted.dropped_poses,
        counted.windows,
        counted.sure,
        f64::from(counted.window_us) / 1000.0,
        counted.updates,
    );
    if counted.labelled > 0 {
        let share = |correct: u64| 100.0 * correct as f64 / counted.labelled as f64;
        line += &format!(
            ", {:.1} % of {} labelled right (base {:.1} %)",
            share(counted.correct),
            counted.labelled,
            share(counted.correct_base)
        );
    }
    line
}

fn install(status: &InstallStatus) -> String {
    match status {
        InstallStatus::Idle => "install: nothing offered".into(),
        InstallStatus::Receiving(progress) => format!("install: {} bytes received", progress.next),
        InstallStatus::Verifying => {
            "install: checking signature, digests and golden windows".into()
        }
        InstallStatus::Trial {
            model,
            healthy,
            needed,
        } => {
            format!("install: version {model} on trial, {healthy} of {needed} windows went well")
        }
        InstallStatus::Confirmed { model } => format!("install: version {model} confirmed"),
        InstallStatus::Rejected(error) => format!("install: rejected, {error}"),
        InstallStatus::Kept(why) => format!("install: {why}"),
    }
}

fn adapt(report: &AdaptReport) -> String {
    format!(
        "adaptation {}: the {} tail serves, {} updates, {} windows in memory, guard {:.3} adapted, {:.3} base, {} discarded",
        if report.enabled { "on" } else { "off" },
        match report.serving {
            Serving::Base => "shipped",
            Serving::Adapted => "adapted",
        },
        report.updates,
        report.memory,
        f64::from(report.guard_adapted) / 1000.0,
        f64::from(report.guard_base) / 1000.0,
        report.discarded,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_shown_only_when_labels_came() {
        let counted = Counters {
            labelled: 200,
            correct: 150,
            correct_base: 140,
            ..Counters::default()
        };
        assert!(
            text(&Event::Counters(counted)).ends_with("75.0 % of 200 labelled right (base 70.0 %)")
        );
        assert!(!text(&Event::Counters(Counters::default())).contains("labelled"));
    }

    #[test]
    fn programs_get_one_object() {
        let line = json(&Event::Install(InstallStatus::Confirmed { model: 3 }));
        assert_eq!(
            line.to_string(),
            r#"{"event":"install","status":{"Confirmed":{"model":3}}}"#
        );
    }
}
