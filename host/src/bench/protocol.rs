//! What `tendon bench` and a contender say to each other: one JSON value a line, a question and its answer.

use serde::{Deserialize, Serialize};

/// Longest line that is read, in bytes: the logits of some thousand windows.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Do the work and say how long it took.
    Run {
        /// Which of the bench's cases.
        case: usize,
        /// How often.
        times: usize,
    },
    /// Do the work on every window and return what comes out.
    Output {
        /// Which of the bench's cases.
        case: usize,
    },
    /// How much memory has been resident at most.
    Memory,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The first line: the contender can be asked.
    Ready {
        /// Versions and choices.
        about: String,
    },
    /// The first line instead: something is not installed.
    Missing {
        /// What.
        what: String,
    },
    /// Seconds of each call.
    Times {
        /// Wall time.
        wall: Vec<f64>,
        /// Processor time of the whole process.
        cpu: Vec<f64>,
    },
    /// One row a window.
    Output {
        /// Logits, embeddings or a loss.
        rows: Vec<Vec<f32>>,
    },
    /// Memory.
    Memory {
        /// Largest resident size since the start, in bytes.
        peak_bytes: u64,
    },
}

/// Reads one line.
///
/// # Errors
/// It is not an answer; the text says why.
pub fn parse(line: &str) -> Result<Reply, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn questions_have_the_documented_form() {
        let line = |request: &Request| serde_json::to_string(request).unwrap();
        assert_eq!(
            line(&Request::Run { case: 1, times: 5 }),
            r#"{"run":{"case":1,"times":5}}"#
        );
        assert_eq!(line(&Request::Memory), r#""memory""#);
    }

    #[test]
    fn answers_are_read_and_other_things_refused() {
        assert_eq!(
            parse(r#"{"times": {"wall": [0.5], "cpu": [1e-3]}}"#),
            Ok(Reply::Times {
                wall: vec![0.5],
                cpu: vec![0.001]
            })
        );
        for line in [
            "",
            "hello",
            r#"{"times": {}}"#,
            r#"{"output": {"rows": [NaN]}}"#,
            "[1]",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }
    }
}
