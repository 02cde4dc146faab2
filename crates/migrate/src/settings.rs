//! Reads the engine's settings from the environment variables; docs/settings.md lists them.
//!
//! Must not look at any file: a directory that is missing is the reader's error, not a setting's.

use handler::{Failure, Variables};
use std::path::PathBuf;

/// The directory of the migrations, and whether `migrate` resets the database.
pub struct Settings {
    /// `MIGRATIONS_DIR`, else `migrations` in `LAMBDA_TASK_ROOT`, else in the current directory.
    pub migrations_dir: PathBuf,
    /// `RESET_DATABASE`: whether the action `migrate` does what `reset` does.
    pub reset_database: bool,
}

impl Settings {
    /// Reads the settings from the variables.
    ///
    /// # Errors
    /// `Function.InvalidSettings`, naming the variable.
    ///
    /// ```
    /// use handler::Variables;
    ///
    /// let variables = Variables::from_iter([("LAMBDA_TASK_ROOT", "/var/task")]);
    /// let settings = migrate::Settings::read(&variables)?;
    /// assert_eq!(settings.migrations_dir.to_str(), Some("/var/task/migrations"));
    /// # Ok::<(), handler::Failure>(())
    /// ```
    pub fn read(variables: &Variables) -> Result<Settings, Failure> {
        let dir = variables.get("MIGRATIONS_DIR")?;
        let root = variables.get("LAMBDA_TASK_ROOT")?;
        Ok(Settings {
            migrations_dir: match (dir, root) {
                (Some(dir), _) => dir.into(),
                (None, Some(root)) => PathBuf::from(root).join("migrations"),
                (None, None) => "migrations".into(),
            },
            reset_database: variables.flag("RESET_DATABASE")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_dir_is_the_given_directory_or_below_the_task_root_or_the_current_one() {
        let check = |variables: &[(&str, &str)], expected: &str| {
            let variables = Variables::from_iter(variables.iter().copied());
            let settings = Settings::read(&variables).expect("valid");
            assert_eq!(settings.migrations_dir, PathBuf::from(expected));
        };
        check(&[], "migrations");
        check(&[("LAMBDA_TASK_ROOT", "/var/task")], "/var/task/migrations");
        check(
            &[
                ("LAMBDA_TASK_ROOT", "/var/task"),
                ("MIGRATIONS_DIR", "/sql"),
            ],
            "/sql",
        );
    }
}
