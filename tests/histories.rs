//! Histories in the formats of eight tools and in plain files, with the difficult cases of each. psql and
//! the executable apply each history, and both databases have to be equal, with their rows.
//! `histories/compare.sh` does the same with any other history.

use crate::migrate::files;
use crate::support::{Cluster, bootstrap, needs, root, run, said};
use std::process::Command;

#[track_caller]
fn check(history: &str) {
    let dir = root().join("tests/histories");
    let said = run(Cluster::get()
        .command(dir.join("compare.sh"))
        .arg("--data")
        .arg(dir.join(history))
        .env("DATABASE_URL", Cluster::get().url("postgres"))
        .env("BOOTSTRAP", bootstrap()));
    assert!(said.contains("all the same"), "{said}");
}

#[test]
fn diesels_directories_are_applied_as_psql_does() {
    check("diesel");
}

#[test]
fn sqlxs_files_are_applied_as_psql_does() {
    check("sqlx");
}

#[test]
fn prismas_directories_are_applied_as_psql_does() {
    check("prisma");
}

#[test]
fn golang_migrates_files_are_applied_as_psql_does() {
    check("golang-migrate");
}

#[test]
fn gooses_parts_are_applied_as_psql_does() {
    check("goose");
}

#[test]
fn dbmates_parts_are_applied_as_psql_does() {
    check("dbmate");
}

#[test]
fn flyways_files_are_applied_as_psql_does() {
    check("flyway");
}

#[test]
fn terns_parts_are_applied_as_psql_does() {
    check("tern");
}

#[test]
fn plain_files_and_dumps_are_applied_as_psql_does() {
    check("plain");
}

#[test]
fn squawk_checks_what_goes_up_in_every_layout() {
    needs!(Squawk);
    let drop = "alter table a drop column b;";
    let parts = format!("-- +goose Up\nselect 1;\n{drop}\n-- +goose Down\n{drop}\n");
    let dir = files(&[
        ("2026-01-01-120000_diesel/up.sql", drop),
        ("2026-01-01-120000_diesel/down.sql", drop),
        ("20260102000000_prisma/migration.sql", drop),
        ("2026/20260103000000_parts.sql", &parts),
        ("20260104000000_x.up.sql", drop),
        ("20260104000000_x.down.sql", drop),
        ("seed.sql", drop),
    ]);
    let output = Command::new(root().join("tests/tools/squawk.sh"))
        .arg(dir.path())
        .env("NO_COLOR", "1")
        .output()
        .expect("a shell is there");
    let all = said(&output);
    assert!(!output.status.success(), "{all}");
    for place in [
        "2026-01-01-120000_diesel/up.sql:1",
        "20260102000000_prisma/migration.sql:1",
        "2026/20260103000000_parts.sql:3",
        "20260104000000_x.up.sql:1",
        "Found 4 issues in 4 files",
    ] {
        assert!(all.contains(place), "no {place} in {all}");
    }
}
