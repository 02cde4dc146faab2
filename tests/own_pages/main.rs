//! An application with the pages that README.md and docs/your-pages.md show, and with some that go
//! wrong: what a program can do with the tool, the tests can see it do.

mod odd;
mod parts;
mod stock;

use admin::{Role, Route, Site};
use handler::{Application, Failure, Handler, Invocation, Reply, Variables};
use std::process::ExitCode;

const HANDLERS: &[(&str, Handler<App>)] = &[("http", http), ("migrate", migrate)];

const ROUTES: &[Route] = &[
    Route::get("/stock", Role::Viewer, stock::show).in_navigation("Stock"),
    parts::ROUTES[0],
    parts::ROUTES[1],
    odd::ROUTES[0],
    odd::ROUTES[1],
    odd::ROUTES[2],
];

fn main() -> ExitCode {
    bootstrap::start(HANDLERS)
}

struct App {
    site: Site,
}

impl Application for App {
    fn new(variables: &Variables, _: &str, concurrency: usize) -> Result<App, Failure> {
        let site = Site::new(variables, concurrency, ROUTES)?;
        Ok(App { site })
    }

    fn disconnect(&self) {
        self.site.disconnect();
    }
}

fn http(app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    app.site.http(invocation)
}

fn migrate(app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    app.site.migrate(invocation)
}
