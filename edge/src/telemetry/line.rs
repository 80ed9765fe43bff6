//! Events as lines, for people and for programs.

use serde_json::{Value, json};
use tendon_shared::protocol::Event;
use tendon_shared::protocol::deploy::InstallStatus;
use tendon_shared::protocol::telemetry::Recognition;

/// The event as one JSON object with a field `event`; none for events that a device does not tell.
pub fn json(event: &Event) -> Option<Value> {
    let (name, content) = match event {
        Event::Recognition(recognition) => ("recognition", serde_json::to_value(recognition)),
        Event::Numbered(numbered) => {
            let mut content = serde_json::to_value(&numbered.recognition).ok()?;
            let window = numbered.window.into();
            content.as_object_mut()?.insert("window".into(), window);
            ("recognition", Ok(content))
        }
        Event::Counters(counters) => ("counters", serde_json::to_value(counters)),
        Event::Install(status) => (
            "install",
            serde_json::to_value(status).map(|status| json!({ "status": status })),
        ),
        Event::Adapt(report) => ("adapt", serde_json::to_value(report)),
        Event::Bridge(report) => ("bridge", serde_json::to_value(report)),
        Event::Capture(_) | Event::Answer(_) => return None,
    };
    let mut content = content.ok()?;
    content.as_object_mut()?.insert("event".into(), name.into());
    Some(content)
}

/// The event as a line for people; none for events that they need not see.
pub fn text(event: &Event) -> Option<String> {
    Some(match event {
        Event::Recognition(found) => recognition(found),
        Event::Numbered(found) => {
            let text = recognition(&found.recognition);
            format!("{text:<64}  window {}", found.window)
        }
        Event::Install(status) => install(status),
        Event::Adapt(report) => format!(
            "adaptation: {} serves, {} updates, guard {:.3} adapted, {:.3} base",
            match report.serving {
                tendon_shared::protocol::adapt::Serving::Base => "the base tail",
                tendon_shared::protocol::adapt::Serving::Adapted => "the adapted tail",
            },
            report.updates,
            f64::from(report.guard_adapted) / 1000.0,
            f64::from(report.guard_base) / 1000.0,
        ),
        Event::Bridge(report) => format!(
            "bridge: {} poses or answers sent, {} broken packets, {} of {} bytes of stack used",
            report.sent, report.bad_packets, report.stack_used, report.stack_bytes,
        ),
        Event::Counters(_) | Event::Capture(_) | Event::Answer(_) => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_shared::protocol::telemetry::Numbered;

    fn recognition() -> Event {
        Event::Recognition(Recognition {
            time_ms: 1500,
            track: 3,
            class: 1,
            name: heapless::String::try_from("sit down").unwrap(),
            confidence: 912,
            sure: true,
            serving: Default::default(),
        })
    }

    #[test]
    fn lines_for_programs_and_people() {
        let json = json(&recognition()).unwrap();
        assert_eq!(
            (
                json["event"].as_str(),
                json["name"].as_str(),
                json["confidence"].as_u64()
            ),
            (Some("recognition"), Some("sit down"), Some(912))
        );
        assert_eq!(
            text(&recognition()).unwrap(),
            "       1.5 s  person 3      sit down                  91.2 %"
        );
    }

    #[test]
    fn a_window_that_can_be_named_says_its_number() {
        let Event::Recognition(recognition) = recognition() else {
            panic!()
        };
        let event = Event::Numbered(Numbered {
            window: 42,
            recognition,
        });
        let json = json(&event).unwrap();
        assert_eq!(
            (json["event"].as_str(), json["window"].as_u64()),
            (Some("recognition"), Some(42))
        );
        assert!(text(&event).unwrap().ends_with("window 42"));
    }
}
