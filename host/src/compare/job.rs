//! One command of a comparison, and the record that it is done.

use super::plan::{Amount, EncoderPlan, Plan, ProtocolKind, SetPlan};
use crate::usage::Usage;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Digests of files. A file is read once, a piece at a time, and again only when its length or its time of change is another: sets are
/// large, and many jobs read the same one.
#[derive(Debug, Default)]
pub struct Digests(BTreeMap<PathBuf, (u64, Option<SystemTime>, [u8; 32])>);

impl Digests {
    fn of(&mut self, path: &Path) -> io::Result<[u8; 32]> {
        let mut file = File::open(path)?;
        let facts = file.metadata()?;
        let (length, changed) = (facts.len(), facts.modified().ok());
        if let Some((known_length, known_change, digest)) = self.0.get(path)
            && (*known_length, *known_change) == (length, changed)
            && changed.is_some()
        {
            return Ok(*digest);
        }
        let mut sha = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                break;
            }
            sha.update(&piece[..count]);
        }
        let digest = sha.finalize().into();
        self.0.insert(path.to_path_buf(), (length, changed, digest));
        Ok(digest)
    }
}

/// What a job is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Makes an encoder.
    Pretrain,
    /// Judges it by the protocol and on the set with these names.
    Evaluate {
        /// The protocol.
        protocol: String,
        /// The set.
        set: String,
    },
}

/// Labels that a pretraining may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// As the plan has it.
    pub amount: Amount,
    /// Which windows have them.
    pub draw: u64,
}

impl Labels {
    /// All that an encoder of a plan is pretrained with; nothing once if the plan does not say.
    fn all(encoder: &EncoderPlan) -> Vec<Option<Self>> {
        let draws = |amount: &Amount| {
            let amount = amount.clone();
            (0..encoder.draws).map(move |draw| {
                Some(Self {
                    amount: amount.clone(),
                    draw,
                })
            })
        };
        match encoder.labelled.as_slice() {
            [] => vec![None],
            amounts => amounts.iter().flat_map(draws).collect(),
        }
    }

    /// The first that an encoder of a plan is pretrained with.
    #[must_use]
    pub fn first(plan: &Plan, encoder: &str) -> Option<Self> {
        let known = plan.encoders.iter().find(|one| one.name == encoder)?;
        Self::all(known).into_iter().next().flatten()
    }
}

/// One command.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What it is for.
    pub kind: Kind,
    /// The encoder's name.
    pub encoder: String,
    /// The sets that it learns from.
    pub on: String,
    /// The labels that it learns from, if the plan says which.
    pub labels: Option<Labels>,
    /// The seed.
    pub seed: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// Arguments of `tendon`.
    pub arguments: Vec<OsString>,
    /// Files that decide the result.
    pub inputs: Vec<PathBuf>,
}

/// The record of a job that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    /// Digest of the command and its files.
    identity: String,
}

const RECORD: &str = "done.json";

/// Where things are.
#[derive(Debug, Clone, Copy)]
pub struct Places<'p> {
    /// The folder of the plan's file.
    pub plan: &'p Path,
    /// The folder of the sets.
    pub sets: &'p Path,
    /// The folder of the comparison.
    pub out: &'p Path,
}

/// All jobs, encoders before what judges them, one seed of everything before the next.
#[must_use]
pub fn jobs(plan: &Plan, places: Places<'_>) -> Vec<Job> {
    let mut jobs = Vec::new();
    for &seed in &plan.seeds {
        for encoder in &plan.encoders {
            let alone: Vec<Vec<&SetPlan>> = match encoder.on.as_slice() {
                [] => {
                    let own = plan.sets.iter().filter(|set| set.like.is_none());
                    own.map(|set| vec![set]).collect()
                }
                names => vec![names.iter().filter_map(|name| plan.set(name)).collect()],
            };
            for sets in alone {
                for labels in Labels::all(encoder) {
                    let made = pretrain(plan, places, encoder, seed, (&sets, labels));
                    let judged = judge(plan, places, encoder, &made, &sets);
                    jobs.push(made);
                    jobs.extend(judged);
                }
            }
        }
    }
    jobs
}

fn pretrain(
    plan: &Plan,
    places: Places<'_>,
    encoder: &EncoderPlan,
    seed: u64,
    (sets, labels): (&[&SetPlan], Option<Labels>),
) -> Job {
    let together: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
    let on = together.join("+");
    let runs = |name: &str| places.out.join(name).join(&on).join(format!("seed-{seed}"));
    let folder = match &labels {
        Some(Labels { amount, draw }) => {
            let labels = amount.title().replace([' ', '%'], "");
            let kind = if amount.0.contains('%') {
                "percent"
            } else {
                ""
            };
            runs(&encoder.name).join(format!("labels-{labels}{kind}-{draw}"))
        }
        None => runs(&encoder.name),
    };
    let folder = folder.join("pretrain");
    let config = places.plan.join(&encoder.config);
    let mut arguments: Vec<OsString> = vec!["pretrain".into(), "--config".into(), (&config).into()];
    let mut inputs = vec![config];
    for set in sets {
        let data = places.sets.join(&set.data);
        arguments.extend(["--data".into(), (&data).into()]);
        arguments.extend(["--split".into(), (&set.split).into()]);
        inputs.push(data);
    }
    arguments.extend(["--seed".into(), seed.to_string().into()]);
    if let Some(epochs) = encoder.epochs.or(plan.epochs) {
        arguments.extend(["--epochs".into(), epochs.to_string().into()]);
    }
    for text in encoder.changes().texts() {
        arguments.extend(["--set".into(), text.into()]);
    }
    for key in &encoder.unset {
        arguments.extend(["--unset".into(), key.into()]);
    }
    let before = encoder.from.as_ref();
    let before = before.map(|from| plan.weights(from, &runs(from).join("pretrain")));
    let teacher = encoder.teacher.as_ref().map(|file| places.sets.join(file));
    for (flag, path) in [
        (
            "--encoder",
            before.and_then(|files| files.into_iter().next()),
        ),
        ("--teacher-embeddings", teacher),
    ] {
        if let Some(path) = path {
            arguments.extend([flag.into(), (&path).into()]);
            inputs.push(path);
        }
    }
    if let Some(Labels { amount, draw }) = &labels {
        arguments.extend(["--labelled".into(), (&amount.0).into()]);
        arguments.extend(["--draw".into(), draw.to_string().into()]);
    }
    arguments.extend(["--out".into(), (&folder).into()]);
    Job {
        kind: Kind::Pretrain,
        encoder: encoder.name.clone(),
        on,
        labels,
        seed,
        folder,
        arguments,
        inputs,
    }
}

fn judge(
    plan: &Plan,
    places: Places<'_>,
    encoder: &EncoderPlan,
    made: &Job,
    sets: &[&SetPlan],
) -> Vec<Job> {
    let networks = encoder.weights(&made.folder);
    let mut jobs = Vec::new();
    for protocol in &plan.protocols {
        // What has a classifier of its own is judged by it, and nothing else is.
        if (protocol.kind == ProtocolKind::Classifier) != made.labels.is_some() {
            continue;
        }
        let judged = match protocol.kind {
            ProtocolKind::Fuse if networks.len() < 2 => continue,
            ProtocolKind::Fuse => networks.as_slice(),
            _ => &networks[..1],
        };
        // An encoder of one set is judged on it and on those like it; one of several sets, or of a set that it names, wherever the protocol goes.
        let goes = |set: &&SetPlan| protocol.on.is_empty() || protocol.on.contains(&set.name);
        let own = |set: &&SetPlan| {
            let like = |other: &&SetPlan| set.like.as_ref() == Some(&other.name);
            !encoder.on.is_empty() || sets.contains(set) || sets.iter().any(like)
        };
        for set in plan.sets.iter().filter(goes).filter(own) {
            let folder = made
                .folder
                .with_file_name(format!("{}-{}", protocol.name, set.name));
            let data = places.sets.join(&set.data);
            let mut arguments: Vec<OsString> = vec!["eval".into(), protocol.kind.command().into()];
            let flag = match protocol.kind {
                ProtocolKind::Classifier => "--classifier",
                _ => "--encoder",
            };
            for weights in judged {
                arguments.extend([flag.into(), weights.into()]);
            }
            arguments.extend(["--data".into(), (&data).into()]);
            arguments.extend(["--split".into(), (&set.split).into()]);
            arguments.extend(["--seed".into(), made.seed.to_string().into()]);
            let mut inputs = judged.to_vec();
            inputs.push(data);
            for (flag, path) in [
                ("--config", &protocol.config),
                ("--finetune", &protocol.finetune),
            ] {
                if let Some(path) = path {
                    let path = places.plan.join(path);
                    arguments.extend([flag.into(), (&path).into()]);
                    inputs.push(path);
                }
            }
            arguments.extend(["--out".into(), (&folder).into()]);
            jobs.push(Job {
                kind: Kind::Evaluate {
                    protocol: protocol.title().to_owned(),
                    set: set.name.clone(),
                },
                encoder: encoder.name.clone(),
                on: made.on.clone(),
                labels: made.labels.clone(),
                seed: made.seed,
                folder,
                arguments,
                inputs,
            });
        }
    }
    jobs
}

impl Job {
    /// One line for people.
    #[must_use]
    pub fn title(&self) -> String {
        let what = match &self.kind {
            Kind::Pretrain => format!("pretrain on {}", self.on),
            Kind::Evaluate { protocol, set } => format!("{protocol} on {set}"),
        };
        let labels = self.labels.as_ref().map_or_else(String::new, |labels| {
            format!(", {}, draw {}", labels.amount.title(), labels.draw)
        });
        format!("{}, seed {}{labels}: {what}", self.encoder, self.seed)
    }

    /// Digest of the command and the content of its files: another one means another result.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn identity(&self, digests: &mut Digests) -> io::Result<String> {
        let mut sha = Sha256::new();
        // Where things are does not matter, what is in them does.
        let paths: Vec<&Path> = self.inputs.iter().map(PathBuf::as_path).collect();
        for argument in &self.arguments {
            let path = Path::new(argument);
            if path != self.folder && !paths.contains(&path) {
                sha.update(argument.as_encoded_bytes());
            }
            sha.update([0]);
        }
        for input in &self.inputs {
            let digest = digests.of(input).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", input.display()))
            })?;
            sha.update(digest);
        }
        Ok(sha
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    /// Whether the job is done: its record has this identity. `Some(false)` when it has another one.
    #[must_use]
    pub fn done(&self, identity: &str) -> Option<bool> {
        let record: Record =
            serde_json::from_slice(&std::fs::read(self.folder.join(RECORD)).ok()?).ok()?;
        Some(record.identity == identity)
    }

    /// Writes down that the job is done.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn finish(&self, identity: &str) -> io::Result<()> {
        let record = Record {
            identity: identity.to_owned(),
        };
        tendon_files::write(
            &self.folder.join(RECORD),
            &serde_json::to_vec_pretty(&record)?,
        )
    }

    /// What the job has cost, if it is done.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        Usage::read(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::parse(
            r#"
            seeds = [3]
            epochs = 7
            [[set]]
            name = "a"
            data = "a.safetensors"
            split = "s"
            [[set]]
            name = "b"
            data = "b.safetensors"
            split = "t"
            [[encoder]]
            name = "single"
            config = "x.toml"
            [[encoder]]
            name = "pooled"
            config = "x.toml"
            on = ["a", "b"]
            [[protocol]]
            name = "probe"
            kind = "probe"
            "#,
        )
        .unwrap()
    }

    fn places(folder: &Path) -> Places<'_> {
        Places {
            plan: folder,
            sets: folder,
            out: folder,
        }
    }

    #[test]
    fn encoders_of_one_set_are_judged_on_it_and_pooled_ones_on_all() {
        let jobs = jobs(&plan(), places(Path::new("/f")));
        let titles: Vec<String> = jobs.iter().map(Job::title).collect();
        assert_eq!(
            titles,
            [
                "single, seed 3: pretrain on a",
                "single, seed 3: probe on a",
                "single, seed 3: pretrain on b",
                "single, seed 3: probe on b",
                "pooled, seed 3: pretrain on a+b",
                "pooled, seed 3: probe on a",
                "pooled, seed 3: probe on b",
            ]
        );
        let folders: std::collections::BTreeSet<_> = jobs.iter().map(|job| &job.folder).collect();
        assert_eq!(folders.len(), jobs.len());
        let text: Vec<_> = jobs[4]
            .arguments
            .iter()
            .map(|a| a.to_string_lossy())
            .collect();
        assert!(
            text.join(" ")
                .contains("--data /f/a.safetensors --split s --data /f/b.safetensors --split t")
        );
        assert!(text.join(" ").contains("--epochs 7"));
    }

    #[test]
    fn a_set_like_another_takes_that_ones_encoders() {
        let mut plan = plan();
        plan.sets[1].like = Some("a".to_owned());
        plan.encoders.truncate(1);
        let jobs = jobs(&plan, places(Path::new("/f")));
        let titles: Vec<String> = jobs.iter().map(Job::title).collect();
        assert_eq!(
            titles,
            [
                "single, seed 3: pretrain on a",
                "single, seed 3: probe on a",
                "single, seed 3: probe on b",
            ]
        );
    }

    #[test]
    fn a_second_stage_starts_from_the_first_ones_encoder_once_an_amount_and_draw() {
        let mut plan = plan();
        plan.sets.truncate(1);
        plan.encoders.truncate(1);
        plan.encoders.push(EncoderPlan {
            name: "second".to_owned(),
            from: Some("single".to_owned()),
            labelled: vec![Amount("5%".to_owned()), Amount("2".to_owned())],
            draws: 2,
            set: toml::from_str("method.draw = 1\nschedule.shape = { kind = \"cosine\" }").unwrap(),
            unset: vec!["a.b".to_owned()],
            networks: vec!["teacher".to_owned()],
            ..plan.encoders[0].clone()
        });
        plan.protocols.push(crate::compare::plan::ProtocolPlan {
            name: "own".to_owned(),
            kind: ProtocolKind::Classifier,
            column: Some("labels".to_owned()),
            ..plan.protocols[0].clone()
        });
        let jobs = jobs(&plan, places(Path::new("/f")));
        let titles: Vec<String> = jobs.iter().map(Job::title).collect();
        assert_eq!(
            titles[..4],
            [
                "single, seed 3: pretrain on a",
                "single, seed 3: probe on a",
                "second, seed 3, 5 %, draw 0: pretrain on a",
                "second, seed 3, 5 %, draw 0: labels on a",
            ]
        );
        assert_eq!(titles.len(), 2 + 2 * 2 * 2);
        let text: Vec<_> = jobs[4]
            .arguments
            .iter()
            .map(|a| a.to_string_lossy())
            .collect();
        let text = text.join(" ");
        for expect in [
            "--encoder /f/single/a/seed-3/pretrain/encoder.safetensors",
            "--labelled 5% --draw 1",
            "--set method.draw=1",
            "--set schedule.shape={ kind = \"cosine\" }",
            "--unset a.b",
            "--out /f/second/a/seed-3/labels-5percent-1/pretrain",
        ] {
            assert!(text.contains(expect), "{expect}: {text}");
        }
        assert!(
            jobs[4]
                .inputs
                .contains(&"/f/single/a/seed-3/pretrain/encoder.safetensors".into())
        );
        let text: Vec<_> = jobs[5]
            .arguments
            .iter()
            .map(|a| a.to_string_lossy())
            .collect();
        let expect = "eval classifier --classifier /f/second/a/seed-3/labels-5percent-1/pretrain/encoder-teacher.safetensors";
        assert!(text.join(" ").starts_with(expect), "{text:?}");
        let folders: std::collections::BTreeSet<_> = jobs.iter().map(|job| &job.folder).collect();
        assert_eq!(folders.len(), jobs.len());
    }

    #[test]
    fn protocols_judge_the_first_network_and_fusion_all_of_them() {
        let mut plan = plan();
        plan.encoders.truncate(1);
        plan.sets.truncate(1);
        plan.encoders[0].networks = vec!["joint".to_owned(), "bone".to_owned()];
        plan.protocols.push(crate::compare::plan::ProtocolPlan {
            name: "fused".to_owned(),
            kind: ProtocolKind::Fuse,
            ..plan.protocols[0].clone()
        });
        let files = |job: &Job| -> Vec<String> {
            let names = job.inputs.iter().filter_map(|input| input.file_name());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        };
        let all = jobs(&plan, places(Path::new("/f")));
        assert_eq!(
            files(&all[1]),
            ["encoder-joint.safetensors", "a.safetensors"]
        );
        assert_eq!(
            files(&all[2]),
            [
                "encoder-joint.safetensors",
                "encoder-bone.safetensors",
                "a.safetensors"
            ]
        );
        plan.encoders[0].networks.clear();
        assert_eq!(jobs(&plan, places(Path::new("/f"))).len(), 2);
    }

    #[test]
    fn a_job_is_done_for_the_same_command_and_files_only() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.safetensors", "b.safetensors", "x.toml"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let job = jobs(&plan(), places(folder.path())).remove(0);
        let digests = &mut Digests::default();
        let first = job.identity(digests).unwrap();
        assert_eq!(job.identity(digests).unwrap(), first);
        assert_eq!(job.done(&first), None);
        std::fs::create_dir_all(&job.folder).unwrap();
        job.finish(&first).unwrap();
        assert_eq!(job.done(&first), Some(true));
        std::fs::write(folder.path().join("x.toml"), "other").unwrap();
        assert_eq!(job.done(&job.identity(digests).unwrap()), Some(false));
        let gone = Job {
            inputs: vec![folder.path().join("gone")],
            ..job
        };
        assert!(
            gone.identity(digests)
                .unwrap_err()
                .to_string()
                .contains("gone")
        );
    }
}
