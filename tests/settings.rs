//! The environment variables: an invalid value is refused with the variable's name, and docs/settings.md
//! has every variable.

use crate::support::{RuntimeApi, SECRET, bootstrap, root};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Command;

/// A variable, an invalid value, and a part of the error.
const INVALID: &[(&str, &str, &str)] = &[
    ("APP_ENV", "staging", "one of: development, test"),
    ("RESET_DATABASE", "yes", "`true` or `false`"),
    ("GRACEFUL_SHUTDOWN", "1", "`true` or `false`"),
    ("AWS_LAMBDA_MAX_CONCURRENCY", "many", "whole number from 1"),
    ("AWS_LAMBDA_MAX_CONCURRENCY", "0", "whole number from 1"),
    ("AWS_LAMBDA_LOG_LEVEL", "VERBOSE", "TRACE, DEBUG, INFO"),
    ("AWS_LAMBDA_LOG_FORMAT", "logfmt", "Text or JSON"),
    ("DB_PORT", "postgres", "from 1 to 65535"),
    ("DB_PORT", "0", "from 1 to 65535"),
    ("DB_PORT", "65536", "from 1 to 65535"),
    ("ALLOWED_HOSTS", "https://a.example", "scheme"),
    ("ALLOWED_HOSTS", "a.example,*.b.example", "star"),
    ("ALLOWED_HOSTS", "a.example/x", "path"),
    ("ALLOWED_HOSTS", "a.example b.example", "host"),
    ("ALLOWED_HOSTS", "a.example:99999", "port"),
    ("LAMBDA_FUNCTION_URL", "ftp://a.example", "scheme"),
    ("LAMBDA_FUNCTION_URL", "https://a.example/x", "path"),
    ("SECRET_KEY_BASE", "short", "32 characters"),
    ("SECRET_KEY_BASE_PREVIOUS", "short", "32 characters"),
];

/// The variables that are read at the start and may be any text.
const TEXTS: &[&str] = &[
    "DATABASE_URL",
    "DB_HOST",
    "DB_USER",
    "DB_PASS",
    "DB_NAME",
    "DB_SSLROOTCERT",
    "MIGRATIONS_DIR",
    "LAMBDA_TASK_ROOT",
];

#[test]
fn an_invalid_value_is_an_init_error_that_names_its_variable() {
    for (variable, value, says) in INVALID {
        let usual = [("APP_ENV", "lambda"), ("SECRET_KEY_BASE", SECRET)];
        let kept = usual.iter().filter(|(name, _)| name != variable);
        let variables: Vec<_> = kept.copied().chain([(*variable, *value)]).collect();
        let mut api = RuntimeApi::with(&bootstrap(), "http", &variables);
        let posted = api.request();
        assert_eq!(posted.line, "POST /2018-06-01/runtime/init/error HTTP/1.1");
        let error = posted.json();
        let message = error["errorMessage"].as_str().unwrap_or_default();
        assert_eq!(error["errorType"], "Function.InvalidSettings", "{error}");
        assert!(
            message.starts_with(&format!("failed to read {variable}")) && message.contains(says),
            "{variable}={value}: {message}"
        );
    }
}

#[test]
fn a_value_that_is_not_utf_8_is_refused_by_name_and_not_printed() {
    for variable in variables() {
        // These are read only on Lambda.
        if ["GRACEFUL_SHUTDOWN", "AWS_LAMBDA_MAX_CONCURRENCY"].contains(&variable) {
            continue;
        }
        let value = OsString::from_vec(b"geh\xe9im".to_vec());
        let (code, said) = run(variable, &value);
        assert_eq!(code, Some(1), "{variable}: {said}");
        let expected = format!("failed to read {variable}: its value is not UTF-8");
        assert!(said.contains(&expected), "{variable}: {said}");
        assert!(!said.contains("geh"), "{variable}: {said}");
    }
}

#[test]
fn an_empty_value_is_absent() {
    for variable in variables() {
        let (code, said) = run(variable, OsStr::new(""));
        assert_eq!(code, Some(0), "{variable}: {said}");
    }
}

/// Returns the variables of both lists.
fn variables() -> BTreeSet<&'static str> {
    let checked = INVALID.iter().map(|(variable, ..)| *variable);
    checked.chain(TEXTS.iter().copied()).collect()
}

/// Answers `/up` on the command line with one variable; returns the exit code and the log.
fn run(variable: &str, value: &OsStr) -> (Option<i32>, String) {
    let event = r#"{"version":"2.0","rawPath":"/up","requestContext":{"http":{"method":"GET"}}}"#;
    let output = Command::new(bootstrap())
        .env_clear()
        .env("DATABASE_URL", "postgres://nowhere/app")
        .env(variable, value)
        .args(["http", event])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn every_setting_that_the_sources_read_is_in_the_settings_table() {
    let table = fs::read_to_string(root().join("docs/settings.md")).expect("it is there");
    let mut names = BTreeSet::new();
    for dir in ["app/src", "bootstrap/src", "crates"] {
        collect(&root().join(dir), &mut names);
    }
    assert!(names.len() > 15, "{names:?}");
    let is_missing = |name: &&String| !table.contains(&format!("| `{name}` |"));
    let missing: Vec<&String> = names.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "not in docs/settings.md: {missing:?}");
}

/// Collects the names of variables: texts in capitals that are given to `get`, `flag` or `text`, or are the
/// value of a constant NAME.
fn collect(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("it is in the checkout") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            collect(&path, names);
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("it is UTF-8");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for before in ["get(\"", "flag(\"", "text(\"", "NAME: &str = \""] {
                let Some((_, rest)) = line.split_once(before) else {
                    continue;
                };
                let name = rest.split('"').next().unwrap_or_default();
                let is_name = name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                if is_name && name.len() > 3 {
                    names.insert(name.to_string());
                }
            }
        }
    }
}
