//! What verification promises: each bad bundle has its own error, and no bytes make it panic.
#![allow(clippy::unwrap_used, reason = "tests")]

// A thousand damaged and forged files.
mod hostile;

use proptest::prelude::*;
use std::sync::LazyLock;
use tendon_bundle::testing::{Shape, random_bundle, random_contents, secret_key};
use tendon_bundle::{
    Bundle, Floor, MAX_BUNDLE_BYTES, TrustedKeys, VerifiedBundle, VerifyError, hex, names,
};
use tendon_shared::topology::TopologyId;

/// Model version 5, signed by key 1.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| random_bundle(&secret_key(1), 5, 1));

fn verify(bytes: &[u8], floor: Floor) -> Result<VerifiedBundle, VerifyError> {
    Bundle::verify(
        bytes.to_vec(),
        &TrustedKeys::new([secret_key(1).public(), secret_key(2).public()]),
        floor,
    )
}

fn changed(change: impl FnOnce(&mut Vec<u8>)) -> VerifyError {
    let mut bytes = GOOD.clone();
    change(&mut bytes);
    verify(&bytes, Floor::default()).unwrap_err()
}

/// Where the data of the tensors starts.
fn data_at() -> usize {
    8 + u64::from_le_bytes(*GOOD.first_chunk().unwrap()) as usize
}

#[test]
fn a_good_bundle_is_accepted_and_computes_its_golden_results() {
    let floor = Floor {
        version: 5,
        topology: Some(TopologyId::Kinect20),
    };
    let bundle = verify(&GOOD, floor).unwrap();
    assert_eq!(bundle.manifest().model_version, 5);
    assert_eq!(bundle.source_labels(), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    let spec = *bundle.encoder().unwrap().spec();
    assert_eq!(bundle.source_features().len(), 10 * spec.trunk_len());
    let golden = bundle.golden();
    assert_eq!(golden.len(), 2);
    assert!(
        golden
            .iter()
            .all(|golden| golden.logits.iter().any(|logit| *logit != golden.logits[0]))
    );
    bundle.check_golden().unwrap();
    assert_eq!(bundle.bytes(), &GOOD[..]);
}

#[test]
fn a_bundle_may_say_how_people_stood_before_their_cameras() {
    assert!(
        verify(&GOOD, Floor::default())
            .unwrap()
            .source_reference()
            .is_empty()
    );
    let with = |values: Vec<f32>| {
        let mut contents = random_contents(TopologyId::Kinect20, &Shape::small(20, 16, 5), 5, 1);
        contents.source_reference = values;
        contents.pack(&secret_key(1))
    };
    let values: Vec<f32> = (0..24).map(|value| value as f32).collect();
    let bundle = verify(&with(values.clone()).unwrap(), Floor::default()).unwrap();
    assert_eq!(bundle.source_reference(), values);
    bundle.check_golden().unwrap();
    assert!(with(vec![0.0; 23]).is_err(), "a limb too few");
}

#[test]
fn equal_contents_give_equal_bytes() {
    assert_eq!(random_bundle(&secret_key(1), 5, 1), *GOOD);
}

#[test]
fn python_reads_the_file_as_safetensors() {
    let file = safetensors::SafeTensors::deserialize(&GOOD).unwrap();
    assert_eq!(file.len(), 6);
    let windows = file.tensor(names::GOLDEN_WINDOWS).unwrap();
    assert_eq!(windows.shape(), [2, 1, 3, 16, 20]);
    assert_eq!(windows.dtype(), safetensors::Dtype::F32);
}

#[test]
fn refuses_a_truncated_bundle_wherever_it_ends() {
    for len in [0, 7, 8, 100, data_at(), GOOD.len() / 2, GOOD.len() - 1] {
        let error = changed(|bytes| bytes.truncate(len));
        assert!(
            matches!(error, VerifyError::Truncated { .. }),
            "{len}: {error}"
        );
    }
}

#[test]
fn refuses_every_tensor_with_a_flipped_bit() {
    let file = safetensors::SafeTensors::deserialize(&GOOD).unwrap();
    for (name, tensor) in file.tensors() {
        let at = tensor.data().as_ptr() as usize - GOOD.as_ptr() as usize;
        let error = changed(|bytes| bytes[at] ^= 1);
        let VerifyError::Tampered { what } = error else {
            panic!("{name}: {error}")
        };
        assert!(what.contains(&name), "{what}");
    }
}

/// Replaces text of the header by text of the same length.
fn replaced(from: &str, to: &str) -> VerifyError {
    assert_eq!(from.len(), to.len());
    let at = GOOD
        .windows(from.len())
        .position(|bytes| bytes == from.as_bytes())
        .unwrap();
    changed(|bytes| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()))
}

#[test]
fn refuses_changes_of_the_signed_manifest_and_of_the_signature() {
    let header = String::from_utf8_lossy(&GOOD[8..data_at()]).into_owned();
    let manifest = header.split("\"manifest\":\"").nth(1).unwrap();
    for name in ["\"manifest\":\"", "\"signature\":\""] {
        let at = GOOD
            .windows(name.len())
            .position(|bytes| bytes == name.as_bytes())
            .unwrap()
            + name.len()
            + 3;
        let error = changed(|bytes| bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' });
        assert!(
            matches!(error, VerifyError::Tampered { .. }),
            "{name}: {error}"
        );
    }
    assert!(manifest.starts_with("0105"), "format 1, model version 5");
    let newer = replaced("\"manifest\":\"0105", "\"manifest\":\"0106");
    assert!(matches!(newer, VerifyError::Tampered { .. }), "{newer}");
}

#[test]
fn refuses_another_shape_type_or_name_of_a_tensor() {
    for (from, to) in [
        ("\"shape\":[2,1,3,16,20]", "\"shape\":[1,2,3,16,20]"),
        ("\"dtype\":\"I32\"", "\"dtype\":\"U32\""),
        ("\"golden.logits\"", "\"golden.l0gits\""),
    ] {
        let error = replaced(from, to);
        assert!(
            matches!(error, VerifyError::Tampered { .. }),
            "{to}: {error}"
        );
    }
}

#[test]
fn refuses_bytes_after_the_end() {
    assert!(matches!(
        changed(|bytes| bytes.push(0)),
        VerifyError::Tampered { .. }
    ));
}

#[test]
fn refuses_a_foreign_key_even_if_it_names_a_trusted_one() {
    let foreign = random_bundle(&secret_key(3), 5, 1);
    let error = verify(&foreign, Floor::default()).unwrap_err();
    let VerifyError::ForeignKey { signer } = error else {
        panic!("{error}")
    };
    assert_eq!(signer, secret_key(3).public().to_string());
    let pretended = replaced(
        &hex::encode(&secret_key(1).public().to_bytes()),
        &hex::encode(&secret_key(2).public().to_bytes()),
    );
    assert!(
        matches!(pretended, VerifyError::Tampered { .. }),
        "{pretended}"
    );
}

#[test]
fn refuses_an_older_model_but_not_the_same_again() {
    let floor = |version| Floor {
        version,
        topology: None,
    };
    assert!(verify(&GOOD, floor(5)).is_ok());
    let error = verify(&GOOD, floor(6)).unwrap_err();
    assert!(
        matches!(error, VerifyError::Older { found: 5, floor: 6 }),
        "{error}"
    );
}

#[test]
fn refuses_another_topology() {
    let error = verify(
        &GOOD,
        Floor {
            version: 0,
            topology: Some(TopologyId::Ntu25),
        },
    )
    .unwrap_err();
    assert!(error.to_string().contains("ntu25"), "{error}");
    assert!(matches!(
        error,
        VerifyError::WrongTopology {
            found: TopologyId::Kinect20,
            expected: TopologyId::Ntu25
        }
    ));
}

#[test]
fn refuses_a_bundle_that_is_too_large() {
    let error = changed(|bytes| bytes.resize(MAX_BUNDLE_BYTES as usize + 1, 0));
    assert!(matches!(error, VerifyError::TooLarge { .. }), "{error}");
}

#[test]
fn refuses_other_files() {
    for bytes in [
        &b"hello, this is no bundle at all"[..],
        &[0; 64],
        &[0xff; 64],
    ] {
        let error = verify(bytes, Floor::default()).unwrap_err();
        assert!(matches!(error, VerifyError::Malformed(_)), "{error}");
    }
    let error = replaced("\"manifest\":", "\"nanifest\":");
    assert!(error.to_string().contains("no manifest"), "{error}");
}

#[test]
fn packing_refuses_what_a_device_would_refuse() {
    let contents = || random_contents(TopologyId::Kinect20, &Shape::small(20, 16, 5), 5, 1);
    let refused = |change: &dyn Fn(&mut tendon_bundle::Contents)| {
        let mut contents = contents();
        change(&mut contents);
        contents.pack(&secret_key(1)).unwrap_err()
    };
    refused(&|contents| contents.manifest.topology = TopologyId::Ntu25);
    refused(&|contents| contents.manifest.temperature = f32::INFINITY);
    refused(&|contents| contents.manifest.engine_version += 1);
    refused(&|contents| contents.manifest.normalize.frames += 1);
    refused(&|contents| contents.source_labels[0] = 5);
    refused(&|contents| contents.source_labels.push(0));
    refused(&|contents| contents.encoder[0] = 0);
    refused(&|contents| {
        (
            contents.golden_windows.clear(),
            contents.golden_presence.clear(),
        )
            .0
    });
}

#[test]
fn a_device_that_computes_other_numbers_fails_the_golden_check() {
    let bundle = verify(&GOOD, Floor::default()).unwrap();
    let golden = bundle.golden();
    let encoder = bundle.encoder().unwrap();
    let mut logits = vec![0; 5];
    let window: Vec<f32> = golden[0].window.iter().map(|value| value + 0.2).collect();
    encoder
        .run(
            &window,
            golden[0].presence,
            &mut vec![0; encoder.arena_len()],
            &mut logits,
        )
        .unwrap();
    assert_ne!(
        logits, golden[0].logits,
        "golden logits depend on the window"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), length in 0_u64..400) {
        let _ = verify(&bytes, Floor::default());
        let framed = [&length.to_le_bytes()[..], &bytes].concat();
        let _ = verify(&framed, Floor::default());
    }

    #[test]
    fn any_change_is_refused(at in any::<prop::sample::Index>(), header: bool, value in 1_u8..) {
        let at = if header { at.index(data_at()) } else { at.index(GOOD.len()) };
        let mut bytes = GOOD.clone();
        bytes[at] ^= value;
        let error = verify(&bytes, Floor::default());
        // Trailing spaces of the header may become other white space: the only bytes that carry no meaning.
        let blank = at < data_at() && at >= data_at() - 8 && bytes[at].is_ascii_whitespace();
        prop_assert!(error.is_err() || blank, "byte {}", at);
    }
}
