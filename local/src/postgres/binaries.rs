//! Finds a Postgres on this machine: one that is installed, or was fetched before, or is fetched
//! now.
//!
//! Starts no server.

use super::account::Place;
use super::download;
use crate::Result;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that a private server needs. `psql` and the like are not among them, because small
/// builds lack them.
const NEEDED: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// Where packages and installers put Postgres: the parent of the versions' folders, and the path
/// from a version's folder to its programs.
const INSTALLED: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// A folder with the programs of one Postgres.
pub(super) struct Binaries {
    folder: PathBuf,
    /// The major version; a cluster belongs to one.
    pub major: u32,
}

impl Binaries {
    /// Returns the first Postgres that works: on `PATH`, by `pg_config`, in an installation folder
    /// (newest first), or in `place`. If there is none, fetches one into `place`.
    pub(super) fn find(place: &Place) -> Result<Binaries> {
        let fetched = download::folder(&place.builds);
        let path = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&path)
            .chain(configured())
            .chain(installed())
            .chain([fetched])
            .find_map(Binaries::at);
        match found {
            Some(binaries) => Ok(binaries),
            None => {
                let folder = download::fetch(&place.builds)?;
                let failed = || format!("failed to run `{}`", folder.join("postgres").display());
                Ok(Binaries::at(folder.clone()).ok_or_else(failed)?)
            }
        }
    }

    /// Returns the path of one program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the Postgres in `folder`, if all programs are there and its version can be read.
    fn at(folder: PathBuf) -> Option<Binaries> {
        if !NEEDED.iter().all(|program| folder.join(program).is_file()) {
            return None;
        }
        let output = Command::new(folder.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        let major = major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Binaries { folder, major })
    }
}

fn configured() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(
        String::from_utf8(output.stdout).ok()?.trim_end(),
    ))
}

fn installed() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, programs) in INSTALLED {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            if let Some(version) = version(&entry.path()) {
                found.push((version, entry.path().join(programs)));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// Returns the version in a folder's name: `15` for `15`, `pgsql-15` and `postgresql@15`.
fn version(folder: &Path) -> Option<u32> {
    let name = folder.file_name()?.to_str()?;
    let name = name
        .strip_prefix("pgsql-")
        .or(name.strip_prefix("postgresql@"))
        .unwrap_or(name);
    name.parse().ok()
}

/// Returns the major version: `15` for `postgres (PostgreSQL) 15.20 (Debian 15.20-1)`.
fn major(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    let digits = number
        .split(|character: char| !character.is_ascii_digit())
        .next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_the_output_of_postgres() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.20 (Debian 15.20-1)\n"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major("something else"), None);
    }

    #[test]
    fn the_version_is_read_from_a_folder_of_any_packager() {
        let version = |folder| version(Path::new(folder));
        assert_eq!(version("/usr/lib/postgresql/15"), Some(15));
        assert_eq!(version("/usr/pgsql-17"), Some(17));
        assert_eq!(version("/opt/homebrew/opt/postgresql@18"), Some(18));
        assert_eq!(version("/opt/homebrew/opt/openssl@3"), None);
    }
}
