//! Reads the migrations of a directory: their versions, names and texts, in the order of versions.
//!
//! Accepts the directories of other tools as they are. Lists everything that it cannot accept in one
//! failure, before anything runs. Must not know any database.

mod mark;
mod name;
mod options;
mod sections;
mod version;

pub(crate) use mark::Mark;
pub(crate) use version::Version;

use super::sql::{self, Place, Statement};
use handler::{Failure, Kind};
use name::Name;
use sections::{Section, Sections};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};

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

/// The depth to which directories are searched for Flyway's files; a symbolic link may form a cycle.
const MAX_DEPTH: usize = 8;

/// Reads all migrations of a directory, sorted by version.
///
/// # Errors
/// `Function.InvalidMigrations`, listing all problems: names that are not understood, two files of
/// one version, down files without an up file, and texts that cannot be read.
pub(crate) fn migrations(dir: &Path) -> Result<Vec<Migration>, Failure> {
    let mut listing = Listing::default();
    let entries = entries(dir).map_err(|error| {
        let message = format!(
            "failed to read migrations of `{}` (MIGRATIONS_DIR, else migrations/ in \
             LAMBDA_TASK_ROOT, else in the current directory)",
            dir.display()
        );
        Failure::new(Kind::InvalidMigrations, message).with_source(error)
    })?;
    for path in entries {
        match path.is_dir() {
            true => listing.add_directory(&path),
            false => listing.add_file(&path),
        }
    }
    let migrations = listing.take_migrations();
    if listing.problems.is_empty() {
        return Ok(migrations);
    }
    // The message names the directory once, so the paths in it are relative.
    let prefix = format!("`{}/", dir.display());
    let problems = listing.problems.join("; ").replace(&prefix, "`");
    let message = format!("failed to read migrations of `{}`", dir.display());
    Err(Failure::new(Kind::InvalidMigrations, message).with_source(problems))
}

/// Reads the script that fills an empty database.
///
/// # Errors
/// `Function.InvalidMigrations` when the file cannot be read.
pub(crate) fn seed(dir: &Path) -> Result<Script, Failure> {
    let path = dir.join(SEED);
    let (text, sections) = read(&path).map_err(|reason| {
        let message = format!("failed to read the seed of `{}`", dir.display());
        Failure::new(Kind::InvalidMigrations, message).with_source(reason)
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
        sql::statements(&self.text, self.section.clone())
            .map_err(|error| self.error_at(error.at, &error.reason))
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
        format!("{}_{}", self.version, self.name)
    }

    /// Returns `{"version","name"}`.
    pub(crate) fn to_json(&self) -> Value {
        json!({"version": self.version.to_string(), "name": self.name})
    }
}

/// Returns the SHA-256 of a text in hexadecimal. Reads CRLF as LF, so that the checksum does not
/// depend on the line ends of a checkout.
pub(crate) fn sha256_of_lines(text: &str) -> String {
    let mut digest = Sha256::new();
    for (index, lines) in text.split("\r\n").enumerate() {
        if index > 0 {
            digest.update(b"\n");
        }
        digest.update(lines);
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a directory that were read so far.
#[derive(Default)]
struct Listing {
    ups: BTreeMap<Version, Migration>,
    /// The down scripts, each with the name that follows the version.
    downs: BTreeMap<Version, (String, Script)>,
    /// A sentence about each problem.
    problems: Vec<String>,
}

impl Listing {
    fn add_file(&mut self, path: &Path) {
        let file_name = file_name(path);
        if file_name == SEED {
            return;
        }
        match name::of_file(&file_name) {
            None => {}
            Some(Err(reason)) => self.problems.push(format!("`{}` {reason}", path.display())),
            Some(Ok(name)) => match options::read_flyway_conf(path) {
                Ok(transaction) => self.add_script(name, path, transaction),
                Err(reason) => self.problems.push(reason),
            },
        }
    }

    /// Adds a directory that is one migration, as diesel and Prisma write it, or one that holds files
    /// of Flyway.
    fn add_directory(&mut self, path: &Path) {
        let name = name::of_directory(&file_name(path));
        let [up, migration, down] = ["up.sql", "migration.sql", "down.sql"]
            .map(|file| Some(path.join(file)).filter(|path| path.is_file()));
        let looks_like_one =
            name.is_some() || up.is_some() || migration.is_some() || down.is_some();
        match (name, up, migration) {
            (Some(name), Some(up), None) => {
                self.add_migration_directory(name, path, &up, down.as_deref());
            }
            (Some(name), None, Some(up)) => {
                let version = Version::read(&file_name(path)).unwrap_or(name.version);
                let name = Name { version, ..name };
                self.add_migration_directory(name, path, &up, down.as_deref());
            }
            _ if self.add_flyway_files(path, MAX_DEPTH) || !looks_like_one => {}
            _ => {
                let path = path.display();
                self.problems.push(format!(
                    "`{path}` is not a directory <version>_<name> with up.sql or migration.sql"
                ));
            }
        }
    }

    fn add_migration_directory(&mut self, name: Name, dir: &Path, up: &Path, down: Option<&Path>) {
        let transaction = match options::read_diesel_metadata(dir) {
            Ok(transaction) => transaction,
            Err(reason) => return self.problems.push(reason),
        };
        if let Some(down) = down {
            let version = name.version.clone();
            let name = Name {
                version,
                name: String::new(),
                down: true,
            };
            self.add_script(name, down, transaction);
        }
        self.add_script(name, up, transaction);
    }

    /// Adds the files that have Flyway's names, from this directory and those below it; returns
    /// whether there are any.
    fn add_flyway_files(&mut self, dir: &Path, depth: usize) -> bool {
        let mut found = false;
        for path in entries(dir).unwrap_or_default() {
            if path.is_dir() {
                found |= depth > 0 && self.add_flyway_files(&path, depth - 1);
            } else if name::is_flyway(&file_name(&path)) {
                self.add_file(&path);
                found = true;
            }
        }
        found
    }

    fn add_script(&mut self, name: Name, path: &Path, transaction: bool) {
        let (text, sections) = match read(path) {
            Ok(read) => read,
            Err(reason) => return self.problems.push(reason),
        };
        let script = |text, section: Section| Script {
            path: path.to_path_buf(),
            text,
            transaction: section.transaction && transaction,
            section: section.span,
        };
        let Sections { up, down } = sections;
        if name.down {
            let script = script(text, down.unwrap_or(up));
            return self.add_down(name.version, name.name, script);
        }
        if let Some(down) = down {
            let script = script(text.clone(), down);
            self.add_down(name.version.clone(), name.name.clone(), script);
        }
        let migration = Migration {
            version: name.version.clone(),
            name: name.name,
            up: script(text, up),
            down: None,
            built_in: false,
        };
        if let Some(other) = self.ups.get(&name.version) {
            let problem = same_version(path, &other.up.path);
            return self.problems.push(problem);
        }
        self.ups.insert(name.version, migration);
    }

    fn add_down(&mut self, version: Version, name: String, script: Script) {
        match self.downs.get(&version) {
            Some((_, other)) => self.problems.push(same_version(&script.path, &other.path)),
            None => {
                self.downs.insert(version, (name, script));
            }
        }
    }

    /// Takes the migrations, with the down scripts paired with them by version.
    fn take_migrations(&mut self) -> Vec<Migration> {
        let mut ups = mem::take(&mut self.ups);
        let mut unpaired = Vec::new();
        for (version, (name, script)) in mem::take(&mut self.downs) {
            match ups.get_mut(&version) {
                Some(migration) => migration.down = Some(script),
                None => unpaired.push((name, script)),
            }
        }
        for (name, script) in unpaired {
            // Published histories have pairs of which one file has a mistyped version. They are
            // paired by name, if only one migration without a down script has that name.
            let mut same_name = ups
                .values_mut()
                .filter(|up| up.down.is_none() && up.name == name && !name.is_empty());
            match (same_name.next(), same_name.next()) {
                (Some(migration), None) => migration.down = Some(script),
                _ => {
                    let path = script.path.display();
                    self.problems
                        .push(format!("`{path}` takes back what no file applies"));
                }
            }
        }
        ups.into_values().collect()
    }
}

fn same_version(path: &Path, other: &Path) -> String {
    let (path, other) = (path.display(), other.display());
    format!("`{path}` has the version of `{other}`")
}

/// Lists the entries of a directory that are not hidden, sorted by name.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Reads a file's text, without a byte order mark, and its sections.
///
/// # Errors
/// A sentence about the file.
fn read(path: &Path) -> Result<(String, Sections), String> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(format!("`{shown}` is UTF-16: save it as UTF-8"));
    }
    let line = |end: usize| bytes[..end].iter().filter(|&&byte| byte == b'\n').count() + 1;
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        let line = line(at);
        return Err(format!(
            "`{shown}:{line}` holds a zero byte: save it as UTF-8"
        ));
    }
    let text = str::from_utf8(&bytes).map_err(|error| {
        let line = line(error.valid_up_to());
        format!("`{shown}:{line}` is not UTF-8: save it as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let sections = sections::read(text).map_err(|(at, reason)| {
        let place = Place::of(text, at);
        format!("`{shown}:{place}`: {reason}")
    })?;
    Ok((text.to_string(), sections))
}

#[cfg(test)]
mod tests {
    use super::*;
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
            ("atlas.sum", "x"),
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
    fn directories_of_diesel_and_prisma_are_migrations() {
        Directory::with(&[
            ("00000000000000_diesel_initial_setup/up.sql", "setup"),
            ("00000000000000_diesel_initial_setup/down.sql", "-setup"),
            ("2026-01-31-120000_x/up.sql", "x"),
            ("2026-01-31-120000_x/down.sql", "-x"),
            (
                "2026-01-31-120000_x/metadata.toml",
                "run_in_transaction = false\n",
            ),
            ("20260201000000_y/migration.sql", "y"),
            ("20260201000000_z/migration.sql", "z"),
            ("20260201000001_2/migration.sql", "2"),
            ("20260201_1_d-e/migration.sql", "d"),
            ("20260201235959_c/migration.sql", "c"),
            ("000000000000000_forbid/up.sql", "forbid"),
            ("migration_lock.toml", "provider = \"postgresql\""),
        ])
        .check(&[
            "00000000000000 diesel_initial_setup setup [-setup]",
            "000000000000000 forbid forbid",
            "2026-01-31-120000 x !x [!-x]",
            "20260201000000_y y y",
            "20260201000000_z z z",
            "20260201000001_2 2 2",
            "20260201235959_c c c",
            "20260201_1_d-e d-e d",
        ]);
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
            "`1_a.sql` has the version of",
            "`2_c.down.sql` takes back",
            "`schema.sql` is not named",
            "`3_d.go` is a migration in a programming language",
            "`4_latin.sql:2` is not UTF-8",
            "`5_utf16.sql` is UTF-16",
            "`6_goose.sql:2:1`: a second part",
            "`7_x` is not a directory",
            "`noversion` is not a directory",
            "`8_x/metadata.toml` is not understood",
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
            migrations(&dir.0).expect("nothing is wrong")[0].up.sha256()
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
        let found = migrations(&dir.0).expect("nothing is wrong").remove(0);
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
