//! The executable that Lambda starts: the runtime with this app's handlers.

use std::process::ExitCode;

fn main() -> ExitCode {
    bootstrap::start(app::HANDLERS)
}
