//! A stream: which windows come when.

use super::material::{Labelled, Material, MaterialError};
use super::plan::{Order, StreamPlan};
use crate::replay::order;
use crate::replay::stream::PAUSE_MS;
use std::sync::Arc;
use tendon_model::augment::random::generator;

/// Dirichlet concentration of correlated streams (NOTE, RoTTA).
const CONCENTRATION: f32 = 0.1;
/// Blocks of a recurring stream's pass: source, domain, source, domain.
const BLOCKS: usize = 2;
/// Streams of random numbers: orders, as in `tendon replay`; orders of source windows.
const ORDER_STREAM: u64 = 0;
const SOURCE_STREAM: u64 = 5;

/// One window of a stream.
#[derive(Debug, Clone)]
pub struct Item {
    windows: Arc<Vec<Labelled>>,
    place: usize,
}

impl Item {
    /// The window with its label.
    #[must_use]
    pub fn labelled(&self) -> &Labelled {
        &self.windows[self.place]
    }

    /// How long it takes on the stream's clock with the pause behind it, milliseconds.
    #[must_use]
    pub fn length_ms(&self) -> u64 {
        let times = &self.labelled().window.played.times_ms;
        times.last().copied().unwrap_or(0) + PAUSE_MS as u64
    }
}

/// Everything that a job plays.
#[derive(Debug, Clone)]
pub struct Script {
    /// The stream.
    pub online: Vec<Item>,
    /// The domain's windows once more, in the order of the stream's first pass.
    pub afterwards: Vec<Item>,
    /// Windows that the source learnt from.
    pub source: Vec<Item>,
}

/// Puts the windows of a domain in the order of a stream.
///
/// # Errors
/// A recording cannot become a window.
pub fn script(
    material: &Material,
    (source, domain): (usize, usize),
    stream: &StreamPlan,
    seed: u64,
) -> Result<Script, MaterialError> {
    let own = material.of_source(source)?;
    let mut script = Script {
        online: Vec::new(),
        afterwards: Vec::new(),
        // Shuffled when they were chosen.
        source: (0..own.len())
            .map(|place| Item {
                windows: Arc::clone(&own),
                place,
            })
            .collect(),
    };
    for pass in 0..stream.repeat as u64 {
        let windows = material.of_domain((source, domain), seed, pass)?;
        let items = |places: Vec<usize>, windows: &Arc<Vec<Labelled>>| -> Vec<Item> {
            let item = |place| Item {
                windows: Arc::clone(windows),
                place,
            };
            places.into_iter().map(item).collect()
        };
        let order = match stream.order {
            Order::Iid | Order::Recurring => order::Order::Iid,
            Order::Correlated => order::Order::Correlated(CONCENTRATION),
        };
        let places = order::arrange(
            &classes(&windows),
            order,
            &mut generator(seed, ORDER_STREAM, pass, 0),
        );
        let played = items(places, &windows);
        if pass == 0 {
            script.afterwards.clone_from(&played);
        }
        if stream.order != Order::Recurring {
            script.online.extend(played);
            continue;
        }
        let places = order::arrange(
            &classes(&own),
            order::Order::Iid,
            &mut generator(seed, SOURCE_STREAM, pass, 0),
        );
        let own = items(places, &own);
        let block = played.len().div_ceil(BLOCKS).max(1);
        for (number, shifted) in played.chunks(block).enumerate() {
            let back = own.iter().cycle().skip(number * block);
            script.online.extend(back.take(shifted.len()).cloned());
            script.online.extend_from_slice(shifted);
        }
    }
    Ok(script)
}

/// Classes for the order only; unknown actions are a class of their own.
fn classes(windows: &[Labelled]) -> Vec<u16> {
    let label = |one: &Labelled| one.label.unwrap_or(u16::MAX);
    windows.iter().map(label).collect()
}
