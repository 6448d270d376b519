use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use std::io::{self, IsTerminal as _};

/// Lays out rows under a header: as wide as the terminal allows, or as wide as the rows are.
pub(in crate::cli) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = plain();
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    shown(&mut table)
}

/// Lays out names and what they have.
pub(in crate::cli) fn facts<'n>(rows: impl IntoIterator<Item = (&'n str, String)>) -> String {
    let mut table = plain();
    table.add_rows(rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]));
    shown(&mut table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    // Programs that cut columns must not meet lines that were broken for a width that nobody has.
    let is_seen = io::stdout().is_terminal();
    table.set_content_arrangement(if is_seen { ContentArrangement::Dynamic } else { ContentArrangement::Disabled });
    table
}

fn shown(table: &mut Table) -> String {
    // The first column begins at the margin.
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["longer".to_owned(), "c".to_owned()]];
        assert_eq!(table(&["K", "V"], rows), "K       V\na       b\nlonger  c\n");
        assert_eq!(facts([("one", "1".to_owned()), ("eleven", "11".to_owned())]), "one     1\neleven  11\n");
    }
}
