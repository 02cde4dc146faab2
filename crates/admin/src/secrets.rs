//! The secrets that sessions are encrypted with: `SECRET_KEY_BASE`, and the ones that it replaced.
//!
//! Reads and checks them; `session` encrypts. docs/settings.md lists the variables.

use handler::{AppEnv, Failure, Kind, Variables};

/// The fewest bytes of a secret: 16 random bytes in hexadecimal.
const SHORTEST: usize = 32;

/// The secret of a developer's machine that sets none. `Site::check_secret` accepts any secret
/// there.
const LOCAL_SECRET: &str = "known to everybody, and used on a developer's machine only";

/// The secrets that sessions are encrypted with.
pub(crate) struct Secrets {
    /// `SECRET_KEY_BASE`, which encrypts new sessions; empty when it is not set.
    current: String,
    /// `SECRET_KEY_BASE_PREVIOUS`: sessions that were encrypted with one of these stay valid.
    previous: Vec<String>,
    /// Whether this is a developer's machine, where the browser uses plain HTTP.
    pub is_local: bool,
}

impl Secrets {
    /// Reads the variables.
    ///
    /// # Errors
    /// `Function.InvalidSettings` when one of the former secrets is short.
    pub(crate) fn read(variables: &Variables, app_env: AppEnv) -> Result<Secrets, Failure> {
        let default = match app_env.is_local() {
            true => LOCAL_SECRET,
            false => "",
        };
        let previous = variables.get("SECRET_KEY_BASE_PREVIOUS")?;
        let previous = previous.unwrap_or_default().split(',').map(str::trim);
        let previous: Vec<String> = previous
            .filter(|secret| !secret.is_empty())
            .map(str::to_string)
            .collect();
        if previous.iter().any(|secret| secret.len() < SHORTEST) {
            return Err(Failure::new(
                Kind::InvalidSettings,
                "failed to read SECRET_KEY_BASE_PREVIOUS: a secret in it has less than 32 \
                 characters; give whole ones, with commas between them",
            ));
        }
        Ok(Secrets {
            current: variables
                .get("SECRET_KEY_BASE")?
                .unwrap_or(default)
                .to_string(),
            previous,
            is_local: app_env.is_local(),
        })
    }

    /// Returns the secret that encrypts new sessions.
    pub(crate) fn current(&self) -> &str {
        &self.current
    }

    /// Returns every secret that a valid session may be encrypted with, the current one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        [self.current()]
            .into_iter()
            .chain(self.previous.iter().map(String::as_str))
    }

    /// Refuses a current secret with which sessions would not be safe.
    ///
    /// # Errors
    /// `Function.InvalidSettings`: the secret is missing, short, or a placeholder.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let wrong = match self.current() {
            "" => "it is not set",
            secret if secret.len() < SHORTEST => "it has less than 32 characters",
            secret if is_placeholder(secret) => "it is no random value",
            _ => return Ok(()),
        };
        Err(Failure::new(
            Kind::InvalidSettings,
            format!(
                "failed to read SECRET_KEY_BASE: {wrong}; make one with `openssl rand -hex 64`"
            ),
        ))
    }
}

/// Returns whether a secret is a placeholder: it has less than 8 different characters, or a word
/// that says so.
fn is_placeholder(secret: &str) -> bool {
    let seen = secret
        .bytes()
        .fold(0_u128, |seen, byte| seen | 1 << (byte & 127));
    // Each word has a letter that is no hexadecimal digit, so most secrets need no search.
    seen.count_ones() < 8
        || (!secret.bytes().all(|byte| byte.is_ascii_hexdigit()) && has_placeholder_word(secret))
}

// Few starts run it: inlined, it would be paged in by all of them.
#[inline(never)]
fn has_placeholder_word(secret: &str) -> bool {
    let lower = secret.to_ascii_lowercase();
    let mut words = ["change", "secret", "example", "placeholder", "password"].iter();
    words.any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

    fn read(variables: &[(&str, &str)]) -> Result<Secrets, Failure> {
        let variables = Variables::from_iter(variables.iter().copied());
        Secrets::read(&variables, AppEnv::read(&variables)?)
    }

    #[test]
    fn a_secret_that_others_know_is_refused() {
        let check = |environment: &str, secret: &str| {
            let variables = [("SECRET_KEY_BASE", secret), ("APP_ENV", environment)];
            let checked = read(&variables).expect("valid").check();
            checked
                .err()
                .map_or(String::new(), |failure| failure.to_string())
        };
        assert_eq!(check("lambda", RANDOM), "");
        assert!(check("lambda", "").contains("not set"));
        assert!(check("production", &RANDOM[1..]).contains("less than 32"));
        assert!(check("lambda", &"ab".repeat(32)).contains("no random value"));
        let placeholder = "CHANGE-me-0f1e2d3c4b5a69788796a5b4c3d2";
        assert!(check("lambda", placeholder).contains("openssl rand"));
    }

    #[test]
    fn a_former_secret_is_never_the_current_one() {
        let variables = [("SECRET_KEY_BASE_PREVIOUS", RANDOM), ("APP_ENV", "lambda")];
        let failure = read(&variables).expect("valid").check();
        let failure = failure.expect_err("it is not set").to_string();
        assert!(failure.contains("not set"), "{failure}");
        let short = [("SECRET_KEY_BASE_PREVIOUS", "short"), ("APP_ENV", "lambda")];
        let failure = read(&short).err().expect("it is short").to_string();
        assert!(failure.contains("SECRET_KEY_BASE_PREVIOUS"), "{failure}");
    }
}
