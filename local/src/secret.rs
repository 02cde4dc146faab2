//! The SECRET_KEY_BASE of a developer's functions: made once for each directory, and kept there.
//!
//! It is random, because a secret that stands in the sources lets any web page and any process of
//! this machine make a session. Does not know what the functions encrypt with it.

use crate::Result;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use uuid::Uuid;

/// Returns the secret that is kept in `dir`. Makes and keeps one if there is none.
pub(crate) fn of(dir: &Path) -> Result<String> {
    fs::create_dir_all(dir)
        .map_err(|cause| format!("failed to use `{}`: {cause}", dir.display()))?;
    let path = dir.join("secret_key_base");
    Ok(read_or_make(&path)
        .map_err(|cause| format!("failed to write `{}`: {cause}", path.display()))?)
}

fn read_or_make(path: &Path) -> io::Result<String> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.mode(0o600).open(path)?;
    // Programs that start at the same time have to get the same secret.
    file.lock()?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    let mut kept = String::new();
    file.read_to_string(&mut kept)?;
    if !kept.trim().is_empty() {
        return Ok(kept.trim().to_owned());
    }
    let half = || Uuid::new_v4().simple().to_string();
    let secret = format!("{}{}", half(), half());
    writeln!(file, "{secret}")?;
    Ok(secret)
}
