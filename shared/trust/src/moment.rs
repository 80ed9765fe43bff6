//! Moments as metadata writes them: UTC, to the second.

use std::fmt;

/// Seconds of a day.
const DAY: u64 = 86_400;
/// The first second of the year 10000, which has no text any more.
const END: u64 = 253_402_300_800;

/// Seconds since 1970-01-01 00:00 UTC; up to the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The moment so many seconds after 1970 began; the last of 9999 for more.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(if seconds < END { seconds } else { END - 1 })
    }

    /// Seconds since 1970 began.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// So many days later.
    #[must_use]
    pub const fn plus_days(self, days: u32) -> Self {
        Self::from_seconds(self.0.saturating_add(days as u64 * DAY))
    }

    /// Reads `2026-11-22T20:15:00Z`; nothing for any other form or a date that does not exist.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 20 {
            return None;
        }
        for (at, mark) in [
            (4, b'-'),
            (7, b'-'),
            (10, b'T'),
            (13, b':'),
            (16, b':'),
            (19, b'Z'),
        ] {
            if bytes[at] != mark {
                return None;
            }
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0u64, |number, byte| {
                byte.is_ascii_digit()
                    .then(|| number * 10 + u64::from(byte - b'0'))
            })
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if year < 1970 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        if day < 1 || day > days_in(year, month) {
            return None;
        }
        let days = days_before_year(year) - days_before_year(1970)
            + (1..month).map(|month| days_in(year, month)).sum::<u64>()
            + day
            - 1;
        Some(Self(days * DAY + hour * 3600 + minute * 60 + second))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut days, seconds) = (self.0 / DAY, self.0 % DAY);
        // 400 years have 146,097 days, which finds the year to within one.
        let mut year = 1971 + days * 400 / 146_097;
        while days_before_year(year) - days_before_year(1970) > days {
            year -= 1;
        }
        days -= days_before_year(year) - days_before_year(1970);
        let mut month = 1;
        while days >= days_in(year, month) {
            days -= days_in(year, month);
            month += 1;
        }
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
            days + 1
        )
    }
}

const fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days of all years from year 1 to the one before.
const fn days_before_year(year: u64) -> u64 {
    let years = year - 1;
    years * 365 + years / 4 - years / 100 + years / 400
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_what_the_calendar_says() {
        // Seconds from `date -u -d ... +%s`.
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-22T20:15:30Z", 1_795_378_530),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("3568-01-01T00:00:00Z", 50_427_964_800),
            ("9999-12-31T23:59:59Z", END - 1),
        ] {
            assert_eq!(Moment::parse(text), Some(Moment(seconds)), "{text}");
            assert_eq!(Moment(seconds).to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_no_moments() {
        for text in [
            "2026-11-22",
            "2026-11-22T20:15:30+00:00",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01t00:00:00Z",
            "２026-01-01T00:00:00",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_gives_back_the_moment(seconds in 0..END) {
            let moment = Moment::from_seconds(seconds);
            prop_assert_eq!(Moment::parse(&moment.to_string()), Some(moment));
        }

        #[test]
        fn any_text_never_panics(text in "\\PC{0,24}") {
            let _ = Moment::parse(&text);
        }
    }
}
