//! The account that runs Postgres, and directories that this account can reach.
//!
//! Postgres refuses to run as root. When `local` runs as root, Postgres gets another account;
//! otherwise both run as the same user. Knows nothing of clusters.

use crate::Result;
use rustix::process::geteuid;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An account that is not `local`'s own.
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Returns `postgres`, or `nobody` if that does not exist, when `local` runs as root. Otherwise
    /// returns `None`.
    pub(super) fn of_postgres() -> Result<Option<Account>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd")
            .map_err(|cause| format!("failed to read `/etc/passwd`: {cause}"))?;
        let account = ["postgres", "nobody"]
            .iter()
            .find_map(|name| find(&accounts, name));
        let account = account.ok_or("failed to find an account for Postgres, which refuses root: there is neither `postgres` nor `nobody`")?;
        Ok(Some(account))
    }

    /// Makes the account the owner of `path`.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        Ok(chown(path, Some(self.uid), Some(self.gid))
            .map_err(|cause| format!("failed to give away `{}`: {cause}", path.display()))?)
    }

    /// Has `command` run as the account.
    pub(super) fn apply_to(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

fn find(accounts: &str, name: &str) -> Option<Account> {
    let fields: Vec<&str> = accounts
        .lines()
        .map(|line| line.split(':').collect())
        .find(|fields: &Vec<&str>| fields[0] == name)?;
    Some(Account {
        uid: fields.get(2)?.parse().ok()?,
        gid: fields.get(3)?.parse().ok()?,
    })
}

/// Directories that the account can reach.
pub(super) struct Place {
    /// The directory of the clusters.
    pub data: PathBuf,
    /// The directory of a Postgres that was fetched.
    pub builds: PathBuf,
}

impl Place {
    /// Returns `dir` and its parent, or, if another account runs Postgres and cannot reach `dir`, a
    /// directory among the temporary files.
    pub(super) fn of(dir: &Path, account: Option<&Account>) -> Result<Place> {
        if account.is_none() || dir.ancestors().all(is_open) {
            let builds = dir.parent().unwrap_or(dir).to_owned();
            return Ok(Place {
                data: dir.to_owned(),
                builds,
            });
        }
        let mut hasher = DefaultHasher::new();
        dir.hash(&mut hasher);
        let elsewhere =
            std::env::temp_dir().join(format!("plain-lambda-postgres-{:016x}", hasher.finish()));
        eprintln!(
            "using {}: Postgres refuses root, and no other account can reach {}",
            elsewhere.display(),
            dir.display()
        );
        claim(&elsewhere)?;
        Ok(Place {
            data: elsewhere.clone(),
            builds: elsewhere,
        })
    }
}

/// Returns whether every user may enter the directory.
fn is_open(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|metadata| metadata.mode() & 0o001 != 0)
}

/// Creates a directory, or checks who owns it, in a place where any user may have created it.
fn claim(directory: &Path) -> Result<()> {
    let failed = |cause| format!("failed to use `{}`: {cause}", directory.display());
    if let Err(cause) = fs::create_dir(directory)
        && cause.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(failed(cause).into());
    }
    let metadata = fs::symlink_metadata(directory).map_err(failed)?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        return Err(format!("failed to use `{}`: it is not ours", directory.display()).into());
    }
    Ok(fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).map_err(failed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0::/root:/bin/sh\npostgres2:x:1:2::/:\npostgres:x:101:104::/:\n";
        let account = find(accounts, "postgres").expect("it is there");
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(find(accounts, "nobody").is_none());
    }
}
