//! What the shop's payment provider has in its books: a line for each charge. They outlive whatever is killed.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// A file of charges.
#[derive(Clone, Debug)]
pub(super) struct Books(PathBuf);

impl Books {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Notes a charge. One write of a short line to the end of a file is never torn by another.
    pub(super) fn charge(&self, payment: &str, charge: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.0)?;
        file.write_all(format!("{payment} {charge}\n").as_bytes())
    }

    /// Returns the charges of each payment.
    pub(super) fn read(&self) -> io::Result<BTreeMap<String, Vec<String>>> {
        let text = match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let mut charges: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (payment, charge) in text.lines().filter_map(|line| line.split_once(' ')) {
            charges.entry(payment.to_owned()).or_default().push(charge.to_owned());
        }
        Ok(charges)
    }
}
