//! What a method is to a measurement: it answers windows, and may learn from them. It never sees a label.

use super::material::Window;
use serde_json::Value;
use tendon_adapt::align::Corrected;

/// A window at its time on the stream.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'w> {
    /// The window.
    pub window: &'w Window,
    /// When it begins on the stream's clock, milliseconds.
    pub start_ms: u64,
    /// Its number in the stream.
    pub number: usize,
    /// Its track: every recording is a person of its own.
    pub track: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The class; none when the window could not be answered.
    pub class: Option<u16>,
    /// Its confidence, 0..=1.
    pub confidence: f32,
    /// Whether something learnt had its say.
    pub adapted: bool,
    /// What would have been answered without a guard.
    pub unguarded: Option<u16>,
    /// What was corrected in its poses.
    pub corrected: Corrected,
}

impl Said {
    /// The likeliest of `probabilities`.
    #[must_use]
    pub fn likeliest(probabilities: &[f32], adapted: bool) -> Self {
        let (class, confidence) = tendon_adapt::softmax::top(probabilities);
        Self {
            class: Some(class),
            confidence,
            adapted,
            unguarded: Some(class),
            corrected: Corrected::default(),
        }
    }
}

/// A guard's look at recent windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What the guard thought, as it writes it down.
    pub judgement: Value,
    /// Windows that it looked at: number in the stream, class of the shipped and of the adapted tail.
    pub windows: Vec<(usize, u16, u16)>,
    /// Whether the adapted tail serves after it.
    pub serves: bool,
}

/// What a method tells about its work.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Time of each update, milliseconds.
    pub update_ms: Vec<f64>,
    /// Times that what was learnt was thrown away.
    pub discarded: u64,
    /// Every look of a guard.
    pub judged: Vec<Judged>,
    /// Windows with the pseudo-labels that were learnt from.
    pub pseudo: Vec<(usize, u16)>,
}

/// A method at work on one stream.
pub trait Adapting {
    /// Answers windows that come together, then learns from them if `learn`.
    ///
    /// # Errors
    /// What went wrong, in words: the measurement cannot be made.
    fn answer(&mut self, windows: &[Shown<'_>], learn: bool) -> Result<Vec<Said>, String>;

    /// Goes `passes` times over what it remembers, while nothing comes.
    fn rest(&mut self, passes: usize) {
        let _ = passes;
    }

    /// What it tells about its work so far.
    fn facts(&self) -> Facts {
        Facts::default()
    }
}

/// The bundle as shipped.
#[derive(Debug, Clone, Copy)]
pub struct Shipped;

impl Adapting for Shipped {
    fn answer(&mut self, windows: &[Shown<'_>], _: bool) -> Result<Vec<Said>, String> {
        let said = windows.iter();
        Ok(said
            .map(|shown| Said::likeliest(&shown.window.base, false))
            .collect())
    }
}
