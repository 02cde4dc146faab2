//! The environment variables of the process.
//!
//! Checks the form of a value: UTF-8, or `true` and `false`. Knows no variable's meaning.

use crate::{Failure, Kind};
use std::env;
use std::ffi::{OsStr, OsString};

/// Environment variables, copied once: each call of [`std::env::var_os`] takes a lock and copies
/// the value.
///
/// ```
/// use handler::Variables;
///
/// let variables = Variables::from_iter([("PORT", "5432"), ("VERBOSE", "true"), ("EMPTY", "")]);
/// assert_eq!(variables.get("PORT")?, Some("5432"));
/// assert_eq!(variables.get("EMPTY")?, None);
/// assert!(variables.flag("VERBOSE")?);
/// assert!(variables.flag("PORT").is_err());
/// # Ok::<(), handler::Failure>(())
/// ```
pub struct Variables(Vec<(OsString, OsString)>);

impl Variables {
    /// Copies the variables of this process.
    pub fn of_process() -> Variables {
        Variables(env::vars_os().collect())
    }

    /// Returns the value of a variable; `None` when the variable is absent or empty.
    ///
    /// # Errors
    /// [`Kind::InvalidSettings`] when the value is not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<&str>, Failure> {
        let Some(value) = self.find(name) else {
            return Ok(None);
        };
        match value.to_str() {
            Some(value) => Ok(Some(value).filter(|value| !value.is_empty())),
            None => Err(invalid(name, "its value is not UTF-8")),
        }
    }

    /// Returns `true` if the value of a variable is `true`, and `false` if the value is `false` or
    /// empty or the variable is absent.
    ///
    /// # Errors
    /// [`Kind::InvalidSettings`] when the value is neither `true` nor `false`.
    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name)? {
            Some("true") => Ok(true),
            None | Some("false") => Ok(false),
            Some(other) => Err(invalid(
                name,
                &format!("it is `{other}`; set it to `true` or `false`"),
            )),
        }
    }

    fn find(&self, name: &str) -> Option<&OsStr> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Variables {
        let variables = variables.into_iter();
        Variables(
            variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

fn invalid(name: &str, reason: &str) -> Failure {
    Failure::new(
        Kind::InvalidSettings,
        format!("failed to read {name}: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn a_value_that_is_not_utf_8_is_refused_with_its_name_and_without_its_text() {
        let latin_1 = OsString::from_vec(b"postgres://ada:geh\xe9im@db".to_vec());
        let variables = Variables::from_iter([("DATABASE_URL", latin_1)]);
        let failure = variables.get("DATABASE_URL").expect_err("it is Latin-1");
        assert_eq!(
            failure.to_string(),
            "failed to read DATABASE_URL: its value is not UTF-8"
        );
        assert_eq!(variables.get("OTHER").expect("it is absent"), None);
    }

    #[test]
    fn a_flag_is_true_or_false_and_nothing_else() {
        for (value, expected) in [("true", true), ("false", false), ("", false)] {
            let variables = Variables::from_iter([("FLAG", value)]);
            assert_eq!(variables.flag("FLAG").expect("it is one"), expected);
        }
        for value in ["1", "yes", "TRUE", " true"] {
            let variables = Variables::from_iter([("FLAG", value)]);
            let failure = variables.flag("FLAG").expect_err("it is none").to_string();
            assert!(
                failure.starts_with("failed to read FLAG: it is `"),
                "{failure}"
            );
        }
    }
}
