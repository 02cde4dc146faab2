//! Starts the real parts for a test and stops them after it. Knows nothing of what is tested.

mod cluster;
mod database;
mod local;
mod parts;
mod person;
mod pgbouncer;
pub mod podman;
mod program;
pub mod proxy;
mod record;
mod registry;
mod runtime_api;

pub use cluster::Cluster;
pub use database::Database;
pub use local::{Local, Options, free_port, resident_kb, state};
pub(crate) use parts::needs;
pub use parts::{Part, are_there};
pub use person::{Answer, PASSWORD, Person};
pub use pgbouncer::PgBouncer;
pub use program::{
    Program, bootstrap, candidate, install, is_ours, local, run, run_with, said, script, signal,
    test_handler,
};
pub use registry::Registry;
pub use runtime_api::{RuntimeApi, USUAL};

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// What sessions are sealed with where a secret has to be one.
pub const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// How many migrations the project has.
pub const MIGRATIONS: usize = 5;

/// How long a test waits for a condition before it says what it waited for: less for another's
/// runtime, which may be wrong in every row.
fn patience() -> Duration {
    match is_ours() {
        true => Duration::from_secs(20),
        false => Duration::from_secs(5),
    }
}

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the checkout")
}

/// The project's own migrations.
pub fn migrations() -> PathBuf {
    root().join("migrations")
}

/// Waits until `condition` gives a value.
#[track_caller]
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
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
        // Answers come within a fraction of a millisecond; what takes longer may be slept for.
        match started.elapsed() < Duration::from_millis(2) {
            true => thread::yield_now(),
            false => thread::park_timeout(Duration::from_millis(10)),
        }
    }
}
