//! Reads `APP_ENV`, the environment that the program runs in.
//!
//! Knows how it is named, and what it is where nothing names it; decides nothing by it.

use crate::{Failure, Kind, Variables};

/// The environment that the program runs in: it names the database, together with `DB_NAME`, and
/// decides how strict the admin tool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppEnv {
    /// A developer's machine.
    Development,
    /// A test run.
    Test,
    /// Production, outside of Lambda.
    Production,
    /// Lambda.
    Lambda,
}

impl AppEnv {
    const ALL: [AppEnv; 4] = [
        AppEnv::Development,
        AppEnv::Test,
        AppEnv::Production,
        AppEnv::Lambda,
    ];

    /// Reads `APP_ENV`. Where the variable is absent, returns [`AppEnv::Lambda`] if
    /// `AWS_LAMBDA_RUNTIME_API` is set, else [`AppEnv::Development`].
    ///
    /// ```
    /// use handler::{AppEnv, Variables};
    ///
    /// let variables = Variables::from_iter([("APP_ENV", "production")]);
    /// assert_eq!(AppEnv::read(&variables)?, AppEnv::Production);
    /// # Ok::<(), handler::Failure>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::InvalidSettings`], with the known names.
    pub fn read(variables: &Variables) -> Result<AppEnv, Failure> {
        let Some(name) = variables.get("APP_ENV")? else {
            let on_lambda = variables.get("AWS_LAMBDA_RUNTIME_API")?.is_some();
            return Ok(match on_lambda {
                true => AppEnv::Lambda,
                false => AppEnv::Development,
            });
        };
        let known = AppEnv::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| {
            let names = AppEnv::ALL.map(AppEnv::name).join(", ");
            Failure::new(
                Kind::InvalidSettings,
                format!("failed to read APP_ENV `{name}`: set it to one of: {names}"),
            )
        })
    }

    /// Returns the name, as `APP_ENV` has it.
    pub fn name(self) -> &'static str {
        match self {
            AppEnv::Development => "development",
            AppEnv::Test => "test",
            AppEnv::Production => "production",
            AppEnv::Lambda => "lambda",
        }
    }

    /// Returns `true` for development and tests, where pages show why they failed and no secret has
    /// to be set.
    pub fn is_local(self) -> bool {
        matches!(self, AppEnv::Development | AppEnv::Test)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_lambda_on_lambda_and_development_elsewhere() {
        let on_lambda = Variables::from_iter([("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")]);
        assert_eq!(AppEnv::read(&on_lambda).expect("valid"), AppEnv::Lambda);
        let off_lambda = Variables::from_iter([("HOME", "/root")]);
        let read = AppEnv::read(&off_lambda).expect("valid");
        assert_eq!(read, AppEnv::Development);
    }

    #[test]
    fn an_unknown_environment_is_refused_with_the_known_ones() {
        let variables = Variables::from_iter([("APP_ENV", "staging")]);
        let failure = AppEnv::read(&variables).expect_err("it is unknown");
        assert_eq!(
            failure.to_string(),
            "failed to read APP_ENV `staging`: set it to one of: development, test, production, \
             lambda"
        );
    }
}
