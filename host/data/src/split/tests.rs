use super::preset::pku_mmd;
use super::*;
use crate::recording::ntu_name::NtuName;
use std::path::Path;

fn check(text: &str, expect: &str) {
    match text.parse::<Selection>() {
        Ok(selection) => {
            assert_eq!(selection.to_string(), expect);
            assert_eq!(
                selection.to_string().parse::<Selection>().as_ref(),
                Ok(&selection)
            );
        }
        Err(SplitError::Syntax { text, .. }) => assert_eq!(text, expect),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn text_says_which_recordings_are_meant() {
    check("subjects=1-7,9;cameras=1", "subjects=1-7,9;cameras=1");
    check(" cameras = 2 , 1 ", "cameras=1,2");
    check("", "all");
    check("all", "all");
    check("not-setups=3;setups=1-4", "setups=1-4;not-setups=3");
    check("subjects=1-3;subjects=2-9", "subjects=2,3");
    check("subjects=65535", "subjects=65535");
    check("sources=0002-L,0001-M", "sources=0001-M,0002-L");
    check("not-sources=b;not-sources=a", "not-sources=a,b");
}

#[test]
fn broken_text_is_named() {
    for text in [
        "subjects",
        "persons=1",
        "subjects=7-1",
        "subjects=65536",
        "subjects=",
        "cameras=1,,2",
    ] {
        check(text, text);
    }
}

#[test]
fn a_recording_must_pass_every_rule() {
    let selection: Selection = "subjects=1-7;not-cameras=2".parse().unwrap();
    let tags = |subject, camera| Tags {
        subject,
        camera,
        ..Tags::default()
    };
    assert!(selection.matches("a", tags(7, 1)));
    assert!(!selection.matches("a", tags(8, 1)));
    assert!(!selection.matches("a", tags(1, 2)));
    let videos = Selection::all().from_sources(["0002-L".to_owned()]);
    assert!(videos.matches("0002-L#3", tags(0, 0)));
    assert!(!videos.matches("0002-M#3", tags(0, 0)));
    let others = Selection::all().without_sources(["0002-L".to_owned()]);
    assert!(!others.matches("0002-L#3", tags(0, 0)) && others.matches("0002-M#3", tags(0, 0)));
}

#[test]
fn configurations_hold_text_or_lists() {
    let table: Selection =
        serde_json::from_str(r#"{"subjects":[1,2,3],"not-cameras":[2]}"#).unwrap();
    let text: Selection = serde_json::from_str(r#""subjects=1-3;not-cameras=2""#).unwrap();
    assert_eq!(table, text);
    assert_eq!(
        serde_json::to_string(&text).unwrap(),
        r#""subjects=1-3;not-cameras=2""#
    );
    assert!(serde_json::from_str::<Selection>(r#"{"views":[1]}"#).is_err());
}

#[test]
fn every_preset_is_built_and_its_sides_are_apart() {
    let people = || {
        (1..=106)
            .chain([565, 577, 604, 734, 876, 888, 921, 934, 970, 976])
            .chain(102..=703)
    };
    for name in preset_names() {
        let split = preset(&name).unwrap();
        assert_eq!(split.name, name);
        let (mut train, mut test) = (0, 0);
        for (subject, camera, setup) in
            people().flat_map(|s| (1..=3).flat_map(move |c| (1..=32).map(move |e| (s, c, e))))
        {
            let tags = Tags {
                subject,
                camera,
                setup,
                ..Tags::default()
            };
            let sides = (
                split.train.matches("x", tags),
                split.test.matches("x", tags),
            );
            assert_ne!(sides, (true, true), "{name} {tags:?}");
            train += usize::from(sides.0);
            test += usize::from(sides.1);
        }
        assert!(train > 0 && test > 0, "{name}");
    }
}

// PSP Learning's script has it the other way round.
#[test]
fn cross_setup_trains_on_even_setups() {
    let split = preset("ntu120-xset").unwrap();
    for setup in 1..=32 {
        let tags = Tags {
            setup,
            ..Tags::default()
        };
        let sides = (
            split.train.matches("x", tags),
            split.test.matches("x", tags),
        );
        assert_eq!(sides, (setup % 2 == 0, setup % 2 == 1), "{setup}");
    }
}

#[test]
fn cross_subject_rules_name_the_published_persons() {
    // 20 of 40 persons in NTU 60, 53 of 106 in NTU 120.
    for (name, persons, expect) in [("ntu60-xsub", 40, 20), ("ntu120-xsub", 106, 53)] {
        let split = preset(name).unwrap();
        let person = |subject| Tags {
            subject,
            setup: 1,
            ..Tags::default()
        };
        assert_eq!(
            (1..=persons)
                .filter(|&p| split.train.matches("x", person(p)))
                .count(),
            expect,
            "{name}"
        );
        assert_eq!(
            (1..=persons)
                .filter(|&p| split.test.matches("x", person(p)))
                .count(),
            expect,
            "{name}"
        );
    }
}

#[test]
fn sbu_folds_hold_every_pair_once() {
    let folds: Vec<Split> = (1..=5)
        .map(|fold| preset(&format!("sbu-fold{fold}")).unwrap())
        .collect();
    let pairs = [
        102, 103, 107, 201, 203, 206, 207, 302, 304, 305, 306, 402, 403, 406, 502, 503, 602, 603,
        604, 701, 703,
    ];
    for subject in pairs {
        let tags = Tags {
            subject,
            ..Tags::default()
        };
        assert_eq!(
            folds
                .iter()
                .filter(|fold| fold.test.matches("x", tags))
                .count(),
            1,
            "{subject}"
        );
    }
}

#[test]
fn pku_lists_are_lines_two_and_four() {
    let split = pku_mmd("Training videos:\n0002-L, 0003-M,\nValidation videos:\n0009-R\n").unwrap();
    assert!(split.train.matches("0003-M#1", Tags::default()));
    assert!(split.test.matches("0009-R#1", Tags::default()));
    // A video on no list is on no side.
    assert!(
        !split.train.matches("0010-R#1", Tags::default())
            && !split.test.matches("0010-R#1", Tags::default())
    );
    for damaged in ["", "a\nb\nc\n", "x\na,b\nx\nb\n"] {
        assert!(
            matches!(pku_mmd(damaged), Err(SplitError::List(_))),
            "{damaged:?}"
        );
    }
}

#[test]
fn a_complete_set_must_give_the_published_counts() {
    let split = preset("utd-mhad").unwrap();
    assert_eq!(split.check_counts(431, 430), Ok(()));
    assert!(split.is_complete(431, 430));
    assert_eq!(split.check_counts(100, 100), Ok(()), "a part of the set");
    assert!(matches!(
        split.check_counts(430, 431),
        Err(SplitError::Counts { .. })
    ));
    assert!(matches!(
        split.check_counts(432, 430),
        Err(SplitError::Counts { .. })
    ));
}

/// The public lists of all NTU names, which stand beside the repository on some machines.
#[test]
fn ntu_lists_give_the_published_counts() {
    let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ntu-lists");
    for (list, presets) in [
        ("ntu60", ["ntu60-xsub", "ntu60-xview"]),
        ("ntu120", ["ntu120-xsub", "ntu120-xset"]),
    ] {
        let Ok(names) = std::fs::read_to_string(lists.join(list).join("skes_available_name.txt"))
        else {
            eprintln!("skipped: {} is not here", lists.display());
            return;
        };
        for name in presets {
            let split = preset(name).unwrap();
            let (mut train, mut test) = (0, 0);
            for line in names.lines() {
                let ntu = NtuName::parse(line).unwrap();
                let tags = Tags {
                    subject: ntu.performer,
                    camera: ntu.camera,
                    setup: ntu.setup,
                    repetition: ntu.replication,
                    label: ntu.action - 1,
                };
                train += usize::from(split.train.matches(line, tags));
                test += usize::from(split.test.matches(line, tags));
            }
            assert!(split.is_complete(train, test), "{name}: {train} / {test}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_never_panics(text in "[-a-z0-9=;, #\n]{0,60}") {
        let _ = text.parse::<Selection>();
        let _ = pku_mmd(&text);
        let _ = Split::parse(&text);
    }
}
