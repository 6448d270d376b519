use super::failure::Failure;
use std::{fs::File, io::Read as _, os::unix::fs::PermissionsExt as _, path::Path};

const TOKEN_BYTES_MAX: usize = 4096;

/// Reads a token from its file: visible ASCII, without the one line end after it.
///
/// A file that other users can read is taken with a warning: secrets that an orchestrator mounts often look so.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let failed = |what: &dyn std::fmt::Display| Failure::new(format!("token file {}: {what}", path.display()));
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mode = file.metadata().map_err(|error| failed(&error))?.permissions().mode();
    let mut text = String::new();
    file.take(TOKEN_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    let token = text.strip_suffix('\n').unwrap_or(&text);
    let token = token.strip_suffix('\r').unwrap_or(token);
    check(token).map_err(|what| failed(&what))?;
    if mode & 0o007 != 0 {
        eprintln!("idemstore: warning: token file {} can be read by every user: chmod 600 it", path.display());
    }
    Ok(token.to_owned())
}

fn check(token: &str) -> Result<(), &'static str> {
    match token.len() {
        0 => Err("it is empty: write the token into it"),
        len if len > TOKEN_BYTES_MAX => Err("the token is longer than 4096 bytes"),
        _ if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("the token has a character that a header cannot carry: use letters, digits and punctuation, in one line")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_a_token() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for (text, token) in [("s3cret", Some("s3cret")), ("s3cret\n", Some("s3cret")), ("s3cret\r\n", Some("s3cret"))]
            .into_iter()
            .chain(["", "\n", "s3cret\n\n", "two words", "\u{fc}"].map(|bad| (bad, None)))
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).ok().as_deref(), token, "{text:?}");
        }
        std::fs::write(&path, "a".repeat(TOKEN_BYTES_MAX + 1)).unwrap();
        assert!(read(&path).is_err());
    }
}
