//! `tendon bundle`: makes, verifies and shows signed int8 bundles.
#![allow(clippy::print_stdout, reason = "commands print")]

mod make;
mod show;

use anyhow::{Context as _, bail};
use std::path::PathBuf;
use tendon_bundle::{Bundle, Floor, TrustedKeys, VerifiedBundle};
use tendon_host::bundle::sign::public_path;
use tendon_shared::topology::TopologyId;

/// Quantize a classifier to int8 and sign it as a bundle; or verify a bundle.
///
/// Exit code 1 and one line that says why when a bundle is refused.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Verify this bundle as a device would, and run its golden windows, instead of making one.
    #[arg(long, value_name = "BUNDLE", conflicts_with_all = ["classifier", "data", "split", "key", "model_version", "out"])]
    verify: Option<PathBuf>,
    /// Show what the verified bundle contains and needs.
    #[arg(long, requires = "verify")]
    show: bool,
    /// File with the public keys whose bundles are accepted.
    #[arg(long, requires = "verify")]
    trust: Option<PathBuf>,
    /// Refuse a model version below this one.
    #[arg(long, requires = "verify", default_value_t = 0)]
    floor: u64,
    /// Refuse a bundle that reads other skeletons than these, such as kinect20.
    #[arg(long, requires = "verify", value_parser = topology)]
    topology: Option<TopologyId>,
    #[command(flatten)]
    make: make::Args,
}

fn topology(name: &str) -> Result<TopologyId, String> {
    let known = || TopologyId::ALL.map(TopologyId::name).join(", ");
    TopologyId::from_name(name).ok_or_else(|| format!("there are {}", known()))
}

/// Makes or verifies a bundle.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let Some(path) = args.verify else {
        let made = make::run(&args.make)?;
        let trusted = TrustedKeys::read(public_path(&made.key)).context(
            "the bundle is written, but the public key beside the secret one cannot be read",
        )?;
        let bundle = Bundle::open(&made.out, &trusted, Floor::default())?;
        println!(
            "wrote {} ({} bytes), model version {}",
            made.out.display(),
            bundle.bytes().len(),
            bundle.manifest().model_version
        );
        return Ok(());
    };
    let Some(trust) = args.trust else {
        bail!("name the trusted keys with --trust")
    };
    let trusted = TrustedKeys::read(&trust)
        .with_context(|| format!("cannot use the keys in {}", trust.display()))?;
    let floor = Floor {
        version: args.floor,
        topology: args.topology,
    };
    let bundle = Bundle::open(&path, &trusted, floor)
        .with_context(|| format!("{} is refused", path.display()))?;
    golden(&bundle).with_context(|| format!("{} is refused", path.display()))?;
    if args.show {
        println!("{}", show::text(&bundle));
    }
    println!(
        "{}: model version {} for {}, signed by {}, {} golden windows computed bit for bit",
        path.display(),
        bundle.manifest().model_version,
        bundle.manifest().topology.name(),
        bundle.signer(),
        bundle.golden().len(),
    );
    Ok(())
}

fn golden(bundle: &VerifiedBundle) -> anyhow::Result<()> {
    bundle
        .check_golden()
        .context("this machine does not compute what the maker of the bundle computed")
}
