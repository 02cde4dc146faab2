//! The admin tool for any Postgres schema: sign-in, users, an audit, and pages that find and change
//! rows. A program's own pages are behind the same sign-in and in the same layout.
//!
//! A program makes a [`Site`] with its own [`Route`]s and passes events to it. To read the code,
//! begin with `site`, then `auth`, then any file of `pages`. The tool's own tables are in the
//! schema `plain_lambda`; the migrations in `schema` make them. Knows nothing of the Runtime API.

mod access_log;
mod assets;
mod audit;
mod auth;
mod chart;
mod device;
mod display_value;
mod doctor;
mod error_pages;
mod layout;
mod pages;
mod request;
mod route;
mod schema;
mod secrets;
mod session;
mod shared;
mod site;
mod user_action;
mod users;

pub use audit::Action;
pub use chart::Chart;
pub use error_pages::PageError;
pub use request::{PublicRequest, SignedInRequest};
pub use route::{Page, PublicPage, Route};
pub use site::Site;
pub use users::{Role, User};
