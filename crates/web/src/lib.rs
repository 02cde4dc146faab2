//! HTTP in the form that Lambda uses: reads an event as a [`Request`], writes a [`Response`] as a
//! reply.
//!
//! Reads the events of Function URLs, API Gateway and load balancers. Checks hosts and origins,
//! reads forms and cookies, answers conditional requests, and compresses. Knows no page, no session
//! and no database.

mod client;
mod event;
mod form;
mod hosts;
mod loggable;
mod origin;
mod pattern;
mod request;
mod response;
mod transfer;

pub use form::{Unreadable, escape, field, query};
pub use hosts::Hosts;
pub use loggable::{Loggable, Secrets, Shown};
pub use origin::is_cross_site;
pub use pattern::{Captures, FromCapture, match_path};
pub use request::{Request, Shape};
pub use response::Response;
pub use transfer::{prepare, takes_gzip};
