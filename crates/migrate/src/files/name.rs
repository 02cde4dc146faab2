//! Reads the name of a file or directory: the version, the name, and what kind of script it is.
//!
//! Accepts the names that other tools give, and the plain ones that people give. Must not read the
//! file itself.

use super::version::Version;

/// The parts of a migration's file name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The version of the migration, as it is written.
    pub version: String,
    /// The name that follows the version; may be empty.
    pub name: String,
    /// What the file is.
    pub kind: NameKind,
    /// Whether the file is for Postgres only, and wins over one for all databases: pop's
    /// `x.postgres.up.sql` over `x.up.sql`.
    pub is_for_postgres: bool,
    /// Whether the name lets the file run in a transaction: pop's `x.autocommit.up.sql` does not.
    pub transaction: bool,
}

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    /// It applies a migration.
    Up,
    /// It rolls a migration back.
    Down,
    /// Flyway's `B7__x.sql`: it stands for all migrations up to its version.
    Baseline,
    /// Flyway's `R__x.sql`: it runs again whenever it has changed.
    Repeatable,
}

/// The extensions of migrations in programming languages, which other tools compile or interpret.
const CODE: [&str; 15] = [
    "cjs", "cs", "ex", "exs", "fizz", "go", "java", "js", "kt", "mjs", "php", "py", "rb", "rs",
    "ts",
];

/// The parts of a name that say for which database a file is. pop (the tool of Ory and others) keeps
/// such files beside those for Postgres.
const OTHER_DATABASES: [&str; 7] = [
    ".cockroach",
    ".crdb",
    ".mariadb",
    ".mssql",
    ".mysql",
    ".sqlite",
    ".sqlite3",
];

/// As [`OTHER_DATABASES`], for Postgres.
const POSTGRES: [&str; 3] = [".postgres", ".postgresql", ".pg"];

/// What is wrong with a name that has no version.
pub(super) const WRONG: &str = "not named <version>_<name>.sql";

/// Reads the name of a file; `None` if the file is no migration.
///
/// # Errors
/// The reason why a file of SQL, or a migration in a programming language, is refused.
pub(super) fn of_file(file_name: &str) -> Option<Result<Name, &'static str>> {
    let (stem, extension) = file_name.rsplit_once('.')?;
    if !extension.eq_ignore_ascii_case("sql") {
        let is_code = CODE.contains(&extension)
            && !stem.ends_with("_test")
            && read(stem).is_ok_and(|name| !name.name.is_empty());
        return is_code.then_some(Err(match extension {
            "fizz" => "in pop's own language: write it in SQL, as <version>_<name>.up.sql",
            _ => "in a programming language: write it in SQL",
        }));
    }
    let (stem, down) = match stem.strip_suffix(".down") {
        Some(stem) => (stem, true),
        None => (stem.strip_suffix(".up").unwrap_or(stem), false),
    };
    let (stem, transaction) = match stem.strip_suffix(".autocommit") {
        Some(stem) => (stem, false),
        None => (stem, true),
    };
    let ends = |suffix: &&&str| stem.ends_with(**suffix);
    if OTHER_DATABASES.iter().any(|suffix| ends(&suffix)) {
        return None;
    }
    let postgres = POSTGRES.iter().find(ends).copied();
    let stem = stem.strip_suffix(postgres.unwrap_or("")).unwrap_or(stem);
    Some(read(stem).map(|name| Name {
        kind: match down {
            true => NameKind::Down,
            false => name.kind,
        },
        is_for_postgres: postgres.is_some(),
        transaction,
        ..name
    }))
}

/// Reads the name of a directory that holds one migration; `None` if it is no such name.
pub(super) fn of_directory(name: &str) -> Option<Name> {
    read(name).ok().filter(|name| name.kind == NameKind::Up)
}

/// Returns whether a file has a name of Flyway's: `V1__x.sql`, `U1__x.sql`, `B1__x.sql` or
/// `R__x.sql`.
pub(super) fn is_flyway(file_name: &str) -> bool {
    let is_versioned = file_name
        .strip_prefix(['B', 'U', 'V'])
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let has_kind = is_versioned || file_name.starts_with("R__");
    has_kind && file_name.contains("__") && file_name.ends_with(".sql")
}

/// Reads a name without its extension.
///
/// # Errors
/// The reason why the name is refused.
fn read(stem: &str) -> Result<Name, &'static str> {
    let of_kind = |version: &str, name: &str, kind| Name {
        version: version.to_string(),
        name: name.to_string(),
        kind,
        is_for_postgres: false,
        transaction: true,
    };
    if let Some(name) = stem.strip_prefix("R__") {
        return Ok(of_kind(stem, name, NameKind::Repeatable));
    }
    let (plain, kind) = match stem.strip_prefix(['B', 'U', 'V', 'v']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => match stem.as_bytes()[0] {
            b'B' => (rest, NameKind::Baseline),
            b'U' => (rest, NameKind::Down),
            _ => (rest, NameKind::Up),
        },
        _ => (stem, NameKind::Up),
    };
    let has_prefix = plain != stem;
    let is_version = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit() || b"._".contains(&b))
    };
    let (version, rest) = match plain.split_once("__") {
        Some((version, name)) if has_prefix && is_version(version) => (version, name),
        _ if kind != NameKind::Up => return Err(WRONG),
        _ => plain.split_at(version_length(plain)),
    };
    let name = rest.trim_start_matches(['_', '-', '.', ' ']);
    if version.is_empty() || name.len() == rest.len() && !rest.is_empty() && !has_prefix {
        return Err(WRONG);
    }
    Version::parse(version).ok_or("its version has more than 20 digits a part")?;
    Ok(of_kind(version, name, kind))
}

/// Returns the length of the version that a text begins with: `1`, `1.2`, the dates `2026-01-31` and
/// `2026_01_31_120000`, and a version or a day with one more part: `1.2_01`, `20260131_120000`.
fn version_length(text: &str) -> usize {
    let first = digits(text);
    let separator = match text.get(first..first + 1) {
        Some("-") if is_date(text, '-') => '-',
        Some("_") if is_date(text, '_') => '_',
        _ => '.',
    };
    let mut length = first;
    while let Some(rest) = text[length..].strip_prefix(separator) {
        let part = digits(rest);
        // In `2026-01-31-2fa`, `2fa` is the name.
        if part == 0 || rest[part..].starts_with(char::is_alphanumeric) {
            break;
        }
        length += 1 + part;
    }
    let may_have_part = separator == '.' && (length > first || is_day(&text[..first]));
    let part = digits(text[length..].strip_prefix('_').unwrap_or(""));
    let end = length + 1 + part;
    match may_have_part && part > 0 && !text[end..].starts_with(char::is_alphanumeric) {
        true => end,
        false => length,
    }
}

/// Returns whether eight digits are a day: `20260131`.
fn is_day(digits: &str) -> bool {
    let parts = (digits.get(..4), digits.get(4..6), digits.get(6..));
    matches!(parts, (Some(year), Some(month), Some(day))
        if is_date(&format!("{year}-{month}-{day}"), '-') && day.len() == 2)
}

/// Returns whether a text begins with a date: `2026-01-31`.
fn is_date(text: &str, separator: char) -> bool {
    let mut parts = text.split(separator);
    let mut part = |length: usize, from: u32, to: u32| {
        parts.next().is_some_and(|part| {
            let number = part.get(..length).unwrap_or("").parse::<u32>();
            // Any text that is not a digit may follow the day.
            let is_whole = digits(part) == length;
            is_whole && number.is_ok_and(|number| (from..=to).contains(&number))
        })
    };
    part(4, 1970, 2999) && part(2, 1, 12) && part(2, 1, 31)
}

/// Returns the number of digits that a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file_name: &str, version: &str, name: &str, down: bool) {
        let found = of_file(file_name)
            .expect("it is a migration")
            .expect("its name is right");
        let found = (found.version, found.name, found.kind == NameKind::Down);
        assert_eq!(found, (version.to_string(), name.to_string(), down));
    }

    #[test]
    fn a_file_name_is_a_version_and_a_name() {
        check(
            "0001_create_customers.sql",
            "0001",
            "create_customers",
            false,
        );
        check("20260102030405_x y.sql", "20260102030405", "x y", false);
        check(
            "99999999999999999999_é.sql",
            "99999999999999999999",
            "é",
            false,
        );
        check("1_v6.0.sql", "1", "v6.0", false);
        check(
            "000056_upgrade_v6.0.up.sql",
            "000056",
            "upgrade_v6.0",
            false,
        );
        check("1.SQL", "1", "", false);
    }

    #[test]
    fn the_name_says_whether_a_file_goes_up_or_down() {
        check("1_x.up.sql", "1", "x", false);
        check("1_x.down.sql", "1", "x", true);
        check("1_.up.sql", "1", "", false);
        check("U1.2__x.sql", "1.2", "x", true);
        check("1_breakdown.sql", "1", "breakdown", false);
        check(
            "20191100000001000000_x.postgres.up.sql",
            "20191100000001000000",
            "x",
            false,
        );
    }

    #[test]
    fn pops_names_say_the_database_and_the_transaction() {
        let read = |file_name| {
            let name = of_file(file_name).expect("it is a migration");
            let name = name.expect("its name is right");
            (name.is_for_postgres, name.transaction)
        };
        assert_eq!(read("1_x.up.sql"), (false, true));
        assert_eq!(read("1_x.postgres.up.sql"), (true, true));
        assert_eq!(read("1_x.autocommit.down.sql"), (false, false));
        assert_eq!(read("1_x.postgres.autocommit.up.sql"), (true, false));
        assert_eq!(of_file("1_x.cockroach.autocommit.up.sql"), None);
    }

    #[test]
    fn flyways_baselines_and_repeatable_migrations_have_names_of_their_own() {
        let read = |file_name| {
            let name = of_file(file_name).expect("it is a migration");
            name.expect("its name is right")
        };
        assert_eq!(read("B1.2__x.sql").kind, NameKind::Baseline);
        assert_eq!(read("R__x y.sql").kind, NameKind::Repeatable);
        assert_eq!(read("R__x y.sql").version, "R__x y");
        assert!(is_flyway("B1__x.sql") && is_flyway("R__x.sql") && !is_flyway("R_x.sql"));
    }

    #[test]
    fn flyways_versions_have_parts() {
        check("V1__x.sql", "1", "x", false);
        check("V1.2__x_y.sql", "1.2", "x_y", false);
        check("V1_2__x.sql", "1_2", "x", false);
        check("V2026.01.31.1__x.sql", "2026.01.31.1", "x", false);
        check("V2026_01_31__2fa.sql", "2026_01_31", "2fa", false);
        check("V1__.sql", "1", "", false);
    }

    #[test]
    fn plain_names_that_people_give_are_read() {
        check("001-add-2fa.sql", "001", "add-2fa", false);
        check("001-2fa.sql", "001", "2fa", false);
        check("001-2-x.sql", "001", "2-x", false);
        check("001 x.sql", "001", "x", false);
        check("v1.0.1.sql", "1.0.1", "", false);
        check("1.2_x.sql", "1.2", "x", false);
        check("V001_x.sql", "001", "x", false);
        check("2026-01-31-x.sql", "2026-01-31", "x", false);
        check(
            "2026-01-31-120000_2_x.sql",
            "2026-01-31-120000",
            "2_x",
            false,
        );
        check("2026_01_31_120000_x.sql", "2026_01_31_120000", "x", false);
        check("2026_13_x.sql", "2026", "13_x", false);
        check("00.05.00_02_drop.sql", "00.05.00_02", "drop", false);
        check("20260131_120000_x.sql", "20260131_120000", "x", false);
        check("20260131_2fa.sql", "20260131", "2fa", false);
        check("20269931_1_x.sql", "20269931", "1_x", false);
        check("001_2_x.sql", "001", "2_x", false);
    }

    #[test]
    fn other_files_of_sql_are_refused() {
        for name in [
            "x.sql",
            "_x.sql",
            "1a_x.sql",
            "+1_x.sql",
            "1x.sql",
            ".sql",
            "U1_x.sql",
            "V_x.sql",
            "B1_x.sql",
            "R_x.sql",
            "schema.sql",
        ] {
            assert!(of_file(name).is_some_and(|found| found.is_err()), "{name}");
        }
        let long = of_file("100000000000000000000_x.sql").expect("it is SQL");
        assert!(long.is_err_and(|reason| reason.contains("20 digits")));
    }

    #[test]
    fn migrations_in_other_languages_are_refused_and_other_files_ignored() {
        for name in [
            "00003_x.go",
            "V2__x.java",
            "V3__x.rs",
            "0001_initial.py",
            "1_x.up.fizz",
        ] {
            assert!(of_file(name).is_some_and(|found| found.is_err()), "{name}");
        }
        for name in [
            "README.md",
            "1_x.mysql.up.sql",
            "1_x.sqlite3.down.sql",
            "00003_x_test.go",
            "mod.rs",
            "atlas.sum",
            "1_x.txt",
            "1_x.sql.bak",
            "1_x.sql~",
            "embed.go",
            "Makefile",
        ] {
            assert!(of_file(name).is_none(), "{name}");
        }
    }
}
