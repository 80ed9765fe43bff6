//! A repository in one file, for devices without a network.

use super::error::RepoError;
use super::folder::Repo;
use std::path::Path;
use tendon_trust::metadata::{Role, Root, Targets};

/// What was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Bundles and other targets.
    pub targets: usize,
    /// Length of the file, bytes.
    pub bytes: u64,
}

/// Writes what devices read to one tar archive at `to`: every root, so that a device of any age can follow, the newest of the other roles, and
/// the targets that are on the list now. The same repository gives the same bytes.
///
/// # Errors
/// [`RepoError`]; there is no file then, or the one from before.
pub fn pack(repo: &Repo, to: &Path) -> Result<Packed, RepoError> {
    let nothing = || RepoError::NotPublished {
        path: repo.path().to_owned(),
    };
    let root = repo.published::<Root>()?.ok_or_else(nothing)?;
    let list = repo.published::<Targets>()?.ok_or_else(nothing)?;
    let mut names: Vec<String> = (1..=root.version)
        .map(|version| format!("{version}.root.json"))
        .collect();
    for role in [Role::Snapshot, Role::Targets] {
        let version = repo.newest(role)?;
        names.push(format!("{version}.{}", role.file()));
    }
    names.push(Role::Timestamp.file().to_owned());
    let mut builder = tar::Builder::new(Vec::new());
    for name in names {
        let path = repo.metadata(&name);
        let bytes = std::fs::read(&path).map_err(RepoError::io(&path))?;
        append(&mut builder, &format!("metadata/{name}"), &bytes).map_err(RepoError::io(to))?;
    }
    for (name, target) in &list.body.targets {
        let digest = target.hashes.name();
        let name = digest.map_or_else(|| name.clone(), |digest| format!("{digest}.{name}"));
        let path = repo.target(&name);
        let bytes = std::fs::read(&path).map_err(RepoError::io(&path))?;
        append(&mut builder, &format!("targets/{name}"), &bytes).map_err(RepoError::io(to))?;
    }
    let bytes = builder.into_inner().map_err(RepoError::io(to))?;
    tendon_files::write(to, &bytes).map_err(RepoError::io(to))?;
    Ok(Packed {
        targets: list.body.targets.len(),
        bytes: bytes.len() as u64,
    })
}

fn append(builder: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    // A name that does not fit is an error here: devices read no extended headers.
    header.set_path(name)?;
    header.set_cksum();
    builder.append(&header, bytes)
}
