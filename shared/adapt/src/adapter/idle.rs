//! Idle passes that somebody asks for.

use super::Adapter;

impl Adapter {
    /// Asks for `passes` over the memory, in steps that [`Adapter::work`] makes while nothing new comes. Nothing happens before
    /// the memory can fill a batch.
    pub fn rest(&mut self, passes: usize) {
        let steps = self
            .memory
            .entries()
            .len()
            .div_ceil(self.config.student.batch.max(1));
        self.idle_left = self.idle_left.saturating_add(passes * steps);
    }
}
