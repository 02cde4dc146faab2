//! Starts the real parts for a test and stops them after it. Knows no test.

mod cluster;
mod database;
mod local;
mod parts;
mod person;
mod pgbouncer;
pub(crate) mod podman;
mod program;
pub(crate) mod proxy;
mod record;
mod registry;
mod runtime_api;
mod server;

pub(crate) use cluster::Cluster;
pub(crate) use database::Database;
pub(crate) use local::{Local, Options, free_port, resident_kb, state};
pub(crate) use parts::needs;
pub(crate) use parts::{Part, are_there};
pub(crate) use person::{Answer, PASSWORD, Person};
pub(crate) use pgbouncer::PgBouncer;
pub(crate) use program::{
    Program, bootstrap, candidate, install, is_ours, local, run, run_with, said, script, signal,
    test_handler,
};
pub(crate) use registry::Registry;
pub(crate) use runtime_api::{RuntimeApi, USUAL};
pub(crate) use server::Server;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A SECRET_KEY_BASE that is accepted in production.
pub(crate) const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// The number of the project's migrations.
pub(crate) const MIGRATIONS: usize = 3;

/// The number of the built-in migrations.
pub(crate) const BUILT_IN: usize = 3;

/// Returns how long a test waits for a condition before it fails. Shorter for another runtime, which may
/// fail in every row of the conformance suite.
fn patience() -> Duration {
    match is_ours() {
        true => Duration::from_secs(20),
        false => Duration::from_secs(5),
    }
}

/// Returns the root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the checkout")
}

/// Returns the directory of the project's migrations.
pub(crate) fn migrations() -> PathBuf {
    root().join("migrations")
}

/// Waits until `condition` returns a value.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        let patience = patience();
        assert!(
            started.elapsed() < patience,
            "waited {patience:?} for {what}"
        );
        // An answer usually comes within a fraction of a millisecond. After that, sleep between the checks.
        match started.elapsed() < Duration::from_millis(2) {
            true => thread::yield_now(),
            false => thread::park_timeout(Duration::from_millis(10)),
        }
    }
}
