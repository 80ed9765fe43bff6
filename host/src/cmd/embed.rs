//! `tendon embed`: an encoder's features of a set, for other programs.

use super::output::{bar, print};
use anyhow::Context as _;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::path::PathBuf;
use tendon_data::dataset::Dataset;
use tendon_data::windows::{StoredWindows, Windows};
use tendon_host::evaluate::features::embed;
use tendon_host::evaluate::pooling::Pooling;
use tendon_model::weights::load;

/// Write an encoder's features of every recording of a set, for search, clustering or a classifier of your own.
///
/// The file is safetensors. `features` is `[recording, feature]`, in the set's order; `labels`, `subjects` and `cameras` are
/// `[recording]`. The metadata names classes and recordings, each as a JSON list, and how the features were pooled.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The encoder or classifier, made by `tendon pretrain` or `tendon eval finetune`.
    #[arg(long)]
    encoder: PathBuf,
    /// The set of recordings, made by `tendon import`.
    #[arg(long)]
    data: PathBuf,
    /// How the encoder's last map becomes features.
    #[arg(long, value_enum, default_value = "mean")]
    pooling: Pooling,
    /// Where to compute: flex (CPU), wgpu, cuda or ndarray, as far as compiled in.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Where the features go.
    #[arg(short, long)]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let device = tendon_host::backend::device(&args.device)?;
    let loaded = load(&args.encoder, &device)
        .with_context(|| format!("cannot use the encoder {}", args.encoder.display()))?;
    let set = Dataset::open(&args.data)?;
    let all: Vec<usize> = (0..set.len()).collect();
    let names: Vec<&str> = all
        .iter()
        .map(|&number| set.recording(number).name)
        .collect();
    let windows = StoredWindows::prepare(&set, &all, &loaded.description.normalize)?;
    let bar = bar(windows.len() as u64, "windows embedded");
    let (config, pooling) = (&loaded.description.config, args.pooling);
    let features = embed(
        &loaded.encoder,
        config,
        pooling,
        &windows,
        &device,
        |done| {
            bar.set_position(done as u64);
        },
    )?;
    bar.finish_and_clear();
    let metadata = HashMap::from([
        ("classes".to_owned(), serde_json::to_string(set.classes())?),
        ("recordings".to_owned(), serde_json::to_string(&names)?),
        ("digest".to_owned(), set.digest().to_owned()),
        ("pooling".to_owned(), serde_json::to_string(&pooling)?),
    ]);
    let values = bytes(&features.values, f32::to_le_bytes);
    let cameras: Vec<u16> = all
        .iter()
        .map(|&number| set.recording(number).camera)
        .collect();
    let tags = [
        ("labels", windows.labels()),
        ("subjects", windows.subjects()),
        ("cameras", &cameras),
    ]
    .map(|(name, tags)| (name, bytes(tags, u16::to_le_bytes)));
    let mut tensors = vec![(
        "features",
        TensorView::new(Dtype::F32, vec![windows.len(), features.dim], &values)?,
    )];
    for (name, tags) in &tags {
        tensors.push((
            *name,
            TensorView::new(Dtype::U16, vec![windows.len()], tags)?,
        ));
    }
    tendon_files::write(&args.out, &safetensors::serialize(tensors, Some(metadata))?)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    print(&format!(
        "wrote {}: {} recordings, {} features",
        args.out.display(),
        windows.len(),
        features.dim
    ))?;
    Ok(())
}

/// The bytes of some values, one after the other.
fn bytes<T: Copy, const N: usize>(values: &[T], one: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| one(*value)).collect()
}
