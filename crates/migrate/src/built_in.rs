//! Built-in migrations: those that are compiled into the program and make its own tables. They are
//! applied before the files of the directory, and never rolled back, edited or missing.
//!
//! In the history, `plain-lambda/` stands before the version of a built-in migration; no file's
//! version can have that. Must not know any file system or database.

use crate::files::{Migration, Script, Version};
use crate::history::Applied;

/// The built-in migrations of a program.
///
/// ```
/// use migrate::{BuiltIn, Embedded};
///
/// const BUILT_IN: BuiltIn = BuiltIn {
///     files: &[Embedded {
///         version: "1",
///         name: "create_users",
///         sql: "CREATE TABLE users (email text PRIMARY KEY)",
///     }],
///     former: &[],
/// };
/// # assert_eq!(BUILT_IN.files.len(), 1);
/// ```
pub struct BuiltIn {
    /// The built-in migrations, in the order in which they are applied.
    pub files: &'static [Embedded],
    /// The files of a project's directory that built-in migrations have replaced.
    pub former: &'static [Former],
}

/// A built-in migration. Once released, it never changes.
pub struct Embedded {
    /// The version: digits, compared as a number.
    pub version: &'static str,
    /// The name: what the migration does.
    pub name: &'static str,
    /// The statements, which run in one transaction.
    pub sql: &'static str,
}

/// A file of the directory that a built-in migration has replaced. If a history has the file, the
/// built-in migration counts as applied; if the directory still has it, the file is ignored.
pub struct Former {
    /// The file's version.
    pub version: &'static str,
    /// The name that follows the version in the file's name.
    pub name: &'static str,
    /// The SHA-256 of the file's text, which identifies a file that was given another version.
    pub sha256: &'static str,
    /// The version of the built-in migration.
    pub built_in: &'static str,
}

/// The prefix of a built-in migration's version in the history.
const PREFIX: &str = "plain-lambda/";

impl BuiltIn {
    /// No built-in migration.
    pub const NONE: BuiltIn = BuiltIn {
        files: &[],
        former: &[],
    };

    /// Returns whether a built-in migration has replaced this file of the directory.
    pub(crate) fn replaces(&self, file: &Migration) -> bool {
        let (version, sha256) = (file.version.to_string(), file.up.sha256());
        let is_former = |former: &Former| former.matches(&version, &file.name, &sha256);
        self.former.iter().any(is_former)
    }

    /// Splits the rows of a history into those of built-in migrations and those of files. The row of
    /// a replaced file gets the version of the built-in migration.
    pub(crate) fn split(&self, rows: Vec<Applied>) -> (Vec<Applied>, Vec<Applied>) {
        let renamed = rows.into_iter().map(|mut row| {
            let mut former = self.former.iter();
            if let Some(former) =
                former.find(|former| former.matches(&row.version, &row.name, &row.sha256))
            {
                row.version = format!("{PREFIX}{}", former.built_in);
            }
            row
        });
        renamed.partition(|row| row.version.starts_with(PREFIX))
    }

    /// Returns the built-in migrations that have no row.
    pub(crate) fn pending(&self, applied: &[Applied]) -> Vec<Migration> {
        let files = self.files.iter().filter_map(migration);
        files
            .filter(|file| {
                !applied
                    .iter()
                    .any(|row| row.version == file.history_version())
            })
            .collect()
    }
}

impl Former {
    fn matches(&self, version: &str, name: &str, sha256: &str) -> bool {
        (self.version == version && self.name == name) || self.sha256 == sha256
    }
}

impl Migration {
    /// Returns the version as it is written in the history.
    pub(crate) fn history_version(&self) -> String {
        match self.built_in {
            true => format!("{PREFIX}{}", self.version),
            false => self.version.to_string(),
        }
    }

    /// Returns whether a row of the history is this migration's.
    pub(crate) fn has_row(&self, row: &Applied) -> bool {
        match self.built_in {
            true => row.version == self.history_version(),
            false => self.version.same(&row.version),
        }
    }
}

/// Returns a row's version without the prefix of the built-in migrations.
pub(crate) fn display_version(row: &Applied) -> &str {
    row.version.strip_prefix(PREFIX).unwrap_or(&row.version)
}

/// Makes a migration of an embedded file; `None` if its version is not valid.
fn migration(file: &Embedded) -> Option<Migration> {
    Some(Migration {
        version: Version::read(file.version)?,
        name: file.name.to_string(),
        built_in: true,
        up: Script {
            path: format!("{PREFIX}{}_{}.sql", file.version, file.name).into(),
            text: file.sql.to_string(),
            section: 0..file.sql.len(),
            transaction: true,
        },
        down: None,
        covers: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT_IN: BuiltIn = BuiltIn {
        files: &[
            Embedded {
                version: "1",
                name: "create_users",
                sql: "CREATE TABLE users ()",
            },
            Embedded {
                version: "2",
                name: "create_audit",
                sql: "CREATE TABLE audit ()",
            },
        ],
        former: &[Former {
            version: "20260101000000",
            name: "create_people",
            sha256: "abc",
            built_in: "1",
        }],
    };

    fn row(version: &str, name: &str, sha256: &str) -> Applied {
        Applied {
            version: version.to_string(),
            name: name.to_string(),
            sha256: sha256.to_string(),
            ms: 0,
            statements: 1,
            begun: false,
            run: String::new(),
            remembered: String::new(),
            at: Some("2026-01-31 23:59:59".to_string()),
            progress: None,
        }
    }

    #[track_caller]
    fn check(rows: Vec<Applied>, pending: &[&str], left: &[&str]) {
        let (built_in, own) = BUILT_IN.split(rows);
        let found = BUILT_IN.pending(&built_in).into_iter();
        let names: Vec<String> = found.map(|migration| migration.name).collect();
        assert_eq!(names, pending);
        let own: Vec<&str> = own.iter().map(|row| row.version.as_str()).collect();
        assert_eq!(own, left);
    }

    #[test]
    fn a_replaced_file_counts_as_the_built_in_migration_whatever_its_version_is() {
        check(vec![], &["create_users", "create_audit"], &[]);
        let former = row("20260101000000", "create_people", "edited");
        check(vec![former, row("5", "x", "y")], &["create_audit"], &["5"]);
        let renamed = row("20270101000000", "people", "abc");
        check(vec![renamed], &["create_audit"], &[]);
        let built_in = row("plain-lambda/2", "create_audit", "z");
        check(vec![built_in], &["create_users"], &[]);
    }

    #[test]
    fn a_file_of_the_same_name_and_another_version_is_the_users_own() {
        let own = row("7", "create_people", "own");
        check(vec![own], &["create_users", "create_audit"], &["7"]);
    }
}
