//! The executable that Lambda starts: the runtime with this app's handlers.

use dlmalloc::GlobalDlmalloc;
use std::process::ExitCode;

/// musl's own allocator asks the kernel for nearly every page and returns it at once.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> ExitCode {
    bootstrap::start(app::HANDLERS)
}
