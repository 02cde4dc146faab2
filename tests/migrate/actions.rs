//! The actions besides `migrate` and `status`, and the options of `migrate`.

use super::{MIGRATE, check_fails, files, local, refused, succeed, versions};
use crate::support::{Cluster, Database, Local};
use serde_json::{Value, json};
use std::fs;

/// Returns a database and a `local` with three migrations; all but the first have a down file.
fn three() -> (Database, tempfile::TempDir, Local) {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("2_b.sql", "create table b ()"),
        ("2_b.down.sql", "drop table b"),
        ("3_c.sql", "create table c ()"),
        ("3_c.down.sql", "drop table c"),
    ]);
    let local = local(&database, dir.path());
    (database, dir, local)
}

#[test]
fn migrate_to_a_version_stops_there() {
    let (database, _dir, local) = three();
    let reply = succeed(&local, json!({"action": "migrate", "to": "02"}));
    assert_eq!(versions(&reply["applied"]), ["1", "2"]);
    assert_eq!(versions(&reply["pending"]), ["3"]);
    assert_eq!(reply["status"], "done");
    assert!(!database.has("c"));
    let unknown = json!({"action": "migrate", "to": "7"});
    refused(&local, unknown, "Function.InvalidEvent", &["`7`"]);
}

#[test]
fn pending_fails_until_no_migration_is_pending() {
    let (_database, _dir, local) = three();
    let pending = json!({"action": "pending"});
    let says = [
        "6 pending: 1_create_users (built in), 2_create_audit (built in), \
         3_create_sessions (built in), 1_a, 2_b, 3_c",
    ];
    refused(&local, pending.clone(), "Function.MigrationsPending", &says);
    succeed(&local, json!({"action": "migrate"}));
    assert_eq!(succeed(&local, pending), json!({"pending": []}));
}

#[test]
fn rollback_undoes_the_newest_migration_and_migrate_applies_it_again() {
    let (database, _dir, local) = three();
    succeed(&local, json!({"action": "migrate"}));
    let reply = succeed(&local, json!({"action": "rollback"}));
    assert_eq!(versions(&reply["rolled_back"]), ["3"]);
    assert!(!database.has("c") && database.has("b"));
    let reply = succeed(&local, json!({"action": "migrate"}));
    assert_eq!(versions(&reply["applied"]), ["3"]);
    let reply = succeed(&local, json!({"action": "rollback", "to": "1"}));
    assert_eq!(versions(&reply["rolled_back"]), ["3", "2"]);
    let one = json!({"action": "rollback"});
    refused(
        &local,
        one,
        "Function.CannotRollBack",
        &["`1_a`", "down file"],
    );
    assert!(database.has("a"));
}

#[test]
fn redo_rolls_back_and_applies_again() {
    let (database, dir, local) = three();
    succeed(&local, json!({"action": "migrate"}));
    let text = "create table c (id int)";
    fs::write(dir.path().join("3_c.sql"), text).expect("there is room");
    let reply = succeed(&local, json!({"action": "redo"}));
    assert_eq!(versions(&reply["rolled_back"]), ["3"]);
    assert_eq!(versions(&reply["applied"]), ["3"]);
    database
        .client()
        .batch_execute("select id from c")
        .expect("the edited file was applied");
}

#[test]
fn a_dry_run_reports_locks_and_rewrites_and_changes_nothing() {
    let database = Database::new();
    database
        .client()
        .batch_execute("create table old (id int); insert into old values (1)")
        .expect("it is allowed");
    let dir = files(&[
        (
            "1_a.sql",
            "create table a (); alter table old add name text",
        ),
        ("2_b.sql", "alter table old alter id type bigint"),
        ("3_c.sql", "create index concurrently old_id on old (id)"),
        ("4_d.sql", "create table d ()"),
    ]);
    let local = local(&database, dir.path());
    let event = json!({"action": "migrate", "dry_run": true});
    let reply = succeed(&local, event.clone());
    assert_eq!(reply["status"], "dry run");
    assert_eq!(versions(&reply["would_apply"]), ["1", "2", "4"]);
    assert_eq!(versions(&reply["not_tried"]), ["3"]);
    let first = &reply["would_apply"][0];
    let lock = json!([{"table": "old", "mode": "AccessExclusiveLock"}]);
    assert_eq!(first["locks"], lock);
    assert_eq!(first["rewrites"], json!([]));
    assert_eq!(reply["would_apply"][1]["rewrites"], json!(["old"]));
    assert!(!database.has("a") && !database.has("d"));
    assert_eq!(
        versions(&succeed(&local, json!({"action": "status"}))["pending"]).len(),
        4
    );

    fs::write(dir.path().join("4_d.sql"), "select 1 from").expect("there is room");
    let says = ["4_d.sql:1:14", "dry run"];
    refused(&local, event, "Function.MigrationFailed", &says);
    assert!(!database.has("a"));
}

#[test]
fn edited_missing_and_late_files_are_refused_by_name_until_they_are_allowed() {
    let (database, dir, local) = three();
    succeed(&local, json!({"action": "migrate"}));
    fs::write(dir.path().join("1_a.sql"), "create table a (id int)").expect("there is room");
    fs::remove_file(dir.path().join("2_b.sql")).expect("it is there");
    fs::remove_file(dir.path().join("2_b.down.sql")).expect("it is there");
    fs::write(dir.path().join("1.5_late.sql"), "create table late ()").expect("there is room");
    let says = [
        "1_a.sql` was edited",
        "`2_b` was applied",
        "late.sql` is older",
    ];
    check_fails(&local, "Function.MigrationsDiffer", &says);
    let status = succeed(&local, json!({"action": "status"}));
    assert_eq!(status["edited"], json!(["1"]));
    assert_eq!(status["missing"], json!(["2"]));
    assert_eq!(status["late"], json!(["1.5"]));
    let allow = json!({"action": "migrate", "allow": ["edited:1", "missing:2", "late"]});
    assert_eq!(versions(&succeed(&local, allow)["applied"]), ["1.5"]);
    assert!(database.has("late"));
    let repaired = succeed(&local, json!({"action": "repair"}));
    assert_eq!(repaired, json!({"edited": ["1"], "missing": ["2"]}));
    succeed(&local, json!({"action": "migrate"}));
}

#[test]
fn baseline_records_files_as_applied_without_running_them() {
    let (database, _dir, local) = three();
    let client = &mut database.client();
    client
        .batch_execute("create table a (); create table b ()")
        .expect("it is allowed");
    let reply = succeed(&local, json!({"action": "baseline", "to": "2"}));
    assert_eq!(versions(&reply["baselined"]), ["1", "2"]);
    assert_eq!(
        versions(&succeed(&local, json!({"action": "migrate"}))["applied"]),
        ["3"]
    );
    let neither = json!({"action": "baseline"});
    refused(
        &local,
        neither,
        "Function.InvalidEvent",
        &["rails", "golang-migrate"],
    );
}

/// The table that each tool makes, with the rows that it writes for the versions 1 and 2.
const TOOLS: [(&str, &str); 8] = [
    (
        "rails",
        "create table schema_migrations (version varchar primary key);
         insert into schema_migrations values ('1'), ('2'), ('0')",
    ),
    (
        "sqlx",
        "create table _sqlx_migrations (version bigint primary key, description text not null,
            installed_on timestamptz not null default now(), success boolean not null,
            checksum bytea not null, execution_time bigint not null);
         insert into _sqlx_migrations values (1, 'a', now(), true, '', 1), (2, 'b', now(), true, '', 1)",
    ),
    (
        "flyway",
        "create table flyway_schema_history (installed_rank int primary key, version varchar(50),
            description varchar(200) not null, type varchar(20) not null, script varchar(1000) not null,
            checksum int, installed_by varchar(100) not null, installed_on timestamp not null default now(),
            execution_time int not null, success boolean not null);
         insert into flyway_schema_history (installed_rank, version, description, type, script,
            installed_by, execution_time, success) values
            (1, '1', 'a', 'SQL', 'V1__a.sql', 'x', 1, true), (2, '2', 'b', 'SQL', 'V2__b.sql', 'x', 1, true),
            (3, '3', 'c', 'SQL', 'V3__c.sql', 'x', 1, true), (4, '3', 'c', 'UNDO_SQL', 'U3__c.sql', 'x', 1, true),
            (5, null, 'r', 'SQL', 'R__r.sql', 'x', 1, true)",
    ),
    (
        "diesel",
        "create table __diesel_schema_migrations (version varchar(50) primary key,
            run_on timestamp not null default current_timestamp);
         insert into __diesel_schema_migrations values ('1'), ('2')",
    ),
    (
        "prisma",
        "create table _prisma_migrations (id varchar(36) primary key, checksum varchar(64) not null,
            finished_at timestamptz, migration_name varchar(255) not null, logs text,
            rolled_back_at timestamptz, started_at timestamptz not null default now(),
            applied_steps_count integer not null default 0);
         insert into _prisma_migrations (id, checksum, finished_at, migration_name, rolled_back_at) values
            ('x', '', now(), '1_a', null), ('y', '', now(), '2_b', null), ('z', '', null, '3_c', now())",
    ),
    (
        "goose",
        "create table goose_db_version (id serial primary key, version_id bigint not null,
            is_applied boolean not null, tstamp timestamp default now());
         insert into goose_db_version (version_id, is_applied) values
            (0, true), (1, true), (2, true), (3, true), (3, false)",
    ),
    (
        "golang-migrate",
        "create table schema_migrations (version bigint primary key, dirty boolean not null);
         insert into schema_migrations values (2, false)",
    ),
    (
        "dbmate",
        "create table schema_migrations (version varchar primary key);
         insert into schema_migrations values ('1'), ('2')",
    ),
];

#[test]
fn baseline_reads_the_history_of_another_tool() {
    for (tool, history) in TOOLS {
        let database = Database::new();
        let names = match tool {
            "prisma" => [
                "1_a/migration.sql",
                "2_b/migration.sql",
                "3_c/migration.sql",
            ],
            "diesel" => ["1_a/up.sql", "2_b/up.sql", "3_c/up.sql"],
            "flyway" => ["V1__a.sql", "V2__b.sql", "V3__c.sql"],
            _ => ["1_a.sql", "2_b.sql", "3_c.sql"],
        };
        let [a, b, c] = ["a", "b", "c"].map(|table| format!("create table {table} ()"));
        let dir = files(&[(names[0], &a), (names[1], &b), (names[2], &c)]);
        let local = local(&database, dir.path());
        let made = format!("create table a (); create table b (); {history}");
        database
            .client()
            .batch_execute(&made)
            .expect("it is allowed");
        let reply = succeed(&local, json!({"action": "baseline", "from": tool}));
        let names = |list: &Value| -> Vec<String> {
            let list = list.as_array().expect("it is a list").iter();
            list.map(|row| row["name"].to_string()).collect()
        };
        assert_eq!(
            names(&reply["baselined"]),
            ["\"a\"", "\"b\""],
            "{tool}: {reply}"
        );
        let reply = succeed(&local, json!({"action": "migrate"}));
        assert_eq!(names(&reply["applied"]), ["\"c\""], "{tool}");
        assert!(database.has("plain_lambda.users"), "{tool}: no tool");
        let reply = succeed(&local, json!({"action": "migrate"}));
        assert_eq!(reply["applied"], json!([]), "{tool}");
    }
}

#[test]
fn baseline_refuses_a_history_with_a_failed_migration() {
    let (database, _dir, local) = three();
    let dirty =
        "create table schema_migrations (version bigint primary key, dirty boolean not null);
                 insert into schema_migrations values (2, true)";
    database
        .client()
        .batch_execute(dirty)
        .expect("it is allowed");
    let event = json!({"action": "baseline", "from": "golang-migrate"});
    refused(
        &local,
        event,
        "Function.BaselineFailed",
        &["version 2 has failed"],
    );
    let event = json!({"action": "baseline", "from": "sqlx"});
    refused(
        &local,
        event,
        "Function.BaselineFailed",
        &["_sqlx_migrations", "42P01"],
    );
}

#[test]
fn a_database_with_a_table_is_dropped_only_when_its_name_is_confirmed() {
    let (database, _dir, local) = three();
    succeed(&local, json!({"action": "migrate"}));
    let name = database.name();
    for action in ["drop", "reset"] {
        let says = [name, "tables", "nothing was done"];
        refused(
            &local,
            json!({"action": action}),
            "Function.Unconfirmed",
            &says,
        );
        let wrong = json!({"action": action, "confirm": "yes"});
        refused(&local, wrong, "Function.Unconfirmed", &says);
    }
    assert!(database.has("a"));
    let dropped = succeed(&local, json!({"action": "drop", "confirm": name}));
    assert_eq!(dropped, json!({"database": name, "dropped": true}));
    let says = ["does not exist", name];
    refused(
        &local,
        json!({"action": "status"}),
        "Function.DatabaseUnavailable",
        &says,
    );
    assert_eq!(succeed(&local, json!({"action": "drop"}))["dropped"], false);
    assert_eq!(
        succeed(&local, json!({"action": "create"}))["created"],
        true
    );
    assert_eq!(
        succeed(&local, json!({"action": "create"}))["created"],
        false
    );
    assert!(!database.has("a"));
}

#[test]
fn reset_recreates_the_database_and_seeds_it() {
    let (database, dir, local) = three();
    fs::write(dir.path().join("seed.sql"), "create table seeded ()").expect("there is room");
    database
        .client()
        .batch_execute("create table old ()")
        .expect("it is allowed");
    let reply = succeed(
        &local,
        json!({"action": "reset", "confirm": database.name()}),
    );
    assert_eq!(versions(&reply["applied"]), ["1", "2", "3"]);
    assert_eq!(reply["seeded"]["seeded"], true, "{reply}");
    assert!(!database.has("old") && database.has("seeded"));
}

#[test]
fn a_forgotten_reset_database_drops_nothing() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a ()")]);
    for environment in ["development", "production", "lambda"] {
        let local = Local::with(&database)
            .migrations(dir.path())
            .env("RESET_DATABASE", "true")
            .env("APP_ENV", environment)
            .start();
        if !database.has("a") {
            succeed(&local, json!({"action": "migrate"}));
            database
                .client()
                .batch_execute("create table precious ()")
                .expect("it is allowed");
        }
        check_fails(
            &local,
            "Function.Unconfirmed",
            &["unset RESET_DATABASE", database.name()],
        );
        assert!(database.has("precious"));
        let confirmed = json!({"action": "migrate", "confirm": database.name()});
        if environment == "lambda" {
            succeed(&local, confirmed);
            assert!(database.has("a") && !database.has("precious"));
        }
    }
}

#[test]
fn reset_database_creates_a_missing_database() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a ()")]);
    let drop = format!("DROP DATABASE {}", database.name());
    Cluster::get()
        .admin()
        .batch_execute(&drop)
        .expect("it is ours");
    let local = Local::with(&database)
        .migrations(dir.path())
        .env("RESET_DATABASE", "true")
        .start();
    let reply = local.invoke("migrations", MIGRATE).expect("it is built");
    assert_eq!(versions(&reply["applied"]), ["1"]);
    assert!(database.has("a"));
}
