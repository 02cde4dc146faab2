//! What you write: the table of handlers, and your own pages.
//!
//! `bootstrap` calls [`App::new`] once, when the process starts, and then one handler of
//! [`HANDLERS`] for every event. [`Site`] answers the requests: the pages in `pages` are yours, all
//! others are the admin tool's. Knows neither the Runtime API nor how a page is made.

mod pages;

use admin::Site;
use handler::{Application, Failure, Handler, Invocation, Reply, Variables};

/// The handlers, by name. A function names its handler as its image's CMD or, without an image, in
/// its configuration.
pub const HANDLERS: &[(&str, Handler<App>)] = &[("http", http), ("migrate", migrate)];

/// What the handlers share: a [`Site`], which holds the settings and the database connections.
pub struct App {
    site: Site,
}

impl Application for App {
    fn new(variables: &Variables, handler: &str, concurrency: usize) -> Result<App, Failure> {
        let site = Site::new(variables, concurrency, pages::ROUTES)?;
        // Only `http` encrypts sessions, so only `http` refuses to start with a weak secret.
        if handler == "http" {
            site.check_secret()?;
        }
        Ok(App { site })
    }

    fn disconnect(&self) {
        self.site.disconnect();
    }

    fn help(handler: &str) -> Option<String> {
        (handler == "migrate").then(Site::migrate_help)
    }
}

/// Answers an HTTP request with a page.
fn http(app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    app.site.http(invocation)
}

/// Runs the action that an event such as `{"action":"migrate"}` names.
fn migrate(app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    app.site.migrate(invocation)
}
