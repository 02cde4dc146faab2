//! Histories in the formats of eight tools and in plain files, with the difficult cases of each. psql and
//! the executable apply each history, and both databases have to be equal, with their rows.
//! `histories/compare.sh` does the same with any other history.

use crate::support::{Cluster, bootstrap, root, run};

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
