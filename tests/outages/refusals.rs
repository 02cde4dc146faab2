//! What Postgres refuses while it runs: writes, locks, room, connections, and values.

use super::{EDIT, LIST, name, rename, save};
use crate::support::{Cluster, Database, Local, wait_for};

#[test]
fn a_database_that_is_read_only_by_its_settings_stays_so() {
    let database = Database::new();
    let local = Local::start(&database);
    let person = local.workshop();
    let set = |value: &str| {
        let (name, mut admin) = (database.name(), Cluster::get().admin());
        let statements = format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = {value};
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{name}' AND application_name = 'plain-lambda'"
        );
        admin.batch_execute(&statements).expect("it may");
    };
    let before = name(&database);
    set("on");
    let answer = rename(&person, "Nobody");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body.contains("read-only now"), "{}", answer.body);
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(name(&database), before);
    assert_eq!(person.get("/up?db").status, 200);
    wait_for("a doctor with a connection that was not ended", || {
        let doctor = local.invoke("migrations", r#"{"action":"doctor"}"#);
        let doctor = doctor.expect("it answers").to_string();
        doctor.contains("transactions are read-only").then_some(())
    });
    set("off");
    assert_eq!(rename(&person, "Somebody").status, 303);
}

#[test]
fn a_table_that_a_migration_locks_is_a_409_that_says_so() {
    let database = Database::new();
    let local = Local::start(&database);
    let person = local.workshop();
    let version = person.get(EDIT).field("version");
    let mut client = database.client();
    let mut migration = client.transaction().expect("it may");
    let lock = "LOCK TABLE orders, customers IN ACCESS EXCLUSIVE MODE";
    migration.batch_execute(lock).expect("it may");
    for answer in [person.get(LIST), save(&person, &version, "Late")] {
        assert_eq!(answer.status, 409, "{}", answer.body);
        let said = "Somebody else is changing this";
        assert!(answer.body.contains(said), "{}", answer.body);
    }
    migration.rollback().expect("it may");
    assert_eq!(person.get(LIST).status, 200);
}

#[test]
fn a_full_disk_is_a_503_that_says_so() {
    let database = Database::new();
    let local = Local::start(&database);
    let person = local.workshop();
    // As Postgres says it where it has no room for a page of the table.
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE UPDATE ON customers EXECUTE FUNCTION full_disk();";
    database.client().batch_execute(full).expect("it may");
    let before = name(&database);
    let answer = rename(&person, "Nobody");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(
        answer.body.contains("The database is full"),
        "{}",
        answer.body
    );
    assert!(answer.body.contains("Nothing was saved"), "{}", answer.body);
    assert_eq!(name(&database), before);
    assert_eq!(person.get(LIST).status, 200);
}

#[test]
fn values_that_postgres_cannot_read_are_a_422_with_words() {
    let database = Database::new();
    let local = Local::start(&database);
    let person = local.workshop();
    let tables =
        "CREATE TABLE notes (id int PRIMARY KEY, body jsonb, words tsvector, asked tsquery);
        INSERT INTO notes VALUES (1, '{}', 'a b', 'a');
        CREATE TABLE named (id int PRIMARY KEY, name text UNIQUE, marks int[]);
        INSERT INTO named VALUES (1, 'a', '{}');
        CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
        CREATE VIEW renamed AS SELECT id, name FROM numbered;";
    database.client().batch_execute(tables).expect("it may");
    let check = |answer: crate::support::Answer, said: &str| {
        assert_eq!(answer.status, 422, "{}", answer.body);
        assert!(answer.body.contains(said), "no {said} in {}", answer.body);
    };
    let version = person.get("/tables/public/notes/edit/1").field("version");
    let fields = [("version", &*version), ("v:body", r#"{"a":"\u0000"}"#)];
    check(person.post("/tables/public/notes/edit/1", &fields), "u0000");
    let fields = [("version", &*version), ("v:asked", "a b")];
    check(person.post("/tables/public/notes/edit/1", &fields), "");
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    let fields = [("version", &*version), ("v:body", &deep)];
    check(
        person.post("/tables/public/notes/edit/1", &fields),
        "tack depth",
    );
    let version = person.get("/tables/public/named/edit/1").field("version");
    let fields = [("version", &*version), ("v:name", &super::letters(20_000))];
    check(
        person.post("/tables/public/named/edit/1", &fields),
        "ndex row",
    );
    check(
        person
            .get("/tables/public/named?c=marks&o=is&v=%7B%7B%7B%7B%7B%7B%7B1%7D%7D%7D%7D%7D%7D%7D"),
        "dimensions",
    );
    let fields = [("v:id", "7"), ("v:name", "x")];
    check(person.post("/tables/public/renamed/new", &fields), "id");
    check(
        person.get("/tables/public/notes?c=asked&o=is&v=a%20b"),
        "tsquery",
    );
}
