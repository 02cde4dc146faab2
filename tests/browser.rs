//! The admin tool in Chromium, driven by `tests/browser.py`: a day's work with and without JavaScript,
//! and every page checked by axe, with a screenshot in `target/pictures`.

use crate::support::{Database, Local, Part, needs, root, said};
use serde_json::json;
use std::process::Command;

#[track_caller]
fn drive(what: &str, more: &[&str]) {
    let database = Database::new();
    let local = Local::start(&database);
    let invoke = |event: serde_json::Value| {
        let answer = local.invoke("migrations", &event.to_string());
        answer.expect("the project's migrations apply")
    };
    invoke(json!({"action": "migrate"}));
    invoke(json!({"action": "seed"}));
    let admin = json!({"action": "user", "email": "admin@example.com", "role": "admin"});
    let link = invoke(admin)["link"].clone();
    let output = Command::new(Part::Playwright.path())
        .arg(root().join("tests/browser.py"))
        .args([
            what,
            local.url(),
            link.as_str().expect("local knows its address"),
        ])
        .arg(root().join("target/pictures"))
        .args(more)
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_days_work_can_be_done_in_a_browser() {
    needs!(Chromium, Playwright);
    drive("journey", &[]);
}

#[test]
fn a_days_work_can_be_done_without_javascript() {
    needs!(Chromium, Playwright);
    drive("journey", &["--no-javascript"]);
}

#[test]
fn every_page_is_accessible_at_every_width() {
    needs!(Chromium, Playwright);
    drive("looks", &[]);
}
