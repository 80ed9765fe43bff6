//! What ONNX Runtime computes with an exported network is what ours computes.
//!
//! Needs a Python with `onnxruntime` and `numpy`, named by `TENDON_PEERS`; skipped with a visible word without one.

use std::io::Write as _;
use std::process::Command;
use tendon_host::bundle::fold::fold;
use tendon_host::interchange::export::to_onnx;
use tendon_model::classifier::Classifier;
use tendon_model::encoder::EncoderConfig;
use tendon_model::parameters::collect;
use tendon_model::weights::{Description, Provenance};
use tendon_shared::normalize::{Mode, NormalizeSpec};
use tendon_shared::topology::TopologyId;

const CLASSES: usize = 4;
const WINDOWS: usize = 3;
const SCRIPT: &str = r#"
import json, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
body = numpy.fromfile(sys.argv[2], "<f4").reshape(json.loads(sys.argv[3]))
names = [output.name for output in session.get_outputs()]
print(json.dumps({name: value.reshape(-1).tolist() for name, value in zip(names, session.run(names, {"body": body}))}))
"#;

#[test]
fn onnx_runtime_computes_what_the_encoder_computes() {
    let Some(python) = std::env::var_os("TENDON_PEERS") else {
        let word = "SKIPPED onnx_runtime_computes_what_the_encoder_computes: TENDON_PEERS names no Python with onnxruntime\n";
        std::io::stderr().write_all(word.as_bytes()).unwrap();
        return;
    };
    let config = EncoderConfig {
        width: 8,
        dim: 24,
        ..EncoderConfig::small(TopologyId::Kinect20, 18, 1)
    };
    let device = burn::tensor::Device::flex();
    let encoder = config.init(3, &device).unwrap();
    let model = Classifier::new(encoder, config.dim, CLASSES, 5);
    let mut weights = collect(&model.encoder);
    for (name, values) in collect(&model.classifier) {
        weights.insert(format!("classifier.{name}"), values);
    }
    // Weights of any spread, so that no term is too small to be seen.
    for (number, values) in weights.values_mut().enumerate() {
        for (index, value) in values.data.iter_mut().enumerate() {
            *value += 0.2 * ((number * 31 + index) as f32 * 0.7).sin().abs();
        }
    }
    let network = fold(&config, CLASSES, &weights).unwrap();
    let description = Description {
        normalize: NormalizeSpec {
            mode: Mode::Product,
            frames: 18,
            bodies: 1,
        },
        classes: (0..CLASSES).map(|class| format!("class {class}")).collect(),
        temperature: None,
        provenance: Provenance::default(),
        seen: Vec::new(),
        config,
    };
    let body: Vec<f32> = (0..WINDOWS * network.input_len())
        .map(|index| (index as f32 * 0.37).sin())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let (file, input) = (folder.path().join("x.onnx"), folder.path().join("x.f32"));
    std::fs::write(&file, to_onnx(&network, &description)).unwrap();
    let bytes: Vec<u8> = body.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(&input, bytes).unwrap();
    let shape = serde_json::json!([WINDOWS, network.channels, network.frames, network.joints]);
    let said = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(&file)
        .arg(&input)
        .arg(shape.to_string())
        .output()
        .unwrap();
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    let said: std::collections::BTreeMap<String, Vec<f32>> =
        serde_json::from_slice(&said.stdout).unwrap();
    let mut embeddings = Vec::new();
    let mut logits = Vec::new();
    for window in body.chunks_exact(network.input_len()) {
        let embedding = network.embed(window, &mut |_, _, _| {});
        logits.extend(network.classify(&embedding));
        embeddings.extend(embedding);
    }
    for (name, expect) in [("embedding", embeddings), ("logits", logits)] {
        let found = &said[name];
        let largest = expect
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        assert_eq!(found.len(), expect.len(), "{name}");
        for (found, expect) in found.iter().zip(&expect) {
            assert!(
                (found - expect).abs() <= 1e-4 * largest,
                "{name}: {found} for {expect}"
            );
        }
    }
}
