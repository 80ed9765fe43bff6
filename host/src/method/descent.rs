//! A method's optimiser: its steps, and its moments in checkpoints.

use burn::module::Module;
use burn::tensor::{Device, Gradients};
use tendon_model::optimizer::{Optimizer, OptimizerConfig, gradient_norm};

use super::{MethodError, State};

/// An optimiser that goes on after a restart.
pub(super) struct Descent {
    config: OptimizerConfig,
    optimizer: Optimizer,
    device: Device,
}

impl Descent {
    /// An optimiser before its first step.
    pub(super) fn new(config: OptimizerConfig, device: &Device) -> Self {
        Self {
            config,
            optimizer: config.init(),
            device: device.clone(),
        }
    }

    /// Moves a module along its gradients; tells the gradients' norm.
    pub(super) fn step<M: Module>(
        &mut self,
        module: &mut M,
        gradients: &Gradients,
        rate: f64,
    ) -> f64 {
        let norm = gradient_norm(module, gradients);
        *module = self.optimizer.step(rate, module.clone(), gradients);
        norm
    }

    /// Puts moments and the number of steps into a checkpoint.
    pub(super) fn store(&self, state: &mut State) {
        state.insert("optimizer", self.optimizer.state());
        let steps = self.optimizer.steps();
        state.numbers.insert("optimizer.steps".to_string(), steps);
    }

    /// Goes on with those of a checkpoint.
    ///
    /// # Errors
    /// There are none.
    pub(super) fn restore(&mut self, state: &State) -> Result<(), MethodError> {
        let steps = state.number("optimizer.steps")?;
        let moments = state.below("optimizer");
        self.optimizer = Optimizer::resume(self.config, steps, &moments, &self.device);
        Ok(())
    }
}
