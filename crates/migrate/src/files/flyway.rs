//! Reads Flyway's settings (`flyway.conf`, `flyway.toml`) and the names of its callbacks.
//!
//! Must not read the migrations themselves.

use super::Script;
use super::problems::Problem;
use super::read::Variables;
use std::fs;
use std::path::{Path, PathBuf};

/// The scripts that run around the migrations.
#[derive(Debug, Default, Clone)]
pub(crate) struct Callbacks {
    /// `beforeMigrate.sql`: before the first migration of a run.
    pub before: Vec<Script>,
    /// `beforeEachMigrate.sql`: before each migration.
    pub before_each: Vec<Script>,
    /// `afterEachMigrate.sql`: after each migration.
    pub after_each: Vec<Script>,
    /// `afterMigrate.sql`: after the last migration of a run.
    pub after: Vec<Script>,
}

impl Callbacks {
    /// Returns whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        let lists = [
            &self.before,
            &self.before_each,
            &self.after_each,
            &self.after,
        ];
        lists.iter().all(|list| list.is_empty())
    }
}

/// What a name of a callback says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Callback {
    BeforeMigrate,
    BeforeEachMigrate,
    AfterEachMigrate,
    AfterMigrate,
    /// It belongs to another command than `migrate`, or to its failure.
    OfAnotherCommand,
    /// It belongs to `migrate`, and is not supported.
    Unsupported,
}

/// Flyway's settings, as far as they are known here.
#[derive(Debug, Default)]
pub(super) struct Conf {
    /// The directories of the files, if they are given.
    pub locations: Vec<PathBuf>,
    /// What stands for the `V` of a file's name, if another prefix is given.
    pub prefix: Option<String>,
    /// The values of the placeholders; `None` if they are not replaced.
    pub variables: Variables,
    /// Whether files may run in a transaction.
    pub transaction: bool,
}

/// Reads the name of a file as that of a callback; `None` if it is none.
pub(super) fn callback(file_name: &str) -> Option<Callback> {
    let stem = file_name.strip_suffix(".sql")?;
    let event = stem.split("__").next()?;
    let rest = event
        .strip_prefix("before")
        .or(event.strip_prefix("after"))?;
    if !rest.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    let others = ["Clean", "Info", "Repair", "Baseline", "Undo", "EachUndo"];
    Some(match event {
        "beforeMigrate" => Callback::BeforeMigrate,
        "beforeEachMigrate" => Callback::BeforeEachMigrate,
        "afterEachMigrate" => Callback::AfterEachMigrate,
        "afterMigrate" => Callback::AfterMigrate,
        _ if event.ends_with("Error") => Callback::OfAnotherCommand,
        _ if others.iter().any(|other| rest.starts_with(other)) => Callback::OfAnotherCommand,
        _ => Callback::Unsupported,
    })
}

impl Conf {
    /// Reads the settings of a directory; those that are not given have Flyway's defaults.
    ///
    /// # Errors
    /// What is wrong with a settings file.
    pub(super) fn read(dir: &Path) -> Result<Conf, Problem> {
        let mut conf = Conf {
            variables: Some(Vec::new()),
            transaction: true,
            ..Conf::default()
        };
        for file in ["flyway.conf", "flyway.toml"] {
            let path = dir.join(file);
            if let Ok(text) = fs::read_to_string(&path) {
                conf.add(dir, &text)
                    .map_err(|reason| Problem::of(&path, reason))?;
            }
        }
        Ok(conf)
    }

    /// Adds the settings of a file of lines `key = value`, with TOML's sections.
    fn add(&mut self, dir: &Path, text: &str) -> Result<(), String> {
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with('#') {
                continue;
            }
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'))
            {
                section = format!("{name}.");
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let key = format!("{section}{}", key.trim());
            if let Some(key) = key.strip_prefix("flyway.") {
                self.set(dir, key, unquoted(value))?;
            }
        }
        Ok(())
    }

    fn set(&mut self, dir: &Path, key: &str, value: &str) -> Result<(), String> {
        let refused = |what: &str| Err(format!("`{key} = {value}`: {what}"));
        match (key, value) {
            ("locations", list) => {
                for location in list.trim_matches(['[', ']']).split(',').map(unquoted) {
                    if location.is_empty() {
                        continue;
                    }
                    match location.split_once(':').unwrap_or(("filesystem", location)) {
                        ("filesystem", path) => self.locations.push(dir.join(path)),
                        _ => return refused("only `filesystem:` places are read here"),
                    }
                }
            }
            ("sqlMigrationPrefix", prefix) => self.prefix = Some(prefix.to_string()),
            ("placeholderReplacement", "false") => self.variables = None,
            ("executeInTransaction", "false") => self.transaction = false,
            ("sqlMigrationSeparator", "__") | ("sqlMigrationSuffixes", ".sql") => {}
            ("placeholderPrefix", "${") | ("placeholderSuffix", "}") => {}
            (
                "sqlMigrationSeparator"
                | "sqlMigrationSuffixes"
                | "placeholderPrefix"
                | "placeholderSuffix",
                _,
            ) => return refused("only Flyway's own value is known here"),
            ("defaultSchema" | "schemas", "public" | "" | "[\"public\"]") => {}
            ("defaultSchema" | "schemas", _) => {
                return refused(
                    "the search path is not set here: create the schema in a file, write ALTER ROLE … \
                     SET search_path, and remove this line",
                );
            }
            _ => {
                let name = key.strip_prefix("placeholders.");
                if let (Some(name), Some(variables)) = (name, &mut self.variables) {
                    variables.push((name.to_string(), value.to_string()));
                }
            }
        }
        Ok(())
    }
}

/// Returns a value without its quotes.
fn unquoted(value: &str) -> &str {
    value.trim().trim_matches('"').trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Conf, String> {
        let mut conf = Conf {
            transaction: true,
            variables: Some(Vec::new()),
            ..Conf::default()
        };
        conf.add(Path::new("/x"), text).map(|()| conf)
    }

    #[test]
    fn both_formats_of_the_settings_are_read() {
        for text in [
            "# so\nflyway.locations=filesystem:sql,filesystem:more\nflyway.placeholders.a=1\n\
             flyway.url=jdbc:postgresql://x/y?z=1\nflyway.executeInTransaction=false",
            "[flyway]\nlocations = [\"filesystem:sql\", \"more\"]\nexecuteInTransaction = false\n\
             [flyway.placeholders]\na = \"1\"\n[environments.x]\nurl = \"y\"",
        ] {
            let conf = read(text).expect("it is understood");
            assert_eq!(conf.locations, [Path::new("/x/sql"), Path::new("/x/more")]);
            assert_eq!(
                conf.variables,
                Some(vec![("a".to_string(), "1".to_string())])
            );
            assert!(!conf.transaction);
        }
    }

    #[test]
    fn settings_that_would_change_what_runs_are_refused() {
        for text in [
            "flyway.locations=classpath:db/migration",
            "flyway.defaultSchema=app",
            "flyway.sqlMigrationSeparator=--",
        ] {
            assert!(
                read(text).is_err_and(|reason| reason.contains(" = ")),
                "{text}"
            );
        }
        assert!(read("flyway.schemas=public\nflyway.sqlMigrationSuffixes=.sql").is_ok());
    }

    #[test]
    fn callbacks_are_known_by_their_names() {
        assert_eq!(callback("beforeMigrate.sql"), Some(Callback::BeforeMigrate));
        assert_eq!(
            callback("afterMigrate__so.sql"),
            Some(Callback::AfterMigrate)
        );
        assert_eq!(
            callback("beforeEachMigrate.sql"),
            Some(Callback::BeforeEachMigrate)
        );
        assert_eq!(
            callback("afterEachMigrate.sql"),
            Some(Callback::AfterEachMigrate)
        );
        assert_eq!(callback("afterClean.sql"), Some(Callback::OfAnotherCommand));
        assert_eq!(
            callback("afterMigrateError.sql"),
            Some(Callback::OfAnotherCommand)
        );
        assert_eq!(
            callback("beforeRepeatables.sql"),
            Some(Callback::Unsupported)
        );
        assert_eq!(callback("before.sql"), None);
        assert_eq!(callback("afterwards.sql"), None);
    }
}
