//! What is applied, what is pending, and where the files and the history disagree.

use super::files::{self, Migration, Version};
use super::history::{self, Applied};
use crate::database::Purpose;
use crate::{App, Failure, Invocation};
use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The migrations of a database and a directory.
pub struct Status {
    /// In the database's history and done, by version.
    pub applied: Vec<Applied>,
    /// On disk and not done, in the order in which they will be applied.
    pub pending: Vec<Migration>,
    /// Rows of pending files that run step by step, and have begun to.
    pub under_way: Vec<Applied>,
    /// Where they disagree.
    differences: Vec<Difference>,
    /// The applied ones that are still on disk, by version.
    pub files: BTreeMap<Version, Migration>,
}

/// A disagreement, and the version it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The file is not what was applied.
    Edited(String),
    /// What was applied has no file.
    Missing(String),
    /// A pending file is older than what is applied.
    Late(String),
}

/// The status action: connects and compares.
///
/// # Errors
/// `Function.InvalidMigrations`, and those of connecting and reading.
pub fn status(app: &App, invocation: &Invocation) -> Result<Status, Failure> {
    let mut connection = app.database.connection(invocation, Purpose::Migrations)?;
    compare(app, &mut connection)
}

/// The pending action: succeeds when nothing is to be done.
///
/// # Errors
/// `Function.MigrationsPending` with the files, and as `status`.
pub fn pending(app: &App, invocation: &Invocation) -> Result<Value, Failure> {
    let status = status(app, invocation)?;
    status.check(&[])?;
    match status.pending.is_empty() {
        true => Ok(json!({"pending": []})),
        false => Err(status.is_pending("failed to find the database up to date")),
    }
}

/// Compares the app's files with the history, on a connection at hand.
///
/// # Errors
/// As `status`.
pub fn compare(app: &App, client: &mut Client) -> Result<Status, Failure> {
    let files = files::migrations(&app.settings.migrations_dir)?;
    Ok(Status::of(files, history::applied(client)?))
}

impl Status {
    /// Compares files with rows.
    pub fn of(files: Vec<Migration>, rows: Vec<Applied>) -> Status {
        let (applied, under_way): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.at.is_some());
        let mut files: BTreeMap<Version, Migration> = files
            .into_iter()
            .map(|file| (file.version.clone(), file))
            .collect();
        let done: BTreeMap<Version, &Applied> = applied
            .iter()
            .filter_map(|row| Some((Version::read(&row.version)?, row)))
            .collect();
        let newest = done.keys().next_back().cloned();
        let mut differences = Vec::new();
        for (version, row) in &done {
            match files.get(version) {
                None => differences.push(Difference::Missing(row.version.clone())),
                Some(file) if file.up.sha256() != row.sha256 => {
                    differences.push(Difference::Edited(row.version.clone()));
                }
                Some(_) => {}
            }
        }
        let pending: Vec<Migration> = files
            .extract_if(.., |version, _| !done.contains_key(version))
            .map(|(_, file)| file)
            .collect();
        let begun = |file: &Migration| under_way.iter().any(|row| file.version.same(&row.version));
        for file in &pending {
            if newest.as_ref().is_some_and(|newest| file.version < *newest) && !begun(file) {
                differences.push(Difference::Late(file.version.to_string()));
            }
        }
        Status {
            applied,
            pending,
            under_way,
            differences,
            files,
        }
    }

    /// Whether the files and the history agree, but for what is allowed.
    ///
    /// # Errors
    /// `Function.MigrationsDiffer`, which names every file and what to do.
    pub fn check(&self, allow: &[String]) -> Result<(), Failure> {
        let known = |allowed: &&String| {
            let (kind, version) = allowed.split_once(':').unwrap_or((allowed, ""));
            !matches!(
                (kind, version.is_empty()),
                ("late", true) | ("edited" | "missing", false)
            )
        };
        if let Some(unknown) = allow.iter().find(known) {
            let message = format!(
                "failed to read allow `{unknown}`: write `late`, `edited:<version>` or \
                 `missing:<version>`"
            );
            return Err(Failure::new("Function.InvalidEvent", message));
        }
        let refused: Vec<String> = self
            .differences
            .iter()
            .filter(|difference| {
                !allow
                    .iter()
                    .any(|allowed| difference.is_allowed_by(allowed))
            })
            .map(|difference| self.explain(difference))
            .collect();
        match refused.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(
                "Function.MigrationsDiffer",
                format!(
                    "failed to compare the files with the history: {}",
                    refused.join("; ")
                ),
            )),
        }
    }

    /// The row of a file that has begun to run step by step.
    pub fn begun(&self, migration: &Migration) -> Option<&Applied> {
        self.under_way
            .iter()
            .find(|row| migration.version.same(&row.version))
    }

    /// What is pending, as a failure to do something.
    pub fn is_pending(&self, failed: &str) -> Failure {
        let names: Vec<String> = self.pending.iter().map(Migration::display).collect();
        let message = format!("{failed}: {} pending: {}", names.len(), names.join(", "));
        Failure::new("Function.MigrationsPending", message)
    }

    fn explain(&self, difference: &Difference) -> String {
        match difference {
            Difference::Edited(version) => {
                let row = self.applied.iter().find(|row| row.version == *version);
                let at = row.and_then(|row| row.at.as_deref()).unwrap_or_default();
                let path = Version::read(version).and_then(|version| self.files.get(&version));
                let path = path
                    .map(|file| file.up.path.display().to_string())
                    .unwrap_or_default();
                format!(
                    "`{path}` was edited after it was applied on {at}; put it back and write \
                     another file, or send \"allow\":[\"edited:{version}\"] for once, or \
                     {{\"action\":\"repair\"}} for good"
                )
            }
            Difference::Missing(version) => {
                let row = self.applied.iter().find(|row| row.version == *version);
                let name = row.map(|row| row.name.as_str()).unwrap_or_default();
                format!(
                    "`{version}_{name}` was applied and has no file any more; put it back, or send \
                     \"allow\":[\"missing:{version}\"] for once, or {{\"action\":\"repair\"}} for good"
                )
            }
            Difference::Late(version) => {
                let file = self.pending.iter().find(|file| file.version.same(version));
                let path = file
                    .map(|file| file.up.path.display().to_string())
                    .unwrap_or_default();
                format!(
                    "`{path}` is older than what is applied; give it a newer version, or send \
                     \"allow\":[\"late\"]"
                )
            }
        }
    }

    /// `{"applied":[{"version","name","ms","at"}…],"pending":[{"version","name"}…],
    /// "edited":[…],"missing":[…],"late":[…]}`, the last three being versions.
    pub fn to_json(&self) -> Value {
        let applied: Vec<Value> = self
            .applied
            .iter()
            .map(
                |row| json!({"version": row.version, "name": row.name, "ms": row.ms, "at": row.at}),
            )
            .collect();
        let pending: Vec<Value> = self
            .pending
            .iter()
            .map(|file| self.pending_json(file))
            .collect();
        let of = |wanted: fn(&Difference) -> Option<&String>| -> Vec<&String> {
            self.differences.iter().filter_map(wanted).collect()
        };
        json!({
            "applied": applied,
            "pending": pending,
            "edited": of(|one| matches!(one, Difference::Edited(_)).then(|| one.version())),
            "missing": of(|one| matches!(one, Difference::Missing(_)).then(|| one.version())),
            "late": of(|one| matches!(one, Difference::Late(_)).then(|| one.version())),
        })
    }

    fn pending_json(&self, file: &Migration) -> Value {
        let mut json = file.to_json();
        if let Some(row) = self.begun(file) {
            json["statements"] = row.statements.into();
        }
        json
    }
}

impl Difference {
    fn version(&self) -> &String {
        match self {
            Difference::Edited(version)
            | Difference::Missing(version)
            | Difference::Late(version) => version,
        }
    }

    fn is_allowed_by(&self, allowed: &str) -> bool {
        let named = |kind: &str, version: &str| {
            let named = allowed.strip_prefix(kind).and_then(Version::read);
            named.is_some_and(|named| named.same(version))
        };
        match self {
            Difference::Edited(version) => named("edited:", version),
            Difference::Missing(version) => named("missing:", version),
            Difference::Late(_) => allowed == "late",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::files::Script;

    fn file(version: &str, text: &str) -> Migration {
        Migration {
            version: Version::read(version).expect("it is one"),
            name: "x".to_string(),
            up: Script {
                path: format!("{version}_x.sql").into(),
                section: 0..text.len(),
                text: text.to_string(),
                transaction: true,
            },
            down: None,
        }
    }

    fn row(version: &str, text: &str) -> Applied {
        Applied {
            version: version.to_string(),
            name: "x".to_string(),
            sha256: file("1", text).up.sha256(),
            ms: 0,
            statements: 1,
            begun: false,
            run: String::new(),
            at: Some("2026-01-31 23:59:59".to_string()),
        }
    }

    #[test]
    fn a_version_is_applied_however_many_zeros_lead_it() {
        let files = vec![file("0001", "a"), file("2", "b"), file("10", "c")];
        let status = Status::of(files, vec![row("1", "a"), row("2", "b")]);
        let pending: Vec<String> = status.pending.iter().map(Migration::display).collect();
        assert_eq!(pending, ["10_x"]);
        status.check(&[]).expect("they agree");
    }

    #[test]
    fn every_disagreement_is_named_with_what_allows_it() {
        let files = vec![file("1", "edited"), file("2", "late")];
        let status = Status::of(files, vec![row("1", "a"), row("3", "gone")]);
        let failure = status.check(&[]).expect_err("they disagree").to_string();
        for says in [
            "`1_x.sql` was edited",
            "\"edited:1\"",
            "`3_x` was applied",
            "`2_x.sql` is older",
        ] {
            assert!(failure.contains(says), "no {says:?} in {failure}");
        }
        let allow = ["edited:01", "missing:3", "late"].map(str::to_string);
        status.check(&allow).expect("all is allowed");
        let failure = status
            .check(&allow[..2])
            .expect_err("late is not")
            .to_string();
        assert!(!failure.contains("edited"), "{failure}");
    }

    #[test]
    fn what_cannot_be_allowed_is_refused() {
        let status = Status::of(Vec::new(), Vec::new());
        for unknown in ["edited", "edited:", "late:1", "all", ""] {
            let failure = status
                .check(&[unknown.to_string()])
                .expect_err("it is unknown");
            assert_eq!(failure.kind(), "Function.InvalidEvent", "{unknown}");
        }
    }

    #[test]
    fn a_file_that_is_under_way_is_pending_and_not_late() {
        let begun = Applied {
            at: None,
            ..row("1", "a")
        };
        let status = Status::of(
            vec![file("1", "a"), file("2", "b")],
            vec![begun, row("2", "b")],
        );
        assert_eq!(status.pending.len(), 1);
        assert!(status.begun(&status.pending[0]).is_some());
        status.check(&[]).expect("they agree");
    }
}
