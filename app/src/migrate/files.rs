//! The migration files on disk: which there are, in which order, and their texts.
//!
//! Knows nothing of the database.

use crate::Failure;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One file `<version>_<name>.sql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The digits, as they are written.
    pub version: String,
    /// What stands between the version and `.sql`.
    pub name: String,
    /// Where the file is.
    pub path: PathBuf,
}

/// The file that fills an empty database.
pub const SEED: &str = "seed.sql";

/// All migrations of a directory by version, compared as numbers.
///
/// Files that do not end in `.sql`, `.down.sql` files and `seed.sql` are none.
///
/// # Errors
/// `Function.InvalidMigrations`, listing every file whose name is wrong or whose version is there
/// twice.
pub fn migrations(dir: &Path) -> Result<Vec<Migration>, Failure> {
    let mut found: BTreeMap<u128, Migration> = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in sql_files(dir)? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name == SEED || name.ends_with(".down.sql") {
            continue;
        }
        let Some((number, migration)) = parse(&name, &path) else {
            wrong.push(format!("`{name}` is not named <version>_<name>.sql"));
            continue;
        };
        if let Some(other) = found.insert(number, migration) {
            wrong.push(format!(
                "`{name}` has the version of `{}`",
                other.path.display()
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(found.into_values().collect());
    }
    wrong.sort();
    let message = format!("failed to read migrations of `{}`", dir.display());
    Err(Failure::new("Function.InvalidMigrations", message).because(wrong.join("; ")))
}

/// A file's text, without a byte order mark.
///
/// # Errors
/// `Function.InvalidMigrations` when it cannot be read or is not UTF-8.
pub fn text(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!("failed to read `{}`", path.display());
        Failure::new("Function.InvalidMigrations", message).because(error)
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_string)
        .unwrap_or(text))
}

fn sql_files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: io::Error| {
        let message = format!(
            "failed to read migrations of `{}` (MIGRATIONS_DIR, else migrations/ in \
             LAMBDA_TASK_ROOT, else in the current directory)",
            dir.display()
        );
        Failure::new("Function.InvalidMigrations", message).because(error)
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    Ok(files)
}

fn parse(file_name: &str, path: &Path) -> Option<(u128, Migration)> {
    let (version, name) = file_name.strip_suffix(".sql")?.split_once('_')?;
    let is_version = version.len() <= 20 && version.bytes().all(|byte| byte.is_ascii_digit());
    if !is_version || name.is_empty() {
        return None;
    }
    let number = version.parse().ok()?;
    let migration = Migration {
        version: version.to_string(),
        name: name.to_string(),
        path: path.into(),
    };
    Some((number, migration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file_name: &str, expected: Option<(u128, &str, &str)>) {
        let parsed = parse(file_name, Path::new(file_name));
        let parsed = parsed.as_ref().map(|(number, migration)| {
            (*number, migration.version.as_str(), migration.name.as_str())
        });
        assert_eq!(parsed, expected);
    }

    #[test]
    fn a_file_name_is_a_version_an_underscore_and_a_name() {
        check(
            "0001_create_customers.sql",
            Some((1, "0001", "create_customers")),
        );
        check(
            "20260102030405_x y.sql",
            Some((20_260_102_030_405, "20260102030405", "x y")),
        );
        check(
            "99999999999999999999_x.sql",
            Some((99_999_999_999_999_999_999, "99999999999999999999", "x")),
        );
    }

    #[test]
    fn other_names_are_no_migrations() {
        for name in [
            "x.sql", "1.sql", "1_.sql", "_x.sql", "1a_x.sql", "+1_x.sql", "1_x.txt",
        ] {
            check(name, None);
        }
        check("100000000000000000000_too_long.sql", None);
    }
}
