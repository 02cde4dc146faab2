//! One record, one line on standard error, with the request id that is being served.
//!
//! Follows Lambda's logging controls (`AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`).
//! Knows nothing of what is logged. Source: "Log and filter in Lambda", AWS Lambda Developer Guide.

use crate::platform::Variables;
use app::Invocation;
use log::{Level, LevelFilter};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whose records these are.
#[derive(Default)]
struct Served {
    request_id: String,
    tenant_id: Option<String>,
}

thread_local! {
    static SERVED: RefCell<Option<Served>> = const { RefCell::new(None) };
}

/// Installs the logger.
pub fn start(variables: &Variables) {
    let level = variables.get("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default();
    let format = variables.get("AWS_LAMBDA_LOG_FORMAT");
    let json = format.is_some_and(|format| format.eq_ignore_ascii_case("json"));
    env_logger::Builder::new()
        // At DEBUG the driver logs every statement, with whatever secret it holds.
        .filter_level(filter(&level).min(LevelFilter::Info))
        .filter_module("bootstrap", filter(&level))
        .filter_module("app", filter(&level))
        .format(move |out, record| {
            let (level, message) = (record.level(), record.args().to_string());
            SERVED.with_borrow(|served| match json {
                true => writeln!(out, "{}", json_line(level, &message, served.as_ref())),
                false => writeln!(out, "{}", text_line(level, &message, served.as_ref())),
            })
        })
        .init();
}

/// Every record of this thread carries the invocation's ids until `end`.
pub fn begin(invocation: &Invocation) {
    let (request_id, tenant_id) = (invocation.request_id.clone(), invocation.tenant_id.clone());
    SERVED.set(Some(Served {
        request_id,
        tenant_id,
    }));
}

/// Ends what `begin` began.
pub fn end() {
    SERVED.set(None);
}

fn filter(level: &str) -> LevelFilter {
    match level.to_ascii_uppercase().as_str() {
        "TRACE" => LevelFilter::Trace,
        "DEBUG" => LevelFilter::Debug,
        "WARN" => LevelFilter::Warn,
        "ERROR" | "FATAL" => LevelFilter::Error,
        _ => LevelFilter::Info,
    }
}

fn text_line(level: Level, message: &str, served: Option<&Served>) -> String {
    // CloudWatch makes an event of every line; a carriage return keeps the record in one.
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

/// UTC with milliseconds. Days to a date: Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`.
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
        let check = |seconds, expected| {
            assert_eq!(
                rfc3339(UNIX_EPOCH + Duration::from_millis(seconds)),
                expected
            );
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399_999, "2000-02-28T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_798_761_599_001, "2026-12-31T23:59:59.001Z");
    }
}
