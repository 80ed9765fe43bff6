//! Tables of a measurement.

use super::measure::Outcome;
use super::results::{Line, Results, mean};
use crate::report::Table;

/// All tables with their titles: the summary, gains, one a domain, unknown actions if there were any, the guard.
#[must_use]
pub fn tables(results: &Results) -> Vec<(String, Table)> {
    let mut tables = vec![
        ("Summary".to_owned(), summary(results)),
        (
            "Mean gain by domain: online / afterwards, points".to_owned(),
            gains(results),
        ),
    ];
    for domain in &results.domains {
        tables.push((domain.clone(), of_domain(results, domain)));
    }
    if results
        .lines
        .iter()
        .any(|line| line.outcome.auroc.is_some())
    {
        tables.push((
            "Known actions told from unknown ones by confidence: area under the curve".to_owned(),
            unknown(results),
        ));
    }
    tables.push((
        "Guard: rank correlation with the truth, mean over streams".to_owned(),
        guard(results),
    ));
    tables
}

/// Points, with a sign.
fn points(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{:+.1}", 100.0 * value))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{:.1}", 100.0 * value))
}

fn summary(results: &Results) -> Table {
    let mut table = Table::new(&[
        "method",
        "streams",
        "base",
        "online",
        "afterwards",
        "online below base by > 0.5",
        "afterwards below base by > 0.5",
        "worst hundred of all",
        "source lost at most",
        "served adapted",
        "discarded",
        "pseudo-labels right",
        "ms an update",
    ]);
    for method in &results.methods {
        let lines: Vec<&Line> = results.of(method).collect();
        if lines.is_empty() {
            continue;
        }
        let mean = |figure: fn(&Outcome) -> f64| mean(lines.iter().copied(), figure);
        let count = |is: fn(&Outcome) -> bool| {
            lines
                .iter()
                .filter(|line| is(&line.outcome))
                .count()
                .to_string()
        };
        let least = |figure: fn(&Outcome) -> f64| {
            let all = lines.iter().map(|line| figure(&line.outcome));
            Some(all.fold(0.0, f64::min))
        };
        let updated = lines.iter().filter(|line| line.outcome.updates > 0);
        let pseudo: Vec<f64> = lines
            .iter()
            .filter_map(|line| line.outcome.pseudo_precision)
            .collect();
        let precision = pseudo.iter().sum::<f64>() / pseudo.len().max(1) as f64;
        let update = super::results::mean(updated.copied(), |one| one.update_ms);
        let discarded: u64 = lines.iter().map(|line| line.outcome.discarded).sum();
        table.row(&[
            method.clone(),
            lines.len().to_string(),
            percent(mean(|one| one.online.base)),
            points(mean(|one| one.online.gain())),
            points(mean(|one| one.afterwards.gain())),
            count(|one| one.online.is_below()),
            count(|one| one.afterwards.is_below()),
            points(least(|one| one.worst_hundred)),
            points(least(|one| one.source.gain())),
            percent(mean(|one| one.served_adapted)),
            discarded.to_string(),
            percent((!pseudo.is_empty()).then_some(precision)),
            update.map_or_else(String::new, |update| format!("{update:.0}")),
        ]);
    }
    table
}

fn gains(results: &Results) -> Table {
    let mut header = vec!["domain", "base"];
    header.extend(results.methods.iter().map(String::as_str));
    let mut table = Table::new(&header);
    for domain in &results.domains {
        let here = |line: &&Line| line.domain == *domain;
        let all = results.lines.iter().filter(here);
        let mut row = vec![domain.clone(), percent(mean(all, |one| one.online.base))];
        for method in &results.methods {
            let lines = results.of(method).filter(here);
            let online = points(mean(lines.clone(), |one| one.online.gain()));
            let afterwards = points(mean(lines, |one| one.afterwards.gain()));
            row.push(match online.is_empty() {
                true => String::new(),
                false => format!("{online} / {afterwards}"),
            });
        }
        table.row(&row);
    }
    table
}

fn of_domain(results: &Results, domain: &str) -> Table {
    let mut table = Table::new(&[
        "stream",
        "method",
        "runs",
        "base",
        "online",
        "afterwards",
        "worst hundred",
        "source before",
        "source afterwards",
    ]);
    for stream in &results.streams {
        for method in &results.methods {
            let here = |line: &&Line| line.domain == domain && line.stream == *stream;
            let lines: Vec<&Line> = results.of(method).filter(here).collect();
            if lines.is_empty() {
                continue;
            }
            let mean = |figure: fn(&Outcome) -> f64| mean(lines.iter().copied(), figure);
            // A bound has no source to lose.
            let source = |figure: fn(&Outcome) -> f64| {
                let seen = lines.iter().all(|line| line.outcome.source.windows > 0);
                percent(seen.then(|| mean(figure)).flatten())
            };
            table.row(&[
                stream.clone(),
                method.clone(),
                lines.len().to_string(),
                percent(mean(|one| one.online.base)),
                percent(mean(|one| one.online.method)),
                percent(mean(|one| one.afterwards.method)),
                points(mean(|one| one.worst_hundred)),
                source(|one| one.source.base),
                source(|one| one.source.method),
            ]);
        }
    }
    table
}

fn unknown(results: &Results) -> Table {
    let mut table = Table::new(&["domain", "method", "as shipped", "method's", "gain online"]);
    for domain in &results.domains {
        for method in &results.methods {
            let here = |line: &&Line| line.domain == *domain && line.outcome.auroc.is_some();
            let lines: Vec<&Line> = results.of(method).filter(here).collect();
            let mean = |figure: fn(&Outcome) -> f64| mean(lines.iter().copied(), figure);
            if lines.is_empty() {
                continue;
            }
            table.row(&[
                domain.clone(),
                method.clone(),
                percent(mean(|one| one.auroc.map_or(0.0, |both| both.0))),
                percent(mean(|one| one.auroc.map_or(0.0, |both| both.1))),
                points(mean(|one| one.online.gain())),
            ]);
        }
    }
    table
}

fn guard(results: &Results) -> Table {
    let mut table = Table::new(&[
        "method",
        "estimate",
        "streams",
        "with accuracy",
        "difference with gain",
        "worse tail served, of all looks",
    ]);
    for method in &results.methods {
        let (looks, wrong) = results.misjudged(method);
        for (name, tracking) in results.tracking(method) {
            let number = |value: f64, streams: usize| match streams {
                0 => String::new(),
                _ => format!("{value:+.2}"),
            };
            table.row(&[
                method.clone(),
                name,
                tracking.streams.to_string(),
                number(tracking.level, tracking.streams),
                number(tracking.gain, tracking.gain_streams),
                format!("{wrong} of {looks}"),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{line, results};
    use super::*;

    #[test]
    fn losses_are_counted_on_the_stream_and_afterwards() {
        let results = results(vec![
            line("none", 0, 0.7, 0.7, 0.7),
            line("ours", 0, 0.7, 0.72, 0.69),
            line("ours", 1, 0.6, 0.6, 0.598),
        ]);
        let text = summary(&results).markdown();
        let row: Vec<&str> = text
            .lines()
            .nth(3)
            .unwrap()
            .split('|')
            .map(str::trim)
            .collect();
        // Base, gains in points, streams below by more than half a point: 69 of 70 is, 59.8 of 60 is not.
        assert_eq!(row[1..8], ["ours", "2", "65.0", "+1.0", "-0.6", "0", "1"]);
    }

    #[test]
    fn unknown_actions_have_a_table_where_there_are_any() {
        let mut one = line("ours", 0, 0.7, 0.72, 0.69);
        assert_eq!(tables(&results(vec![one.clone()])).len(), 4);
        one.outcome.auroc = Some((0.8, 0.85));
        let all = tables(&results(vec![one]));
        let text = all[3].1.markdown();
        assert!(text.contains("| d | ours | 80.0 | 85.0 | +2.0 |"), "{text}");
    }

    #[test]
    fn every_domain_has_a_row_a_stream_and_method() {
        let results = results(vec![
            line("none", 0, 0.7, 0.7, 0.7),
            line("ours", 0, 0.7, 0.72, 0.69),
            line("ours", 1, 0.5, 0.6, 0.7),
        ]);
        let all = tables(&results);
        let titles: Vec<&str> = all.iter().map(|(title, _)| title.as_str()).collect();
        assert_eq!(titles[2], "d");
        let text = all[2].1.markdown();
        assert!(
            text.contains("| iid | ours | 2 | 60.0 | 66.0 | 69.5 |"),
            "{text}"
        );
        let gains = all[1].1.markdown();
        assert!(gains.contains("+6.0 / +9.5"), "{gains}");
    }
}
