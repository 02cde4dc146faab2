//! A database of the test's own, gone after it.

use super::Cluster;
use postgres::{Client, NoTls};
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty database.
pub struct Database {
    name: String,
}

impl Database {
    /// Makes one.
    pub fn new() -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Cluster::get()
            .admin()
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .expect("the administrator may");
        Database { name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn url(&self) -> String {
        Cluster::get().url(&self.name)
    }

    /// The port of its server.
    pub fn port(&self) -> u16 {
        let url = self.url();
        let (_, rest) = url.rsplit_once(':').expect("the URL has a port");
        let (port, _) = rest.split_once('/').expect("the URL ends in /database");
        port.parse().expect("a port is a number")
    }

    /// Its address behind a proxy's port.
    pub fn url_at(&self, port: u16) -> String {
        self.url()
            .replace(&format!(":{}/", self.port()), &format!(":{port}/"))
    }

    /// A connection of the test's own.
    pub fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).expect("the database takes connections")
    }

    /// How many sessions named `plain-lambda` it has.
    pub fn sessions(&self) -> i64 {
        Cluster::get()
            .admin()
            .query_one(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = $1 AND application_name = 'plain-lambda'",
                &[&self.name],
            )
            .expect("the catalogue is readable")
            .get(0)
    }

    /// Whether a table or view is there.
    pub fn has(&self, relation: &str) -> bool {
        self.client()
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&relation])
            .expect("the catalogue is readable")
            .get(0)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let dropped = Cluster::get().admin().batch_execute(&drop);
        assert!(dropped.is_ok() || std::thread::panicking(), "{dropped:?}");
    }
}
