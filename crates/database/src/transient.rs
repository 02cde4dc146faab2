//! Classifies connection errors as transient or not, and says what a person can do about the
//! others.
//!
//! Neon's proxy gives every error the same SQLSTATE, so the message decides
//! (`proxy/src/compute`, `proxy/src/control_plane` of neondatabase/neon). Connects to nothing.

use postgres::error::{DbError, SqlState};

/// Parts of messages that Neon's proxy sends while a database wakes up, or the proxy is busy.
const TRANSIENT: [&str; 6] = [
    "Couldn't connect to compute node",
    "Control plane request failed",
    "endpoint is temporarily unavailable",
    "Failed to acquire permit to connect to the database",
    "Too many connections to this endpoint",
    "Authentication timed out",
];

/// Parts of messages that also contain one of the above, and are not transient.
const PERMANENT: [&str; 3] = ["endpoint is disabled", "endpoint cannot be found", "quota"];

/// Returns `true` if the same attempt may succeed in a moment.
pub(crate) fn is_transient(error: &postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error: &DbError| {
        *error.code() == SqlState::CANNOT_CONNECT_NOW
            || *error.code() == SqlState::TOO_MANY_CONNECTIONS
            || is_transient_message(error.message())
    })
}

/// Returns what a person can do about an error that is not transient, with a semicolon before it;
/// empty where the message says it, or nothing is known.
pub(crate) fn advice(error: &postgres::Error) -> &'static str {
    let Some(error) = error.as_db_error() else {
        return "";
    };
    match error.code() {
        &SqlState::INVALID_CATALOG_NAME => {
            "; {\"action\":\"create\"} creates it, where the user may"
        }
        &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "; check the user and the password of DATABASE_URL, or DB_USER and DB_PASS"
        }
        _ if error.message().contains("connection is insecure") => {
            "; add sslmode=require to DATABASE_URL"
        }
        _ if error.message().contains("Endpoint ID is not specified") => {
            "; use the host that Neon shows, ep-….neon.tech"
        }
        _ if error.message().contains("endpoint is disabled") => "; enable it in Neon's console",
        _ => "",
    }
}

fn is_transient_message(message: &str) -> bool {
    let has = |part: &&str| message.contains(*part);
    // Neon's message for an endpoint that is temporarily unavailable mentions quotas, too.
    let unavailable = message.contains("endpoint is temporarily unavailable");
    TRANSIENT.iter().any(has) && (unavailable || !PERMANENT.iter().any(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neons_messages_while_it_wakes_up_are_transient_and_those_that_need_a_person_are_not() {
        assert!(is_transient_message("Couldn't connect to compute node"));
        assert!(is_transient_message("Control plane request failed"));
        assert!(is_transient_message(
            "Control plane request failed: endpoint is temporarily unavailable. Check your quotas \
             and/or contact our support."
        ));
        assert!(!is_transient_message(
            "Control plane request failed: endpoint is disabled"
        ));
        assert!(!is_transient_message(
            "Control plane request failed: endpoint cannot be found"
        ));
        assert!(!is_transient_message(
            "Control plane request failed: Your account exceeded its compute quota"
        ));
        assert!(!is_transient_message(
            "password authentication failed for user \"u\""
        ));
    }
}
