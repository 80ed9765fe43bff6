//! Reports: one HTML file a report, with its plots as inline SVG and its style inside, so that it opens anywhere.
//!
//! A page is a list of blocks: headings, paragraphs, tables and figures. Colours are CSS variables and every SVG element
//! names a class instead of a colour, so that one file reads well in light and in dark (a plotting library that writes
//! literal colours cannot do that). All text is escaped here and nowhere else. A page loads nothing from anywhere.

mod bars;
mod dataset_page;
mod line;
mod matrix;
mod reliability;
mod scale;
mod scatter;
mod skeleton;
mod svg;
mod table;

pub use bars::{Bar, bars};
pub use dataset_page::{class_figures, dataset_page};
pub use line::{Series, lines};
pub use matrix::matrix;
pub use reliability::{Bin, reliability};
pub use scatter::{Point, scatter};
pub use skeleton::{Clip, skeletons};
pub use svg::{Svg, escape};
pub use table::Table;

use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// The style shared by all pages; also defines the classes that figures use.
const STYLE: &str = include_str!("page.css");

/// A page under construction. Blocks appear in the order in which they are added.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// An empty page with this title.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            body: String::new(),
        }
    }

    /// Adds a heading that starts a section.
    pub fn heading(&mut self, text: &str) -> &mut Self {
        self.push(&format!("<h2>{}</h2>\n", escape(text)))
    }

    /// Adds a paragraph of plain text.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.push(&format!("<p>{}</p>\n", escape(text)))
    }

    /// Adds a paragraph that stands out: something the reader should not miss.
    pub fn warning(&mut self, text: &str) -> &mut Self {
        self.push(&format!("<p class=\"warning\">{}</p>\n", escape(text)))
    }

    /// Adds a row of headline figures, each a value above its name.
    pub fn figures_row(&mut self, figures: &[(&str, String)]) -> &mut Self {
        let mut row = String::from("<div class=\"headline\">");
        for (name, value) in figures {
            row.push_str(&format!(
                "<div><b>{}</b><span>{}</span></div>",
                escape(value),
                escape(name)
            ));
        }
        self.push(&row).push("</div>\n")
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        self.push(&table.html())
    }

    /// Adds a figure with a caption.
    pub fn figure(&mut self, svg: &Svg, caption: &str) -> &mut Self {
        self.push(&format!(
            "<figure>{}<figcaption>{}</figcaption></figure>\n",
            svg.html(),
            escape(caption)
        ))
    }

    /// Adds HTML as it is. The caller escapes; meant for blocks with their own script, such as animated skeletons.
    pub fn raw(&mut self, html: &str) -> &mut Self {
        self.push(html)
    }

    /// The whole page.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut html =
            String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        let viewport = "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
        let _ = write!(
            html,
            "{viewport}\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        );
        let _ = write!(
            html,
            "<body>\n<main>\n<h1>{title}</h1>\n{}</main>\n</body>\n</html>\n",
            self.body
        );
        html
    }

    /// Writes the page; a page that was there before stays whole until the new one is.
    ///
    /// # Errors
    /// The file cannot be written: check the folder's permissions and the free space.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        tendon_files::write(path, self.html().as_bytes())
    }

    fn push(&mut self, html: &str) -> &mut Self {
        self.body.push_str(html);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full_page() -> String {
        let mut page = Page::new("Report <of> \"x\"");
        let mut table = Table::new(&["name", "value"]);
        table.row(&["<script>alert(1)</script>", "1.0"]);
        page.heading("a & b").paragraph("1 < 2").table(&table);
        page.figures_row(&[("top-1", "76.8 %".into())]);
        page.figure(
            &lines(
                "epoch",
                "loss",
                &[Series::new("<x>", vec![(0.0, 1.0), (1.0, 0.5)])],
            ),
            "curve",
        );
        page.html()
    }

    #[test]
    fn all_text_is_escaped() {
        let html = full_page();
        assert!(!html.contains("<script>"));
        assert!(html.contains("&lt;script&gt;"));
        assert!(html.contains("Report &lt;of&gt; &quot;x&quot;"));
        assert!(html.contains("&lt;x&gt;"));
    }

    #[test]
    fn loads_nothing_from_outside() {
        let html = full_page();
        assert!(!html.contains("src="));
        assert!(!html.contains("href="));
        assert!(!html.contains("@import"));
        assert!(!html.contains("url("));
    }
}
