//! A private Postgres: a real server on a free port, with data that survives a restart.
//!
//! Needs neither root nor an installed Postgres. Knows nothing of functions.

mod account;
mod binaries;
mod cluster;
mod download;

use crate::Result;
use account::{Account, Place};
use binaries::Binaries;
use cluster::Cluster;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

/// The time between two looks at whether the server is alive.
const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// The name of the database that is created with the cluster.
const DATABASE: &str = "plain_lambda_development";

/// A running server. Dropping it stops it.
pub(crate) struct Postgres {
    url: String,
    /// The server; `None` once it is being stopped.
    cluster: Arc<Mutex<Option<Cluster>>>,
    /// The lock of the directory, which the kernel releases however `local` ends.
    _lock: File,
}

impl Postgres {
    /// Starts the server whose files are in `dir`, and writes its URL to `dir/url`.
    ///
    /// Creates what is missing: the directory, the cluster, and, by a download of 12 MB, Postgres
    /// itself. Fails if another `local` uses this directory.
    pub(crate) fn start(dir: &Path) -> Result<Postgres> {
        let failed = |cause| format!("failed to use `{}`: {cause}", dir.display());
        fs::create_dir_all(dir).map_err(failed)?;
        let dir = dir.canonicalize().map_err(failed)?;
        let lock = lock(&dir)?;
        let account = Account::of_postgres()?;
        let place = Place::of(&dir, account.as_ref())?;
        let binaries = Binaries::find(&place)?;
        let cluster = Cluster::new(binaries, &place.data, account);
        let password = cluster.prepare(DATABASE)?;
        let port = cluster.start()?;
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/{DATABASE}");
        write_secret(&dir.join("url"), &url)?;
        let cluster = Arc::new(Mutex::new(Some(cluster)));
        let watched = Arc::downgrade(&cluster);
        thread::spawn(move || watch(&watched, port));
        Ok(Postgres {
            url,
            cluster,
            _lock: lock,
        })
    }

    /// Returns the URL, which has the password in it: for the functions, not for a log.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut cluster = self.cluster.lock().expect("no holder of this lock panics");
        if let Some(cluster) = cluster.take()
            && let Err(error) = cluster.stop()
        {
            eprintln!("{error}");
        }
    }
}

/// Starts the server again when it has died, at the same port, because the functions have its URL.
fn watch(watched: &Weak<Mutex<Option<Cluster>>>, port: u16) {
    let mut failed = false;
    loop {
        // The server is not a child process, so its end cannot be waited for.
        thread::sleep(WATCH_PAUSE);
        let Some(cluster) = watched.upgrade() else {
            return;
        };
        let cluster = cluster.lock().expect("no holder of this lock panics");
        let Some(cluster) = &*cluster else {
            return;
        };
        // The port is taken for as long as the server lives.
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            failed = false;
            continue;
        }
        if !failed {
            eprintln!("the private Postgres has died; starting it again");
        }
        // Attempts fail until the last processes of the dead server have ended. One error is enough.
        if let Err(error) = cluster.start_at(port)
            && !failed
        {
            failed = true;
            eprintln!("{error}");
        }
    }
}

fn lock(dir: &Path) -> Result<File> {
    let failed =
        |cause: &dyn std::fmt::Display| format!("failed to use `{}`: {cause}", dir.display());
    let file = File::create(dir.join("lock")).map_err(|cause| failed(&cause))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(failed(&"another `local` is running on it").into()),
        Err(TryLockError::Error(cause)) => Err(failed(&cause).into()),
    }
}

/// Writes a file that no other user may read.
fn write_secret(path: &Path, secret: &str) -> Result<()> {
    let failed = |cause| format!("failed to write `{}`: {cause}", path.display());
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let mut file = file.map_err(failed)?;
    Ok(writeln!(file, "{secret}").map_err(failed)?)
}
