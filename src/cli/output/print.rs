use super::text::escaped_json;
use crate::cli::failure::Failure;
use std::{
    fmt,
    io::{self, ErrorKind, IsTerminal as _, Write as _},
};

/// Writes to stdout.
pub(in crate::cli) fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::io("writing the output", &error),
    })
}

/// Writes one document of JSON, to the byte as it is unless a person is to read it.
pub(in crate::cli) fn print_json(json: impl AsRef<[u8]>) -> Result<(), Failure> {
    let json = json.as_ref();
    let mut line = match str::from_utf8(json) {
        Ok(text) if io::stdout().is_terminal() => escaped_json(text).into_bytes(),
        _ => json.to_vec(),
    };
    line.push(b'\n');
    print(line)
}

/// Says something on stderr, where no program looks for output.
pub(in crate::cli) fn note(message: impl fmt::Display) {
    // When nobody listens there either, there is nobody to tell.
    let _ = writeln!(io::stderr(), "{message}");
}
