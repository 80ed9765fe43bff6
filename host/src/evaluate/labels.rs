//! Which few windows keep their labels: drawn class by class, so that every class has some.

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use tendon_model::augment::random::generator;

/// How many windows of each class are labelled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many, or all if the class has fewer (n-shot).
    PerClass(usize),
    /// This share of the class, 0..=1, rounded, at least one window (the literature's 1, 5, 10, 20 and 40 %).
    Share(f64),
}

impl Amount {
    /// Windows of a class that has `there`.
    fn of(self, there: usize) -> usize {
        match self {
            Self::PerClass(count) => count.min(there),
            Self::Share(share) => {
                let wanted = (share.clamp(0.0, 1.0) * there as f64).round() as usize;
                wanted.max(1).min(there)
            }
        }
    }
}

/// Not a number such as 5, or a share such as 10%.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no amount of labels: a number such as 5 for five of each class, or a share such as 10%"
)]
pub struct AmountError(String);

impl std::str::FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let wrong = || AmountError(text.to_owned());
        let text = text.trim();
        match text.strip_suffix('%') {
            Some(percent) => match percent.trim().parse::<f64>() {
                Ok(percent) if percent > 0.0 && percent <= 100.0 => {
                    Ok(Self::Share(percent / 100.0))
                }
                _ => Err(wrong()),
            },
            None => match text.parse() {
                Ok(count) if count >= 1 => Ok(Self::PerClass(count)),
                _ => Err(wrong()),
            },
        }
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PerClass(count) => write!(f, "{count} a class"),
            Self::Share(share) => write!(f, "{} %", (1e4 * share).round() / 1e2),
        }
    }
}

/// Draws labelled windows; the same seed and draw give the same windows, and the windows of a smaller amount are among those of a
/// larger one.
///
/// Returned in the order of the windows.
#[must_use]
pub fn choose(labels: &[u16], amount: Amount, seed: u64, draw: u64) -> Vec<usize> {
    let mut classes: std::collections::BTreeMap<u16, Vec<usize>> = Default::default();
    for (window, label) in labels.iter().enumerate() {
        classes.entry(*label).or_default().push(window);
    }
    let mut chosen: Vec<usize> = classes
        .into_iter()
        .flat_map(|(class, mut windows)| {
            // Windows are counted from 0 in the third place, so classes count from the far end.
            let mut rng = generator(seed, draw, u64::MAX - 1 - u64::from(class), 0);
            windows.shuffle(&mut rng);
            windows.truncate(amount.of(windows.len()));
            windows
        })
        .collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<u16> {
        (0..100)
            .map(|window| match window {
                0..40 => 0,
                40..97 => 1,
                _ => 5,
            })
            .collect()
    }

    fn counts(chosen: &[usize]) -> [usize; 3] {
        [0, 1, 5].map(|class| {
            let of = |window: &&usize| labels()[**window] == class;
            chosen.iter().filter(of).count()
        })
    }

    #[test]
    fn every_class_gets_its_labels() {
        let draw = |amount| counts(&choose(&labels(), amount, 1, 0));
        assert_eq!(draw(Amount::PerClass(2)), [2, 2, 2]);
        assert_eq!(draw(Amount::PerClass(5)), [5, 5, 3]);
        assert_eq!(draw(Amount::Share(0.1)), [4, 6, 1]);
        assert_eq!(draw(Amount::Share(0.01)), [1, 1, 1]);
        assert_eq!(draw(Amount::Share(1.0)), [40, 57, 3]);
    }

    #[test]
    fn draws_differ_repeat_and_grow() {
        let draw = |count, draw| choose(&labels(), Amount::PerClass(count), 7, draw);
        assert_eq!(draw(3, 0), draw(3, 0));
        assert_ne!(draw(3, 0), draw(3, 1));
        assert!(draw(1, 2).iter().all(|one| draw(5, 2).contains(one)));
    }

    // Published lists are positions in the order in which a folder happened to be read.
    #[test]
    fn labels_are_drawn_by_seed_and_not_by_the_order_of_files() {
        let chosen = choose(&labels(), Amount::PerClass(5), 7, 0);
        assert!(chosen.is_sorted());
        let positions = |class: u16| {
            let of = chosen.iter().filter(|window| labels()[**window] == class);
            of.map(|window| window - if class == 0 { 0 } else { 40 })
                .collect::<Vec<_>>()
        };
        // Not the same positions of each class.
        assert_ne!(positions(0), positions(1));
    }

    #[test]
    fn amounts_are_read_as_people_write_them() {
        assert_eq!("5".parse(), Ok(Amount::PerClass(5)));
        assert_eq!("10%".parse(), Ok(Amount::Share(0.1)));
        assert_eq!(" 0.5 % ".parse(), Ok(Amount::Share(0.005)));
        for wrong in ["", "0", "-1", "0%", "101%", "NaN%", "five"] {
            let error = wrong.parse::<Amount>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{wrong:?} is no amount")),
                "{error}"
            );
        }
    }

    #[test]
    fn amounts_are_named_as_in_papers() {
        assert_eq!(Amount::PerClass(5).to_string(), "5 a class");
        assert_eq!(Amount::Share(0.05).to_string(), "5 %");
    }
}
