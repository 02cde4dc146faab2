//! What the deployed functions do: the handler table and everything behind it.
//!
//! A handler gets the app and an invocation and returns a reply or a failure; it knows nothing of
//! the Runtime API. To add a function, write its handler and name it in `HANDLERS`.

mod audit;
mod catalogue;
mod database;
mod failure;
mod guard;
mod http;
mod invocation;
mod migrate;
mod pages;
mod people;
mod records;
mod session;
mod settings;

pub use failure::Failure;
pub use invocation::{Invocation, Reply};

use database::Database;
use settings::Settings;
use std::sync::atomic::AtomicBool;

/// Answers one invocation.
pub type Handler = fn(&App, &Invocation) -> Result<Reply, Failure>;

/// Every handler by the name that the image's CMD, or the function's configuration, gives it.
pub const HANDLERS: &[(&str, Handler)] = &[("http", http::handle), ("migrate", migrate::handle)];

/// What the handlers of one environment share.
pub struct App {
    settings: Settings,
    database: Database,
    catalogue: catalogue::Cache,
    /// Whether this process has made a page for somebody.
    has_visitors: AtomicBool,
}

impl App {
    /// Reads the settings; opens nothing, so that it costs next to nothing before the first event.
    /// `handler` is the name of the one that will be asked, `concurrency` how often at once.
    ///
    /// # Errors
    /// `Function.InvalidSettings`, naming the variable and what it may be.
    pub fn new(
        variable: &dyn Fn(&str) -> Option<String>,
        handler: &str,
        concurrency: usize,
    ) -> Result<App, Failure> {
        let settings = Settings::read(variable)?;
        if handler == "http" && !settings.is_local() {
            settings.check_secret()?;
        }
        let database = Database::new(settings.database.clone(), concurrency);
        Ok(App {
            settings,
            database,
            catalogue: catalogue::Cache::default(),
            has_visitors: AtomicBool::new(false),
        })
    }

    /// Closes the connections that nobody uses; the next invocation opens new ones.
    pub fn disconnect(&self) {
        self.database.disconnect();
    }
}
