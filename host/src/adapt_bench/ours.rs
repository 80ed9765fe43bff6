//! The device's own adaptation: [`Home`], driven as a device drives it, all its work done before the next window.

use super::method::{Adapting, Facts, Judged, Said, Shown};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tendon_adapt::adapter::{Places, Work};
use tendon_adapt::align::Corrected;
use tendon_adapt::softmax::top;
use tendon_adapt::{AdaptConfig, Clip, Home, StartError};
use tendon_bundle::VerifiedBundle;

/// A device at home.
pub struct Ours<'c> {
    home: Home,
    clock: &'c dyn Fn() -> Duration,
    /// The number in the stream of each window that was observed, by the device's own number.
    observed: BTreeMap<u64, usize>,
    facts: Facts,
    spent: Duration,
}

impl<'c> Ours<'c> {
    /// Puts `bundle` to work; `clock` tells the time for durations only.
    ///
    /// # Errors
    /// The bundle or the configuration cannot be used.
    pub fn new(
        bundle: &Arc<VerifiedBundle>,
        config: &AdaptConfig,
        seed: u64,
        clock: &'c dyn Fn() -> Duration,
    ) -> Result<Self, StartError> {
        let (home, _) = Home::start(Arc::clone(bundle), config, Places::default(), seed)?;
        Ok(Self {
            home,
            clock,
            observed: BTreeMap::new(),
            facts: Facts::default(),
            spent: Duration::ZERO,
        })
    }

    /// Does all work that waits.
    fn work(&mut self) {
        loop {
            let started = (self.clock)();
            let work = self.home.idle();
            self.spent += (self.clock)().saturating_sub(started);
            match work {
                Work::Nothing => {
                    self.spent = Duration::ZERO;
                    return;
                }
                Work::More => {}
                Work::Updated(record) => {
                    let spent = std::mem::take(&mut self.spent);
                    self.facts.update_ms.push(spent.as_secs_f64() * 1_000.0);
                    let place = |window: u64| self.observed.get(&window).copied();
                    let lectures = record.windows.iter();
                    let pseudo = lectures.filter_map(|one| Some((place(one.window)?, one.label)));
                    self.facts.pseudo.extend(pseudo);
                    let Some(judgement) = record
                        .guard
                        .and_then(|judgement| serde_json::to_value(judgement).ok())
                    else {
                        continue;
                    };
                    let compared = self.home.adapter().compared().iter();
                    let windows = compared
                        .filter_map(|(window, base, adapted)| {
                            Some((place(*window)?, *base, *adapted))
                        })
                        .collect();
                    self.facts.judged.push(Judged {
                        judgement,
                        windows,
                        serves: self.home.adapter().serves(),
                    });
                }
            }
        }
    }
}

impl Adapting for Ours<'_> {
    fn answer(&mut self, windows: &[Shown<'_>], learn: bool) -> Result<Vec<Said>, String> {
        if !learn {
            self.home.adapter_mut().pause();
        }
        let mut answers = Vec::with_capacity(windows.len());
        for shown in windows {
            let played = &shown.window.played;
            let at = |time: Option<&u64>| shown.start_ms + time.copied().unwrap_or(0);
            let clip = Clip {
                track: shown.track,
                start_ms: at(played.times_ms.first()),
                end_ms: at(played.times_ms.last()),
                quality: played.quality,
                poses: &played.poses,
            };
            // A window that cannot be answered counts as answered wrong.
            let said = match self.home.answer(&clip, true) {
                Err(_) => Said {
                    class: None,
                    confidence: 0.0,
                    adapted: false,
                    unguarded: None,
                    corrected: Corrected::default(),
                },
                Ok(answer) => {
                    let (class, confidence) = top(&answer.probabilities);
                    if learn {
                        let own = answer.window.map(|window| (window, shown.number));
                        self.observed.extend(own);
                        self.work();
                    }
                    Said {
                        class: Some(class),
                        confidence,
                        adapted: answer.adapted,
                        unguarded: Some(answer.unguarded),
                        corrected: answer.corrected,
                    }
                }
            };
            answers.push(said);
        }
        Ok(answers)
    }

    fn rest(&mut self, passes: usize) {
        if passes > 0 {
            self.home.adapter_mut().rest(passes);
            self.work();
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            discarded: self.home.adapter().guard().discarded().into(),
            ..self.facts.clone()
        }
    }
}
