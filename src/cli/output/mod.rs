//! What commands print: tables for people, JSON for programs, and nothing that a terminal would obey.

mod print;
mod progress;
mod table;
mod text;

pub(super) use print::{note, print, print_json};
pub(super) use progress::Bar;
pub(super) use table::{facts, table};
pub(super) use text::{age, bytes, escaped, escaped_text, instant, length, quoted, since, until};
