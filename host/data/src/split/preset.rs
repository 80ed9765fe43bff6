//! The splits of the public sets, by name.
//!
//! # Source
//! NTU: the rules and counts of Shahroudy et al. 2016 and Liu et al. 2019, after removal of the recordings with missing
//! skeletons. X-Set trains on the even setups. NW-UCLA: Wang et al. 2014, and CTR-GCN's lists for all three cameras.
//! UTD-MHAD: Chen et al. 2015. SBU: the five folds of Yun et al. 2012; a subject is a pair, 102 for s01s02.

use super::{Selection, Split, SplitError};

struct Preset {
    name: &'static str,
    train: &'static str,
    test: &'static str,
    counts: Option<(usize, usize)>,
}

/// Training persons of NTU RGB+D 60; 120 adds more.
const NTU60_PERSONS: &str = "1,2,4,5,8,9,13-19,25,27,28,31,34,35,38";
const NTU120_PERSONS: &str = "1,2,4,5,8,9,13-19,25,27,28,31,34,35,38,45-47,49,50,52-59,70,74,78,80-86,89,91-95,97,98,100,103";

const PRESETS: &[Preset] = &[
    Preset {
        name: "ntu60-xview",
        train: "setups=1-17;cameras=2,3",
        test: "setups=1-17;cameras=1",
        counts: Some((37_646, 18_932)),
    },
    Preset {
        name: "ntu120-xset",
        train: "setups=2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32",
        test: "setups=1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31",
        counts: Some((54_468, 59_477)),
    },
    Preset {
        name: "nw-ucla",
        train: "cameras=1,2",
        test: "cameras=3",
        counts: Some((1_020, 464)),
    },
    Preset {
        name: "nw-ucla-view1",
        train: "cameras=1",
        test: "cameras=2",
        counts: None,
    },
    // The view-2 files of person 1's donning and doffing consist of frames of the view-1 files, some under the other class.
    Preset {
        name: "nw-ucla-view1-clean",
        train: "cameras=1",
        test: "cameras=2;not-sources=a08_s01_e00_v02,a08_s01_e01_v02,a08_s01_e02_v02,a08_s01_e03_v02,a08_s01_e04_v02,\
               a09_s01_e00_v02,a09_s01_e01_v02,a09_s01_e02_v02,a09_s01_e03_v02,a09_s01_e04_v02",
        counts: None,
    },
    Preset {
        name: "nw-ucla-within-view1",
        train: "cameras=1;subjects=1-7",
        test: "cameras=1;subjects=8-10",
        counts: None,
    },
    Preset {
        name: "nw-ucla-new-person",
        train: "cameras=1;subjects=1-7",
        test: "cameras=2;subjects=8-10",
        counts: None,
    },
    Preset {
        name: "utd-mhad",
        train: "subjects=1,3,5,7",
        test: "subjects=2,4,6,8",
        counts: Some((431, 430)),
    },
    Preset {
        name: "kinder-gator",
        train: "subjects=577,604,734,876,888",
        test: "subjects=565,921,934,970,976",
        counts: Some((290, 289)),
    },
    Preset {
        name: "parts",
        train: "setups=1",
        test: "setups=2",
        counts: None,
    },
];

/// Pairs of SBU's folds.
const SBU_FOLDS: [&str; 5] = [
    "102,304,502,604",
    "203,207,305,503",
    "103,107,701,703",
    "201,206,302,306",
    "402,403,406,602,603",
];

/// The names of all presets.
pub fn preset_names() -> Vec<String> {
    let fixed = ["ntu60-xsub", "ntu120-xsub"]
        .into_iter()
        .chain(PRESETS.iter().map(|preset| preset.name));
    fixed
        .map(str::to_owned)
        .chain((1..=SBU_FOLDS.len()).map(|fold| format!("sbu-fold{fold}")))
        .collect()
}

/// A split by name.
///
/// # Errors
/// When no preset has this name; the message lists them.
pub fn preset(name: &str) -> Result<Split, SplitError> {
    if let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) {
        return build(name, preset.train, preset.test, preset.counts);
    }
    if let Some(fold) = (1..=SBU_FOLDS.len()).find(|fold| name == format!("sbu-fold{fold}")) {
        let pairs = SBU_FOLDS[fold - 1];
        return build(
            name,
            &format!("not-subjects={pairs}"),
            &format!("subjects={pairs}"),
            None,
        );
    }
    match name {
        "ntu60-xsub" => build(
            name,
            &format!("setups=1-17;subjects={NTU60_PERSONS}"),
            &format!("setups=1-17;not-subjects={NTU60_PERSONS}"),
            Some((40_091, 16_487)),
        ),
        "ntu120-xsub" => build(
            name,
            &format!("subjects={NTU120_PERSONS}"),
            &format!("not-subjects={NTU120_PERSONS}"),
            Some((63_026, 50_919)),
        ),
        _ => Err(SplitError::UnknownPreset {
            name: name.to_owned(),
            known: preset_names().join(", "),
        }),
    }
}

fn build(
    name: &str,
    train: &str,
    test: &str,
    counts: Option<(usize, usize)>,
) -> Result<Split, SplitError> {
    Ok(Split {
        name: name.to_owned(),
        train: train.parse()?,
        test: test.parse()?,
        counts,
    })
}

/// PKU-MMD's split file: line 2 lists the training videos, line 4 the validation videos, separated by commas.
///
/// Videos on neither list are on neither side (the common script puts them into the test side).
///
/// # Errors
/// When a line is missing or empty, or a video is on both.
pub fn pku_mmd(text: &str) -> Result<Split, SplitError> {
    let list = |line: usize, missing| -> Result<Vec<String>, SplitError> {
        let line = text.lines().nth(line - 1).unwrap_or_default();
        let names = line
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty());
        let names: Vec<String> = names.collect();
        if names.is_empty() {
            Err(SplitError::List(missing))
        } else {
            Ok(names)
        }
    };
    let train = list(
        2,
        "line 2 should list the training videos, separated by commas",
    )?;
    let test = list(
        4,
        "line 4 should list the validation videos, separated by commas",
    )?;
    if train.iter().any(|name| test.contains(name)) {
        return Err(SplitError::List("a video is on both line 2 and line 4"));
    }
    Ok(Split {
        name: "pku-mmd".to_owned(),
        train: Selection::all().from_sources(train),
        test: Selection::all().from_sources(test),
        counts: None,
    })
}
