//! Reads the migrations of a directory: their versions, names and texts, in the order of versions.
//!
//! Accepts the directories of other tools as they are. Lists everything that it cannot accept in one
//! failure, before anything runs. Must not know any database.

mod flyway;
mod journal;
mod layout;
mod mark;
mod name;
mod options;
mod problems;
mod read;
mod sections;
mod start;
mod structure;
mod template;
mod version;

pub(crate) use flyway::Callbacks;
pub(crate) use mark::Mark;
pub(crate) use start::Start;
pub(crate) use version::{Order, Version};

use super::sql::{self, Place, Statement};
use handler::{Failure, Kind};
use layout::Listing;
use read::{Variables, read};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a directory holds.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The migrations, sorted by version.
    pub migrations: Vec<Migration>,
    /// The order of their versions.
    pub order: Order,
    /// The migration with which an empty history starts, if there is one.
    pub start: Option<Start>,
    /// The scripts that run around the migrations.
    pub callbacks: Callbacks,
}

/// A migration: a version, a name, and the scripts that apply it and roll it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The version, by which migrations are ordered.
    pub version: Version,
    /// The name that follows the version in the file's name; may be empty.
    pub name: String,
    /// The script that applies it.
    pub(crate) up: Script,
    /// The script that rolls it back.
    pub(crate) down: Option<Script>,
    /// Whether it is compiled into the program.
    pub(crate) built_in: bool,
    /// The further rows of the history that are written when it is applied.
    pub(crate) covers: Vec<Covered>,
}

/// A row of the history that another migration writes: it stands for this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Covered {
    /// The version.
    pub version: String,
    /// The name that follows the version; may be empty.
    pub name: String,
    /// The checksum of the file, if there is one; else of the migration that stands for it.
    pub sha256: String,
}

/// A file of SQL, or one section of such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// The file's path, for messages.
    pub path: PathBuf,
    /// The text of the whole file, without a byte order mark.
    pub text: String,
    /// The bytes of the text that are this script.
    pub section: Range<usize>,
    /// Whether it may run in a transaction: false when a mark in the file, or an options file beside
    /// it, says that it may not.
    pub transaction: bool,
}

/// The name of the file that fills an empty database.
pub(crate) const SEED: &str = "seed.sql";

/// Reads a directory.
///
/// # Errors
/// `Function.InvalidMigrations`, listing all problems: names that are not understood, two files of
/// one version, down files without an up file, and texts that cannot be read.
pub(crate) fn migrations(dir: &Path) -> Result<Files, Failure> {
    let failed = |cause: String| {
        let message = format!(
            "failed to read migrations of `{}` (MIGRATIONS_DIR, else migrations/ in \
             LAMBDA_TASK_ROOT, else in the current directory)",
            dir.display()
        );
        Failure::new(Kind::InvalidMigrations, message).with_source(cause)
    };
    let listing = Listing::of(dir).map_err(|error| failed(error.to_string()))?;
    listing.into_files().map_err(|problems| {
        // The message names the directory once, so the paths in it are relative.
        let problems = problems.replace(&format!("`{}/", dir.display()), "`");
        let message = format!("failed to read migrations of `{}`", dir.display());
        Failure::new(Kind::InvalidMigrations, message).with_source(problems)
    })
}

/// Reads the script that fills an empty database.
///
/// # Errors
/// `Function.InvalidMigrations` when the file cannot be read.
pub(crate) fn seed(dir: &Path) -> Result<Script, Failure> {
    let path = dir.join(SEED);
    let (text, sections) = read(&path, false, &Variables::default()).map_err(|problem| {
        let message = format!("failed to read the seed of `{}`", dir.display());
        Failure::new(Kind::InvalidMigrations, message).with_source(problem.to_string())
    })?;
    Ok(Script {
        path,
        text,
        section: sections.up.span,
        transaction: sections.up.transaction,
    })
}

impl Script {
    /// Returns the SHA-256 of the script, in hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        sha256_of_lines(&self.text[self.section.clone()])
    }

    /// Splits the script into its statements.
    ///
    /// # Errors
    /// `Function.InvalidMigrations` with the place of a psql command.
    pub(crate) fn statements(&self) -> Result<Vec<Statement>, Failure> {
        let statements = sql::statements(&self.text, self.section.clone())
            .map_err(|error| self.error_at(error.at, &error.reason))?;
        match template::find(&self.text, &statements) {
            Some((at, reason)) => Err(self.error_at(at, reason)),
            None => Ok(statements),
        }
    }

    /// Reads the mark of a script that runs in batches; `statements` are those of the script.
    ///
    /// # Errors
    /// `Function.InvalidMigrations` with the place of a mark, or of a statement, that is not
    /// understood.
    pub(crate) fn mark(&self, statements: &[Statement]) -> Result<Option<Mark>, Failure> {
        mark::read(self, statements)
    }

    /// Returns the failure to read the script at a byte of its text.
    pub(crate) fn error_at(&self, at: usize, reason: &str) -> Failure {
        let place = Place::of(&self.text, at);
        let message = format!("failed to read `{}:{place}`: {reason}", self.path.display());
        Failure::new(Kind::InvalidMigrations, message)
    }
}

impl Migration {
    /// Returns `<version>_<name>`.
    pub(crate) fn display(&self) -> String {
        match self.version.is_repeatable() {
            true => self.version.to_string(),
            false => format!("{}_{}", self.version, self.name),
        }
    }

    /// Returns `{"version","name"}`.
    pub(crate) fn to_json(&self) -> Value {
        json!({"version": self.version.to_string(), "name": self.name})
    }
}

impl From<Vec<Migration>> for Files {
    fn from(migrations: Vec<Migration>) -> Files {
        Files {
            migrations,
            ..Files::default()
        }
    }
}

/// Returns the SHA-256 of a text in hexadecimal. Reads CRLF as LF, so that the checksum does not
/// depend on the line ends of a checkout.
pub(crate) fn sha256_of_lines(text: &str) -> String {
    let mut digest = Sha256::new();
    update(&mut digest, text);
    hexadecimal(digest)
}

/// Adds a text to a digest, with CRLF read as LF.
pub(crate) fn update(digest: &mut Sha256, text: &str) {
    for (index, lines) in text.split("\r\n").enumerate() {
        if index > 0 {
            digest.update(b"\n");
        }
        digest.update(lines);
    }
}

/// Returns a digest in hexadecimal.
pub(crate) fn hexadecimal(digest: Sha256) -> String {
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory of files, which is removed when dropped.
    struct Directory(PathBuf);

    impl Directory {
        fn with(files: &[(&str, &str)]) -> Directory {
            let files: Vec<(&str, &[u8])> = files
                .iter()
                .map(|(name, text)| (*name, text.as_bytes()))
                .collect();
            Directory::of_bytes(&files)
        }

        fn of_bytes(files: &[(&str, &[u8])]) -> Directory {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("plain-lambda-files-{}-{number}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            for (name, bytes) in files {
                let path = dir.join(name);
                let parent = path.parent().expect("it is in the directory");
                fs::create_dir_all(parent).expect("there is room");
                fs::write(&path, bytes).expect("there is room");
            }
            Directory(dir)
        }

        /// Each migration as `version name up [down]`, with `!` before what has no transaction.
        #[track_caller]
        fn check(&self, expected: &[&str]) {
            let show = |script: &Script| {
                let mark = if script.transaction { "" } else { "!" };
                format!("{mark}{}", script.text[script.section.clone()].trim())
            };
            let found: Vec<String> = migrations(&self.0)
                .expect("nothing is wrong")
                .migrations
                .iter()
                .map(|found| {
                    let down = found.down.as_ref().map(|down| format!(" [{}]", show(down)));
                    let (version, name, up) = (&found.version, &found.name, show(&found.up));
                    format!("{version} {name} {up}{}", down.unwrap_or_default())
                })
                .collect();
            assert_eq!(found, expected);
        }

        #[track_caller]
        fn check_refused(&self, says: &[&str]) {
            let failure = migrations(&self.0).expect_err("it is refused").to_string();
            for words in says {
                assert!(failure.contains(words), "no {words:?} in {failure}");
            }
            assert_eq!(failure.matches("; ").count() + 1, says.len(), "{failure}");
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_are_migrations_in_the_order_of_their_versions() {
        Directory::with(&[
            ("10_c.sql", "c"),
            ("9_b.up.sql", "b"),
            ("9_b.down.sql", "-b"),
            ("0008_a.sql", "a"),
            ("0008_a.down.sql", "-a"),
            ("11_empty.sql", ""),
            ("seed.sql", "seed"),
            ("12_typo.up.sql", "typo"),
            ("21_typo.down.sql", "-typo"),
            ("README.md", "x"),
            (".hidden.sql", "x"),
            ("meta/_journal.json", "{}"),
            ("shared/part.sql", "x"),
        ])
        .check(&[
            "0008 a a [-a]",
            "9 b b [-b]",
            "10 c c",
            "11 empty ",
            "12 typo typo [-typo]",
        ]);
    }

    #[test]
    fn directories_of_diesel_are_migrations_in_its_order() {
        Directory::with(&[
            ("00000000000000_diesel_initial_setup/up.sql", "setup"),
            ("00000000000000_diesel_initial_setup/down.sql", "-setup"),
            ("2026-01-31-120000_x/up.sql", "x"),
            ("2026-01-31-120000_x/down.sql", "-x"),
            (
                "2026-01-31-120000_x/metadata.toml",
                "run_in_transaction = false\n",
            ),
            ("2026-01-31-120000-0000_a/up.sql", "a"),
            ("000000000000000_forbid/up.sql", "forbid"),
            ("202601311159_c/up.sql", "c"),
            ("20260131120000123_d/up.sql", "d"),
        ])
        .check(&[
            "00000000000000 diesel_initial_setup setup [-setup]",
            "000000000000000 forbid forbid",
            "202601311159 c c",
            "2026-01-31-120000 x !x [!-x]",
            "2026-01-31-120000-0000 a a",
            "20260131120000123 d d",
        ]);
    }

    #[test]
    fn directories_of_prisma_are_migrations_in_its_order() {
        Directory::with(&[
            ("20260201000000_y/migration.sql", "y"),
            ("20260201000000_z/migration.sql", "z"),
            ("20260201000001_2/migration.sql", "2"),
            ("20260201_1_d-e/migration.sql", "d"),
            ("20260201235959_c/migration.sql", "c"),
            ("202602010000_f/migration.sql", "f"),
            ("migration_lock.toml", "provider = \"postgresql\""),
        ])
        .check(&[
            "20260201000000_y y y",
            "20260201000000_z z z",
            "20260201000001_2 2 2",
            "202602010000_f f f",
            "20260201235959_c c c",
            "20260201_1_d-e d-e d",
        ]);
    }

    #[test]
    fn dbmate_and_atlas_sort_the_names_of_files_and_others_sort_numbers() {
        let dbmate = "-- migrate:up\na";
        Directory::with(&[
            ("202601010000_a.sql", dbmate),
            ("20260101000001_b.sql", dbmate),
        ])
        .check(&["20260101000001 b a", "202601010000 a a"]);
        let files = [("10_a.sql", "a"), ("9_b.sql", "b")];
        Directory::with(&files).check(&["9 b b", "10 a a"]);
        Directory::with(&[&files[..], &[("atlas.sum", "h1:x")]].concat())
            .check(&["10 a a", "9 b b"]);
    }

    #[test]
    fn drizzles_files_are_in_the_order_of_its_journal() {
        let journal = r#"{"entries":[{"idx":0,"tag":"0000_b"},{"idx":1,"tag":"0000_a"},{"idx":2,"tag":"last"}]}"#;
        let files = [
            ("meta/_journal.json", journal),
            ("meta/0000_snapshot.json", "{}"),
            ("0000_a.sql", "a"),
            ("0000_b.sql", "b;\n--> statement-breakpoint\nc"),
            ("last.sql", "d"),
        ];
        Directory::with(&files).check(&[
            "0000_b b b;\n--> statement-breakpoint\nc",
            "0000_a a a",
            "last last d",
        ]);
        Directory::with(&[&files[..4], &[("0003_x.sql", "x")]].concat()).check_refused(&[
            "`meta/_journal.json`: `last.sql` is in it, and is missing",
            "`0003_x.sql`: meta/_journal.json does not have it",
        ]);
        let journal = r#"{"entries":[{"tag":"0000_b"},{"tag":"0001_a"}]}"#;
        Directory::with(&[
            ("meta/_journal.json", journal),
            ("0000_b.sql", "b"),
            ("0001_a.sql", "a"),
        ])
        .check(&["0000 b b", "0001 a a"]);
    }

    #[test]
    fn of_pops_files_those_for_postgres_win_and_those_for_others_are_left_out() {
        Directory::with(&[
            ("1_x.up.sql", "for all"),
            ("1_x.postgres.up.sql", "for postgres"),
            ("1_x.cockroach.autocommit.up.sql", "for cockroach"),
            ("1_x.down.sql", "-for all"),
            ("2_y.autocommit.up.sql", "alone"),
            ("2_y.postgres.down.sql", "-for postgres"),
            ("2_y.down.sql", "-for all"),
        ])
        .check(&["1 x for postgres [-for all]", "2 y !alone [-for postgres]"]);
    }

    #[test]
    fn folders_with_numbers_for_names_are_searched_and_others_are_not() {
        Directory::with(&[
            ("2025/12/20251231_a.sql", "a"),
            ("2026/20260101_b/up.sql", "b"),
            ("20260201_c.sql", "c"),
            ("archive/20240101_old.sql", "old"),
        ])
        .check(&["20251231 a a", "20260101 b b", "20260201 c c"]);
    }

    #[test]
    fn a_directory_of_unversioned_folders_is_refused() {
        Directory::with(&[
            ("default/1_a/up.sql", "a"),
            ("other/1_b.sql", "b"),
            ("docs/x.md", ""),
        ])
        .check_refused(&["`default`, `other`: the directory has no migration"]);
        Directory::with(&[("docs/x.md", ""), ("x.txt", "")]).check(&[]);
    }

    #[test]
    fn flyways_baseline_callbacks_settings_and_places_are_read() {
        let dir = Directory::with(&[
            (
                "flyway.conf",
                "flyway.locations=filesystem:sql\nflyway.placeholders.owner=me",
            ),
            ("sql/V1__a.sql", "a ${owner}"),
            ("sql/more/V3__b.sql", "b"),
            ("sql/B2__start.sql", "start"),
            ("sql/R__b.sql", "rb"),
            ("sql/R__a.sql", "ra"),
            ("sql/beforeMigrate.sql", "before"),
            ("sql/afterEachMigrate__so.sql", "after each"),
            ("sql/afterClean.sql", "x"),
        ]);
        dir.check(&["1 a a me", "3 b b", "R__a a ra", "R__b b rb"]);
        let found = migrations(&dir.0).expect("nothing is wrong");
        let start = found.start.expect("there is one").migration;
        assert_eq!(
            (start.display().as_str(), start.up.text.as_str()),
            ("2_start", "start")
        );
        assert_eq!(found.callbacks.before[0].text, "before");
        assert_eq!(found.callbacks.after_each[0].text, "after each");
        Directory::with(&[
            ("V1__a.sql", "a ${owner}"),
            ("V2__a.sql", "a"),
            ("beforeVersioned.sql", "a"),
        ])
        .check_refused(&[
            "`V1__a.sql:1:3`: `${owner}` is a placeholder",
            "`beforeVersioned.sql`: a callback of Flyway that is not run",
        ]);
    }

    #[test]
    fn flyways_prefix_is_that_of_its_settings() {
        Directory::with(&[
            ("flyway.toml", "[flyway]\nsqlMigrationPrefix = \"app-\""),
            ("app-1__a.sql", "a"),
        ])
        .check(&["1 a a"]);
    }

    #[test]
    fn rails_dump_stands_for_its_versions() {
        let dump = "a;\nINSERT INTO \"schema_migrations\" (version) VALUES\n('20260102000000'),\n('20260101000000');";
        let dir = Directory::with(&[
            ("structure.sql", dump),
            ("migrate/20260101000000_create_a.rb", "x"),
            ("migrate/20260102000000_create_b.rb", "x"),
            ("20260103000000_c.sql", "c"),
        ]);
        dir.check(&["20260103000000 c c"]);
        let start = migrations(&dir.0).expect("nothing is wrong").start;
        let start = start.expect("there is one");
        assert_eq!(start.migration.display(), "20260102000000_structure");
        assert_eq!(start.versions.expect("it has them").len(), 2);
        Directory::with(&[
            ("structure.sql", dump),
            ("migrate/20260104000000_d.rb", "x"),
        ])
        .check_refused(&["`migrate/20260104000000_d.rb`: in a programming language"]);
        Directory::with(&[("structure.sql", "a;")]).check_refused(&["`structure.sql`: not named"]);
    }

    #[test]
    fn flyways_files_are_found_in_subdirectories_with_their_undo_and_conf_files() {
        Directory::with(&[
            ("V1__a.sql", "a"),
            ("V1.10__c.sql", "c"),
            ("V1_2__b.sql", "b"),
            ("U1.2__b.sql", "-b"),
            ("2026/q1/V2026.1__d.sql", "d"),
            ("2026/q1/V2026.1__d.sql.conf", "executeInTransaction=false"),
        ])
        .check(&["1 a a", "1_2 b b [-b]", "1.10 c c", "2026.1 d !d"]);
    }

    #[test]
    fn sections_of_a_file_are_up_and_down_scripts() {
        Directory::with(&[
            ("1_a.sql", "-- +goose Up\na;\n-- +goose Down\n-a;\n"),
            (
                "2_b.sql",
                "-- migrate:up transaction:false\nb;\n-- migrate:down\n",
            ),
            ("3_c.sql", "c;\n---- create above / drop below ----\n-c;\n"),
        ])
        .check(&["1 a a; [-a;]", "2 b !b; []", "3 c c; [-c;]"]);
    }

    #[test]
    fn all_problems_are_listed_at_once() {
        Directory::of_bytes(&[
            ("1_a.sql", b"a"),
            ("01_b.sql", b"b"),
            ("2_c.down.sql", b"-c"),
            ("schema.sql", b"x"),
            ("3_d.go", b"package x"),
            ("4_latin.sql", b"a\n'\xe9'"),
            ("5_utf16.sql", b"\xff\xfea\0"),
            ("6_goose.sql", b"-- +goose Up\n-- +goose Up"),
            ("7_x/readme", b"x"),
            ("noversion/migration.sql", b"x"),
            ("8_x/up.sql", b"x"),
            ("8_x/metadata.toml", b"run_in_transaction = flase"),
        ])
        .check_refused(&[
            "`1_a.sql`: it has the version of",
            "`2_c.down.sql`: it takes back",
            "`schema.sql`: not named",
            "`3_d.go`: in a programming language",
            "`4_latin.sql:2`: it is not UTF-8",
            "`5_utf16.sql`: it is UTF-16",
            "`6_goose.sql:2:1`: a second part",
            "`7_x`, `noversion`: not a directory",
            "`8_x/metadata.toml`: it is not understood",
        ]);
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let failure = migrations(Path::new("/nowhere")).expect_err("it is missing");
        assert!(failure.to_string().contains("`/nowhere`"), "{failure}");
    }

    #[test]
    fn line_endings_and_a_byte_order_mark_do_not_change_the_checksum() {
        let sha256 = |text: &str| {
            let dir = Directory::with(&[("1_a.sql", text)]);
            let found = migrations(&dir.0).expect("nothing is wrong").migrations;
            found[0].up.sha256()
        };
        assert_eq!(sha256("a;\r\nb;\r\n"), sha256("\u{feff}a;\nb;\n"));
        assert_ne!(sha256("a;"), sha256("b;"));
        assert_ne!(sha256("a;\rb"), sha256("a;\nb"));
        // `printf 'abc' | sha256sum`
        assert!(sha256("abc").starts_with("ba7816bf8f01cfea"));
    }

    #[test]
    fn a_checksum_and_the_statements_are_those_of_the_scripts_section() {
        let dir = Directory::with(&[("1_a.sql", "-- +goose Up\na;\n-- +goose Down\nb;\n\\q\n")]);
        let mut found = migrations(&dir.0).expect("nothing is wrong").migrations;
        let found = found.remove(0);
        assert_eq!(found.up.statements().expect("it is SQL").len(), 1);
        let down = found.down.expect("it has one");
        assert_ne!(found.up.sha256(), down.sha256());
        let failure = down.statements().expect_err("`\\q` is psql's").to_string();
        assert!(
            failure.contains("1_a.sql:5:1`: `\\q` is a command of psql"),
            "{failure}"
        );
    }

    #[test]
    fn the_seed_is_a_script() {
        let dir = Directory::with(&[("seed.sql", "insert")]);
        assert_eq!(seed(&dir.0).expect("it is there").text, "insert");
        let dir = Directory::with(&[("1_a.sql", "")]);
        assert!(seed(&dir.0).is_err_and(|failure| failure.to_string().contains("seed.sql")));
    }
}
