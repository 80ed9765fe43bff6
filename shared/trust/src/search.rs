//! Which role offers a name: the list of targets itself, then the roles that it delegates to, depth first.
//!
//! Our own repositories delegate nothing, and devices look into the list itself only ([`crate::offers`]). The search is here
//! because the specification has it and its public tests ask for it.

use crate::client::{Client, Trusted, encode, listed, versioned};
use crate::error::TrustError;
use crate::keys::{Keyring, Quorum};
use crate::metadata::{Delegation, Signed, Target, Targets};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use tendon_bundle::hex;

/// A delegated role, and the list that delegates to it.
struct Step {
    delegation: Delegation,
    ring: Keyring,
}

impl Client<'_> {
    /// Looks for a target.
    ///
    /// # Errors
    /// [`TrustError::NoTarget`], or why a role that had to be asked is not believed.
    pub fn find(&mut self, trusted: &Trusted, name: &str) -> Result<Target, TrustError> {
        if let Some(target) = trusted.targets.body.targets.get(name) {
            return Ok(target.clone());
        }
        let mut visited = BTreeSet::new();
        let mut open = Vec::new();
        push(&mut open, &trusted.targets.body, name);
        while let Some(step) = open.pop() {
            if visited.len() == self.limits.lists {
                break;
            }
            if !visited.insert(step.delegation.name.clone()) {
                continue;
            }
            let list = self.delegated(trusted, &step)?;
            if let Some(target) = list.body.targets.get(name) {
                return Ok(target.clone());
            }
            push(&mut open, &list.body, name);
        }
        Err(TrustError::NoTarget {
            name: name.to_owned(),
        })
    }

    /// The list of a delegated role, signed as the list that delegates to it says.
    fn delegated(&mut self, trusted: &Trusted, step: &Step) -> Result<Signed<Targets>, TrustError> {
        let name = &step.delegation.name;
        let wanted = listed(&trusted.snapshot, &format!("{name}.json"))?;
        let kept = format!("{}.json", encode(name));
        let (ring, quorum): (&Keyring, &Quorum) = (&step.ring, &step.delegation.quorum);
        if let Some(old) = self.stored::<Targets>(&kept)?
            && old.check(ring, quorum, self.check).is_ok()
            && self.is_current(wanted, &old)?
        {
            return Ok(old);
        }
        let file = versioned(&trusted.root.body, wanted, &kept);
        let bytes = self.fetch_described(&file, wanted, self.limits.targets)?;
        let new = Signed::<Targets>::read(&file, &bytes)?;
        new.check(ring, quorum, self.check)?;
        new.is_version(wanted.version)?;
        new.fresh(self.clock.now())?;
        self.keeper.keep(&kept, &bytes)?;
        Ok(new)
    }
}

/// Puts the roles that may sign for `name` on the stack, so that the first is asked first. After a terminating one nobody else
/// is asked.
fn push(open: &mut Vec<Step>, list: &Targets, name: &str) {
    let mut steps = Vec::new();
    for delegation in list.delegations.iter().filter(|role| covers(role, name)) {
        steps.push(Step {
            delegation: delegation.clone(),
            ring: list.ring.clone(),
        });
        if delegation.terminating {
            open.clear();
            break;
        }
    }
    open.extend(steps.into_iter().rev());
}

/// Whether a role may sign for a name.
fn covers(delegation: &Delegation, name: &str) -> bool {
    let matching = delegation.paths.iter().any(|pattern| {
        let (patterns, parts) = (pattern.split('/'), name.split('/'));
        patterns.clone().count() == parts.clone().count()
            && patterns
                .zip(parts)
                .all(|(pattern, part)| fits(pattern.as_bytes(), part.as_bytes()))
    });
    matching || {
        let digest = hex::encode(&Sha256::digest(name));
        let mut prefixes = delegation.prefixes.iter();
        prefixes.any(|prefix| digest.starts_with(prefix.as_str()))
    }
}

/// Whether `*` for any bytes and `?` for one make `pattern` the text. Its time is at most the product of both lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(b'?') => (at, read) = (at + 1, read + 1),
            Some(byte) if *byte == text[read] => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((before, from)) = star else {
                    return false;
                };
                star = Some((before, from + 1));
                (at, read) = (before + 1, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_within_one_folder() {
        let role = |paths: &[&str]| Delegation {
            name: "role".into(),
            quorum: Quorum {
                keys: Vec::new(),
                threshold: 1,
            },
            terminating: false,
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
            prefixes: Vec::new(),
        };
        for (pattern, name, expect) in [
            ("*.md", "README.md", true),
            ("*.md", "README.MD", false),
            ("*.md", "docs/README.md", false),
            ("foo-?.tgz", "foo-1.tgz", true),
            ("foo-?.tgz", "foo-12.tgz", false),
            ("releases/*/*", "releases/x/v1", true),
            ("releases/*", "releases/x/v1", false),
            ("*a*b", "xaxxb", true),
            ("*a*b", "xaxxbc", false),
            ("", "x", false),
        ] {
            assert_eq!(covers(&role(&[pattern]), name), expect, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let pattern = "*a".repeat(200);
        assert!(!fits(pattern.as_bytes(), "a".repeat(199).as_bytes()));
        assert!(fits(pattern.as_bytes(), "a".repeat(200).as_bytes()));
    }

    proptest! {
        #[test]
        fn any_pattern_never_panics(pattern in "[*?ab]{0,12}", text in "[ab]{0,12}") {
            let _ = fits(pattern.as_bytes(), text.as_bytes());
            let all = fits(b"*", text.as_bytes());
            prop_assert!(all);
        }
    }
}
