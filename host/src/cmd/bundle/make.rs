//! Making a bundle: reads classifier, set and key, shows progress and a table.
#![allow(clippy::print_stdout, reason = "commands print")]

use anyhow::{Context as _, bail, ensure};
use burn::tensor::Device;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use tendon_adapt::align::Reference;
use tendon_data::dataset::Dataset;
use tendon_data::split::Split;
use tendon_data::windows::WindowSet;
use tendon_host::bundle::inputs::Inputs;
use tendon_host::bundle::refine::Quality;
use tendon_host::bundle::sign::read_key;
use tendon_host::bundle::write::{Material, Recipe, Report, Step, make};
use tendon_host::evaluate::guard;
use tendon_host::evaluate::metrics::Metrics;
use tendon_model::parameters::collect;
use tendon_model::weights::load;
use tendon_shared::manifest::LICENCE_BYTES;

/// Frame rate of recordings that state none, Hz.
const DEFAULT_FPS: f32 = 30.0;

/// What a bundle is made from.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The classifier, made by `tendon eval finetune`.
    #[arg(long, requires_all = ["data", "split", "key", "model_version", "out"])]
    classifier: Option<PathBuf>,
    /// The set of recordings that it learned from.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Who trained and who tests: a preset such as nw-ucla-view1, or "TRAIN / TEST". Test windows are only reported on.
    #[arg(long)]
    split: Option<String>,
    /// The secret key, made by `tendon keygen`.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Version of the model; must rise with every release, devices refuse to go back.
    #[arg(long)]
    model_version: Option<u64>,
    /// Where the bundle goes.
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Softmax temperature; by default the classifier file's, or fitted on training persons that the classifier did not learn from.
    #[arg(long)]
    temperature: Option<f64>,
    /// Calibrated confidence from which a prediction counts, 0..=1.
    #[arg(long, default_value_t = 0.5)]
    threshold: f32,
    /// Licence of the training data, for whoever receives the bundle; by default the set's own terms.
    #[arg(long)]
    licence: Option<String>,
    /// Training windows that ranges are measured on, at most.
    #[arg(long, default_value_t = 256)]
    calibration: usize,
    /// Source features of each class that a device replays, at most.
    #[arg(long, default_value_t = 8)]
    source_each: usize,
    /// Golden windows with which a device checks its arithmetic.
    #[arg(long, default_value_t = 4)]
    golden: usize,
    /// Write the figures of the table to this file as JSON, for programs.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Seconds since 1970 to put into the bundle instead of now, for bundles that are the same byte for byte.
    #[arg(long)]
    created: Option<u64>,
}

/// Where bundle and key are.
pub(super) struct Made {
    pub(super) out: PathBuf,
    pub(super) key: PathBuf,
}

/// Makes and writes the bundle, and prints the table.
pub(super) fn run(args: &Args) -> anyhow::Result<Made> {
    let (Some(classifier), Some(data), Some(split), Some(key_path), Some(model_version), Some(out)) = (
        &args.classifier,
        &args.data,
        &args.split,
        &args.key,
        args.model_version,
        &args.out,
    ) else {
        bail!(
            "name --classifier, --data, --split, --key, --model-version and --out to make a bundle, or --verify to check one"
        );
    };
    ensure!(
        (0.0..=1.0).contains(&args.threshold),
        "--threshold is between 0 and 1"
    );
    ensure!(
        args.temperature
            .is_none_or(|temperature| temperature.is_normal() && temperature > 0.0),
        "--temperature is above 0"
    );
    let key = read_key(key_path)?;
    let loaded = load(classifier, &Device::flex())
        .with_context(|| format!("cannot use {}", classifier.display()))?;
    let description = &loaded.description;
    let check = description.config.check_stacked_st_gcn();
    check.with_context(|| format!("cannot bundle {}", classifier.display()))?;
    let Some(linear) = &loaded.classifier else {
        bail!(
            "{} holds an encoder without a classifier; make one with `tendon eval finetune`",
            classifier.display()
        );
    };
    let dataset = Dataset::open(data)?;
    ensure!(
        dataset.topology() == description.config.topology,
        "the classifier reads {} skeletons, {} holds {}",
        description.config.topology.name(),
        data.display(),
        dataset.topology().name()
    );
    ensure!(
        dataset.classes() == description.classes,
        "{} has other classes than the classifier",
        data.display()
    );
    let split = Split::parse(split)?;
    let (training, test) = split.apply(&dataset)?;
    guard::check(&description.seen, &dataset, &test)?;
    // Persons of the training side that the classifier has not seen can calibrate it.
    let seen = &description.provenance.subjects;
    let unseen =
        |number: &usize| !seen.is_empty() && !seen.contains(&dataset.recording(*number).subject);
    let (validation, train): (Vec<usize>, Vec<usize>) = training.into_iter().partition(unseen);
    ensure!(
        !train.is_empty(),
        "the classifier has learned from nobody on the training side of {}; is this its split?",
        split.name
    );
    let inputs = |numbers: &[usize]| -> anyhow::Result<Inputs> {
        let windows = WindowSet::prepare(&dataset, numbers, &description.normalize)?;
        Ok(Inputs::new(
            &windows,
            &description.config.streams,
            description.config.body_mask,
        )?)
    };
    let reference = reference(&dataset, &train);
    let (train, validation, test) = (inputs(&train)?, inputs(&validation)?, inputs(&test)?);

    let mut weights = collect(&loaded.encoder);
    weights.extend(
        collect(linear)
            .into_iter()
            .map(|(name, values)| (format!("classifier.{name}"), values)),
    );
    let material = Material {
        weights: &weights,
        description,
        train: &train,
        validation: &validation,
        test: &test,
        reference: reference.as_ref(),
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    let recipe = Recipe {
        model_version,
        created_s: args.created.unwrap_or(now),
        licence: licence(args, &dataset.info().terms),
        calibration: args.calibration,
        source_each: args.source_each,
        golden: args.golden,
        threshold: args.threshold,
        temperature: args.temperature,
    };
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template(
        "{wide_bar} {pos}/{len} {msg}, {eta} left",
    )?);
    let (bytes, report) = make(material, &recipe, &key, &|step| progress(&bar, step))?;
    bar.finish_and_clear();
    tendon_files::write(out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
    print(&report, &description.classes, bytes.len());
    if let Some(path) = &args.report {
        let figures = figures(&report, &description.classes, bytes.len());
        tendon_files::write(path, &serde_json::to_vec_pretty(&figures)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Made {
        out: out.clone(),
        key: key_path.clone(),
    })
}

/// How the first body of the recordings `numbers` stood before its camera.
fn reference(dataset: &Dataset, numbers: &[usize]) -> Option<Reference> {
    let topology = dataset.topology().topology();
    let first: Vec<(Vec<f32>, f32)> = numbers
        .iter()
        .map(|number| {
            let recording = dataset.recording(*number);
            let pose = topology.joint_count() * 3;
            let poses = recording
                .poses
                .chunks_exact((recording.bodies * pose).max(1))
                .flat_map(|frame| frame.get(..pose).unwrap_or_default());
            let fps = if recording.fps > 0.0 {
                recording.fps
            } else {
                DEFAULT_FPS
            };
            (poses.copied().collect(), 1_000.0 / fps)
        })
        .collect();
    Reference::measure(
        topology,
        first
            .iter()
            .map(|(poses, spacing)| (poses.as_slice(), *spacing)),
    )
}

/// The licence note; the set's own terms are cut to the manifest's room, the user's words are not.
fn licence(args: &Args, terms: &str) -> String {
    let cut = terms.floor_char_boundary(LICENCE_BYTES);
    args.licence
        .clone()
        .unwrap_or_else(|| terms[..cut].to_owned())
}

fn progress(bar: &ProgressBar, step: Step) {
    let (length, text) = match step {
        Step::Window => return bar.inc(1),
        Step::Calibrate(length) => (length, "windows calibrated"),
        Step::Choose(length) => (length, "windows compared"),
        Step::Refine(length) => (length, "windows compared to refine ranges"),
        Step::Report(length) => (length, "windows evaluated"),
    };
    bar.reset();
    bar.set_length(length as u64);
    bar.set_message(text);
}

/// The table for programs; shares are 0..=1.
fn figures(report: &Report, classes: &[String], bytes: usize) -> serde_json::Value {
    let metrics = |predictions| Metrics::compute(predictions, classes, report.temperature);
    let (float, int8) = (metrics(&report.float), metrics(&report.int8));
    serde_json::json!({
        "windows": float.windows,
        "float": float.top1,
        "int8": int8.top1,
        "float_ece": float.ece,
        "int8_ece": int8.ece,
        "agreement": report.agreement,
        "temperature": report.temperature,
        "encoder_bytes": report.encoder_bytes,
        "bytes": bytes,
    })
}

fn print(report: &Report, classes: &[String], bytes: usize) {
    println!("{:28}{:>22}{:>12}", "ranges", "logit error", "same class");
    let row = |name: &str, quality: &Quality| {
        println!(
            "{name:28}{:>21.2}%{:>11.1}%",
            100.0 * quality.error,
            100.0 * quality.agreement
        );
    };
    for trial in &report.trials {
        row(&trial.method.to_string(), &trial.quality);
    }
    row("the best, each refined", &report.refined);
    let blocks: Vec<String> = report
        .blocks
        .iter()
        .map(|error| format!("{:.1}", 100.0 * error))
        .collect();
    println!("error after each block, %   {}", blocks.join(" "));
    let metrics = |predictions| Metrics::compute(predictions, classes, report.temperature);
    println!();
    println!(
        "{:28}{:>10}{:>12}{:>12}",
        "test windows", "top-1", "mean class", "ECE"
    );
    for (name, predictions) in [("float", &report.float), ("int8", &report.int8)] {
        let found = metrics(predictions);
        println!(
            "{name:28}{:>9.2}%{:>11.2}%{:>12.3}",
            100.0 * found.top1,
            100.0 * found.mean_class,
            found.ece
        );
    }
    println!(
        "{:28}{:>9.2}%",
        "same class in both",
        100.0 * report.agreement
    );
    let fitted = if report.calibrated {
        ""
    } else {
        " (nobody was held out to fit it: give --temperature)"
    };
    println!("{:28}{:>10.3}{fitted}", "temperature", report.temperature);
    println!("{:28}{:>10}", "source features", report.sources);
    println!("{:28}{:>10}", "encoder, bytes", report.encoder_bytes);
    println!("{:28}{:>10}", "bundle, bytes", bytes);
}
