//! `tendon fleet`: who belongs to a fleet, and what its devices report.
#![allow(clippy::print_stdout, reason = "commands print")]

mod read;

use anyhow::{Context as _, bail};
use rand::TryRng as _;
use rand::rngs::SysRng;
use std::path::PathBuf;
use std::time::SystemTime;
use tendon_identity::authority::Authority;
use tendon_identity::token::Request;

/// Seconds of an hour.
const HOUR: u64 = 3600;

/// Say which devices and operators belong to a fleet, so that they talk mutual TLS (docs/trust.md).
///
/// The fleet's folder holds its authority's key: keep it on one machine, with a backup, readable by its owner only.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make the authority of a new fleet.
    Init {
        /// Folder of the fleet.
        fleet: PathBuf,
        /// Name of the fleet: small letters, digits, hyphens.
        #[arg(long, default_value = "fleet")]
        name: String,
    },
    /// Print a one-time token, with which a device may enter the fleet under a name.
    Token {
        /// Folder of the fleet.
        fleet: PathBuf,
        /// Name of the device: small letters, digits, hyphens. An earlier token for it counts no more.
        #[arg(long)]
        device: String,
        /// Hours that the token is good for.
        #[arg(long, default_value_t = 24)]
        hours: u32,
    },
    /// Answer the request that a device made with its token.
    Admit {
        /// Folder of the fleet.
        fleet: PathBuf,
        /// The request of `tendon-edge enroll`.
        request: PathBuf,
        /// Where the reply goes.
        #[arg(short, long)]
        out: PathBuf,
    },
    /// Make the identity of an operator, for --to tls:IDENTITY@host:port.
    Operator {
        /// Folder of the fleet.
        fleet: PathBuf,
        /// Name of the operator: small letters, digits, hyphens.
        #[arg(long)]
        name: String,
        /// Where the identity goes, readable by its owner only.
        #[arg(short, long)]
        out: PathBuf,
    },
    /// List the devices that were given tokens.
    Status {
        /// Folder of the fleet.
        fleet: PathBuf,
    },
    Read(read::Args),
}

/// Runs the subcommand that was asked for.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Read(args) => read::run(&args)?,
        Command::Init { fleet, name } => {
            Authority::init(&fleet, &name)?;
            println!(
                "{} holds the authority of {name}: keep it on this machine",
                fleet.display()
            );
        }
        Command::Token {
            fleet,
            device,
            hours,
        } => {
            let mut secret = [0; 16];
            SysRng
                .try_fill_bytes(&mut secret)
                .context("the system gives no random numbers")?;
            let expires = now()?.saturating_add(u64::from(hours) * HOUR);
            let token = Authority::open(&fleet)?.token(&device, secret, expires)?;
            println!("{token}");
        }
        Command::Admit {
            fleet,
            request,
            out,
        } => {
            let text = std::fs::read_to_string(&request)
                .with_context(|| format!("cannot read {}", request.display()))?;
            let request = Request::parse(&text)?;
            let reply = Authority::open(&fleet)?.admit(&request, now()?)?;
            tendon_files::write(&out, reply.text().as_bytes())
                .with_context(|| format!("cannot write {}", out.display()))?;
            println!(
                "{} is admitted: tendon-edge enroll --data-dir DATA --accept {}",
                request.device,
                out.display()
            );
        }
        Command::Operator { fleet, name, out } => {
            if out.exists() {
                bail!("{} exists; identities are never overwritten", out.display());
            }
            Authority::open(&fleet)?.operator(&name)?.write(&out)?;
            println!(
                "{name}: tendon deploy --to tls:{}@HOST:PORT ...",
                out.display()
            );
        }
        Command::Status { fleet } => {
            for (device, admitted) in Authority::open(&fleet)?.devices()? {
                println!(
                    "{device:<32} {}",
                    if admitted { "admitted" } else { "has a token" }
                );
            }
        }
    }
    Ok(())
}

/// Seconds after 1970.
fn now() -> anyhow::Result<u64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Ok(now
        .context("the clock of this machine is before 1970; set it")?
        .as_secs())
}
