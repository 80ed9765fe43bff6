//! What a repository holds, until when, and what waits for whose signature.

use super::error::RepoError;
use super::folder::Repo;
use std::fmt::Write as _;
use tendon_trust::keys::Quorum;
use tendon_trust::metadata::{Body, Role, Root, Signed, Snapshot, Targets, Timestamp};
use tendon_trust::moment::Moment;

/// Days before the end at which a file is said to expire soon.
const SOON_DAYS: u32 = 14;

/// The text of `tendon repo status`.
///
/// # Errors
/// [`RepoError`].
pub fn status(repo: &Repo, now: Moment) -> Result<String, RepoError> {
    let mut text = String::new();
    if let Some(root) = repo.published::<Root>()? {
        text += "published\n";
        line(&mut text, &root, now);
        if let Some(list) = repo.published::<Targets>()? {
            line(&mut text, &list, now);
        }
        if let Some(snapshot) = repo.published::<Snapshot>()? {
            line(&mut text, &snapshot, now);
        }
        if repo.metadata(Role::Timestamp.file()).exists() {
            line(
                &mut text,
                &repo.read::<Timestamp>(Role::Timestamp.file())?,
                now,
            );
        }
    } else {
        text += "published  nothing yet\n";
    }
    let root = repo.root_in_force()?;
    text += "keys\n";
    for role in Role::ALL {
        let quorum = root.body.quorum(role);
        let _ = writeln!(
            text,
            "  {:<10} {} of {}: {}",
            role.name(),
            quorum.threshold,
            quorum.keys.len(),
            names(&quorum.keys)
        );
    }
    text += "offered\n";
    for (name, target) in repo
        .targets_in_force()?
        .iter()
        .flat_map(|list| &list.body.targets)
    {
        let _ = writeln!(text, "  {name}  {} bytes", target.length);
    }
    if let Some(root_draft) = repo.drafted::<Root>()? {
        staged(
            repo,
            &mut text,
            &root_draft,
            root.body.quorum(Role::Root),
            "",
        )?;
        if let Some(before) = repo.published::<Root>()? {
            let quorum = before.body.quorum(Role::Root);
            staged(repo, &mut text, &root_draft, quorum, " of the keys before")?;
        }
    }
    if let Some(list) = repo.drafted::<Targets>()? {
        staged(repo, &mut text, &list, root.body.quorum(Role::Targets), "")?;
    }
    Ok(text)
}

fn line<T: Body>(text: &mut String, file: &Signed<T>, now: Moment) {
    let state = if now >= file.expires {
        "EXPIRED"
    } else if now.plus_days(SOON_DAYS) >= file.expires {
        "expires soon"
    } else {
        "good"
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "  {:<10} version {:<5} until {}  {state}",
        T::ROLE.name(),
        file.version,
        file.expires
    );
}

fn staged<T: Body>(
    repo: &Repo,
    text: &mut String,
    file: &Signed<T>,
    quorum: &Quorum,
    whose: &str,
) -> Result<(), RepoError> {
    let draft = repo.draft(T::ROLE)?;
    let signers: Vec<_> = draft
        .iter()
        .flat_map(|draft| draft.signers())
        .map(str::to_owned)
        .collect();
    let (there, missing): (Vec<_>, Vec<_>) = quorum
        .keys
        .iter()
        .cloned()
        .partition(|key| signers.contains(key));
    let _ = writeln!(
        text,
        "staged     {} version {}: {} of {} signatures{whose}; not yet: {}",
        T::ROLE,
        file.version,
        there.len(),
        quorum.threshold,
        if missing.is_empty() {
            "nobody".to_owned()
        } else {
            names(&missing)
        }
    );
    Ok(())
}

fn names(keys: &[String]) -> String {
    let keys = keys.iter().map(|key| key.chars().take(16).collect());
    keys.collect::<Vec<String>>().join(", ")
}
