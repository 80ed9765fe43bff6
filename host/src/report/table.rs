//! A table, for a page and for the terminal.

use super::svg::escape;
use std::fmt::Write as _;

/// Longest cell that is taken for a figure, characters.
const LONGEST_FIGURE: usize = 40;

/// Rows of text under a header. Missing cells are empty.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<T: AsRef<str>>(&mut self, cells: &[T]) -> &mut Self {
        self.rows
            .push(cells.iter().map(|cell| cell.as_ref().to_owned()).collect());
        self
    }

    /// The table in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = (0..self.header.len())
                .map(|column| {
                    let cell = cells.get(column).map_or("", String::as_str);
                    cell.replace('|', "\\|").replace('\n', " ")
                })
                .collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = line(&self.header);
        text.push_str(&format!("|{}\n", "---|".repeat(self.header.len())));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }

    /// Whether a column after the first holds sentences or commands, which are read from the left and over several lines, not figures.
    fn is_prose(&self, column: usize) -> bool {
        let long = |row: &Vec<String>| {
            row.get(column)
                .is_some_and(|cell| cell.chars().count() > LONGEST_FIGURE)
        };
        column > 0 && self.rows.iter().any(long)
    }

    /// The table as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let class = |column| match self.is_prose(column) {
            true => " class=\"prose\"",
            false => "",
        };
        let mut html = String::from("<div class=\"scroll\"><table>\n<tr>");
        for (column, cell) in self.header.iter().enumerate() {
            let _ = write!(html, "<th{}>{}</th>", class(column), escape(cell));
        }
        html.push_str("</tr>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for column in 0..self.header.len() {
                let _ = write!(
                    html,
                    "<td{}>{}</td>",
                    class(column),
                    escape(row.get(column).map_or("", String::as_str))
                );
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</table></div>\n");
        html
    }

    /// The table as aligned text: the first column to the left, the others to the right.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                lines()
                    .map(|row| cell(row, column).chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in lines() {
            let mut line = String::new();
            for (column, &width) in widths.iter().enumerate() {
                let value = cell(row, column);
                let _ = if column == 0 {
                    write!(line, "{value:<width$}")
                } else {
                    write!(line, "  {value:>width$}")
                };
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_has_one_line_a_row_and_no_stray_bars() {
        let mut table = Table::new(&["a|b", "c"]);
        table.row(&["1"]).row(&["2", "3"]);
        assert_eq!(
            table.markdown(),
            "| a\\|b | c |\n|---|---|\n| 1 |  |\n| 2 | 3 |\n"
        );
    }

    #[test]
    fn only_columns_of_sentences_are_set_as_text() {
        let mut table = Table::new(&["step", "seconds", "command"]);
        table
            .row(&["one", "3", &"tendon ".repeat(10)])
            .row(&["two", "4", "short"]);
        let html = table.html();
        assert_eq!(html.matches("class=\"prose\"").count(), 3, "{html}");
        assert!(html.contains("<td>3</td>") && html.contains("<td class=\"prose\">short</td>"));
    }

    #[test]
    fn text_is_aligned() {
        let mut table = Table::new(&["set", "top-1"]);
        table.row(&["view 2", "76.8 %"]).row(&["x"]);
        assert_eq!(table.text(), "set      top-1\nview 2  76.8 %\nx\n");
    }
}
