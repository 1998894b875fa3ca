//! What was measured, and the tables of `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::path::Path;

/// What one part of the benchmark has to say.
#[derive(Debug, Default)]
pub struct Section {
    /// What was measured with, in a sentence.
    pub subject: String,
    /// The figures.
    pub tables: Vec<Table>,
    /// What was to be reached.
    pub targets: Vec<Target>,
}

/// A table of figures.
#[derive(Debug)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Something to be reached, and how far it is.
#[derive(Debug)]
pub struct Target {
    what: String,
    wanted: String,
    measured: String,
    is_met: bool,
}

impl Table {
    /// A table with these columns.
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { head: head.map(str::to_owned).into(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl Target {
    /// A figure that may be as large as this.
    pub fn at_most(what: &str, limit: f64, unit: &str, median: f64, measured: String) -> Self {
        let wanted = format!("≤ {limit}{unit}");
        Self { what: what.to_owned(), wanted, measured, is_met: median <= limit }
    }

    /// A figure that has to be as large as this.
    pub fn at_least(what: &str, limit: f64, unit: &str, median: f64, measured: String) -> Self {
        let wanted = format!("≥ {limit}{unit}");
        Self { what: what.to_owned(), wanted, measured, is_met: median >= limit }
    }

    /// Something that is so or not.
    pub fn holds(what: &str, wanted: &str, measured: String, is_met: bool) -> Self {
        Self { what: what.to_owned(), wanted: wanted.to_owned(), measured, is_met }
    }

    /// Whether it is reached.
    pub fn is_met(&self) -> bool {
        self.is_met
    }
}

impl Section {
    /// As Markdown, with a line that says when and where it was measured.
    pub fn markdown(&self, machine: &str) -> String {
        let mut text = format!("{machine}. {}\n", self.subject);
        for table in &self.tables {
            write_table(&mut text, &table.head, &table.rows);
        }
        let head = ["target", "wanted", "measured", "met"].map(str::to_owned);
        let rows: Vec<Vec<String>> = self
            .targets
            .iter()
            .map(|Target { what, wanted, measured, is_met }| {
                let verdict = if *is_met { "yes" } else { "**no**" };
                vec![what.clone(), wanted.clone(), measured.clone(), verdict.to_owned()]
            })
            .collect();
        if !rows.is_empty() {
            write_table(&mut text, &head, &rows);
        }
        text
    }
}

fn write_table(text: &mut String, head: &[String], rows: &[Vec<String>]) {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let rule = vec!["---".to_owned(); head.len()];
    let lines: Vec<String> =
        [head, &rule].into_iter().chain(rows.iter().map(Vec::as_slice)).map(line).collect();
    writeln!(text, "\n{}", lines.join("\n")).expect("a String takes everything");
}

/// Puts a part's text between its two marks of a document.
///
/// # Panics
/// When the document has no such marks.
pub fn put_between_marks(document: &str, part: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- figures: {part} -->"), format!("<!-- end: {part} -->"));
    let places =
        document.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)));
    let (before, (_, after)) = places.unwrap_or_else(|| panic!("the document has no {begin} … {end}"));
    format!("{before}{begin}\n{text}{end}{after}")
}

/// The same in a file.
///
/// # Panics
/// As above, and when the file can't be read or written.
pub fn write_between_marks(file: &Path, part: &str, text: &str) {
    let document = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, put_between_marks(&document, part, text)).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_its_tables_and_a_verdict_on_each_target() {
        let mut table = Table::new(["", "wall s"]);
        table.row(["floor".to_owned(), "1.00".to_owned()]);
        let section = Section {
            subject: "An image.".to_owned(),
            tables: vec![table],
            targets: vec![
                Target::at_most("CPU / floor", 1.25, " ×", 1.3, "1.30 (1.2–1.4)".to_owned()),
                Target::at_least("faster", 10.0, " ×", 10.0, "10.0".to_owned()),
                Target::holds("a changed byte", "refused", "refused".to_owned(), true),
            ],
        };
        let wanted = "Today. An image.\n\n| | wall s |\n| --- | --- |\n| floor | 1.00 |\n\n\
            | target | wanted | measured | met |\n| --- | --- | --- | --- |\n\
            | CPU / floor | ≤ 1.25 × | 1.30 (1.2–1.4) | **no** |\n\
            | faster | ≥ 10 × | 10.0 | yes |\n\
            | a changed byte | refused | refused | yes |\n";
        assert_eq!(section.markdown("Today").replace("|  |", "| |"), wanted);
    }

    #[test]
    fn only_what_stands_between_the_marks_of_a_part_is_replaced() {
        let document = "a\n<!-- figures: cold -->\nbefore\n<!-- end: cold -->\nb\n<!-- figures: many -->\n<!-- end: many -->\n";
        let changed = put_between_marks(document, "cold", "new\n");
        assert_eq!(changed, document.replace("before", "new"));
        assert_eq!(put_between_marks(&changed, "cold", "new\n"), changed);
    }
}
