//! Finds a Postgres on this machine: installed, or fetched before, or fetched now.

use super::account::Place;
use super::download;
use crate::Result;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a private server needs. `psql` and the like are not among it: small builds lack them.
const NEEDED: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// Where packages and installers put a Postgres: a folder, and what lies between a version's
/// folder and its programs.
const INSTALLED: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// A folder with the programs of one Postgres.
pub struct Binaries {
    folder: PathBuf,
    /// The major version; a cluster belongs to one.
    pub major: u32,
}

impl Binaries {
    /// The first that works: on `PATH`, by `pg_config`, in an installation folder (newest first),
    /// in `place`; else it is fetched to there.
    pub fn find(place: &Place) -> Result<Binaries> {
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

    /// The path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

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

/// `15` of `15`, `pgsql-15` and `postgresql@15`.
fn version(folder: &Path) -> Option<u32> {
    let name = folder.file_name()?.to_str()?;
    let name = name
        .strip_prefix("pgsql-")
        .or(name.strip_prefix("postgresql@"))
        .unwrap_or(name);
    name.parse().ok()
}

/// `15` of `postgres (PostgreSQL) 15.20 (Debian 15.20-1)`.
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
    fn the_major_version_is_read_from_what_postgres_says() {
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
