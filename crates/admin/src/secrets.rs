//! The secrets that sessions are encrypted with: `SECRET_KEY_BASE`, and the ones that it replaced.
//!
//! Reads and checks them; `session` and `device` encrypt. No secret is a constant: without one, a
//! developer's process makes its own. docs/settings.md lists the variables.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use handler::{AppEnv, Failure, Kind, Variables};
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::OnceLock;

/// The fewest bytes of a secret: 16 random bytes in hexadecimal.
const SHORTEST: usize = 32;

/// The secrets that sessions are encrypted with.
pub(crate) struct Secrets {
    /// `SECRET_KEY_BASE`, which encrypts new sessions; empty when it is not set.
    current: String,
    /// `SECRET_KEY_BASE_PREVIOUS`: sessions that were encrypted with one of these stay valid.
    previous: Vec<String>,
    /// The secret of a developer's process without `SECRET_KEY_BASE`, made when it is first used.
    own: OnceLock<String>,
    /// Whether this is a developer's machine, where the browser uses plain HTTP.
    pub is_local: bool,
    /// Whether it says so on AWS. Lambda sets `AWS_XRAY_DAEMON_ADDRESS` ("Defined runtime
    /// environment variables", AWS Lambda Developer Guide); `local` and the emulator do not.
    is_local_on_aws: bool,
}

impl Secrets {
    /// Reads the variables.
    ///
    /// # Errors
    /// `Function.InvalidSettings` when one of the former secrets is short.
    pub(crate) fn read(variables: &Variables, app_env: AppEnv) -> Result<Secrets, Failure> {
        let is_local = app_env.is_local();
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
                .unwrap_or_default()
                .to_string(),
            previous,
            own: OnceLock::new(),
            is_local,
            is_local_on_aws: is_local && variables.get("AWS_XRAY_DAEMON_ADDRESS")?.is_some(),
        })
    }

    /// Returns the secret that encrypts new sessions.
    pub(crate) fn current(&self) -> &str {
        match self.current.is_empty() {
            true => self.own.get_or_init(random_token),
            false => &self.current,
        }
    }

    /// Returns every secret that a valid session may be encrypted with, the current one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        [self.current()]
            .into_iter()
            .chain(self.previous.iter().map(String::as_str))
    }

    /// Refuses a current secret with which sessions would not be safe; a developer's process needs
    /// none. Refuses a developer's environment on AWS, where everybody would read why a page failed,
    /// and where the cookies would not be `Secure`.
    ///
    /// # Errors
    /// `Function.InvalidSettings`: the secret is missing, short, or a placeholder, or the
    /// environment is a developer's.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.is_local_on_aws {
            return Err(Failure::new(
                Kind::InvalidSettings,
                "failed to read APP_ENV: `development` and `test` are for a developer's machine, and \
                 this is AWS; set it to `lambda`, or leave it out",
            ));
        }
        let wrong = match self.current.as_str() {
            "" if self.is_local => return Ok(()),
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

/// Returns 32 random bytes as text of `A-Z a-z 0-9 - _`.
pub(crate) fn random_token() -> String {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.expect("the kernel gives random bytes");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
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
    fn without_a_secret_each_process_of_a_developer_makes_its_own() {
        let local = || read(&[("APP_ENV", "development")]).expect("valid");
        let (one, other) = (local(), local());
        assert!(one.check().is_ok());
        assert_eq!(one.current(), one.current());
        assert!(one.current().len() >= SHORTEST);
        assert_ne!(one.current(), other.current());
        let weak = [("APP_ENV", "test"), ("SECRET_KEY_BASE", "short")];
        assert!(read(&weak).expect("valid").check().is_err());
    }

    #[test]
    fn an_environment_of_a_developer_is_refused_on_aws() {
        let xray = ("AWS_XRAY_DAEMON_ADDRESS", "169.254.79.129:2000");
        let check = |name: &str| {
            let variables = [("APP_ENV", name), ("SECRET_KEY_BASE", RANDOM), xray];
            read(&variables).expect("valid").check()
        };
        for name in ["development", "test"] {
            let failure = check(name).expect_err("it is AWS").to_string();
            assert!(failure.starts_with("failed to read APP_ENV"), "{failure}");
        }
        assert!(check("production").is_ok());
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
