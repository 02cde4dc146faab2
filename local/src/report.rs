//! The platform's own log lines, in the text form that CloudWatch shows.
//!
//! Knows nothing of processes. Source: "Log and filter", AWS Lambda Developer Guide.

use std::fmt::Write;
use std::time::Duration;

/// The memory size that functions are told; nothing here limits them to it.
pub(crate) const MEMORY_MB: u64 = 128;

/// Formats the line for the start of an invocation.
pub(crate) fn start(request_id: &str) -> String {
    format!("START RequestId: {request_id} Version: $LATEST")
}

/// Formats the line for an init phase that did not end in `/next`. `phase` is `init` before the
/// first invocation, and `invoke` within it.
pub(crate) fn init_failed(duration: Duration, phase: &str, status: &str) -> String {
    format!(
        "INIT_REPORT Init Duration: {}\tPhase: {phase}\tStatus: {status}",
        milliseconds(duration)
    )
}

/// Formats the lines for the end of an invocation. `init` is the duration of the init phase, in a
/// cold start.
pub(crate) fn end(
    request_id: &str,
    duration: Duration,
    init: Option<Duration>,
    memory_mb: Option<u64>,
) -> String {
    let report = line(request_id, duration, init, memory_mb);
    format!("END RequestId: {request_id}\n{report}")
}

fn line(
    request_id: &str,
    duration: Duration,
    init: Option<Duration>,
    memory_mb: Option<u64>,
) -> String {
    // Lambda bills the init phase of every function since August 2025.
    let billed = (duration + init.unwrap_or_default())
        .as_micros()
        .div_ceil(1000);
    let mut line = format!(
        "REPORT RequestId: {request_id}\tDuration: {}\tBilled Duration: {billed} ms\t\
         Memory Size: {MEMORY_MB} MB",
        milliseconds(duration)
    );
    if let Some(memory) = memory_mb {
        write!(line, "\tMax Memory Used: {memory} MB").expect("a string takes everything");
    }
    if let Some(init) = init {
        write!(line, "\tInit Duration: {}", milliseconds(init)).expect("a string takes everything");
    }
    line
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_start_is_billed_with_its_init() {
        let duration = Duration::from_micros(1230);
        let init = Some(Duration::from_micros(4560));
        assert_eq!(
            line("id", duration, init, Some(3)),
            "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 6 ms\tMemory Size: 128 MB\t\
             Max Memory Used: 3 MB\tInit Duration: 4.56 ms"
        );
    }

    #[test]
    fn a_warm_start_has_no_init_duration() {
        assert_eq!(
            line("id", Duration::from_millis(2), None, None),
            "REPORT RequestId: id\tDuration: 2.00 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB"
        );
    }
}
