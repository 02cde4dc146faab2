//! The layouts of other tools whose whole meaning is more than files in an order: Flyway's baselines,
//! repeatable migrations and callbacks, Rails' dump, drizzle's journal; and what is refused.

use super::{MIGRATE, check_fails, files, local, versions};
use crate::support::Database;
use std::fs;

/// Returns the one value of a query.
fn value(database: &Database, query: &str) -> String {
    let query = format!("SELECT coalesce(({query})::text, '')");
    let row = database.client().query_one(&query, &[]);
    row.expect("it is SQL").get(0)
}

/// Returns the versions of the history's rows of files.
fn history(database: &Database) -> String {
    value(
        database,
        "SELECT string_agg(version, ' ' ORDER BY version COLLATE \"C\")
         FROM plain_lambda.migrations WHERE version NOT LIKE 'plain-lambda/%'",
    )
}

#[test]
fn flyways_repeatable_migrations_run_last_and_again_when_their_text_changes() {
    let database = Database::new();
    let dir = files(&[
        (
            "V1__t.sql",
            "create table t (a int); create table log (n int)",
        ),
        (
            "R__b_view.sql",
            "create or replace view v as select a from t; insert into log values (2)",
        ),
        ("R__a.sql", "insert into log values (1)"),
        ("V2__more.sql", "alter table t add b int"),
        ("U2__more.sql", "alter table t drop b"),
    ]);
    let local = local(&database, dir.path());
    let reply = local.invoke("migrations", MIGRATE).expect("it applies");
    assert_eq!(versions(&reply["applied"]), ["1", "2", "R__a", "R__b_view"]);
    let reply = local
        .invoke("migrations", MIGRATE)
        .expect("nothing is left");
    assert_eq!(versions(&reply["applied"]), [""; 0]);

    let view = "create or replace view v as select a, b from t; insert into log values (3)";
    fs::write(dir.path().join("R__b_view.sql"), view).expect("there is room");
    fs::write(dir.path().join("V3__x.sql"), "insert into log values (9)").expect("there is room");
    let status = local.invoke("migrations", r#"{"action":"status"}"#);
    let status = status.expect("it lists");
    assert_eq!(versions(&status["pending"]), ["3", "R__b_view"], "{status}");
    let reply = local.invoke("migrations", MIGRATE).expect("it applies");
    assert_eq!(versions(&reply["applied"]), ["3", "R__b_view"]);
    let log = "SELECT string_agg(n::text, ' ') FROM log";
    assert_eq!(value(&database, log), "1 2 9 3");

    // It cannot be rolled back, and is in nobody's way.
    fs::remove_file(dir.path().join("V3__x.sql")).expect("it is there");
    let repair = local.invoke("migrations", r#"{"action":"repair"}"#);
    assert_eq!(repair.expect("it repairs")["missing"][0], "3");
    fs::write(dir.path().join("R__b_view.sql"), "drop view if exists v").expect("there is room");
    local.invoke("migrations", MIGRATE).expect("it applies");
    let reply = local.invoke("migrations", r#"{"action":"rollback"}"#);
    assert_eq!(versions(&reply.expect("it does")["rolled_back"]), ["2"]);
}

#[test]
fn flyways_newest_baseline_starts_an_empty_history_and_no_other() {
    let v: [(&str, &str); 3] = [
        ("V1__a.sql", "create table a ()"),
        ("V2__b.sql", "create table b ()"),
        ("V3__c.sql", "create table c ()"),
    ];
    let baselines: [(&str, &str); 2] = [
        ("B1__start.sql", "create table old ()"),
        (
            "B2__start.sql",
            "create table a (); create table b (); create table started ()",
        ),
    ];
    let dir = files(&[&v[..], &baselines[..]].concat());
    let empty = Database::new();
    let older = r#"{"action":"migrate","to":"1"}"#;
    let error = local(&empty, dir.path()).invoke("migrations", older);
    let error = error.expect_err("the baseline stands for it").to_string();
    assert!(
        error.contains("a baseline or structure.sql stands for it"),
        "{error}"
    );
    let reply = local(&empty, dir.path()).invoke("migrations", MIGRATE);
    let reply = reply.expect("it applies");
    assert_eq!(versions(&reply["applied"]), ["2", "3"], "{reply}");
    assert!(empty.has("started") && empty.has("c") && !empty.has("old"));
    assert_eq!(history(&empty), "1 2 3");
    let reply = local(&empty, dir.path()).invoke("migrations", MIGRATE);
    assert_eq!(
        versions(&reply.expect("nothing is left")["applied"]),
        [""; 0]
    );

    let begun = Database::new();
    let first = files(&v[..1]);
    local(&begun, first.path())
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    let reply = local(&begun, dir.path()).invoke("migrations", MIGRATE);
    assert_eq!(versions(&reply.expect("it goes on")["applied"]), ["2", "3"]);
    assert!(!begun.has("started"));
    // The baseline stands for older files, which may be deleted.
    let rest = files(&[&v[2..], &baselines[1..]].concat());
    for database in [&empty, &begun] {
        let reply = local(database, rest.path()).invoke("migrations", MIGRATE);
        reply.expect("they agree");
    }
}

#[test]
fn flyways_callbacks_run_around_the_migrations() {
    let database = Database::new();
    let log = |what: &str| format!("insert into log (what) values ('{what}')");
    let [each, after_each, after] = ["each", "after each", "after"].map(log);
    let (one, two) = (log("one"), log("two"));
    let dir = files(&[
        (
            "beforeMigrate.sql",
            "create table if not exists log (n serial, what text)",
        ),
        ("beforeEachMigrate__x.sql", &each),
        ("afterEachMigrate.sql", &after_each),
        ("afterMigrate.sql", &after),
        ("afterClean.sql", "select 1/0"),
        ("sql/V1__one.sql", &one),
        ("sql/V2__two.sql", &two),
    ]);
    let migrations = local(&database, dir.path());
    let dry_run = r#"{"action":"migrate","to":"1","dry_run":true}"#;
    let error = migrations
        .invoke("migrations", dry_run)
        .expect_err("only the callback makes the table");
    assert!(error.to_string().contains("\\\"log\\\""), "{error}");
    migrations
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    migrations
        .invoke("migrations", MIGRATE)
        .expect("nothing is left");
    let reply = migrations.invoke("migrations", dry_run);
    let reply = reply.expect("nothing is left");
    assert!(reply["callbacks"].is_string(), "{reply}");
    let all = "SELECT string_agg(what, ', ' ORDER BY n) FROM log";
    let expected = "each, one, after each, each, two, after each, after, after";
    assert_eq!(value(&database, all), expected);

    let set = files(&[("V1__a.sql", ""), ("beforeEachMigrate.sql", "set role x")]);
    let database = Database::new();
    let migrations = local(&database, set.path());
    check_fails(
        &migrations,
        "Function.InvalidMigrations",
        &["beforeEachMigrate.sql:1:1", "ALTER ROLE"],
    );
}

#[test]
fn flyways_settings_give_the_locations_and_the_placeholders() {
    let database = Database::new();
    let dir = files(&[
        (
            "flyway.toml",
            "[flyway]\nlocations = [\"filesystem:sql\", \"filesystem:more\"]\n\
             [flyway.placeholders]\ntable = \"orders\"\n",
        ),
        (
            "sql/V1__a.sql",
            "create table ${table} (); comment on table ${table} is '${table}'",
        ),
        ("more/x/V2__b.sql", "create table b ()"),
        ("elsewhere/V3__c.sql", "create table c ()"),
    ]);
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    assert_eq!(versions(&reply.expect("it applies")["applied"]), ["1", "2"]);
    assert!(database.has("orders") && database.has("b") && !database.has("c"));
}

#[test]
fn rails_dump_starts_an_empty_history_and_newer_files_follow() {
    let dump = "create table orders (id int primary key);\n\
                create table schema_migrations (version varchar primary key);\n\
                SET search_path TO \"$user\", public;\n\n\
                INSERT INTO \"schema_migrations\" (version) VALUES\n\
                ('20260102000000'),\n('20260101000000');\n";
    let newer = (
        "20260103000000_items.sql",
        "create table items (id int references orders)",
    );
    let dir = files(&[
        ("structure.sql", dump),
        (
            "migrate/20260101000000_create_orders.rb",
            "class CreateOrders; end",
        ),
        ("migrate/20260102000000_add.rb", "class Add; end"),
        newer,
    ]);
    let database = Database::new();
    let migrations = local(&database, dir.path());
    let reply = migrations
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    assert_eq!(
        versions(&reply["applied"]),
        ["20260102000000", "20260103000000"]
    );
    assert_eq!(
        history(&database),
        "20260101000000 20260102000000 20260103000000"
    );
    let status = migrations.invoke("migrations", r#"{"action":"status"}"#);
    let status = status.expect("it lists");
    assert_eq!(versions(&status["pending"]), [""; 0], "{status}");
    assert_eq!(
        status["missing"].as_array().map(Vec::len),
        Some(0),
        "{status}"
    );

    // A database that Rails has made.
    let made = Database::new();
    made.client().batch_execute(dump).expect("it is SQL");
    let migrations = local(&made, dir.path());
    let event = r#"{"action":"baseline","from":"rails"}"#;
    migrations.invoke("migrations", event).expect("it reads");
    let reply = migrations
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    assert_eq!(versions(&reply["applied"]), ["20260103000000"]);

    // Rails has made another migration since, which this database does not have.
    let later = dump.replace(
        "('20260102000000')",
        "('20260104000000'),\n('20260102000000')",
    );
    fs::write(dir.path().join("structure.sql"), later).expect("there is room");
    check_fails(
        &migrations,
        "Function.MigrationsDiffer",
        &["structure.sql has version 20260104000000"],
    );
}

#[test]
fn drizzles_files_are_applied_in_the_order_of_the_journal() {
    let journal = r#"{"version":"7","dialect":"postgresql","entries":[
        {"idx":0,"when":1,"tag":"0000_init","breakpoints":true},
        {"idx":1,"when":2,"tag":"0001_zebra","breakpoints":true},
        {"idx":2,"when":3,"tag":"0001_apple","breakpoints":true}]}"#;
    let dir = files(&[
        ("meta/_journal.json", journal),
        ("meta/0000_snapshot.json", "{}"),
        (
            "0000_init.sql",
            "CREATE TABLE \"a\" ();\n--> statement-breakpoint\nCREATE TABLE \"b\" ();",
        ),
        ("0001_apple.sql", "ALTER TABLE \"z\" ADD \"x\" int"),
        ("0001_zebra.sql", "CREATE TABLE \"z\" ();"),
    ]);
    let database = Database::new();
    let migrations = local(&database, dir.path());
    let reply = migrations
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    assert_eq!(
        versions(&reply["applied"]),
        ["0000_init", "0001_zebra", "0001_apple"]
    );
    let reply = migrations
        .invoke("migrations", MIGRATE)
        .expect("nothing is left");
    assert_eq!(versions(&reply["applied"]), [""; 0]);
}

#[test]
fn directories_are_applied_and_rolled_back_in_the_order_of_their_tool() {
    let prisma = files(&[
        ("202601010000_late/migration.sql", "alter table a add b int"),
        ("20260101000000123_first/migration.sql", "create table a ()"),
    ]);
    let database = Database::new();
    let reply = local(&database, prisma.path()).invoke("migrations", MIGRATE);
    let applied = reply.expect("it applies");
    assert_eq!(versions(&applied["applied"])[0], "20260101000000123_first");

    let diesel = files(&[
        ("2026-05-27-120000_b/up.sql", "create table b ()"),
        ("2026-05-27-120000_b/down.sql", "drop table b"),
        ("2026-05-27-120000-0000_a/up.sql", "alter table b add a int"),
        ("2026-05-27-120000-0000_a/down.sql", "alter table b drop a"),
        ("20260527115959999_c/up.sql", "create table c ()"),
    ]);
    let database = Database::new();
    let migrations = local(&database, diesel.path());
    let reply = migrations
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    let all = [
        "20260527115959999",
        "2026-05-27-120000",
        "2026-05-27-120000-0000",
    ];
    assert_eq!(versions(&reply["applied"]), all);
    assert_eq!(
        migrations.invoke("migrations", MIGRATE).expect("none")["applied"][0],
        serde_json::Value::Null
    );
    let event = r#"{"action":"rollback","steps":2}"#;
    let reply = migrations
        .invoke("migrations", event)
        .expect("it rolls back");
    assert_eq!(
        versions(&reply["rolled_back"]),
        ["2026-05-27-120000-0000", "2026-05-27-120000"]
    );
}

#[test]
fn what_is_not_understood_is_refused_before_anything_runs_with_what_to_do() {
    let a = ("1_a.sql", "create table a ()");
    for (file, says) in [
        (
            ("2_b.sql", "-- Down migration\ncreate table z ();"),
            "2_b.sql:1:1`: a part goes down, and none goes up: write `-- Up Migration`",
        ),
        (
            ("2_b.sql", "create table {{.Schema}}.z ()"),
            "2_b.sql:1:14`: it is a place of a template",
        ),
        (
            ("2_b.sql", "grant all on a to ${owner}"),
            "2_b.sql:1:19`: it is a place of a template",
        ),
        (("2_b.sql", "# --- !Ups\nselect 1;\n# --- !Downs\n"), "Play"),
        (
            ("0001-b.sql", ""),
            "rename the later one of the two, such as `1.1_a.sql`",
        ),
        (
            ("2_b.sql", "\\i x.sql"),
            "write that file's statements here",
        ),
    ] {
        let database = Database::new();
        let dir = files(&[a, file]);
        let migrations = local(&database, dir.path());
        check_fails(&migrations, "Function.InvalidMigrations", &[says]);
        assert!(!database.has("a"), "{says}");
    }
    let wrong: Vec<(String, &str)> = (1..=25).map(|n| (format!("x{n}/up.sql"), "")).collect();
    let wrong: Vec<(&str, &str)> = wrong.iter().map(|(name, text)| (&**name, *text)).collect();
    let dir = files(&wrong);
    let database = Database::new();
    let migrations = local(&database, dir.path());
    let error = migrations
        .invoke("migrations", MIGRATE)
        .expect_err("it is refused");
    let message = error["errorMessage"].as_str().expect("it is text");
    assert!(
        message.contains("and 17 more: not a directory"),
        "{message}"
    );
    assert!(message.len() < 400, "{message}");
}

#[test]
fn a_file_that_uses_the_table_of_its_former_tool_fails_with_a_hint() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "create table a (); delete from goose_db_version where version_id = 3",
    )]);
    let migrations = local(&database, dir.path());
    check_fails(
        &migrations,
        "Function.MigrationFailed",
        &[
            "goose_db_version",
            "`goose_db_version` is the history of the file's former tool",
        ],
    );
}

#[test]
fn a_mark_in_copied_data_or_a_body_is_data() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "-- +goose Up\ncreate table t (x text);\ncopy t from stdin;\n-- +goose Down\n\\.\n\
         do $$ begin\n-- +goose Down\nperform 1; end $$;\n-- +goose Down\ndrop table t;\n",
    )]);
    local(&database, dir.path())
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    assert_eq!(value(&database, "SELECT x FROM t"), "-- +goose Down");
}
