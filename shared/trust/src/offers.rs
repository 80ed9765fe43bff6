//! Bundles among the targets: what the signers of the list say about each, and which one a device wants.

use crate::json::Json;
use crate::metadata::{Target, Targets};
use tendon_shared::manifest::Manifest;
use tendon_shared::topology::TopologyId;

/// The member of `custom` that describes a bundle.
const MEMBER: &str = "tendon";

/// A bundle that a repository offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Name of the target.
    pub name: String,
    /// Size and digests.
    pub target: Target,
    /// Model version.
    pub model: u64,
    /// The skeletons it reads.
    pub topology: TopologyId,
    /// The engine it needs.
    pub engine: u64,
    /// The preprocessing it needs.
    pub preprocessing: u64,
}

/// What a device can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The skeleton standard of its pose source; any, when none.
    pub topology: Option<TopologyId>,
    /// Version of its engine.
    pub engine: u64,
    /// Version of its preprocessing.
    pub preprocessing: u64,
}

/// What the list of targets says of a bundle.
#[must_use]
pub fn custom(manifest: &Manifest) -> Json {
    let about = Json::object([
        ("model", manifest.model_version.into()),
        ("topology", manifest.topology.name().into()),
        ("engine", u64::from(manifest.engine_version).into()),
        (
            "preprocessing",
            u64::from(manifest.preprocessing_version).into(),
        ),
    ]);
    Json::object([(MEMBER, about)])
}

/// The bundles on a list. Targets that are none are left out.
#[must_use]
pub fn list(targets: &Targets) -> Vec<Offered> {
    let offered = targets.targets.iter();
    offered
        .filter_map(|(name, target)| {
            let about = target.custom.get(MEMBER)?;
            Some(Offered {
                name: name.clone(),
                target: target.clone(),
                model: about.get("model")?.as_count()?,
                topology: TopologyId::from_name(about.get("topology")?.as_text()?)?,
                engine: about.get("engine")?.as_count()?,
                preprocessing: about.get("preprocessing")?.as_count()?,
            })
        })
        .collect()
}

/// The newest bundle that a device can run.
#[must_use]
pub fn newest(targets: &Targets, needs: Needs) -> Option<Offered> {
    let usable = |offered: &Offered| {
        offered.engine == needs.engine
            && offered.preprocessing == needs.preprocessing
            && needs
                .topology
                .is_none_or(|topology| topology == offered.topology)
    };
    list(targets)
        .into_iter()
        .filter(usable)
        .max_by_key(|offered| offered.model)
}
