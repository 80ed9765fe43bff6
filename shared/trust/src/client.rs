//! The client: from a repository that nobody vouches for to files that the keys have signed.
//!
//! # Source
//! TUF specification 1.0.33, section 5. Deliberate differences: floors beside the trusted files ([`crate::floors`]); without a
//! clock nothing is taken for expired, and the caller must not install ([`Clock::Unset`]); an absent next root file ends the
//! search for roots, any other failure ends the refresh; every limit is fixed beforehand.

use crate::error::TrustError;
use crate::floors::Keeper;
use crate::keys::Signatures;
use crate::metadata::{
    Body, FileVersion, Role, Root, Signed, Snapshot, Target, Targets, Timestamp,
};
use crate::moment::Moment;
use crate::source::{Source, SourceError};

/// Bounds of what is fetched. Devices use the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a root file.
    pub root: u64,
    /// Bytes of a timestamp file.
    pub timestamp: u64,
    /// Bytes of a snapshot file.
    pub snapshot: u64,
    /// Bytes of a list of targets.
    pub targets: u64,
    /// New root files followed in one refresh.
    pub roots: u32,
    /// Lists of targets asked for one name.
    pub lists: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root: 64 << 10,
            timestamp: 16 << 10,
            snapshot: 128 << 10,
            targets: 512 << 10,
            roots: 256,
            lists: 32,
        }
    }
}

/// What is known of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The clock was set by something that knows.
    Set(Moment),
    /// The board has just started without a clock battery: nothing can be called expired, so nothing may be installed.
    Unset,
}

impl Clock {
    pub(crate) const fn now(self) -> Option<Moment> {
        match self {
            Self::Set(moment) => Some(moment),
            Self::Unset => None,
        }
    }
}

/// What a refresh found to be signed, current and not older than anything before.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// The keys.
    pub root: Signed<Root>,
    /// Which snapshot is the newest.
    pub timestamp: Signed<Timestamp>,
    /// Which lists belong together.
    pub snapshot: Signed<Snapshot>,
    /// What is offered.
    pub targets: Signed<Targets>,
}

/// Brings trusted files up to date and fetches what they describe.
pub struct Client<'a> {
    pub(crate) keeper: Keeper<'a>,
    pub(crate) source: &'a mut dyn Source,
    pub(crate) check: &'a dyn Signatures,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
}

impl<'a> Client<'a> {
    /// A client of `source` that keeps what it trusts in `keeper`.
    #[must_use]
    pub fn new(
        keeper: Keeper<'a>,
        source: &'a mut dyn Source,
        check: &'a dyn Signatures,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        Self {
            keeper,
            source,
            check,
            limits,
            clock,
        }
    }

    /// The floors and trusted files.
    #[must_use]
    pub const fn keeper(&self) -> &Keeper<'a> {
        &self.keeper
    }

    /// The floors and trusted files, to raise the floor of bundles.
    pub const fn keeper_mut(&mut self) -> &mut Keeper<'a> {
        &mut self.keeper
    }

    /// Brings all four roles up to date. `factory_root` is the root file that the device was given; a newer trusted one
    /// takes its place.
    ///
    /// # Errors
    /// [`TrustError`]. Roles that came before the refused one are up to date and stay so.
    pub fn refresh(&mut self, factory_root: &[u8]) -> Result<Trusted, TrustError> {
        let root = self.refresh_root(factory_root)?;
        self.keeper.recover(&root.body)?;
        let timestamp = self.refresh_timestamp(&root)?;
        let snapshot = self.refresh_snapshot(&root, &timestamp)?;
        let targets = self.refresh_targets(&root, &snapshot)?;
        self.keeper.audit()?;
        Ok(Trusted {
            root,
            timestamp,
            snapshot,
            targets,
        })
    }

    fn refresh_root(&mut self, factory_root: &[u8]) -> Result<Signed<Root>, TrustError> {
        let mut root = self.first_root(factory_root)?;
        let mut followed = 0;
        loop {
            let next = root.version + 1;
            let file = format!("{next}.root.json");
            let bytes = match self.fetch(&file, self.limits.root) {
                Err(TrustError::Absent { .. }) => break,
                fetched => fetched?,
            };
            if followed == self.limits.roots {
                return Err(TrustError::TooManyRoots {
                    limit: self.limits.roots,
                });
            }
            followed += 1;
            let new = Signed::<Root>::read(&file, &bytes)?;
            self.signed_by(&root.body, &new)?;
            self.signed_by(&new.body, &new)?;
            new.is_version(next)?;
            if next > self.keeper.floors().root {
                self.keeper.accept(Role::Root, next, &bytes)?;
            } else {
                // On the way back up to the floor, after the stored root was lost.
                self.keeper.keep(Role::Root.file(), &bytes)?;
            }
            root = new;
        }
        self.keeper.check(Role::Root, root.version)?;
        root.fresh(self.clock.now())?;
        Ok(root)
    }

    /// The stored root, or the factory's where that is newer or the stored one is damaged.
    fn first_root(&mut self, factory_root: &[u8]) -> Result<Signed<Root>, TrustError> {
        let file = Role::Root.file();
        if factory_root.len() as u64 > self.limits.root {
            return Err(TrustError::TooLarge {
                file: file.to_owned(),
                limit: self.limits.root,
            });
        }
        let factory = Signed::<Root>::read(file, factory_root)?;
        self.signed_by(&factory.body, &factory)?;
        if let Some(stored) = self.stored::<Root>(file)?
            && stored.version >= factory.version
            && self.signed_by(&stored.body, &stored).is_ok()
        {
            return Ok(stored);
        }
        if factory.version >= self.keeper.floors().root {
            self.keeper
                .accept(Role::Root, factory.version, factory_root)?;
        }
        Ok(factory)
    }

    fn refresh_timestamp(&mut self, root: &Signed<Root>) -> Result<Signed<Timestamp>, TrustError> {
        let file = Role::Timestamp.file();
        let bytes = self.fetch(file, self.limits.timestamp)?;
        let new = Signed::<Timestamp>::read(file, &bytes)?;
        self.signed_by(&root.body, &new)?;
        self.keeper.check(Role::Timestamp, new.version)?;
        self.keeper
            .check(Role::Snapshot, new.body.snapshot.version)?;
        if let Some(old) = self.stored::<Timestamp>(file)?
            && self.signed_by(&root.body, &old).is_ok()
        {
            not_below(Role::Timestamp, old.version, new.version)?;
            if old.version == new.version {
                // One version, one meaning: the one that was seen first.
                old.fresh(self.clock.now())?;
                return Ok(old);
            }
            let (old, new) = (&old.body.snapshot, &new.body.snapshot);
            not_below(Role::Snapshot, old.version, new.version)?;
        }
        new.fresh(self.clock.now())?;
        self.keeper.accept(Role::Timestamp, new.version, &bytes)?;
        Ok(new)
    }

    fn refresh_snapshot(
        &mut self,
        root: &Signed<Root>,
        timestamp: &Signed<Timestamp>,
    ) -> Result<Signed<Snapshot>, TrustError> {
        let wanted = &timestamp.body.snapshot;
        let old = self.stored::<Snapshot>(Role::Snapshot.file())?;
        let old = old.filter(|old| self.signed_by(&root.body, old).is_ok());
        if let Some(old) = &old
            && self.is_current(wanted, old)?
        {
            self.keeper.check(Role::Snapshot, old.version)?;
            return Ok(old.clone());
        }
        let file = versioned(&root.body, wanted, Role::Snapshot.file());
        let bytes = self.fetch_described(&file, wanted, self.limits.snapshot)?;
        let new = Signed::<Snapshot>::read(&file, &bytes)?;
        self.signed_by(&root.body, &new)?;
        new.is_version(wanted.version)?;
        for (name, before) in old.iter().flat_map(|old| &old.body.files) {
            let Some(now) = new.body.files.get(name) else {
                return Err(TrustError::Vanished { file: name.clone() });
            };
            not_below(Role::Targets, before.version, now.version)?;
        }
        self.keeper
            .check(Role::Targets, listed(&new, Role::Targets.file())?.version)?;
        new.fresh(self.clock.now())?;
        self.keeper.accept(Role::Snapshot, new.version, &bytes)?;
        Ok(new)
    }

    fn refresh_targets(
        &mut self,
        root: &Signed<Root>,
        snapshot: &Signed<Snapshot>,
    ) -> Result<Signed<Targets>, TrustError> {
        let name = Role::Targets.file();
        let wanted = listed(snapshot, name)?;
        if let Some(old) = self.stored::<Targets>(name)?
            && self.signed_by(&root.body, &old).is_ok()
            && self.is_current(wanted, &old)?
        {
            self.keeper.check(Role::Targets, old.version)?;
            return Ok(old);
        }
        let file = versioned(&root.body, wanted, name);
        let bytes = self.fetch_described(&file, wanted, self.limits.targets)?;
        let new = Signed::<Targets>::read(&file, &bytes)?;
        self.signed_by(&root.body, &new)?;
        new.is_version(wanted.version)?;
        new.fresh(self.clock.now())?;
        self.keeper.accept(Role::Targets, new.version, &bytes)?;
        Ok(new)
    }

    /// Fetches a target that trusted metadata describes; `limit` bounds its bytes.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn download(
        &mut self,
        trusted: &Trusted,
        name: &str,
        target: &Target,
        limit: u64,
    ) -> Result<Vec<u8>, TrustError> {
        if target.length > limit {
            return Err(TrustError::TooLarge {
                file: name.to_owned(),
                limit,
            });
        }
        let path = match target.hashes.name() {
            Some(digest) if trusted.root.body.consistent => match name.rsplit_once('/') {
                Some((folder, file)) => format!("{folder}/{digest}.{file}"),
                None => format!("{digest}.{name}"),
            },
            _ => name.to_owned(),
        };
        let bytes = self
            .source
            .target(&path, target.length)
            .map_err(|error| refused(name, error))?;
        target.fits(name, &bytes)?;
        Ok(bytes)
    }

    pub(crate) fn fetch(&mut self, file: &str, limit: u64) -> Result<Vec<u8>, TrustError> {
        self.source
            .metadata(file, limit)
            .map_err(|error| refused(file, error))
    }

    /// Fetches a metadata file of which size and digest may be known.
    pub(crate) fn fetch_described(
        &mut self,
        file: &str,
        wanted: &FileVersion,
        limit: u64,
    ) -> Result<Vec<u8>, TrustError> {
        if wanted.length.is_some_and(|length| length > limit) {
            return Err(TrustError::TooLarge {
                file: file.to_owned(),
                limit,
            });
        }
        let bytes = self.fetch(file, wanted.length.unwrap_or(limit))?;
        wanted.fits(file, &bytes)?;
        Ok(bytes)
    }

    /// A stored file; none when there is none or it is damaged. It was checked when it was stored, and is checked again.
    pub(crate) fn stored<T: Body>(&self, file: &str) -> Result<Option<Signed<T>>, TrustError> {
        let bytes = self.keeper.read(file)?;
        Ok(bytes.and_then(|bytes| Signed::read(file, &bytes).ok()))
    }

    /// Whether a stored file is what is wanted now, so that it need not be fetched.
    pub(crate) fn is_current<T: Body>(
        &self,
        wanted: &FileVersion,
        stored: &Signed<T>,
    ) -> Result<bool, TrustError> {
        if stored.version != wanted.version || stored.fresh(self.clock.now()).is_err() {
            return Ok(false);
        }
        let bytes = self.keeper.read(&stored.file)?.unwrap_or_default();
        Ok(wanted.fits(&stored.file, &bytes).is_ok())
    }

    fn signed_by<T: Body>(&self, root: &Root, file: &Signed<T>) -> Result<(), TrustError> {
        file.check(&root.ring, root.quorum(T::ROLE), self.check)
    }
}

fn refused(file: &str, error: SourceError) -> TrustError {
    let file = file.to_owned();
    match error {
        SourceError::Absent => TrustError::Absent { file },
        SourceError::TooLarge { limit } => TrustError::TooLarge { file, limit },
        SourceError::Failed(why) => TrustError::Source { file, why },
    }
}

const fn not_below(role: Role, floor: u64, found: u64) -> Result<(), TrustError> {
    if found < floor {
        return Err(TrustError::RolledBack { role, floor, found });
    }
    Ok(())
}

/// What a snapshot says of a list of targets.
pub(crate) fn listed<'a>(
    snapshot: &'a Signed<Snapshot>,
    name: &str,
) -> Result<&'a FileVersion, TrustError> {
    snapshot
        .body
        .files
        .get(name)
        .ok_or_else(|| TrustError::Absent {
            file: name.to_owned(),
        })
}

/// The name of a file in the repository.
pub(crate) fn versioned(root: &Root, wanted: &FileVersion, name: &str) -> String {
    if root.consistent {
        format!("{}.{name}", wanted.version)
    } else {
        name.to_owned()
    }
}

/// A text as part of an address or file name: everything but letters, digits and `_.-~` as `%XX`.
#[must_use]
pub fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
