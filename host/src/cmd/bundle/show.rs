//! What a verified bundle contains and needs, as text.

use std::fmt::Write as _;
use tendon_bundle::{VerifiedBundle, hex};

/// One line a fact.
pub(super) fn text(bundle: &VerifiedBundle) -> String {
    let manifest = bundle.manifest();
    let streams: Vec<&str> = manifest
        .streams
        .iter()
        .map(|stream| stream.name())
        .collect();
    let classes: Vec<&str> = manifest
        .classes
        .iter()
        .map(|class| class.as_str())
        .collect();
    let normalize = &manifest.normalize;
    let facts = [
        ("bundle", hex::encode(&bundle.id())),
        ("model version", manifest.model_version.to_string()),
        ("made", format!("{} s since 1970", manifest.created_s)),
        (
            "engine, preprocessing",
            format!(
                "{}, {}",
                manifest.engine_version, manifest.preprocessing_version
            ),
        ),
        (
            "input",
            format!(
                "{}, {}, {} frames, {} bodies, {:?} mode",
                manifest.topology.name(),
                streams.join(" + "),
                normalize.frames,
                normalize.bodies,
                normalize.mode
            ),
        ),
        (
            "classes",
            format!("{}: {}", classes.len(), classes.join(", ")),
        ),
        ("temperature", format!("{:.3}", manifest.temperature)),
        ("threshold", format!("{:.2}", manifest.threshold(0))),
        ("source features", bundle.source_labels().len().to_string()),
        ("licence of the data", manifest.licence.to_string()),
        ("provenance", manifest.provenance.to_string()),
    ];
    let mut text = String::new();
    for (name, value) in facts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:24}{value}");
    }
    for tensor in &manifest.tensors {
        let shape: Vec<String> = tensor.shape.iter().map(u32::to_string).collect();
        let shape = format!("{} [{}]", tensor.element.name(), shape.join(", "));
        let _ = writeln!(
            text,
            "{:24}{shape}, {} bytes",
            tensor.name,
            tensor.byte_len().unwrap_or(0)
        );
    }
    text
}
