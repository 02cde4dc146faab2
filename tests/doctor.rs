//! The action `doctor` of the migrations function: its checks, run by the real executable.

use crate::support::{Database, Local, SECRET};
use serde_json::Value;

fn ask(local: &Local) -> Value {
    let answer = local.invoke("migrations", r#"{"action":"doctor"}"#);
    answer.expect("a doctor answers")
}

fn check<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let checks = answer["checks"].as_array().expect("it has checks");
    let check = checks.iter().find(|check| check["check"] == name);
    check.unwrap_or_else(|| panic!("no `{name}`: {answer}"))
}

#[test]
fn a_doctor_finds_nothing_where_nothing_is_wrong() {
    let database = Database::new();
    let local = Local::with(&database)
        .env("APP_ENV", "lambda")
        .env("SECRET_KEY_BASE", SECRET)
        .env("ALLOWED_HOSTS", "shop.example")
        .start();
    local
        .invoke("migrations", r#"{"action":"migrate"}"#)
        .expect("it migrates");
    let answer = ask(&local);
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!(answer["architecture"], std::env::consts::ARCH);
    for name in ["Postgres", "TLS", "clock", "migrations", "hosts"] {
        assert_eq!(check(&answer, name)["ok"], true, "{answer}");
    }
    assert!(!answer.to_string().contains(SECRET), "{answer}");
}

#[test]
fn a_doctor_says_what_to_mend() {
    let database = Database::new();
    let local = Local::with(&database)
        .env("APP_ENV", "lambda")
        .env("SECRET_KEY_BASE", "short")
        .env("RESET_DATABASE", "true")
        .start();
    let answer = ask(&local);
    assert_eq!(answer["ok"], false, "{answer}");
    for name in ["SECRET_KEY_BASE", "RESET_DATABASE", "migrations"] {
        let check = check(&answer, name);
        assert_eq!(check["ok"], false, "{answer}");
        assert!(check["fix"].is_string(), "{answer}");
    }
}

#[test]
fn a_doctor_without_a_database_says_why_and_hides_the_password() {
    let database = Database::new();
    let local = Local::with(&database)
        .env("DATABASE_URL", "postgres://ada:geheim@127.0.0.1:1/shop")
        .start();
    let answer = ask(&local);
    let database = check(&answer, "database");
    assert_eq!(database["ok"], false, "{answer}");
    let found = database["found"].as_str().unwrap_or_default();
    assert!(found.contains("127.0.0.1"), "{answer}");
    assert!(!answer.to_string().contains("geheim"), "{answer}");
}
