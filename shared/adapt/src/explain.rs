//! The journal in words that a person understands: what an update learnt from, why that was accepted, and what the guard said.

use super::guard::{Judgement, Verdict};
use super::journal::{Note, Record};
use serde::Deserialize;
use std::fmt::Write as _;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// What a person did.
    Note(Note),
    /// An update.
    Update(Box<Record>),
}

/// Reads the journal's lines; one that was cut short by a power cut is left out.
pub fn lines(text: &str) -> impl Iterator<Item = Line> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
}

/// A note in words.
#[must_use]
pub fn note(note: &Note) -> String {
    match note {
        Note::Label { window, name, .. } => format!("a person named window {window} `{name}`"),
        Note::Undo { to: 0 } => "a person went back to the shipped tail".to_owned(),
        Note::Undo { to } => format!("a person went back to the tail after update {to}"),
        Note::Reset => "everything learnt was forgotten".to_owned(),
        Note::Renewed { hours } => format!(
            "the tail began anew from the shipped one, as every {hours} hours (`reset_hours`); the windows in memory stayed"
        ),
        Note::Import { update } => {
            format!("a stored state was put in place, with update {update} the last one in it")
        }
    }
}

/// An update in one line.
#[must_use]
pub fn headline(record: &Record) -> String {
    let named = record.windows.iter().filter(|window| window.trusted);
    let said = record
        .guard
        .map_or("not judged", |judgement| short(&judgement));
    format!(
        "update {} at {:.1} s: {} windows taught ({} named by persons) in {} steps; {said}",
        record.update,
        record.time_ms as f64 / 1_000.0,
        record.windows.len(),
        named.count(),
        record.steps,
    )
}

/// An update in full.
#[must_use]
pub fn update(record: &Record) -> String {
    let mut text = headline(record);
    let sifted = &record.sifted;
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n  since the update before: {} windows accepted; not accepted: {} the teacher was not sure about, {} with too few joints, \
         {} that stood still, {} with two persons in one track, {} of no known action",
        sifted.accepted, sifted.unsure, sifted.poor, sifted.frozen, sifted.torn, sifted.unknown,
    );
    for window in &record.windows {
        let why = if window.trusted {
            "a person said so".to_owned()
        } else {
            format!(
                "the teacher was {} sure, {} were needed",
                percent(window.confidence),
                percent(window.needed)
            )
        };
        let _ = write!(
            text,
            "\n  window {} of person {} at {:.1} s taught `{}`: {why}",
            window.window,
            window.track,
            window.end_ms as f64 / 1_000.0,
            window.name,
        );
    }
    let _ = write!(
        text,
        "\n  the student gave {} of these labels before; loss {:.3}, gradient {:.3}, the teacher kept {} of itself",
        percent(record.agreement),
        record.loss,
        record.gradient_norm,
        percent(record.decay),
    );
    if let Some(judgement) = &record.guard {
        let (base, adapted) = (&judgement.base, &judgement.adapted);
        let _ = write!(
            text,
            "\n  guard: {}\n    on the latest {} windows, adapted against shipped: two views agree {} against {}, \
             dropped features change nothing {} against {}, confidence {} against {}, answers tell {:.3} against {:.3} of what they could ({:+.4} in the mean of the latest {} looks)\n    labelled windows of the bundle right: {} against {}; \
             both tails differ on {}",
            long(judgement),
            judgement.windows,
            percent(adapted.consistency),
            percent(base.consistency),
            percent(adapted.steadiness),
            percent(base.steadiness),
            percent(adapted.confidence),
            percent(base.confidence),
            adapted.information,
            base.information,
            judgement.gain,
            judgement.looks,
            percent(adapted.source),
            percent(base.source),
            percent(judgement.disagreement),
        );
    }
    text
}

fn short(judgement: &Judgement) -> &'static str {
    match judgement.verdict {
        _ if judgement.discarded => "the guard discarded it",
        Verdict::Serve => "the adapted tail serves",
        _ => "the shipped tail serves",
    }
}

fn long(judgement: &Judgement) -> String {
    let why = match judgement.verdict {
        Verdict::Serve => "the adapted tail serves, nothing speaks against it",
        Verdict::TooFew => {
            "the shipped tail serves, because too few windows were seen to compare both"
        }
        Verdict::BelowBase => {
            "the shipped tail serves, because the adapted one's answers tell less of what the home shows"
        }
        Verdict::NotBetter => {
            "the shipped tail serves, because nothing shows that the adapted one is better"
        }
        Verdict::SourceLost => {
            "the shipped tail serves, because the adapted one unlearnt labelled windows of the bundle"
        }
        Verdict::SourceLess => {
            "the shipped tail serves, because the adapted one is less good on labelled windows of the bundle"
        }
        Verdict::Disagrees => {
            "the shipped tail serves, because the adapted one contradicts it too often"
        }
    };
    if judgement.discarded {
        format!("{why}; the adapted tail was discarded")
    } else {
        why.to_owned()
    }
}

fn percent(share: f32) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Scores;
    use crate::journal::Lecture;

    fn record() -> Record {
        let scores = Scores {
            consistency: 0.8,
            confidence: 0.7,
            likeness: 0.5,
            information: 0.5,
            steadiness: 0.9,
            source: 1.0,
        };
        let lecture = |window, trusted| Lecture {
            window,
            track: 3,
            end_ms: 1_500,
            label: 1,
            name: "wave".into(),
            confidence: 0.91,
            trusted,
            needed: 0.8,
        };
        Record {
            update: 4,
            time_ms: 12_000,
            steps: 2,
            skipped: 0,
            loss: 0.5,
            gradient_norm: 1.5,
            agreement: 0.75,
            decay: 0.95,
            sifted: Default::default(),
            windows: vec![lecture(7, false), lecture(9, true)],
            guard: Some(Judgement {
                update: 4,
                windows: 64,
                base: scores,
                adapted: scores,
                disagreement: 0.06,
                gain: 0.001,
                looks: 3,
                verdict: Verdict::NotBetter,
                discarded: false,
            }),
        }
    }

    #[test]
    fn an_update_says_what_was_accepted_and_why() {
        let text = update(&record());
        for part in [
            "update 4 at 12.0 s: 2 windows taught (1 named by persons) in 2 steps; the shipped tail serves",
            "window 7 of person 3 at 1.5 s taught `wave`: the teacher was 91 % sure, 80 % were needed",
            "window 9 of person 3 at 1.5 s taught `wave`: a person said so",
            "nothing shows that the adapted one is better",
            "(+0.0010 in the mean of the latest 3 looks)",
            "both tails differ on 6 %",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn the_journals_own_lines_are_read_and_a_torn_one_is_left_out() {
        let undo = Note::Undo { to: 3 };
        let text = format!(
            "{}\n{}\n{{\"update\":5,\"time",
            serde_json::to_string(&record()).unwrap(),
            serde_json::to_string(&undo).unwrap()
        );
        let read: Vec<Line> = lines(&text).collect();
        assert_eq!(
            read,
            [Line::Update(Box::new(record())), Line::Note(undo.clone())]
        );
        assert_eq!(note(&undo), "a person went back to the tail after update 3");
    }
}
