//! What all requests share: the settings, the database, and the cached catalog of its tables.
//!
//! Made once in a process. Knows no request and no page.

use crate::schema;
use crate::secrets::Secrets;
use database::Database;
use handler::{AppEnv, Failure, Variables};
use migrate::Migrator;
use records::catalog;
use std::sync::atomic::AtomicBool;
use web::Hosts;

/// What all requests share.
pub(crate) struct Shared {
    pub app_env: AppEnv,
    pub hosts: Hosts,
    pub secrets: Secrets,
    pub database: Database,
    /// The tables, as they were at most a minute ago.
    pub catalog: catalog::Cache,
    /// Whether this process has answered a signed-in user.
    pub has_served_a_user: AtomicBool,
    migrations: migrate::Settings,
}

impl Shared {
    /// Reads the settings, and opens no connection. `concurrency` is the number of invocations that
    /// are handled at the same time.
    ///
    /// # Errors
    /// `Function.InvalidSettings`, with the name of the variable and the values that it may have.
    pub(crate) fn new(variables: &Variables, concurrency: usize) -> Result<Shared, Failure> {
        let app_env = AppEnv::read(variables)?;
        let settings = database::Settings::read(variables, app_env)?;
        Ok(Shared {
            app_env,
            hosts: Hosts::read(variables, app_env)?,
            secrets: Secrets::read(variables, app_env)?,
            database: Database::new(settings, concurrency),
            catalog: catalog::Cache::default(),
            has_served_a_user: AtomicBool::new(false),
            migrations: migrate::Settings::read(variables)?,
        })
    }

    /// Returns what the migration engine works on: the database, the directory of the files, and
    /// the tool's own migrations.
    pub(crate) fn migrator(&self) -> Migrator<'_> {
        Migrator {
            database: &self.database,
            settings: &self.migrations,
            built_in: &schema::MIGRATIONS,
        }
    }
}
