//! `tendon import-weights`: an encoder from a PyTorch checkpoint.

use super::output::print;
use anyhow::Context as _;
use burn::tensor::Device;
use std::path::PathBuf;
use tendon_host::interchange::checkpoint::{Missing, read};
use tendon_model::weights::{Description, Provenance, save};
use tendon_shared::normalize::{Mode, NormalizeSpec, PREPROCESSING_VERSION};
use tendon_shared::stream::Stream;

/// Take over an encoder from a PyTorch checkpoint of SkeletonCLR, CrosSCLR, AimCLR, SkeleMixCLR or CMCS.
///
/// Heads, queues and key networks stay behind. The encoder expects windows in the papers' normalisation ("paper"). Nobody knows which
/// recordings it has learnt from, so no evaluation can refuse them: see that your test side was not among them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The checkpoint (.pt or .pth).
    #[arg(long)]
    checkpoint: PathBuf,
    /// Where the encoder goes (safetensors).
    #[arg(short, long)]
    out: PathBuf,
    /// Frames of a window, which such a file does not say: 50 in AimCLR, CrosSCLR and CMCS, 64 in SkeleMixCLR.
    #[arg(long)]
    frames: u16,
    /// Bodies of a window.
    #[arg(long, default_value_t = 2)]
    bodies: u8,
    /// The network's name in the checkpoint, such as encoder_q_motion or online_backbone_bone; by default the first known one.
    #[arg(long)]
    network: Option<String>,
    /// The stream that it reads: joint, bone or motion; by default what its name says, or joint.
    #[arg(long, value_parser = stream)]
    stream: Option<Stream>,
}

fn stream(text: &str) -> Result<Stream, String> {
    serde_json::from_value(serde_json::Value::from(text))
        .map_err(|_| "expected joint, bone or motion".to_owned())
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let missing = Missing {
        network: args.network.clone(),
        stream: args.stream,
        frames: usize::from(args.frames),
        bodies: usize::from(args.bodies),
    };
    let (encoder, config) = read(&args.checkpoint, &missing, &Device::flex())
        .with_context(|| format!("cannot take over {}", args.checkpoint.display()))?;
    let description = Description {
        normalize: NormalizeSpec {
            mode: Mode::Paper,
            frames: args.frames,
            bodies: args.bodies,
        },
        classes: Vec::new(),
        temperature: None,
        provenance: Provenance {
            method: "imported".to_owned(),
            split: "unknown".to_owned(),
            preprocessing_version: PREPROCESSING_VERSION,
            ..Provenance::default()
        },
        seen: Vec::new(),
        config,
    };
    save(&args.out, &encoder, None, &description)?;
    let config = &description.config;
    print(&format!(
        "wrote {}: {} skeleton, width {}, {} dimensions, graph {:?}, stream {:?}",
        args.out.display(),
        config.topology.name(),
        config.width,
        config.dim,
        config.graph,
        config.streams
    ))?;
    print("note: which recordings it has learnt from is unknown; no evaluation can refuse them")?;
    Ok(())
}
