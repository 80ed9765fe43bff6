//! The ST-GCN encoder: ten blocks over the skeleton's graph and time, shared by all bodies.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::block::Block;
use crate::encoder::{EncoderConfig, pool};
use crate::graph::{Adjacency, SUBSETS};
use crate::init::Initializer;
use crate::norm::BatchNorm;
use crate::pass::{Normalized, Pass};
use crate::shards;

/// Number of blocks.
pub const BLOCKS: usize = 10;
/// Blocks that the device keeps frozen in int8; the rest is the adaptable tail.
pub const TRUNK_BLOCKS: usize = 8;

/// The encoder.
#[derive(Module, Debug)]
pub struct StGcn {
    /// BatchNorm of the input; channel index `joint * channels + channel`.
    pub input_norm: BatchNorm,
    /// The ten blocks.
    pub blocks: Vec<Block>,
    adjacency: Tensor<3>,
    /// Leaves absent bodies out.
    pub body_mask: bool,
    /// See [`StGcn::share`].
    #[module(skip)]
    devices: Vec<Device>,
}

impl StGcn {
    /// A new encoder of a valid configuration.
    pub(crate) fn new(config: &EncoderConfig, init: &mut Initializer<'_>) -> Self {
        let joints = config.joints();
        let adjacency = Adjacency::new(config.topology.topology(), config.graph);
        let shape = [SUBSETS, joints, joints];
        let adjacency = TensorData::new(adjacency.values, shape);
        Self {
            input_norm: BatchNorm::new(joints * config.channels(), init),
            blocks: config
                .blocks()
                .map(|spec| Block::new(spec, joints, config.dropout, init))
                .into(),
            adjacency: Tensor::from_data(adjacency, init.device()),
            body_mask: config.body_mask,
            devices: Vec::new(),
        }
    }

    /// Shares the rows of every training pass among `devices`. The first is the encoder's own and keeps the weights; the
    /// others get copies in each pass, and their gradients flow back. BatchNorm and dropout see one batch, so the
    /// result is that of one device but for rounding. Fewer than two devices, and inference, mean the own device alone.
    pub fn share(&mut self, devices: &[Device]) {
        self.devices = devices.to_vec();
    }

    /// Features in the internal layout.
    ///
    /// # Shapes
    /// `[batch, channel, frame, joint] -> [batch, joint, frame / 4, dim]`
    pub fn features(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let x = self.normalized(x, pass);
        shards::join(self.run(&self.blocks, x, pass))
    }

    /// Input normalisation and blocks 1 to 8: what the device keeps frozen.
    ///
    /// # Shapes
    /// `[batch, channel, frame, joint] -> [batch, joint, frame / 4, 4 * width]`
    pub fn trunk(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let x = self.normalized(x, pass);
        shards::join(self.run(&self.blocks[..TRUNK_BLOCKS], x, pass))
    }

    /// Blocks 9 and 10.
    ///
    /// # Shapes
    /// `[batch, joint, frame, 4 * width] -> [batch, joint, frame, dim]`
    pub fn tail(&self, trunk: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        shards::join(self.run(&self.blocks[TRUNK_BLOCKS..], trunk, pass))
    }

    /// Features of each row, averaged over joints and frames.
    ///
    /// # Shapes
    /// `[batch, channel, frame, joint] -> [batch, dim]`
    pub(crate) fn pooled(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<2> {
        let x = self.normalized(x, pass);
        // Each device pools its own part.
        let parts = self.run(&self.blocks, x, pass).into_iter();
        shards::join(parts.map(pool).collect())
    }

    /// The adjacency times a block's edge importance: what a folded or quantized block uses.
    ///
    /// # Shapes
    /// `[subset, source joint, target joint]`
    pub fn weighted_adjacency(&self, block: usize) -> Tensor<3> {
        self.adjacency.clone() * self.blocks[block].edge.val()
    }

    /// The input's BatchNorm, in the internal layout.
    ///
    /// # Shapes
    /// `[batch, channel, frame, joint] -> [batch, joint, frame, channel]`
    fn normalized(&self, x: Tensor<4>, pass: &mut Pass) -> Tensor<4> {
        let [batch, channel, frame, joint] = x.dims();
        let rows = x
            .permute([0, 2, 3, 1])
            .reshape([batch * frame, joint * channel]);
        let rows = self.input_norm.forward(rows, pass);
        rows.reshape([batch, frame, joint, channel])
            .permute([0, 2, 1, 3])
    }

    /// Some blocks, in the internal layout; what each device has of the result, the own one first.
    fn run(&self, blocks: &[Block], x: Tensor<4>, pass: &mut Pass) -> Vec<Tensor<4>> {
        let parts = match pass {
            Pass::Train(_) => shards::cut(x, &self.devices),
            Pass::Infer => vec![x],
        };
        let adjacency = shards::copies(self.adjacency.clone(), &parts);
        blocks.iter().fold(parts, |mut parts, block| {
            if parts.len() == 1 {
                let x = parts.remove(0);
                return vec![block.forward(x, adjacency[0].clone(), pass)];
            }
            let rest = parts[1..].iter();
            let copies: Vec<Block> = std::iter::once(block.clone())
                .chain(rest.map(|part| block.copy(&part.device())))
                .collect();
            Block::in_step(&copies, &adjacency, parts, pass)
        })
    }
}

impl Normalized for StGcn {
    fn norms(&mut self) -> Vec<&mut BatchNorm> {
        let mut norms = vec![&mut self.input_norm];
        norms.extend(self.blocks.iter_mut().flat_map(Block::norms));
        norms
    }
}
