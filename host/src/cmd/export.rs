//! `tendon export`: an encoder or a classifier for other programs.

use super::output::print;
use anyhow::Context as _;
use burn::tensor::Device;
use std::path::PathBuf;
use tendon_host::bundle::fold::fold;
use tendon_host::interchange::export::to_onnx;
use tendon_model::parameters::{Values, collect};
use tendon_model::weights::load;

/// Write an encoder or a classifier as ONNX, for other programs.
///
/// The file of an encoder itself is safetensors, which Python reads as it is; its metadata says configuration, normalisation and
/// origin. ONNX files take one body at a time, `[batch, channel, frame, joint]`, normalised as `tendon` does it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The encoder or classifier, made by `tendon pretrain` or `tendon eval finetune`.
    #[arg(long)]
    weights: PathBuf,
    /// Where the ONNX file goes.
    #[arg(short, long)]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let loaded = load(&args.weights, &Device::flex())
        .with_context(|| format!("cannot use {}", args.weights.display()))?;
    let description = &loaded.description;
    let mut weights = collect(&loaded.encoder);
    let classes = match &loaded.classifier {
        Some(classifier) => {
            for (name, values) in collect(classifier) {
                weights.insert(format!("classifier.{name}"), values);
            }
            description.classes.len()
        }
        None => {
            for (name, shape) in [
                ("classifier.weight", vec![description.config.dim, 0]),
                ("classifier.bias", vec![0]),
            ] {
                let data = Vec::new();
                weights.insert(name.to_owned(), Values { shape, data });
            }
            0
        }
    };
    let network = fold(&description.config, classes, &weights)?;
    let bytes = to_onnx(&network, description);
    tendon_files::write(&args.out, &bytes)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    let what = if classes > 0 {
        "embedding and logits"
    } else {
        "embedding"
    };
    print(&format!(
        "wrote {} ({} bytes): body [batch, {}, {}, {}] -> {what}, opset 12",
        args.out.display(),
        bytes.len(),
        network.channels,
        network.frames,
        network.joints
    ))?;
    Ok(())
}
