//! The interface between the runtime and a handler.
//!
//! The runtime creates an [`Application`] once, then calls a [`Handler`] with it for every
//! [`Invocation`] and posts the [`Reply`] or the [`Failure`]. This crate knows neither the Runtime
//! API nor any application.

mod app_env;
mod application;
mod failure;
mod invocation;
mod json;
mod kind;
mod variables;

pub use app_env::AppEnv;
pub use application::{Application, Handler};
pub use failure::Failure;
pub use invocation::{Invocation, Reply};
pub use kind::Kind;
pub use variables::Variables;
