//! Whether a file beside a migration says that it runs without a transaction: diesel's
//! `metadata.toml` and Flyway's `<file>.conf`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Reads `metadata.toml` of a migration's directory; true when there is none.
///
/// # Errors
/// A sentence about the file, when it cannot be understood.
pub fn diesels(dir: &Path) -> Result<bool, String> {
    read(&dir.join("metadata.toml"), "run_in_transaction")
}

/// Reads `<file>.conf` beside a file; true when there is none.
///
/// # Errors
/// A sentence about the file, when it cannot be understood.
pub fn flyways(file: &Path) -> Result<bool, String> {
    let mut path = file.as_os_str().to_os_string();
    path.push(".conf");
    read(Path::new(&path), "executeInTransaction")
}

/// Both formats are lines of `key = value`, which are all that is read of TOML.
fn read(path: &Path, key: &str) -> Result<bool, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(format!("`{}` cannot be read: {error}", path.display())),
    };
    option(&text, key).ok_or_else(|| {
        let path = path.display();
        format!("`{path}` is not understood: it may say `{key} = false`, one key a line")
    })
}

fn option(text: &str, key: &str) -> Option<bool> {
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
            assert_eq!(option(text, "run_in_transaction"), expected, "{text}");
        }
    }
}
