//! The routes of the tool's own pages, in the order of the navigation.
//!
//! SQL that only one page needs is in the file of that page; all other SQL is in `records`, `audit`
//! and `users`.

mod audit;
mod choices;
mod confirm;
mod dashboard;
mod delete;
mod editor;
mod export;
mod list;
mod password;
mod row;
mod sign_in;
mod tables;
mod up;
mod users;

use crate::access_log::UP;
use crate::assets;
use crate::route::Route;
use crate::users::Role::{Admin, Editor, Viewer};

/// The page that lists the tables. Its entry in the navigation is marked on the pages of rows, too.
const TABLES: &str = "/tables";

/// Pages to sign in, and to find and change rows. In the navigation they precede the program's own
/// pages.
pub(crate) const BROWSING: &[Route] = &[
    Route::public(UP, up::show),
    Route::public("/static/{file}", assets::show),
    Route::public_form("/sign-in", sign_in::show, sign_in::sign_in),
    Route::public_form("/sign-in/{token}", sign_in::show_link, sign_in::use_link),
    Route::get("/", Viewer, dashboard::show).in_navigation("Dashboard"),
    Route::get(TABLES, Viewer, tables::show).in_navigation("Tables"),
    Route::get("/tables/{schema}/{table}", Viewer, list::show).under(TABLES),
    Route::get("/tables/{schema}/{table}/export", Viewer, export::show).under(TABLES),
    Route::get(
        "/tables/{schema}/{table}/choices/{column}",
        Editor,
        choices::show,
    ),
    Route::get("/tables/{schema}/{table}/row/{key...}", Viewer, row::show).under(TABLES),
    Route::form(
        "/tables/{schema}/{table}/new",
        Editor,
        editor::show_new,
        editor::insert,
    )
    .under(TABLES),
    Route::form(
        "/tables/{schema}/{table}/edit/{key...}",
        Editor,
        editor::show,
        editor::update,
    )
    .under(TABLES),
    Route::form(
        "/tables/{schema}/{table}/delete/{key...}",
        Editor,
        delete::show,
        delete::delete,
    )
    .under(TABLES),
];

/// Pages for the audit, for the users and for one's own account. In the navigation they follow the
/// program's own pages.
pub(crate) const MANAGING: &[Route] = &[
    Route::get("/audit", Viewer, audit::show).in_navigation("Audit"),
    Route::form("/users", Admin, users::show, users::add).in_navigation("Users"),
    Route::post("/users/{id}", Admin, users::change).under("/users"),
    Route::form("/password", Viewer, password::show, password::change),
    Route::post("/sign-out", Viewer, sign_in::sign_out),
    Route::post("/sign-out-everywhere", Viewer, sign_in::sign_out_everywhere),
];
