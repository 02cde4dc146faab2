//! What stands for other migrations: a baseline of Flyway's, or Rails' `structure.sql`. Puts it in their
//! place, and says which rows of the history it writes for them.
//!
//! Must not know any database, or how the files were found.

use super::{Covered, Migration, Version};

/// A migration that stands for others. It is applied where nothing else is.
#[derive(Debug)]
pub(crate) struct Start {
    /// The migration, with the version of the newest one that it stands for.
    pub migration: Migration,
    /// The versions that it stands for; `None` if it stands for all up to its own.
    pub versions: Option<Vec<String>>,
}

impl Start {
    /// Puts the migration where it belongs: before an empty history's other files, in place of those
    /// that it stands for; or as the file of the row that it has written. `row` is the checksum of the
    /// row of its version, if there is one.
    pub(crate) fn take_place(
        &self,
        files: &mut Vec<Migration>,
        is_empty: bool,
        row: Option<&String>,
    ) {
        let own = &self.migration;
        if !is_empty && row.is_none_or(|row| *row != own.up.sha256()) {
            return;
        }
        let taken = self.with_rows(files);
        files.retain(|file| match is_empty {
            true => !self.covers(&file.version),
            false => file.version != own.version,
        });
        files.push(taken);
    }

    /// Returns the migration, with the rows of the migrations that it stands for.
    fn with_rows(&self, files: &[Migration]) -> Migration {
        let own = &self.migration;
        let of_file = |file: &Migration| Covered {
            version: file.version.to_string(),
            name: file.name.clone(),
            sha256: file.up.sha256(),
        };
        let covers = match &self.versions {
            None => {
                let older = files.iter().filter(|file| file.version < own.version);
                older.map(of_file).collect()
            }
            Some(versions) => {
                let others = versions.iter().filter(|version| !own.version.same(version));
                let row = |version: &String| {
                    let file = files.iter().find(|file| file.version.same(version));
                    file.map(of_file).unwrap_or_else(|| Covered {
                        version: version.clone(),
                        name: String::new(),
                        sha256: own.up.sha256(),
                    })
                };
                others.map(row).collect()
            }
        };
        Migration {
            covers,
            ..own.clone()
        }
    }

    /// Returns the versions that it stands for, as far as they are known by name; with its own.
    pub(crate) fn all_versions(&self) -> impl Iterator<Item = &str> {
        let own = [self.migration.version.text()].into_iter();
        let others = self.versions.iter().flatten().map(String::as_str);
        others
            .filter(|one| !self.migration.version.same(one))
            .chain(own)
    }

    /// Returns the migration of a version that has no file, if this one stands for it.
    pub(crate) fn stand_in(&self, version: Version) -> Option<Migration> {
        if !self.covers(&version) {
            return None;
        }
        let name = match version == self.migration.version {
            true => self.migration.name.clone(),
            false => String::new(),
        };
        Some(Migration {
            version,
            name,
            ..self.migration.clone()
        })
    }

    /// Returns whether the migration stands for the one of this version.
    pub(crate) fn covers(&self, version: &Version) -> bool {
        match &self.versions {
            None => *version <= self.migration.version,
            Some(versions) => versions.iter().any(|one| version.same(one)),
        }
    }
}
