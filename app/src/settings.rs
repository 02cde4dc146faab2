//! The app's settings: environment variables, read here and nowhere else. README.md has the table.
//!
//! Reads and checks; opens and connects nothing.

use crate::Failure;
use std::path::PathBuf;

/// The fewest bytes that a secret is taken with: 16 random ones in hexadecimal.
const SECRET_LENGTH: usize = 32;

/// Stands in on a developer's machine, where `check_secret` is not asked.
const LOCAL_SECRET: &str = "known to everybody, and used on a developer's machine only";

const ENVIRONMENTS: [&str; 4] = ["development", "test", "production", "lambda"];

/// Everything that differs between two places where the app runs.
pub struct Settings {
    /// `APP_ENV`: one of `ENVIRONMENTS`.
    pub environment: String,
    /// Where the migration files are.
    pub migrations_dir: PathBuf,
    /// `RESET_DATABASE`: `migrate` makes the database anew.
    pub reset_database: bool,
    /// `LAMBDA_FUNCTION_URL`: a host that requests may ask for.
    pub function_url: Option<String>,
    /// `ALLOWED_HOSTS`: more of them, with commas between.
    pub allowed_hosts: Option<String>,
    /// `SECRET_KEY_BASE`, then those of `SECRET_KEY_BASE_PREVIOUS`: what sessions are sealed with.
    pub secrets: Vec<String>,
    /// How to reach Postgres.
    pub database: DatabaseSettings,
}

/// How to reach Postgres, as the environment says it. Interpreted at the first connection.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// `DATABASE_URL`; used as it is, instead of all the parts.
    pub url: Option<String>,
    /// `DB_HOST`.
    pub host: Option<String>,
    /// `DB_PORT`; 5432 when absent.
    pub port: Option<String>,
    /// `DB_USER`.
    pub user: Option<String>,
    /// `DB_PASS`.
    pub password: Option<String>,
    /// `DB_NAME`, an underscore and the environment.
    pub name: Option<String>,
    /// `DB_SSLROOTCERT`: a PEM file of certificates to trust besides the public ones.
    pub root_certificates: Option<PathBuf>,
}

impl Settings {
    /// Reads all settings; `variable` gives an environment variable, `None` when empty or absent.
    ///
    /// # Errors
    /// `Function.InvalidSettings`, naming the variable and what it may be.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Failure> {
        let environment = environment(variable)?;
        let migrations_dir = match (variable("MIGRATIONS_DIR"), variable("LAMBDA_TASK_ROOT")) {
            (Some(dir), _) => dir.into(),
            (None, Some(root)) => PathBuf::from(root).join("migrations"),
            (None, None) => "migrations".into(),
        };
        let reset_database = match variable("RESET_DATABASE").as_deref() {
            Some("true") => true,
            None | Some("false") => false,
            Some(other) => {
                let message =
                    format!("failed to read RESET_DATABASE `{other}`: set it to `true` or `false`");
                return Err(Failure::new("Function.InvalidSettings", message));
            }
        };
        let database = DatabaseSettings {
            url: variable("DATABASE_URL"),
            host: variable("DB_HOST"),
            port: variable("DB_PORT"),
            user: variable("DB_USER"),
            password: variable("DB_PASS"),
            name: variable("DB_NAME").map(|name| format!("{name}_{environment}")),
            root_certificates: variable("DB_SSLROOTCERT").map(PathBuf::from),
        };
        let secrets = secrets(variable, &environment)?;
        Ok(Settings {
            secrets,
            environment,
            migrations_dir,
            reset_database,
            function_url: variable("LAMBDA_FUNCTION_URL"),
            allowed_hosts: variable("ALLOWED_HOSTS"),
            database,
        })
    }

    /// Whether this is a developer's machine: pages show why they failed, and nothing is secret.
    pub fn is_local(&self) -> bool {
        matches!(self.environment.as_str(), "development" | "test")
    }

    /// Where the pages are, without a slash at the end; `None` where nobody has said.
    pub fn origin(&self) -> Option<String> {
        let url = self.function_url.as_deref()?.trim_end_matches('/');
        Some(match url.contains("://") {
            true => url.to_string(),
            false => format!("https://{url}"),
        })
    }

    /// Whether sessions are safe with these settings: what `http` refuses to start without.
    ///
    /// # Errors
    /// `Function.InvalidSettings`: SECRET_KEY_BASE is missing, short or one that others know.
    pub fn check_secret(&self) -> Result<(), Failure> {
        let wrong = match self.secrets.first() {
            None => "it is not set",
            Some(secret) if secret.len() < SECRET_LENGTH => "it has less than 32 characters",
            Some(secret) if is_known(secret) => "it is no random value",
            Some(_) => return Ok(()),
        };
        Err(Failure::new(
            "Function.InvalidSettings",
            format!(
                "failed to read SECRET_KEY_BASE: {wrong}; make one with `openssl rand -hex 64`"
            ),
        ))
    }
}

/// Whether a secret is somebody's placeholder: few different characters, or words that say so.
fn is_known(secret: &str) -> bool {
    let seen = secret
        .bytes()
        .fold(0_u128, |seen, byte| seen | 1 << (byte & 127));
    // The usual one, in hexadecimal, has no word in it.
    seen.count_ones() < 8
        || (!secret.bytes().all(|byte| byte.is_ascii_hexdigit()) && has_a_word(secret))
}

#[inline(never)]
fn has_a_word(secret: &str) -> bool {
    let lower = secret.to_ascii_lowercase();
    let mut words = ["change", "secret", "example", "placeholder", "password"].iter();
    words.any(|word| lower.contains(word))
}

fn secrets(
    variable: &dyn Fn(&str) -> Option<String>,
    environment: &str,
) -> Result<Vec<String>, Failure> {
    let previous = variable("SECRET_KEY_BASE_PREVIOUS").unwrap_or_default();
    let previous = previous.split(',').map(|secret| secret.trim().to_string());
    let current = match (variable("SECRET_KEY_BASE"), environment) {
        (None, "development" | "test") => Some(LOCAL_SECRET.to_string()),
        (secret, _) => secret,
    };
    let previous: Vec<String> = previous.filter(|secret| !secret.is_empty()).collect();
    if previous.iter().any(|secret| secret.len() < SECRET_LENGTH) {
        return Err(Failure::new(
            "Function.InvalidSettings",
            "failed to read SECRET_KEY_BASE_PREVIOUS: a secret in it has less than 32 characters; \
             give whole ones, with commas between them",
        ));
    }
    Ok(current.into_iter().chain(previous).collect())
}

fn environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Failure> {
    let Some(environment) = variable("APP_ENV") else {
        let on_lambda = variable("AWS_LAMBDA_RUNTIME_API").is_some();
        return Ok(if on_lambda { "lambda" } else { "development" }.to_string());
    };
    if ENVIRONMENTS.contains(&environment.as_str()) {
        return Ok(environment);
    }
    let known = ENVIRONMENTS.join(", ");
    Err(Failure::new(
        "Function.InvalidSettings",
        format!("failed to read APP_ENV `{environment}`: set it to one of: {known}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        Settings::read(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_string())
        })
    }

    #[test]
    fn the_environment_is_lambda_on_lambda_and_development_elsewhere() {
        let on_lambda = read(&[("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")]).expect("valid");
        assert_eq!(on_lambda.environment, "lambda");
        assert_eq!(read(&[]).expect("valid").environment, "development");
    }

    #[test]
    fn an_unknown_environment_is_refused_with_the_known_ones() {
        let failure = read(&[("APP_ENV", "staging")])
            .err()
            .expect("it is unknown");
        assert_eq!(
            failure.to_string(),
            "failed to read APP_ENV `staging`: set it to one of: development, test, production, \
             lambda"
        );
    }

    #[test]
    fn a_secret_that_others_know_is_refused() {
        let check = |environment: &str, secret: Option<&str>| {
            let secret = secret.map(|secret| ("SECRET_KEY_BASE", secret));
            let variables: Vec<_> = { secret.into_iter() }
                .chain([("APP_ENV", environment)])
                .collect();
            let failure = read(&variables).expect("valid").check_secret().err();
            failure
                .map(|failure| failure.to_string())
                .unwrap_or_default()
        };
        let random = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
        assert_eq!(check("lambda", Some(random)), "");
        assert_eq!(check("development", None), "");
        assert!(check("lambda", None).contains("not set"));
        assert!(check("production", Some(&random[1..])).contains("less than 32"));
        assert!(check("lambda", Some(&"ab".repeat(32))).contains("no random value"));
        let placeholder = "CHANGE-me-0f1e2d3c4b5a69788796a5b4c3d2";
        assert!(check("lambda", Some(placeholder)).contains("openssl rand"));
    }

    #[test]
    fn the_database_name_gets_the_environment_as_its_suffix() {
        let settings = read(&[("DB_NAME", "shop"), ("APP_ENV", "production")]).expect("valid");
        assert_eq!(settings.database.name.as_deref(), Some("shop_production"));
    }

    #[test]
    fn migrations_are_beside_the_function_unless_a_directory_is_given() {
        let check = |variables: &[_], expected: &str| {
            let settings = read(variables).expect("valid");
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
