//! Golden windows: inputs with the exact logits that the host's engine computed.

use crate::bundle::VerifiedBundle;
use crate::error::GoldenError;
use tendon_shared::pose::Presence;

/// An input and its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// `[body, channel, frame, joint]`
    pub window: Vec<f32>,
    /// Which bodies are there.
    pub presence: Presence,
    /// `[class]`
    pub logits: Vec<i32>,
}

impl VerifiedBundle {
    /// Runs the encoder on every golden window and compares bit for bit. A device does this before a bundle may serve.
    ///
    /// # Errors
    /// [`GoldenError`] at the first difference.
    pub fn check_golden(&self) -> Result<(), GoldenError> {
        let failed = |window, class, found, expected| GoldenError {
            window,
            class,
            found,
            expected,
        };
        // A verified bundle has a valid encoder; should that ever not hold, the check must not pass.
        let encoder = self.encoder().map_err(|_| failed(0, 0, 0, 0))?;
        let mut arena = vec![0; encoder.arena_len()];
        for (number, golden) in self.golden().iter().enumerate() {
            let mut logits = vec![0; golden.logits.len()];
            let run = encoder.run(&golden.window, golden.presence, &mut arena, &mut logits);
            run.map_err(|_| failed(number, 0, 0, 0))?;
            for (class, (found, expected)) in logits.iter().zip(&golden.logits).enumerate() {
                if found != expected {
                    return Err(failed(number, class, *found, *expected));
                }
            }
        }
        Ok(())
    }
}
