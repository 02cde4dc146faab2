//! Writes each log record as one line on standard error, with the request id of the invocation.
//!
//! Follows Lambda's logging controls (`AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`). On a terminal,
//! a record has a line of its own and cannot drive the terminal.
//! Knows nothing of what is logged. Source: "Log and filter in Lambda", AWS Lambda Developer Guide.

use crate::terminal;
use handler::{Failure, Invocation, Kind, Variables};
use log::{Level, LevelFilter};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The invocation whose records are logged.
#[derive(Default)]
struct Served {
    request_id: String,
    tenant_id: Option<String>,
}

/// Erases the line that the cursor is on: it may show how far something has come.
const ERASE_LINE: &[u8] = b"\r\x1b[K";

thread_local! {
    static SERVED: RefCell<Option<Served>> = const { RefCell::new(None) };
}

/// Installs the logger. In place of an invalid level or format it uses `INFO` or text, so that the
/// error can be logged.
///
/// # Errors
/// `Kind::InvalidSettings`, with the variable's name and the values that it may have.
pub(crate) fn start(variables: &Variables) -> Result<(), Failure> {
    let (level, format) = (level(variables), is_json(variables));
    let json = *format.as_ref().unwrap_or(&false);
    let filter = *level.as_ref().unwrap_or(&LevelFilter::Info);
    env_logger::Builder::new()
        .filter_level(filter)
        // At DEBUG, the driver logs every statement, and with it any secret that it holds.
        .filter_module("tokio_postgres", filter.min(LevelFilter::Info))
        .format(move |out, record| {
            let (level, message) = (record.level(), record.args().to_string());
            let shown = terminal::shows_log();
            if shown {
                out.write_all(ERASE_LINE)?;
            }
            SERVED.with_borrow(|served| match json {
                true => writeln!(out, "{}", json_line(level, &message, served.as_ref())),
                false if shown => {
                    let mut safe = String::new();
                    terminal::plain(&message, &mut safe);
                    writeln!(out, "{level} {safe}")
                }
                false => writeln!(out, "{}", text_line(level, &message, served.as_ref())),
            })
        })
        .init();
    level.and(format.map(|_| ()))
}

/// Has every record of this thread carry the invocation's ids until `end` is called.
pub(crate) fn begin(invocation: &Invocation) {
    let (request_id, tenant_id) = (invocation.request_id.clone(), invocation.tenant_id.clone());
    SERVED.set(Some(Served {
        request_id,
        tenant_id,
    }));
}

/// Has no record of this thread carry an invocation's ids any more.
pub(crate) fn end() {
    SERVED.set(None);
}

fn level(variables: &Variables) -> Result<LevelFilter, Failure> {
    const NAME: &str = "AWS_LAMBDA_LOG_LEVEL";
    let text = variables.get(NAME)?.unwrap_or("INFO");
    Ok(match text.to_ascii_uppercase().as_str() {
        "TRACE" => LevelFilter::Trace,
        "DEBUG" => LevelFilter::Debug,
        "INFO" => LevelFilter::Info,
        "WARN" => LevelFilter::Warn,
        "ERROR" | "FATAL" => LevelFilter::Error,
        _ => {
            return Err(invalid(
                NAME,
                text,
                "TRACE, DEBUG, INFO, WARN, ERROR or FATAL",
            ));
        }
    })
}

fn is_json(variables: &Variables) -> Result<bool, Failure> {
    const NAME: &str = "AWS_LAMBDA_LOG_FORMAT";
    match variables.get(NAME)? {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("json") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("text") => Ok(false),
        Some(text) => Err(invalid(NAME, text, "Text or JSON")),
    }
}

fn invalid(name: &str, value: &str, wanted: &str) -> Failure {
    let message = format!("failed to read {name} `{value}`: set it to {wanted}, or not at all");
    Failure::new(Kind::InvalidSettings, message)
}

fn text_line(level: Level, message: &str, served: Option<&Served>) -> String {
    // CloudWatch makes a log event of every line; a carriage return keeps the record in one event.
    let message = message.replace('\n', "\r");
    match served {
        None => format!("{level} {message}"),
        Some(served) => format!("{level} RequestId: {} {message}", served.request_id),
    }
}

fn json_line(level: Level, message: &str, served: Option<&Served>) -> Value {
    let timestamp = rfc3339(SystemTime::now());
    let mut line = json!({"timestamp": timestamp, "level": level.as_str(), "message": message});
    if let Some(served) = served {
        line["requestId"] = served.request_id.as_str().into();
        if let Some(tenant) = &served.tenant_id {
            line["tenantId"] = tenant.as_str().into();
        }
    }
    line
}

/// Formats a time in UTC with milliseconds. The date comes from the number of days by
/// `civil_from_days` of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_invalid_level_or_format_is_refused_with_the_valid_ones() {
        let level_of = |text| level(&Variables::from_iter([("AWS_LAMBDA_LOG_LEVEL", text)]));
        assert_eq!(level_of("debug").expect("it is one"), LevelFilter::Debug);
        assert_eq!(level_of("FATAL").expect("it is one"), LevelFilter::Error);
        assert_eq!(level_of("").expect("it is absent"), LevelFilter::Info);
        let failure = level_of("verbose").expect_err("it is none").to_string();
        assert!(failure.contains("AWS_LAMBDA_LOG_LEVEL `verbose`: set it to TRACE"));
        let json_of = |text| is_json(&Variables::from_iter([("AWS_LAMBDA_LOG_FORMAT", text)]));
        assert!(json_of("JSON").expect("it is one"));
        assert!(!json_of("Text").expect("it is one"));
        let failure = json_of("logfmt").expect_err("it is none").to_string();
        assert!(failure.contains("AWS_LAMBDA_LOG_FORMAT `logfmt`: set it to Text or JSON"));
    }

    #[test]
    fn a_record_is_one_line_even_when_its_message_has_several() {
        assert_eq!(text_line(Level::Warn, "one\ntwo", None), "WARN one\rtwo");
        assert!(
            !json_line(Level::Warn, "one\ntwo", None)
                .to_string()
                .contains('\n')
        );
    }

    #[test]
    fn a_record_carries_the_invocations_ids() {
        let (request_id, tenant_id) = ("8476a536".to_string(), Some("blue".to_string()));
        let served = Served {
            request_id,
            tenant_id,
        };
        let text = text_line(Level::Warn, "slow", Some(&served));
        assert_eq!(text, "WARN RequestId: 8476a536 slow");
        let json = json_line(Level::Warn, "slow", Some(&served));
        assert_eq!(
            (&json["requestId"], &json["tenantId"]),
            (&"8476a536".into(), &"blue".into())
        );
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        let check = |millis, expected| {
            assert_eq!(
                rfc3339(UNIX_EPOCH + Duration::from_millis(millis)),
                expected
            );
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399_999, "2000-02-28T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_798_761_599_001, "2026-12-31T23:59:59.001Z");
    }
}
