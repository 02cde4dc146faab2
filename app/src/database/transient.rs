//! Which failures to connect pass by themselves, and what a person can do about the others. Pure.
//!
//! Neon's proxy gives every error the same SQLSTATE, so its words decide
//! (`proxy/src/compute`, `proxy/src/control_plane` of neondatabase/neon).

use postgres::error::{DbError, SqlState};

/// What a server or a proxy says while it wakes up, or is busy with others for a moment.
const PASSING: [&str; 6] = [
    "Couldn't connect to compute node",
    "Control plane request failed",
    "endpoint is temporarily unavailable",
    "Failed to acquire permit to connect to the database",
    "Too many connections to this endpoint",
    "Authentication timed out",
];

/// What stands behind some of the above and does not pass.
const STAYING: [&str; 3] = ["endpoint is disabled", "endpoint cannot be found", "quota"];

/// Whether the same attempt may succeed in a moment.
pub fn is_transient(error: &postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error: &DbError| {
        *error.code() == SqlState::CANNOT_CONNECT_NOW
            || *error.code() == SqlState::TOO_MANY_CONNECTIONS
            || passes(error.message())
    })
}

/// What to do about a failure that stays, where its words do not say it.
pub fn advice(error: &postgres::Error) -> &'static str {
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

fn passes(message: &str) -> bool {
    let is_said = |words: &&str| message.contains(*words);
    // Neon advises of quotas with every endpoint that is temporarily unavailable.
    let unavailable = message.contains("endpoint is temporarily unavailable");
    PASSING.iter().any(is_said) && (unavailable || !STAYING.iter().any(is_said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_neon_says_while_it_wakes_up_passes_and_what_needs_a_person_stays() {
        assert!(passes("Couldn't connect to compute node"));
        assert!(passes("Control plane request failed"));
        assert!(passes(
            "Control plane request failed: endpoint is temporarily unavailable. Check your quotas \
             and/or contact our support."
        ));
        assert!(!passes(
            "Control plane request failed: endpoint is disabled"
        ));
        assert!(!passes(
            "Control plane request failed: endpoint cannot be found"
        ));
        assert!(!passes(
            "Control plane request failed: Your account exceeded its compute quota"
        ));
        assert!(!passes("password authentication failed for user \"u\""));
    }
}
