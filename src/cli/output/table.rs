use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets::NOTHING};
use std::io::{self, IsTerminal as _};

/// A column that is broken into narrower ones cannot be read.
const BROKEN_WIDTH_MIN: u16 = 10;

/// Lays out rows under a header. Where the terminal is too narrow the column `breakable` is broken over lines; the others never are, so
/// that what they hold can be copied.
pub(in crate::cli) fn table(header: &[&str], breakable: usize, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    // Programs that cut columns must not meet lines that were broken for a width that nobody has.
    let width = io::stdout().is_terminal().then(|| Table::new().width()).flatten();
    laid_out(header, breakable, rows, width)
}

fn laid_out(header: &[&str], breakable: usize, rows: impl IntoIterator<Item = Vec<String>>, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header.iter().copied()).add_rows(rows);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for column in table.column_iter_mut() {
        // The first begins at the margin.
        column.set_padding((0, 2));
    }
    let widths = table.column_max_content_widths();
    let others: u16 = (0..).zip(&widths).map(|(index, width)| 2 + if index == breakable { 0 } else { *width }).sum();
    if let Some(width) = width.filter(|width| *width >= others.saturating_add(BROKEN_WIDTH_MIN)) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        for (index, column) in (0..).zip(table.column_iter_mut()) {
            if index != breakable {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// Lays out names and what they have.
pub(in crate::cli) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Vec<String>; 2] {
        [["acme/POST /payments", "pay_7d5d747be160e280504c099d984bcfe0"], ["b", "ref"]].map(|row| row.map(str::to_owned).to_vec())
    }

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let wide = laid_out(&["SCOPE", "KEY"], 0, rows(), None);
        let lines =
            "SCOPE                KEY\nacme/POST /payments  pay_7d5d747be160e280504c099d984bcfe0\nb                    ref\n";
        assert_eq!(wide, lines);
        assert_eq!(laid_out(&["SCOPE", "KEY"], 0, rows(), Some(80)), lines);
        assert_eq!(facts(&[("one", "1".to_owned()), ("eleven", "11".to_owned())]), "one     1\neleven  11\n");
    }

    #[test]
    fn a_narrow_terminal_breaks_the_scope_and_never_the_key() {
        let narrow = laid_out(&["SCOPE", "KEY"], 0, rows(), Some(52));
        assert!(narrow.contains("\nacme/POST") && narrow.contains("\n/payments\n"), "{narrow}");
        assert!(narrow.contains("  pay_7d5d747be160e280504c099d984bcfe0\n"), "{narrow}");
        // One that has no room for either, or claims to have no width, is left to break the lines itself.
        for width in [0, 1, 40] {
            assert_eq!(laid_out(&["SCOPE", "KEY"], 0, rows(), Some(width)), laid_out(&["SCOPE", "KEY"], 0, rows(), None));
        }
    }
}
