//! The actions `status` and `pending`: compares the files and the built-in migrations with the
//! history.
//!
//! Must not run a file, or take the lock of a run.

use super::batched;
use super::files::{self, Callbacks, Files, Migration, Order, Start, Version};
use super::history::{self, Applied};
use super::listing::list;
use crate::Migrator;
use crate::built_in::{BuiltIn, display_version};
use database::Purpose;
use handler::{Failure, Invocation, Kind};
use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::mem;

/// The applied and the pending migrations of a database.
pub struct Status {
    /// The rows of applied files, sorted by version; also of files that are missing now.
    pub applied: Vec<Applied>,
    /// The files that are not applied, in the order in which they will be.
    pub pending: Vec<Migration>,
    /// The rows of files that run step by step, and are not done yet.
    pub(crate) under_way: Vec<Applied>,
    /// The differences between the files and the history.
    differences: Vec<Difference>,
    /// The order of the versions.
    order: Order,
    /// The migration that stands for others, if the directory has one.
    start: Option<Start>,
    /// The scripts that run around the migrations.
    pub(crate) callbacks: Callbacks,
    /// The files that are applied, by version.
    pub(crate) files: BTreeMap<Version, Migration>,
    /// The rows of applied built-in migrations.
    pub built_in_applied: Vec<Applied>,
    /// The built-in migrations that are not applied. They are applied before the files.
    pub(crate) built_in_pending: Vec<Migration>,
}

/// A difference between the files and the history, with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The file's text is not the text that was applied.
    Edited(String),
    /// The applied migration has no file.
    Missing(String),
    /// The half applied migration has no file.
    HalfApplied(String),
    /// The pending file is older than the newest applied migration.
    Late(String),
    /// Rails' dump has the migration, which is not applied and has no file.
    Unwritten(String),
}

/// Connects, and compares the files with the history.
///
/// # Errors
/// Those of [`compare`]; `Function.InvalidSettings` and `Function.DatabaseUnavailable`.
pub(crate) fn status(migrator: &Migrator, invocation: &Invocation) -> Result<Status, Failure> {
    let mut connection = migrator
        .database
        .connection(invocation, Purpose::Migrations)?;
    compare(migrator, &mut connection)
}

/// Fails if a migration is pending; answers `{"pending":[]}` if none is.
///
/// # Errors
/// `Function.MigrationsPending`, naming the migrations; `Function.MigrationsDiffer`; those of
/// [`status`].
pub(crate) fn pending(migrator: &Migrator, invocation: &Invocation) -> Result<Value, Failure> {
    let status = status(migrator, invocation)?;
    status.check(&[])?;
    match status.pending_count() {
        0 => Ok(json!({"pending": []})),
        _ => Err(status.pending_failure("failed to find the database up to date")),
    }
}

/// Compares the files and the built-in migrations with the history of the database that `client` is
/// connected to. Reads only the history's table.
///
/// # Errors
/// `Function.InvalidMigrations` and `Function.HistoryUnavailable`.
///
/// ```no_run
/// # use database::{Connection, Database};
/// # use handler::Failure;
/// # use migrate::Migrator;
/// fn pending_count(migrator: &Migrator, connection: &mut Connection) -> Result<usize, Failure> {
///     let status = migrate::compare(migrator, connection)?;
///     status.check(&[])?;
///     Ok(status.pending_count())
/// }
/// ```
pub fn compare(migrator: &Migrator, client: &mut Client) -> Result<Status, Failure> {
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    Ok(Status::of(
        files,
        history::applied(client)?,
        migrator.built_in,
    ))
}

impl Status {
    /// Compares the files and the built-in migrations with the rows of the history.
    pub(crate) fn of(files: impl Into<Files>, rows: Vec<Applied>, built_in: &BuiltIn) -> Status {
        let Files {
            mut migrations,
            order,
            start,
            callbacks,
        } = files.into();
        let (built_in_applied, rows) = built_in.split(rows);
        let built_in_pending = built_in.pending(&built_in_applied);
        let (mut applied, under_way): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.at.is_some());
        applied.sort_by_cached_key(|row| order.version(&row.version));
        if let Some(start) = &start {
            let row = applied.iter().find(|row| start.migration.has_row(row));
            let sha256 = row.map(|row| &row.sha256);
            start.take_place(&mut migrations, applied.is_empty(), sha256);
        }
        let mut files: BTreeMap<Version, Migration> = migrations
            .into_iter()
            .map(|file| (file.version.clone(), file))
            .collect();
        // A repeatable migration that has changed counts as one that is not applied.
        applied.retain(|row| {
            let file = files.get(&order.version(&row.version));
            let is_same = |file: &Migration| file.up.sha256() == row.sha256;
            file.is_none_or(|file| !file.version.is_repeatable() || is_same(file))
        });
        let applied_by_version: BTreeMap<Version, &Applied> = applied
            .iter()
            .map(|row| (order.version(&row.version), row))
            .collect();
        let newest = applied_by_version.keys().rfind(|one| !one.is_repeatable());
        let is_covered = |version: &Version| start.as_ref().is_some_and(|one| one.covers(version));
        let mut differences = Vec::new();
        for (version, row) in &applied_by_version {
            match files.get(version) {
                None if is_covered(version) => {}
                None => differences.push(Difference::Missing(row.version.clone())),
                Some(file) if file.up.sha256() != row.sha256 => {
                    differences.push(Difference::Edited(row.version.clone()));
                }
                Some(_) => {}
            }
        }
        for row in &under_way {
            if !files.contains_key(&order.version(&row.version)) {
                differences.push(Difference::HalfApplied(row.version.clone()));
            }
        }
        let has_begun = !applied.is_empty();
        let in_dump = start
            .iter()
            .flat_map(|start| start.versions.iter().flatten());
        for version in in_dump.filter(|_| has_begun) {
            let read = order.version(version);
            if !files.contains_key(&read) && !applied_by_version.contains_key(&read) {
                differences.push(Difference::Unwritten(version.clone()));
            }
        }
        let newest = newest.cloned();
        let mut pending: Vec<Migration> = files
            .extract_if(.., |version, _| !applied_by_version.contains_key(version))
            .map(|(_, file)| file)
            .filter(|file| !built_in.replaces(file))
            .collect();
        // What stands for others comes first, before an older file for which it does not stand.
        let path = start.as_ref().map(|start| &start.migration.up.path);
        if let Some(at) = pending.iter().position(|file| Some(&file.up.path) == path) {
            pending[..=at].rotate_right(1);
        }
        let is_under_way = |file: &Migration| under_way.iter().any(|row| file.has_row(row));
        for file in &pending {
            let is_older = newest.as_ref().is_some_and(|newest| file.version < *newest);
            if is_older && !is_under_way(file) {
                differences.push(Difference::Late(file.version.to_string()));
            }
        }
        Status {
            applied,
            pending,
            under_way,
            differences,
            order,
            start,
            callbacks,
            files,
            built_in_applied,
            built_in_pending,
        }
    }

    /// Reads a version, of a row or of an event, in the directory's order.
    pub(crate) fn version(&self, text: &str) -> Version {
        self.order.version(text)
    }

    /// Returns whether a version without a file is one that another file stands for.
    pub(crate) fn is_covered(&self, version: &str) -> bool {
        let version = self.version(version);
        self.start.as_ref().is_some_and(|one| one.covers(&version))
    }

    /// Returns the number of pending migrations, including the built-in ones.
    pub fn pending_count(&self) -> usize {
        self.pending.len() + self.built_in_pending.len()
    }

    /// Returns how many migrations are pending, and how many of these are half applied, in words.
    pub fn pending_in_words(&self) -> String {
        let half_applied = self.under_way.iter().filter(|row| self.has_file(row));
        match half_applied.count() {
            0 => format!("{} pending", self.pending_count()),
            half => format!(
                "{} pending, {half} of them half applied",
                self.pending_count()
            ),
        }
    }

    /// Refuses every difference between the files and the history that `allow` does not name.
    /// `allow` holds `late`, `edited:<version>` and `missing:<version>`.
    ///
    /// # Errors
    /// `Function.MigrationsDiffer`, naming every file and what to do; `Function.InvalidEvent` when
    /// an entry of `allow` is none of the three.
    pub fn check(&self, allow: &[String]) -> Result<(), Failure> {
        let is_unknown = |allowed: &&String| {
            let (kind, version) = allowed.split_once(':').unwrap_or((allowed, ""));
            !matches!(
                (kind, version.is_empty()),
                ("late", true)
                    | (
                        "edited"
                            | "missing"
                            | "again"
                            | "done"
                            | "change"
                            | "hold"
                            | "index"
                            | "rewrite"
                            | "scan",
                        false
                    )
            )
        };
        if let Some(unknown) = allow.iter().find(is_unknown) {
            let message = format!(
                "failed to read allow `{unknown}`: write `late`, `edited:<version>`, \
                 `missing:<version>`, or the name that a refusal says"
            );
            return Err(Failure::new(Kind::InvalidEvent, message));
        }
        let differences = self.differences.iter();
        let refused =
            differences.filter(|one| !allow.iter().any(|allowed| self.allows(one, allowed)));
        let explanations = self.explain_groups(refused);
        match explanations.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(
                Kind::MigrationsDiffer,
                format!(
                    "failed to compare the files with the history: {}",
                    explanations.join("; ")
                ),
            )),
        }
    }

    fn allows(&self, difference: &Difference, allowed: &str) -> bool {
        let is_named = |kind: &str, version: &str| {
            let named = allowed.strip_prefix(kind);
            named.is_some_and(|named| self.version(version) == self.version(named))
        };
        match difference {
            Difference::Edited(version) => is_named("edited:", version),
            Difference::Missing(version)
            | Difference::HalfApplied(version)
            | Difference::Unwritten(version) => is_named("missing:", version),
            Difference::Late(_) => allowed == "late",
        }
    }

    /// Returns the file of a row's version, however the version is written.
    pub(crate) fn file(&self, version: &str) -> Option<&Migration> {
        let version = self.version(version);
        let applied = self.files.get(&version);
        applied.or_else(|| self.pending.iter().find(|file| file.version == version))
    }

    /// Returns whether there is a file for a row.
    pub(crate) fn has_file(&self, row: &Applied) -> bool {
        self.file(&row.version).is_some()
    }

    /// Returns the row of a file that has begun to run step by step.
    pub(crate) fn begun(&self, migration: &Migration) -> Option<&Applied> {
        self.under_way.iter().find(|row| migration.has_row(row))
    }

    /// Returns a failure that lists the pending migrations; `failed` is what could not be done.
    pub(crate) fn pending_failure(&self, failed: &str) -> Failure {
        let built_in = self.built_in_pending.iter();
        let names: Vec<String> = built_in
            .map(|migration| format!("{} (built in)", migration.display()))
            .chain(self.pending.iter().map(Migration::display))
            .collect();
        let message = format!("{failed}: {} pending: {}", names.len(), list(&names));
        Failure::new(Kind::MigrationsPending, message)
    }

    /// Returns differences in words: of each kind the first, with what to do about it, and the names
    /// of the others.
    fn explain_groups<'a>(&self, differences: impl Iterator<Item = &'a Difference>) -> Vec<String> {
        let mut groups: Vec<Vec<&Difference>> = Vec::new();
        for difference in differences {
            let same = |group: &&mut Vec<&Difference>| {
                mem::discriminant(group[0]) == mem::discriminant(difference)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(difference),
                None => groups.push(vec![difference]),
            }
        }
        let explain = |group: Vec<&Difference>| {
            let first = self.explain(group[0]);
            let others: Vec<String> = (group[1..].iter())
                .map(|difference| format!("`{}`", difference.version()))
                .collect();
            match others.is_empty() {
                true => first,
                false => format!("{first}; the same is true of {}", list(&others)),
            }
        };
        groups.into_iter().map(explain).collect()
    }

    /// Returns a difference in words, with what to do about it.
    fn explain(&self, difference: &Difference) -> String {
        match difference {
            Difference::Edited(version) => {
                let row = self.applied.iter().find(|row| row.version == *version);
                let at = row.and_then(|row| row.at.as_deref()).unwrap_or_default();
                let path = self.files.get(&self.version(version));
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
            Difference::HalfApplied(version) => {
                let row = self.under_way.iter().find(|row| row.version == *version);
                let name = row.map_or("", |row| &row.name);
                let done = match row {
                    Some(row) if row.progress.is_none() => {
                        format!("{} of its statements are done", row.statements)
                    }
                    _ => "some of its batches are done".to_string(),
                };
                format!(
                    "`{version}_{name}` is half applied, as {done}, and has no file any more; \
                     put it back and migrate, which resumes it; or undo by \
                     hand what it has done and send {{\"action\":\"repair\"}}, which forgets it; or \
                     send \"allow\":[\"missing:{version}\"] for once"
                )
            }
            Difference::Unwritten(version) => format!(
                "structure.sql has version {version}, which is not applied and has no file: write it \
                 in SQL as {version}_<name>.sql, or send \"allow\":[\"missing:{version}\"]"
            ),
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

    /// Returns `{"applied":[{"version","name","ms","at"}…],"pending":[{"version","name"}…],
    /// "edited":[version…],"missing":[version…],
    /// "half_applied":[{"version","name","statements","has_file"}…],"late":[version…],
    /// "built_in":{"applied":[…],"pending":[…]}}`. A pending file that is under way also has
    /// `"statements"`, the number of those done.
    pub(crate) fn to_json(&self) -> Value {
        let rows = |rows: &[Applied]| -> Vec<Value> { rows.iter().map(Applied::to_json).collect() };
        let pending: Vec<Value> = self
            .pending
            .iter()
            .map(|file| self.pending_json(file))
            .collect();
        let versions = |kind: fn(&Difference) -> Option<&String>| -> Vec<&String> {
            self.differences.iter().filter_map(kind).collect()
        };
        let half_applied: Vec<Value> = self
            .under_way
            .iter()
            .map(|row| {
                let mut json = json!({
                    "version": row.version, "name": row.name, "statements": row.statements,
                    "has_file": self.has_file(row),
                });
                if let Some(progress) = batched::to_json(row) {
                    json["progress"] = progress;
                }
                json
            })
            .collect();
        json!({
            "applied": rows(&self.applied),
            "pending": pending,
            "edited": versions(|one| matches!(one, Difference::Edited(_)).then(|| one.version())),
            "missing": versions(|one| match one {
                Difference::Edited(_) | Difference::Late(_) => None,
                missing => Some(missing.version()),
            }),
            "half_applied": half_applied,
            "late": versions(|one| matches!(one, Difference::Late(_)).then(|| one.version())),
            "built_in": {
                "applied": rows(&self.built_in_applied),
                "pending": to_json(&self.built_in_pending),
            },
        })
    }

    fn pending_json(&self, file: &Migration) -> Value {
        let mut json = file.to_json();
        if let Some(row) = self.begun(file) {
            json["statements"] = row.statements.into();
            if let Some(progress) = batched::to_json(row) {
                json["progress"] = progress;
            }
        }
        json
    }
}

impl Applied {
    /// Returns `{"version","name","ms","at"}`.
    pub(crate) fn to_json(&self) -> Value {
        let version = display_version(self);
        json!({"version": version, "name": self.name, "ms": self.ms, "at": self.at})
    }
}

/// Returns a list of `{"version","name"}`.
pub(crate) fn to_json(migrations: &[Migration]) -> Vec<Value> {
    migrations.iter().map(Migration::to_json).collect()
}

impl Difference {
    fn version(&self) -> &String {
        match self {
            Difference::Edited(version)
            | Difference::Missing(version)
            | Difference::HalfApplied(version)
            | Difference::Unwritten(version)
            | Difference::Late(version) => version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Script;

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
            built_in: false,
            covers: Vec::new(),
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
            remembered: String::new(),
            at: Some("2026-01-31 23:59:59".to_string()),
            progress: None,
        }
    }

    #[test]
    fn leading_zeros_do_not_make_another_version() {
        let files = vec![file("0001", "a"), file("2", "b"), file("10", "c")];
        let status = Status::of(files, vec![row("1", "a"), row("2", "b")], &BuiltIn::NONE);
        let pending: Vec<String> = status.pending.iter().map(Migration::display).collect();
        assert_eq!(pending, ["10_x"]);
        status.check(&[]).expect("they agree");
    }

    #[test]
    fn many_differences_of_a_kind_are_explained_once() {
        let numbers = 1..=30;
        let files = numbers.clone().map(|n| file(&n.to_string(), "edited"));
        let rows = numbers.map(|n| row(&n.to_string(), "a"));
        let status = Status::of(files.collect::<Vec<_>>(), rows.collect(), &BuiltIn::NONE);
        let failure = status.check(&[]).expect_err("they differ").to_string();
        assert_eq!(failure.matches("was edited").count(), 1, "{failure}");
        assert!(failure.ends_with("`8`, `9` and 21 more"), "{failure}");
        let status = Status::of(
            status.files.into_values().collect::<Vec<_>>(),
            vec![],
            &BuiltIn::NONE,
        );
        let failure = status.pending_failure("failed").to_string();
        assert!(failure.ends_with("8_x and 22 more"), "{failure}");
    }

    #[test]
    fn every_difference_is_named_with_what_allows_it() {
        let files = vec![file("1", "edited"), file("2", "late")];
        let status = Status::of(files, vec![row("1", "a"), row("3", "gone")], &BuiltIn::NONE);
        let failure = status.check(&[]).expect_err("they differ").to_string();
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
    fn an_unknown_entry_of_allow_is_refused() {
        let status = Status::of(Vec::new(), Vec::new(), &BuiltIn::NONE);
        for unknown in ["edited", "edited:", "late:1", "all", ""] {
            let failure = status
                .check(&[unknown.to_string()])
                .expect_err("it is unknown");
            assert_eq!(failure.kind(), Kind::InvalidEvent, "{unknown}");
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
            &BuiltIn::NONE,
        );
        assert_eq!(status.pending.len(), 1);
        assert!(status.begun(&status.pending[0]).is_some());
        status.check(&[]).expect("they agree");
    }

    #[test]
    fn a_repeatable_migration_is_pending_until_its_text_is_applied() {
        let files = || vec![file("1", "a"), file("R__x", "new")];
        let status = Status::of(
            files(),
            vec![row("1", "a"), row("R__x", "old")],
            &BuiltIn::NONE,
        );
        let pending: Vec<String> = status.pending.iter().map(Migration::display).collect();
        assert_eq!(pending, ["R__x"]);
        status.check(&[]).expect("it is no edited file");
        let rows = vec![row("1", "a"), row("R__x", "new")];
        let status = Status::of(files(), rows, &BuiltIn::NONE);
        assert_eq!(status.pending_count(), 0);
        // It does not make a later file late.
        let files = vec![file("1", "a"), file("2", "b"), file("R__x", "new")];
        let rows = vec![row("1", "a"), row("R__x", "new")];
        Status::of(files, rows, &BuiltIn::NONE)
            .check(&[])
            .expect("2 is not late");
    }

    fn with_start(migrations: Vec<Migration>, versions: Option<Vec<String>>) -> Files {
        let migration = file("7", "start");
        Files {
            migrations,
            start: Some(Start {
                migration,
                versions,
            }),
            ..Files::default()
        }
    }

    #[test]
    fn an_empty_history_starts_with_the_migration_that_stands_for_others() {
        let files = || vec![file("1", "a"), file("7", "b"), file("8", "c")];
        let status = Status::of(with_start(files(), None), Vec::new(), &BuiltIn::NONE);
        let pending: Vec<&str> = status
            .pending
            .iter()
            .map(|one| one.up.text.as_str())
            .collect();
        assert_eq!(pending, ["start", "c"]);
        let covers: Vec<&str> = status.pending[0]
            .covers
            .iter()
            .map(|one| one.version.as_str())
            .collect();
        assert_eq!(covers, ["1"]);
        // As the run has left it.
        let rows = vec![row("1", "a"), row("7", "start"), row("8", "c")];
        let status = Status::of(with_start(files(), None), rows, &BuiltIn::NONE);
        status.check(&[]).expect("they agree");
        assert_eq!(status.pending_count(), 0);
        // A history that began with the older files goes on with them.
        let rows = vec![row("1", "a")];
        let status = Status::of(with_start(files(), None), rows, &BuiltIn::NONE);
        let pending: Vec<&str> = status
            .pending
            .iter()
            .map(|one| one.up.text.as_str())
            .collect();
        assert_eq!(pending, ["b", "c"]);
        // Older files may be deleted.
        let rows = vec![row("1", "a"), row("7", "b"), row("8", "c")];
        let status = Status::of(with_start(vec![file("8", "c")], None), rows, &BuiltIn::NONE);
        status.check(&[]).expect("the start stands for them");
    }

    #[test]
    fn a_version_of_a_dump_that_is_not_applied_and_has_no_file_is_named() {
        let versions = || Some(vec!["1".to_string(), "7".to_string()]);
        let status = Status::of(
            with_start(Vec::new(), versions()),
            Vec::new(),
            &BuiltIn::NONE,
        );
        status.check(&[]).expect("the dump is applied first");
        assert_eq!(status.pending[0].covers[0].version, "1");
        let status = Status::of(
            with_start(Vec::new(), versions()),
            vec![row("1", "x")],
            &BuiltIn::NONE,
        );
        let failure = status.check(&[]).expect_err("7 has no file").to_string();
        assert!(failure.contains("structure.sql has version 7"), "{failure}");
        status
            .check(&["missing:7".to_string()])
            .expect("it is allowed");
        // A file that is older than the dump and not in it.
        let files = with_start(vec![file("5", "b")], versions());
        let status = Status::of(files, Vec::new(), &BuiltIn::NONE);
        let pending: Vec<&str> = status
            .pending
            .iter()
            .map(|one| one.up.text.as_str())
            .collect();
        assert_eq!(pending, ["start", "b"]);
    }
}
