//! Batches: which windows a step sees, augmented in parallel, the same on any number of threads.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tendon_data::windows::Windows;
use tendon_model::augment::View;
use tendon_model::augment::random::generator;
use tendon_shared::pose::Presence;
use tendon_shared::stream::{StreamLengthError, stack};

use super::partners::Partners;
use crate::method::{Draw, Drawn, Moment, Pool, ViewSpec};

/// Coordinates of a joint.
const AXES: usize = 3;

/// The windows of one draw, not yet on a device.
pub struct Prepared {
    /// `[view][input]`: `[window, body, channel, frame, joint]`.
    views: Vec<Vec<TensorData>>,
    presence: Vec<Presence>,
    labels: Vec<u16>,
    numbers: Vec<usize>,
}

impl Prepared {
    /// Puts the windows on a device.
    #[must_use]
    pub fn onto(self, device: &Device) -> Drawn {
        let put = |data| Tensor::from_data(data, device);
        let views = self.views.into_iter();
        Drawn {
            views: views
                .map(|inputs| inputs.into_iter().map(put).collect())
                .collect(),
            presence: self.presence,
            labels: self.labels,
            numbers: self.numbers,
        }
    }
}

/// Draws batches from training windows in a new random order each epoch.
pub struct Batches<'a> {
    windows: &'a dyn Windows,
    seed: u64,
    /// The order of one epoch, kept because every step of it asks.
    order: Option<(u64, Vec<usize>)>,
    /// Windows whose labels may be used.
    labelled: Vec<usize>,
    /// Who may stand in for whom.
    partners: Option<Partners>,
}

/// What is added to the number of a labelled draw's views, so that they are not those of unlabelled draws.
const LABELLED_VIEWS: u64 = 1 << 32;

/// A window, and how many times all windows of its pool were drawn before.
struct Picked {
    index: usize,
    round: u64,
}

impl<'a> Batches<'a> {
    /// Draws from `windows`.
    pub fn new(windows: &'a dyn Windows, seed: u64) -> Self {
        Self {
            windows,
            seed,
            order: None,
            labelled: (0..windows.len()).collect(),
            partners: None,
        }
    }

    /// Lets these partners stand in from now on.
    pub fn pair(&mut self, partners: Partners) {
        self.partners = Some(partners);
    }

    /// Who stands in at present.
    #[must_use]
    pub fn partners(&self) -> Option<&Partners> {
        self.partners.as_ref()
    }

    /// Takes labelled draws from these windows only.
    #[must_use]
    pub fn labelled(mut self, windows: Vec<usize>) -> Self {
        self.labelled = windows;
        self
    }

    /// The windows of every draw of one step; `position` counts the epoch's steps from 0.
    ///
    /// # Errors
    /// The windows have another shape than their specification says.
    pub fn draw(
        &mut self,
        draws: &[Draw],
        moment: &Moment,
        position: u64,
        device: &Device,
    ) -> Result<Vec<Drawn>, StreamLengthError> {
        let prepared = self.prepare(draws, moment, position)?;
        Ok(prepared.into_iter().map(|draw| draw.onto(device)).collect())
    }

    /// As [`Self::draw`], without a device: what another thread may do while a step runs.
    ///
    /// # Errors
    /// The windows have another shape than their specification says.
    pub fn prepare(
        &mut self,
        draws: &[Draw],
        moment: &Moment,
        position: u64,
    ) -> Result<Vec<Prepared>, StreamLengthError> {
        draws
            .iter()
            .map(|draw| self.prepared(draw, moment, position))
            .collect()
    }

    fn prepared(
        &mut self,
        draw: &Draw,
        moment: &Moment,
        position: u64,
    ) -> Result<Prepared, StreamLengthError> {
        let (picked, first_view) = match draw.pool {
            Pool::Unlabelled => (self.unlabelled(draw.count, moment.epoch, position), 0),
            Pool::Labelled => (self.pick_labelled(draw.count, moment.step), LABELLED_VIEWS),
        };
        let views = (first_view..)
            .zip(&draw.views)
            .map(|(number, view)| self.view(view, number, &picked))
            .collect::<Result<_, _>>()?;
        let presence = picked
            .iter()
            .map(|picked| self.windows.presence()[picked.index])
            .collect();
        let labels = match draw.pool {
            Pool::Unlabelled => Vec::new(),
            Pool::Labelled => picked
                .iter()
                .map(|picked| self.windows.labels()[picked.index])
                .collect(),
        };
        Ok(Prepared {
            views,
            presence,
            labels,
            numbers: picked.iter().map(|picked| picked.index).collect(),
        })
    }

    /// The values of each input of a view.
    fn view(
        &self,
        spec: &ViewSpec,
        number: u64,
        picked: &[Picked],
    ) -> Result<Vec<TensorData>, StreamLengthError> {
        let topology = self.windows.topology().topology();
        let joints = topology.joint_count();
        let frames = usize::from(self.windows.spec().frames);
        let bodies = usize::from(self.windows.spec().bodies);
        let plane = frames * joints;
        let augmented: Vec<Vec<f32>> = picked
            .par_iter()
            .map(|picked| {
                let source = match &self.partners {
                    Some(partners) if spec.partner => {
                        partners.stand_in(picked.index, self.seed, picked.round, number)
                    }
                    _ => picked.index,
                };
                let mut data = self.windows.owned(source);
                let mut noise = generator(self.seed, picked.round, picked.index as u64, number);
                let mut view = View {
                    data: &mut data,
                    frames,
                    joints,
                };
                spec.recipe.apply(&mut view, topology, &mut noise);
                data
            })
            .collect();
        let input = |streams: &Vec<_>| {
            let channels = AXES * streams.len();
            let mut values = vec![0.0; picked.len() * bodies * channels * plane];
            values
                .par_chunks_mut(bodies * channels * plane)
                .zip(&augmented)
                .try_for_each(|(out, window)| {
                    let each = out.chunks_exact_mut(channels * plane);
                    each.zip(window.chunks_exact(AXES * plane))
                        .try_for_each(|(out, body)| stack(streams, topology, body, frames, out))
                })?;
            let shape = [picked.len(), bodies, channels, frames, joints];
            Ok(TensorData::new(values, shape))
        };
        spec.inputs.iter().map(input).collect()
    }

    /// The next windows of an epoch's order.
    fn unlabelled(&mut self, count: usize, epoch: u64, position: u64) -> Vec<Picked> {
        let order = self.order(epoch);
        let first = position as usize * count;
        let picked = (first..first + count).map(|index| Picked {
            index: order[index % order.len()],
            round: epoch,
        });
        picked.collect()
    }

    /// The next labelled windows: each once in a random order, then each once again in another.
    fn pick_labelled(&self, count: usize, step: u64) -> Vec<Picked> {
        let windows = self.labelled.len() as u64;
        let first = step * count as u64;
        let mut order = (u64::MAX, Vec::new());
        let mut picked = Vec::with_capacity(count);
        for number in first..first + count as u64 {
            let round = number / windows;
            if order.0 != round {
                let noise = generator(self.seed, round, u64::MAX - 1, 1);
                order = (round, shuffled(self.labelled.clone(), noise));
            }
            let index = order.1[(number % windows) as usize];
            picked.push(Picked { index, round });
        }
        picked
    }

    /// A random order of all windows, the epoch's own.
    fn order(&mut self, epoch: u64) -> &[usize] {
        let count = self.windows.len();
        let seed = self.seed;
        let current = self.order.take().filter(|(of, _)| *of == epoch);
        let (_, order) = self.order.insert(current.unwrap_or_else(|| {
            let noise = generator(seed, epoch, u64::MAX - 1, 0);
            (epoch, shuffled((0..count).collect(), noise))
        }));
        order
    }
}

/// The same windows in a random order.
fn shuffled(mut windows: Vec<usize>, mut noise: ChaCha8Rng) -> Vec<usize> {
    for index in (1..windows.len()).rev() {
        windows.swap(index, noise.random_range(0..=index));
    }
    windows
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tendon_data::windows::WindowSet;
    use tendon_model::augment::Recipe;
    use tendon_shared::normalize::{Mode, NormalizeSpec};
    use tendon_shared::stream::Stream;
    use tendon_shared::topology::TopologyId;

    /// `count` windows of one body, 8 frames, of three classes and four subjects; class shows in the motion.
    pub(crate) fn windows(count: usize) -> WindowSet {
        let spec = NormalizeSpec {
            mode: Mode::Product,
            frames: 8,
            bodies: 1,
        };
        let data = (0..count)
            .flat_map(|window| {
                (0..3 * 8 * 20).map(move |index| {
                    let (frame, joint) = (index / 20 % 8, index % 20);
                    let speed = 0.3 * (1 + window % 3) as f32;
                    (speed * frame as f32 + joint as f32 + window as f32 * 0.1).sin()
                })
            })
            .collect();
        WindowSet {
            topology: TopologyId::Kinect20,
            spec,
            data,
            presence: vec![Presence::FIRST; count],
            labels: (0..count).map(|window| (window % 3) as u16).collect(),
            subjects: (0..count)
                .map(|window| (window / 3 % 4) as u16 + 1)
                .collect(),
            cameras: vec![1; count],
            classes: ["a", "b", "c"].map(String::from).into(),
            digests: vec!["digest".to_string()],
            recordings: Vec::new(),
            names: (0..count)
                .map(|window| format!("window {window}"))
                .collect(),
        }
    }

    fn draw(batches: &mut Batches<'_>, epoch: u64, position: u64) -> Vec<f32> {
        let view = ViewSpec {
            recipe: Recipe::normal(),
            inputs: vec![vec![Stream::Joint, Stream::Motion]],
            partner: false,
        };
        let draws = [Draw {
            pool: Pool::Unlabelled,
            count: 5,
            views: vec![view.clone(), view],
        }];
        let moment = Moment {
            seed: 3,
            epoch,
            step: 0,
        };
        let mut drawn = batches
            .draw(&draws, &moment, position, &Device::flex())
            .unwrap();
        let views = drawn.remove(0).views;
        assert_eq!(views[0][0].dims(), [5, 1, 6, 8, 20]);
        assert_ne!(values(&views[0][0]), values(&views[1][0]));
        values(&views[0][0])
    }

    fn values(tensor: &Tensor<5>) -> Vec<f32> {
        tensor.clone().into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_batch_depends_on_epoch_and_position_and_on_nothing_else() {
        let windows = windows(12);
        let mut first = Batches::new(&windows, 3);
        let expect = draw(&mut first, 0, 1);
        assert_ne!(expect, draw(&mut first, 1, 1));
        let one = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        assert_eq!(
            expect,
            one.install(|| draw(&mut Batches::new(&windows, 3), 0, 1))
        );
    }

    #[test]
    fn an_epoch_sees_every_window_once() {
        let windows = windows(12);
        let mut batches = Batches::new(&windows, 3);
        let mut order = batches.order(4).to_vec();
        order.sort_unstable();
        assert!(order.into_iter().eq(0..12));
        assert_ne!(batches.order(0).to_vec(), batches.order(1).to_vec());
    }

    #[test]
    fn labelled_windows_are_drawn_equally_often_and_differ_each_time() {
        let windows = windows(12);
        let mut batches = Batches::new(&windows, 3).labelled(vec![1, 4, 8]);
        let draw = Draw {
            pool: Pool::Labelled,
            count: 4,
            views: vec![ViewSpec {
                recipe: Recipe::normal(),
                inputs: vec![vec![Stream::Joint]],
                partner: false,
            }],
        };
        let mut all = Vec::new();
        for step in 0..3 {
            let moment = Moment {
                seed: 3,
                epoch: 0,
                step,
            };
            let drawn = batches.draw(std::slice::from_ref(&draw), &moment, 9, &Device::flex());
            let drawn = drawn.unwrap().remove(0);
            let each = values(&drawn.views[0][0]);
            let each = each.chunks(each.len() / 4).map(<[f32]>::to_vec);
            assert!(
                drawn
                    .numbers
                    .iter()
                    .all(|number| [1, 4, 8].contains(number))
            );
            all.extend(drawn.labels.into_iter().zip(each));
        }
        // Windows 1, 4 and 8 have classes 1, 1 and 2.
        assert_eq!(all.iter().filter(|(label, _)| *label == 2).count(), 4);
        let mut views: Vec<_> = all.into_iter().map(|(_, values)| values).collect();
        views.sort_by(|a, b| a[0].total_cmp(&b[0]));
        views.dedup();
        assert_eq!(views.len(), 12);
    }
}
