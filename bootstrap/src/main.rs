//! The executable that Lambda starts: the runtime with the handlers of `app`.
//!
//! The only file of the runtime that names `app`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bootstrap::start(app::HANDLERS)
}
