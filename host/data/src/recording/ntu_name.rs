//! The names of NTU RGB+D recordings, `SsssCcccPpppRrrrAaaa`.

use super::error::{Fault, Problem};

/// What an NTU name says; every number as written, so actions count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NtuName {
    /// Camera heights and distances, 1..=32.
    pub setup: u16,
    /// 1..=3; camera 1 stands in the middle.
    pub camera: u16,
    /// The person, 1..=106.
    pub performer: u16,
    /// The take, 1 or 2.
    pub replication: u16,
    /// 1..=120.
    pub action: u16,
}

impl NtuName {
    /// Reads the first 20 characters; a file ending may follow.
    ///
    /// # Errors
    /// When the name does not follow the pattern or an action is 0 or above 120.
    pub fn parse(name: &str) -> Result<Self, Fault> {
        let wrong = || {
            Fault::file(Problem::Name {
                pattern: "SsssCcccPpppRrrrAaaa",
            })
        };
        let bytes = name.as_bytes();
        let field = |index: usize, letter: u8| -> Option<u16> {
            let field = bytes.get(index * 4..index * 4 + 4)?;
            let digits = field.strip_prefix(&[letter])?;
            digits.iter().try_fold(0, |sum, &d| {
                d.is_ascii_digit().then(|| sum * 10 + u16::from(d - b'0'))
            })
        };
        let parsed = || -> Option<Self> {
            Some(Self {
                setup: field(0, b'S')?,
                camera: field(1, b'C')?,
                performer: field(2, b'P')?,
                replication: field(3, b'R')?,
                action: field(4, b'A')?,
            })
        };
        let name = parsed().ok_or_else(wrong)?;
        let ends = bytes
            .get(20)
            .is_none_or(|&next| next == b'.' || next.is_ascii_whitespace());
        if !ends || name.action == 0 || name.action > 120 {
            return Err(wrong());
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_field_of_a_name() {
        let name = NtuName::parse("S017C003P020R002A060.skeleton");
        let expect = NtuName {
            setup: 17,
            camera: 3,
            performer: 20,
            replication: 2,
            action: 60,
        };
        assert_eq!(name, Ok(expect));
    }

    #[test]
    fn refuses_other_names() {
        for name in [
            "",
            "S017",
            "a01_s01_e00_v01",
            "S017C003P020R002A121",
            "S017C003P020R002A0600",
            "S01éC003P020R002A060",
        ] {
            assert!(NtuName::parse(name).is_err(), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_never_panics(text in ".*") {
            let _ = NtuName::parse(&text);
        }
    }
}
