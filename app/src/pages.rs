//! Every page of the app, in one `match`: path → page, the methods it takes, and who may see it.
//!
//! Knows nothing of events. `gate` finds out who is asking, `frame` is what is around every page,
//! `errors` what is shown where there is none. SQL that one page needs stands in its file, all other
//! in `records`, `audit` and `people`.

mod assets;
mod audit;
mod cell;
mod chart;
mod choices;
mod dashboard;
mod delete;
mod editor;
mod errors;
mod export;
mod frame;
mod gate;
mod list;
mod orders_per_month;
mod password;
mod people;
mod row;
mod sign_in;
mod tables;
mod up;

pub use errors::{refuse, too_large};

use crate::http::{Request, Response};
use crate::people::Role;
use crate::{App, Invocation};
use gate::Page;

/// The pages that are in reach of every page: path, name, for whom.
const SECTIONS: [(&str, &str, Role); 5] = [
    ("/", "Dashboard", Role::Viewer),
    ("/tables", "Tables", Role::Viewer),
    ("/orders-per-month", "Orders per month", Role::Viewer),
    ("/audit", "Audit", Role::Viewer),
    ("/people", "People", Role::Admin),
];

const GET: &str = "GET, HEAD";
const POST: &str = "POST";
const BOTH: &str = "GET, HEAD, POST";

/// The pages for who is signed in: a pattern of the path, the methods, the role, the page.
fn page(path: &[&str]) -> Option<(&'static str, Role, Page)> {
    use Role::{Admin, Editor, Viewer};
    Some(match path {
        [""] => (GET, Viewer, dashboard::show),
        ["tables"] => (GET, Viewer, tables::show),
        ["tables", _, _] => (GET, Viewer, list::show),
        ["tables", _, _, "export"] => (GET, Viewer, export::show),
        ["tables", _, _, "choices", _] => (GET, Editor, choices::show),
        ["tables", _, _, "row", ..] => (GET, Viewer, row::show),
        ["tables", _, _, "new"] => (BOTH, Editor, editor::add),
        ["tables", _, _, "edit", ..] => (BOTH, Editor, editor::edit),
        ["tables", _, _, "delete", ..] => (BOTH, Editor, delete::show),
        ["orders-per-month"] => (GET, Viewer, orders_per_month::show),
        ["audit"] => (GET, Viewer, audit::show),
        ["people"] => (BOTH, Admin, people::show),
        ["people", _] => (POST, Admin, people::change),
        ["password"] => (BOTH, Viewer, password::show),
        ["sign-out"] => (POST, Viewer, sign_in::sign_out),
        ["sign-out-everywhere"] => (POST, Viewer, sign_in::sign_out_everywhere),
        _ => None?,
    })
}

/// Answers a request, whatever it is. What is open to everybody is here; the rest is behind `gate`.
pub fn answer(app: &App, invocation: &Invocation, request: &Request) -> Response {
    let answer = match request.path.as_ref() {
        "/up" => return read_only(request, || up::show(app, invocation, request)),
        "/sign-in" => sign_in::show(app, invocation, request),
        path => match assets::find(path) {
            Some(asset) => return read_only(request, || asset.show(request)),
            None => gate::answer(app, invocation, request),
        },
    };
    answer.unwrap_or_else(|stop| errors::stopped(app, invocation, request, stop))
}

fn read_only(request: &Request, page: impl FnOnce() -> Response) -> Response {
    match request.method.as_ref() {
        "GET" | "HEAD" => page(),
        _ => errors::method_not_allowed(request, GET),
    }
}
