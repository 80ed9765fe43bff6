//! What each comparison puts side by side.

use super::{Args, Folder, MAKING, measure, ours, spinner};
use std::sync::atomic::AtomicBool;
use tendon_data::dataset::Dataset;
use tendon_data::synth::SynthSpec;
use tendon_host::bench::import::{self, ImportSpec};
use tendon_host::bench::load::{self, LoadSpec};
use tendon_host::bench::report::{Bench, Case, Entry, Reference, Report, Row};
use tendon_host::bench::rounds::median;
use tendon_host::bench::scripts::{self, Peer};
use tendon_host::bench::stream;
use tendon_host::bench::subject::{Subject, SubjectError, operations};
use tendon_host::bench::train::TrainSpec;
use tendon_host::bundle::measure::float_logits;
use tendon_model::encoder::EncoderConfig;
use tendon_shared::normalize::{Mode, NormalizeSpec};

/// Who works on what in turn.
struct Contest<'a> {
    title: String,
    cases: Vec<Case>,
    ours: Vec<Entry>,
    peers: &'a [Peer],
    /// Calls of everybody in a round, unless the user says another number.
    times: u32,
}

impl Contest<'_> {
    fn run(self, args: &Args, folder: &Folder) -> anyhow::Result<Report> {
        let mut entries = self.ours;
        entries.extend(args.peers(self.peers, folder.path())?);
        measure(Bench {
            title: self.title,
            cases: self.cases,
            entries,
            plan: args.plan(self.times),
        })
    }
}

/// The only kind of input.
fn one(name: impl Into<String>, reference: Reference) -> Vec<Case> {
    let name = name.into();
    vec![Case { name, reference }]
}

/// One window through encoder and classifier.
pub(super) fn infer(args: &Args) -> anyhow::Result<Report> {
    let config = args.config(2)?;
    let folder = Folder::new(args.keep.as_deref())?;
    let spinner = spinner(MAKING);
    let subject = Subject::generate(&config, args.windows as usize, args.seed)?;
    subject.write(folder.path())?;
    let (network, inputs) = (subject.folded()?, subject.inputs()?);
    let mut cases = one(format!("{} bodies", config.bodies), reference(&subject)?);
    if config.bodies > 1 {
        let rows = (0..inputs.len()).map(|number| {
            let first: Vec<usize> = inputs.bodies(number).into_iter().take(1).collect();
            network.logits(inputs.window(number), &first)
        });
        cases.extend(one("1 body present", Reference::Logits(rows.collect())));
    }
    spinner.finish_and_clear();
    let threads = usize::from(args.threads);
    let contest = Contest {
        title: format!(
            "inference, batch 1: {}, {:.0} MFLOP a body",
            describe(&config),
            operations(&config) / 1e6
        ),
        cases,
        ours: vec![
            args.int8("infer-int8", folder.path())?,
            ours("tendon float", "infer-float", folder.path(), threads)?,
        ],
        peers: &scripts::INFER,
        times: 10,
    };
    contest.run(args, &folder)
}

/// A SkeletonCLR training step.
pub(super) fn train(args: &Args) -> anyhow::Result<Report> {
    let config = args.config(1)?;
    let folder = Folder::new(args.keep.as_deref())?;
    let spec = TrainSpec::new(config.clone(), usize::from(args.batch), args.seed);
    spec.write(folder.path())?;
    let threads = usize::from(args.threads);
    let contest = Contest {
        title: format!(
            "training step, SkeletonCLR, batch {}: {}",
            spec.batch,
            describe(&config)
        ),
        cases: one(format!("batch {}", spec.batch), Reference::First),
        ours: vec![ours("tendon", "train", folder.path(), threads)?],
        peers: &scripts::TRAIN,
        times: 1,
    };
    let mut report = contest.run(args, &folder)?;
    report.note_memory();
    Ok(report)
}

/// Windows of an adaptation step.
const ADAPT_WINDOWS: usize = 16;

/// An adaptation step.
pub(super) fn adapt(args: &Args) -> anyhow::Result<Report> {
    let config = args.config(1)?;
    anyhow::ensure!(
        config.bodies == 1,
        "a device adapts on windows of one body; leave out --bodies"
    );
    let folder = Folder::new(args.keep.as_deref())?;
    let spinner = spinner(MAKING);
    let subject = Subject::generate(&config, ADAPT_WINDOWS, args.seed)?;
    subject.write(folder.path())?;
    let reference = reference(&subject)?;
    spinner.finish_and_clear();
    let threads = usize::from(args.threads);
    let contest = Contest {
        title: format!(
            "adaptation step, {ADAPT_WINDOWS} windows: {}",
            describe(&config)
        ),
        cases: one(format!("{ADAPT_WINDOWS} windows"), reference),
        ours: vec![ours("tendon, tail", "adapt", folder.path(), threads)?],
        peers: &scripts::ADAPT,
        times: 3,
    };
    let mut report = contest.run(args, &folder)?;
    report.note_memory();
    Ok(report)
}

/// Sliding windows of one person.
pub(super) fn stream(args: &Args) -> anyhow::Result<Report> {
    let config = args.config(1)?;
    let folder = Folder::new(args.keep.as_deref())?;
    let spinner = spinner(MAKING);
    let count = args.windows as usize;
    let mut subject = Subject::generate(&config, count, args.seed)?;
    stream::write(&mut subject, count, args.seed, folder.path())?;
    subject.write(folder.path())?;
    let reference = reference(&subject)?;
    spinner.finish_and_clear();
    let contest = Contest {
        title: format!(
            "sliding windows at {} fps, one every {} frames: {}; peers get windows that are normalised already",
            stream::RATE,
            stream::STRIDE,
            describe(&config)
        ),
        cases: one("window", reference),
        ours: vec![args.int8("stream", folder.path())?],
        peers: &scripts::INFER,
        times: 10,
    };
    let mut report = contest.run(args, &folder)?;
    let persons = |row: &Row| {
        let persons = stream::persons(median(&row.laps.cpu));
        format!("persons before one core, {}: {persons:.1}", row.name)
    };
    report.notes = report.rows.iter().map(persons).collect();
    Ok(report)
}

/// Recordings in files to one set.
pub(super) fn import(args: &Args) -> anyhow::Result<Report> {
    let folder = Folder::new(args.keep.as_deref())?;
    let spinner = spinner("writing recordings");
    let count = args.recordings as usize;
    let spec = match args.files.as_deref().map(|files| files.split_once('=')) {
        None => import::generate(folder.path(), count, args.seed)?,
        Some(Some((format, path))) => ImportSpec {
            format: format.to_owned(),
            path: path.into(),
        },
        Some(None) => anyhow::bail!("--files is FORMAT=PATH, such as nw-ucla-json=all_sqe"),
    };
    spec.write(folder.path())?;
    spinner.finish_and_clear();
    let threads = usize::from(args.threads);
    let contest = Contest {
        title: format!("import of {} from {}", spec.format, spec.path.display()),
        cases: one("all files", Reference::First),
        ours: vec![ours("tendon", "import", folder.path(), threads)?],
        peers: &scripts::IMPORT,
        times: 1,
    };
    let mut report = contest.run(args, &folder)?;
    report.note_memory();
    Ok(report)
}

/// A batch from a set on the disk, beside the training step that waits for it.
pub(super) fn load(args: &Args) -> anyhow::Result<Report> {
    let folder = Folder::new(args.keep.as_deref())?;
    let spinner = spinner("making the set");
    let path = match &args.set {
        Some(path) => path.clone(),
        None => {
            let path = folder.path().join("set.safetensors");
            let spec = SynthSpec {
                topology: args.config(1)?.topology,
                seed: args.seed,
                subjects: (args.recordings / 96 + 1).try_into()?,
                cameras: 3,
                repetitions: 2,
                pairs: true,
                ..SynthSpec::default()
            };
            spec.write(&path, &mut |_| {}, &AtomicBool::new(false))?;
            path
        }
    };
    let set = Dataset::open(&path)?;
    let config = EncoderConfig {
        topology: set.topology(),
        ..args.config(1)?
    };
    let spec = LoadSpec {
        set: std::path::absolute(&path)?,
        normalize: NormalizeSpec {
            mode: Mode::Product,
            frames: config.frames as u16,
            bodies: config.bodies as u8,
        },
        streams: config.streams.clone(),
        batch: usize::from(args.batch),
        seed: args.seed,
    };
    let text = serde_json::to_vec(&spec)?;
    std::fs::write(folder.path().join(load::SPEC), text)?;
    TrainSpec::new(config.clone(), spec.batch, args.seed).write(folder.path())?;
    spinner.finish_and_clear();
    let threads = usize::from(args.threads);
    let contest = Contest {
        title: format!(
            "training input from {}, {} recordings, batch {}: {}",
            path.display(),
            set.len(),
            spec.batch,
            describe(&config)
        ),
        cases: one("batch", Reference::Nothing),
        ours: vec![
            ours("tendon, batch", "load", folder.path(), threads)?,
            ours("tendon, training step", "train", folder.path(), threads)?,
        ],
        peers: &[],
        times: 1,
    };
    let mut report = contest.run(args, &folder)?;
    if let Some(row) = report.rows.first() {
        let rate = 2.0 * spec.batch as f64 / median(&row.laps.wall);
        report.notes.push(format!("views a second: {rate:.0}"));
    }
    Ok(report)
}

/// The logits of the float network for every window.
fn reference(subject: &Subject) -> Result<Reference, SubjectError> {
    let (network, inputs) = (subject.folded()?, subject.inputs()?);
    let all: Vec<usize> = (0..inputs.len()).collect();
    let logits = float_logits(&network, &inputs, &all, &|| {});
    let rows = logits.chunks_exact(network.classes());
    Ok(Reference::Logits(rows.map(<[f32]>::to_vec).collect()))
}

/// The network in words.
fn describe(config: &EncoderConfig) -> String {
    format!(
        "width {}, {} features, {} frames, {} joints, {} bodies",
        config.width,
        config.dim,
        config.frames,
        config.joints(),
        config.bodies
    )
}
