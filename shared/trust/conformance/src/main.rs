//! The client of `tendon-trust` as the tuf-conformance suite runs it:
//!
//! ```text
//! tendon-tuf-client --metadata-dir D init ROOT
//! tendon-tuf-client --metadata-dir D --metadata-url U refresh
//! tendon-tuf-client --metadata-dir D --metadata-url U --target-name N --target-base-url U --target-dir D download
//! ```
//!
//! The same client, floors and limits as on a device; only the kinds of keys differ ([`algorithms`]).

mod algorithms;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tendon_trust::client::{Client, Clock, Limits, encode};
use tendon_trust::floors::Keeper;
use tendon_trust::http::Http;
use tendon_trust::moment::Moment;
use tendon_trust::store::Shelf;

/// Longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of the largest target.
const MAX_TARGET: u64 = 1 << 20;

/// What was asked for.
#[derive(Default)]
struct Args {
    metadata_dir: PathBuf,
    metadata_url: String,
    target_names: Vec<String>,
    target_dir: PathBuf,
    target_base_url: String,
    command: Vec<String>,
}

impl Args {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut args = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--metadata-dir" => args.metadata_dir = value()?.into(),
                "--metadata-url" => args.metadata_url = value()?,
                "--target-name" => args.target_names.push(value()?),
                "--target-dir" => args.target_dir = value()?.into(),
                "--target-base-url" => args.target_base_url = value()?,
                option if option.starts_with("--") => {
                    return Err(format!("no option {option}").into());
                }
                _ => args.command.push(word),
            }
        }
        Ok(args)
    }
}

fn main() -> ExitCode {
    match Args::read(std::env::args().skip(1)).and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = args.command.iter().map(String::as_str).collect();
    match words[..] {
        ["init", root] => {
            let root = std::fs::read(root)?;
            Ok(tendon_files::write(
                &args.metadata_dir.join("root.json"),
                &root,
            )?)
        }
        ["refresh"] => update(args, &[]),
        ["download"] => update(args, &args.target_names),
        _ => Err("one of: init ROOT, refresh, download".into()),
    }
}

/// Refreshes, then fetches the targets that are not there yet.
fn update(args: &Args, names: &[String]) -> Result<(), Box<dyn Error>> {
    let root = std::fs::read(args.metadata_dir.join("root.json"))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let mut store = Shelf::new(&args.metadata_dir);
    let mut source = Http::with_folders(&args.metadata_url, &args.target_base_url, PATIENCE);
    let mut client = Client::new(
        Keeper::open(&mut store)?,
        &mut source,
        &algorithms::All,
        Limits::default(),
        Clock::Set(Moment::from_seconds(now.as_secs())),
    );
    let trusted = client.refresh(&root)?;
    for name in names {
        let target = client.find(&trusted, name)?;
        let path = args.target_dir.join(encode(name));
        let there = std::fs::read(&path).is_ok_and(|bytes| target.fits(name, &bytes).is_ok());
        if !there {
            let bytes = client.download(&trusted, name, &target, MAX_TARGET)?;
            tendon_files::write(&path, &bytes)?;
        }
    }
    Ok(())
}
