//! Reads the options files beside a migration, which can say that it runs without a transaction:
//! diesel's `metadata.toml` and Flyway's `<file>.conf`.
//!
//! Must not read the migration itself.

use super::problems::Problem;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Reads `run_in_transaction` from the `metadata.toml` of a migration's directory; true if there is
/// no such file.
///
/// # Errors
/// What is wrong with the file, if it cannot be read or understood.
pub(super) fn read_diesel_metadata(dir: &Path) -> Result<bool, Problem> {
    read(&dir.join("metadata.toml"), "run_in_transaction")
}

/// Reads `executeInTransaction` from the `<file>.conf` beside a file; true if there is no such file.
///
/// # Errors
/// What is wrong with the file, if it cannot be read or understood.
pub(super) fn read_flyway_conf(file: &Path) -> Result<bool, Problem> {
    let mut path = file.as_os_str().to_os_string();
    path.push(".conf");
    read(Path::new(&path), "executeInTransaction")
}

/// Reads a file of lines `key = value`. Both formats have such lines; nothing else of TOML is read.
fn read(path: &Path, key: &str) -> Result<bool, Problem> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Problem::of(path, format!("it cannot be read: {error}"))),
    };
    parse(&text, key).ok_or_else(|| {
        let reason = format!("it is not understood: it may say `{key} = false`, one key a line");
        Problem::of(path, reason)
    })
}

/// Returns the value of a key, true if there is no such key; `None` if the text is not understood.
fn parse(text: &str, key: &str) -> Option<bool> {
    let mut found = true;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() || line.starts_with('[') && line.ends_with(']') {
            continue;
        }
        let (name, value) = line.split_once('=')?;
        if name.trim() == key {
            found = value.trim().parse().ok()?;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_read_or_the_file_is_not_understood() {
        for (text, expected) in [
            ("run_in_transaction = false\n", Some(false)),
            (
                "# so\n[a]\nother = \"x\"\nrun_in_transaction=false # so",
                Some(false),
            ),
            ("run_in_transaction = true", Some(true)),
            ("", Some(true)),
            ("run_in_transaction = flase", None),
            ("run_in_transaction: false", None),
        ] {
            assert_eq!(parse(text, "run_in_transaction"), expected, "{text}");
        }
    }
}
