//! A database for one test, dropped after it.

use super::Cluster;
use postgres::{Client, NoTls};
use std::sync::atomic::{AtomicU32, Ordering};

/// A database; dropped with its value.
pub(crate) struct Database {
    name: String,
}

impl Database {
    /// Creates an empty database.
    pub(crate) fn new() -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Cluster::get()
            .admin()
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .expect("the administrator may");
        Database { name }
    }

    /// Returns the name of the database.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address of the database.
    pub(crate) fn url(&self) -> String {
        Cluster::get().url(&self.name)
    }

    /// Returns the port of the server.
    pub(crate) fn port(&self) -> u16 {
        let url = self.url();
        let (_, rest) = url.rsplit_once(':').expect("the URL has a port");
        let (port, _) = rest.split_once('/').expect("the URL ends in /database");
        port.parse().expect("a port is a number")
    }

    /// Returns the address of the database with the port of a proxy.
    pub(crate) fn url_at(&self, port: u16) -> String {
        self.url()
            .replace(&format!(":{}/", self.port()), &format!(":{port}/"))
    }

    /// Connects to the database as the administrator.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).expect("the database takes connections")
    }

    /// Counts the database's sessions named `plain-lambda`.
    pub(crate) fn sessions(&self) -> i64 {
        Cluster::get()
            .admin()
            .query_one(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = $1 AND application_name = 'plain-lambda'",
                &[&self.name],
            )
            .expect("the catalog is readable")
            .get(0)
    }

    /// Returns whether a table, an index or a view exists.
    pub(crate) fn has(&self, relation: &str) -> bool {
        self.client()
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&relation])
            .expect("the catalog is readable")
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
