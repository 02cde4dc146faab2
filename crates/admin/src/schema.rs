//! The migrations that make the tool's own tables in the schema `plain_lambda`, and the failure
//! when these tables are missing.
//!
//! `{"action":"migrate"}` applies the migrations before the files of `migrations/`. A released
//! migration never changes; a later one changes what it made. Knows no page.

use database::describe;
use handler::{Failure, Kind};
use migrate::{BuiltIn, Embedded, Former};
use postgres::error::SqlState;

/// The migrations, and the files with the same contents that `migrations/` had before version
/// 0.2.0.
pub(crate) const MIGRATIONS: BuiltIn = BuiltIn {
    files: &[
        Embedded {
            version: "1",
            name: "create_users",
            sql: include_str!("../migrations/1_create_users.sql"),
        },
        Embedded {
            version: "2",
            name: "create_audit",
            sql: include_str!("../migrations/2_create_audit.sql"),
        },
        Embedded {
            version: "3",
            name: "create_sessions",
            sql: include_str!("../migrations/3_create_sessions.sql"),
        },
    ],
    former: &[
        Former {
            version: "20260119083000",
            name: "create_people",
            sha256: "5792d93c943bf41a4472eb1a730d4ba879317eae57871760156e6b76bd37a260",
            built_in: "1",
        },
        Former {
            version: "20260119090000",
            name: "create_audit",
            sha256: "5d08239120269fc269d4150511b61ff84b7ee17ada0792f965820547ee77874e",
            built_in: "2",
        },
    ],
};

/// Returns the failure for an error of Postgres. When one of the tool's own tables is missing, the
/// failure says how to make them.
pub(crate) fn failed(error: postgres::Error) -> Failure {
    let is_missing = error.code() == Some(&SqlState::UNDEFINED_TABLE)
        && error
            .as_db_error()
            .is_some_and(|error| error.message().contains("plain_lambda."));
    match is_missing {
        true => Failure::new(
            Kind::MigrationsPending,
            "failed to find the tool's own tables: run {\"action\":\"migrate\"} first",
        )
        .with_source(describe(&error)),
        false => database::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn a_released_migration_never_changes() {
        let released = [
            "5792d93c943bf41a4472eb1a730d4ba879317eae57871760156e6b76bd37a260",
            "5d08239120269fc269d4150511b61ff84b7ee17ada0792f965820547ee77874e",
            "88a66530ef2075a8d1397744911ebc050426bcac1696869df62ab2c99af68165",
        ];
        for (file, expected) in MIGRATIONS.files.iter().zip(released) {
            let digest = Sha256::digest(file.sql);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, expected, "{}", file.name);
        }
    }
}
