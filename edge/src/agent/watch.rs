//! Tells a supervisor, such as systemd, that the agent is ready and alive.
//!
//! Alive means more than that the process exists: the pipeline's thread has answered a question since the last sign. An agent whose
//! pipeline hangs gives no more signs, and the supervisor starts it anew.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::hub::Hub;
use crate::install::verify::Verifier;
use crate::pipeline::Pipeline;

/// What a supervisor is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// What is installed serves.
    Ready,
    /// The pipeline answers.
    Alive,
    /// The agent stores what must survive and stops.
    Stopping,
}

/// A supervisor.
#[derive(Clone)]
pub struct Watch {
    /// Told each sign; must be quick.
    pub tell: Arc<dyn Fn(Sign) + Send + Sync>,
    /// Time between two signs of life; none when nobody waits for them.
    pub every: Option<Duration>,
}

impl Watch {
    /// Nobody watches.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            tell: Arc::new(|_| ()),
            every: None,
        }
    }

    /// Gives signs of life for ever. Drop the future to stop.
    pub(super) async fn run<V, P>(self, hub: Arc<Hub<V, P>>)
    where
        V: Verifier,
        P: Pipeline<Bundle = V::Bundle>,
    {
        let Some(every) = self.every else {
            return std::future::pending().await;
        };
        let mut ticker = interval(every);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticker.tick().await;
            if hub.pipeline().answers().await {
                (self.tell)(Sign::Alive);
            }
        }
    }
}
