//! What `check` says before anything runs, row by row of its table in docs/migrations.md. Each row is
//! compared with the server: the statement is run on a table of some rows, and pg_locks, relfilenodes
//! and the counts of scans say which lock it took and which work it did.
//!
//! The tables are large for the catalog only: the rows that it counts are written into it.

use super::{MIGRATE, files, local, versions};
use crate::support::{Database, bootstrap, root, wait_for};
use postgres::Client;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::thread;

/// The tables of each test: `big` and `parts` have rows.
const TABLES: &str = "
    create table big (id bigint not null, n int, s varchar(10), t text, v numeric(8,2), at timestamp,
                      c char(3), other bigint);
    insert into big select g, g, 'x', 'y', 1, now(), 'a', g from generate_series(1, 1000) g;
    alter table big add constraint big_pkey primary key (id);
    create index big_s on big (s);
    create table other (id bigint primary key);
    insert into other select g from generate_series(1, 1000) g;";

/// Tables of which one is partitioned, and one could become a partition.
const PARTS: &str = "
    create table parts (id bigint, n int) partition by range (id);
    create table part partition of parts for values from (0) to (10000);
    create table rest partition of parts default;
    create table next (id bigint, n int);
    insert into part select g, g from generate_series(1, 1000) g;
    insert into next select g, g from generate_series(10000, 11000) g;
    insert into rest select g, g from generate_series(90000, 91000) g;";

/// Writes into the catalog that each table with rows has a million of them, of 160 MB.
const ENLARGE: &str = "
    update pg_class set reltuples = 1000000, relpages = 20000
    where relkind in ('r', 'm') and oid >= 16384 and reltuples > 0";

/// Keeps autovacuum from writing the truth into the catalog, meanwhile.
const LEAVE_ALONE: &str = "
    do $$
    declare one regclass;
    begin
        for one in select oid from pg_class
                   where relkind = 'r' and relnamespace = 'public'::regnamespace loop
            execute format('alter table %s set (autovacuum_enabled = false)', one);
        end loop;
    end $$";

const SEEN: &str = "
    create temp table seen on commit drop as
    select oid, relname, relkind, relfilenode, pg_stat_get_xact_numscans(oid) as scans,
           pg_stat_get_xact_tuples_updated(oid) + pg_stat_get_xact_tuples_deleted(oid) as changed
    from pg_class where relnamespace = 'public'::regnamespace";

/// The strongest lock on a table, and whether it was written anew, an index was built by reading it,
/// it was read, and rows of it were changed.
const DONE: &str = "
    select (select array_agg(mode) from pg_locks l where l.pid = pg_backend_pid()
            and l.relation = s.oid and l.granted),
           coalesce(c.relfilenode <> s.relfilenode, false),
           pg_stat_get_xact_numscans(s.oid) > s.scans,
           exists (select from pg_index i join pg_class x on x.oid = i.indexrelid
                   where i.indrelid = s.oid and x.relfilenode not in (select relfilenode from seen)),
           pg_stat_get_xact_tuples_updated(s.oid) + pg_stat_get_xact_tuples_deleted(s.oid) > s.changed
    from seen s left join pg_class c using (oid) where s.relname = $1";

/// The locks from the weakest to the strongest, as pg_locks and as SQL name them.
const LOCKS: [(&str, &str); 8] = [
    ("AccessShareLock", "ACCESS SHARE"),
    ("RowShareLock", "ROW SHARE"),
    ("RowExclusiveLock", "ROW EXCLUSIVE"),
    ("ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"),
    ("ShareLock", "SHARE"),
    ("ShareRowExclusiveLock", "SHARE ROW EXCLUSIVE"),
    ("ExclusiveLock", "EXCLUSIVE"),
    ("AccessExclusiveLock", "ACCESS EXCLUSIVE"),
];

/// Makes a database with tables.
fn tables(setup: &str) -> Database {
    let database = Database::new();
    let setup = format!("{TABLES} {setup}; analyze; {LEAVE_ALONE}");
    database
        .client()
        .batch_execute(&setup)
        .expect("it is allowed");
    database
}

/// Returns the reply of `check`.
#[track_caller]
fn checked(database: &Database, dir: &Path) -> Value {
    let output = Command::new(bootstrap())
        .args(["migrate", r#"{"action":"check"}"#])
        .env_remove("AWS_LAMBDA_RUNTIME_API")
        .env("DATABASE_URL", database.url())
        .env("MIGRATIONS_DIR", dir)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

/// Has the catalog say that the tables are large. An index that is built has it say the truth again,
/// even if it is rolled back.
fn enlarge(database: &Database) {
    let enlarged = database.client().batch_execute(ENLARGE);
    enlarged.expect("the administrator may");
}

/// Returns what is advised about these files if the tables are large.
#[track_caller]
fn advice(database: &Database, texts: &[&str]) -> Vec<Value> {
    enlarge(database);
    let names: Vec<String> = (1..=texts.len()).map(|n| format!("{n}_a.sql")).collect();
    let names = names.iter().map(String::as_str);
    let dir = files(&names.zip(texts.iter().copied()).collect::<Vec<_>>());
    let reply = checked(database, dir.path());
    assert_eq!(reply["status"], "checked");
    reply["advice"].as_array().expect("it is a list").clone()
}

/// Runs a statement, rolls it back, and returns the strongest lock that it took on a table, as an
/// index of [`LOCKS`], and its work there.
#[track_caller]
fn done(client: &mut Client, statement: &str, table: &str) -> (usize, &'static str) {
    let mut transaction = client.transaction().expect("it begins");
    transaction.batch_execute(SEEN).expect("it is allowed");
    transaction.batch_execute(statement).expect("it runs");
    let row = transaction.query_one(DONE, &[&table]);
    let row = row.expect("the catalog is readable");
    let modes: Option<Vec<String>> = row.get(0);
    let modes = modes.unwrap_or_default();
    let places = modes.iter().map(|mode| place(mode)).max();
    let work = match (row.get(1), row.get(2), row.get(3), row.get(4)) {
        (_, _, _, true) => "change",
        (true, ..) => "rewrite",
        (_, true, true, _) => "index",
        (_, true, _, _) => "scan",
        _ => "none",
    };
    (places.unwrap_or(0), work)
}

/// Returns the place of a lock among [`LOCKS`].
fn place(mode: &str) -> usize {
    let found = LOCKS.iter().position(|(name, _)| *name == mode);
    found.unwrap_or_else(|| panic!("{mode} is not in the list"))
}

/// Checks that the server does what `check` says of a statement, and that `migrate` refuses it.
#[track_caller]
fn refused(setup: &str, statement: &str, table: &str, lock: &str, work: &str) {
    let database = tables(setup);
    let (place, did) = done(&mut database.client(), statement, table);
    assert_eq!((LOCKS[place].1, did), (lock, work), "the server");
    let advice = advice(&database, &[statement]);
    let said = advice
        .iter()
        .find(|one| one["table"] == format!("public.{table}"));
    let said = said.unwrap_or_else(|| panic!("nothing about {table} in {advice:?}"));
    assert_eq!((&said["lock"], &said["work"]), (&json!(lock), &json!(work)));
    assert_eq!(said["allow"], format!("{work}:public.{table}"), "{said}");
    assert_ne!(said["instead"], "", "{said}");
}

/// Checks that the server does what `check` says of a statement, which `migrate` does not refuse.
#[track_caller]
fn said(setup: &str, statement: &str, table: &str, lock: &str, work: &str) {
    let database = tables(setup);
    let (place, _) = done(&mut database.client(), statement, table);
    assert_eq!(LOCKS[place].1, lock, "the server");
    let advice = advice(&database, &[statement]);
    assert_eq!(advice.len(), 1, "{advice:?}");
    assert_eq!(advice[0]["table"], format!("public.{table}"));
    assert_eq!(
        (&advice[0]["lock"], &advice[0]["work"]),
        (&json!(lock), &json!(work))
    );
    assert_eq!(advice[0]["allow"], Value::Null);
}

/// Checks that the server does no long work under a lock that stops writes, and that `check` says
/// nothing.
#[track_caller]
fn safe(setup: &str, statement: &str, table: &str) {
    let database = tables(setup);
    let (place, work) = done(&mut database.client(), statement, table);
    let is_safe = work == "none" || place < self::place("ShareLock");
    assert!(is_safe, "the server: {} for {work}", LOCKS[place].1);
    let advice = advice(&database, &[statement]);
    assert!(advice.is_empty(), "{advice:?}");
}

const EXCLUSIVE: &str = "ACCESS EXCLUSIVE";

#[test]
fn a_column_with_a_volatile_default_rewrites_the_table() {
    let add = "alter table big add column x uuid default gen_random_uuid()";
    refused("", add, "big", EXCLUSIVE, "rewrite");
    let own = "create function f() returns int language plpgsql as 'begin return 1; end'";
    let add = "alter table big add x int not null default (f() + 1)";
    refused(own, add, "big", EXCLUSIVE, "rewrite");
}

#[test]
fn a_column_with_a_stable_default_or_none_needs_no_rewrite() {
    safe("", "alter table big add column x int", "big");
    safe(
        "",
        "alter table big add x int not null default 5, add y text",
        "big",
    );
    safe("", "alter table big add x timestamptz default now()", "big");
    safe(
        "",
        "alter table big add x numeric(8, 2) default '0'::numeric(8, 2)",
        "big",
    );
    let stable = "create function f() returns int stable language sql as 'select 1'";
    safe(stable, "alter table big add x int default f()", "big");
    let there = "alter table big add x uuid";
    let add = "alter table big add column if not exists x uuid default gen_random_uuid()";
    safe(there, add, "big");
}

#[test]
fn a_stored_generated_column_rewrites_the_table() {
    let add = "alter table big add x bigint generated always as (id + 1) stored";
    refused("", add, "big", EXCLUSIVE, "rewrite");
}

#[test]
fn a_serial_or_identity_column_rewrites_the_table() {
    refused(
        "",
        "alter table big add x bigserial",
        "big",
        EXCLUSIVE,
        "rewrite",
    );
    let identity = "alter table big add x bigint generated by default as identity";
    refused("", identity, "big", EXCLUSIVE, "rewrite");
    safe(
        "",
        "alter table big alter id add generated always as identity",
        "big",
    );
}

#[test]
fn a_column_of_a_domain_with_a_constraint_rewrites_the_table() {
    let domain = "create domain positive as int check (value > 0)";
    refused(
        domain,
        "alter table big add x positive",
        "big",
        EXCLUSIVE,
        "rewrite",
    );
    safe(
        "create domain any_int as int",
        "alter table big add x any_int default 5",
        "big",
    );
}

#[test]
fn a_column_with_a_check_scans_the_table() {
    refused(
        "",
        "alter table big add x int check (x > 0)",
        "big",
        EXCLUSIVE,
        "scan",
    );
}

#[test]
fn a_column_that_is_unique_builds_an_index_under_the_lock() {
    refused(
        "",
        "alter table big add x int unique",
        "big",
        EXCLUSIVE,
        "index",
    );
}

#[test]
fn a_column_that_refers_to_a_table_scans_if_it_has_a_default() {
    let add = "alter table big add x bigint default 1 references other";
    refused("", add, "big", EXCLUSIVE, "scan");
    safe("", "alter table big add x bigint references other", "big");
}

#[test]
fn a_type_change_that_converts_values_rewrites_the_table() {
    for change in [
        "n type bigint",
        "s type varchar(5)",
        "t type varchar(100)",
        "v type numeric(10, 3)",
        "at type timestamp(3)",
        "c type text",
        "c type char(5)",
        "s type text using lower(s)",
        "t set data type jsonb using to_jsonb(t)",
    ] {
        let alter = format!("alter table big alter column {change}");
        refused("", &alter, "big", EXCLUSIVE, "rewrite");
    }
}

#[test]
fn a_type_change_that_keeps_the_bytes_needs_no_rewrite() {
    for change in [
        "s type varchar(20)",
        "s type character varying",
        "s type text",
        "s type text using s::text",
        "s type text using (s::text)",
        "t type varchar",
        "v type numeric(10, 2)",
        "v type numeric",
        "at type timestamp(6)",
        "at type timestamp without time zone",
        "n type integer",
    ] {
        safe("", &format!("alter table big alter column {change}"), "big");
    }
}

#[test]
fn a_type_change_of_a_time_needs_no_rewrite_only_where_the_time_zone_is_utc() {
    let alter = "alter table big alter at type timestamptz";
    let database = tables("");
    let set = |zone: &str| {
        let name = database.name();
        let set = format!("alter database {name} set timezone = '{zone}'");
        database
            .client()
            .batch_execute(&set)
            .expect("it is allowed");
    };
    set("Europe/Rome");
    assert_eq!(done(&mut database.client(), alter, "big").1, "rewrite");
    assert_eq!(advice(&database, &[alter])[0]["work"], "rewrite");
    set("UTC");
    assert_eq!(done(&mut database.client(), alter, "big").1, "none");
    assert_eq!(advice(&database, &[alter]), [] as [Value; 0]);
    // An index sorts differently then.
    let index = "create index on big (at)";
    database
        .client()
        .batch_execute(index)
        .expect("it is allowed");
    assert_eq!(done(&mut database.client(), alter, "big").1, "index");
    assert_eq!(advice(&database, &[alter])[0]["work"], "index");
}

#[test]
fn a_type_change_under_a_check_scans_the_table() {
    let check = "alter table big add check (s <> '')";
    let alter = "alter table big alter s type varchar(20)";
    refused(check, alter, "big", EXCLUSIVE, "scan");
}

#[test]
fn another_collation_builds_the_columns_indexes_anew() {
    let alter = "alter table big alter s type varchar(10) collate \"C\"";
    refused("", alter, "big", EXCLUSIVE, "index");
}

#[test]
fn set_not_null_scans_the_table_unless_a_valid_check_proves_it() {
    let set = "alter table big alter n set not null";
    refused("", set, "big", EXCLUSIVE, "scan");
    let invalid = "alter table big add check (n is not null) not valid";
    refused(invalid, set, "big", EXCLUSIVE, "scan");
    safe("alter table big add check (n is not null)", set, "big");
    safe(
        "alter table big add check (n is not null and n > 0)",
        set,
        "big",
    );
    safe("", "alter table big alter id set not null", "big");
}

#[test]
fn a_check_scans_the_table_unless_it_is_not_valid() {
    refused(
        "",
        "alter table big add constraint k check (n > 0)",
        "big",
        EXCLUSIVE,
        "scan",
    );
    safe(
        "",
        "alter table big add constraint k check (n > 0) not valid",
        "big",
    );
}

#[test]
fn validating_a_constraint_lets_others_read_and_write() {
    let check = "alter table big add constraint k check (n > 0) not valid";
    safe(check, "alter table big validate constraint k", "big");
    let key = "alter table big add constraint k foreign key (other) references other not valid";
    safe(key, "alter table big validate constraint k", "big");
}

#[test]
fn a_foreign_key_scans_the_table_unless_it_is_not_valid() {
    let add = "alter table big add foreign key (other) references other";
    refused("", add, "big", "SHARE ROW EXCLUSIVE", "scan");
    safe("", &format!("{add} not valid"), "big");
    safe("", &format!("{add} not valid"), "other");
}

#[test]
fn a_unique_or_primary_key_builds_an_index_unless_it_uses_one() {
    refused(
        "",
        "alter table big add unique (n)",
        "big",
        EXCLUSIVE,
        "index",
    );
    let without = "alter table big drop constraint big_pkey; create unique index u on big (id);
                   create unique index o on big (other)";
    let add = "alter table big add primary key (id)";
    refused(without, add, "big", EXCLUSIVE, "index");
    safe(
        without,
        "alter table big add constraint k unique using index o",
        "big",
    );
    safe(
        without,
        "alter table big add constraint k primary key using index u",
        "big",
    );
    let nullable = "alter table big add constraint k primary key using index o";
    refused(without, nullable, "big", EXCLUSIVE, "scan");
}

#[test]
fn an_exclusion_builds_an_index() {
    let add = "alter table big add exclude using btree (n with =)";
    refused("", add, "big", EXCLUSIVE, "index");
}

#[test]
fn another_persistence_rewrites_the_table() {
    refused(
        "",
        "alter table big set unlogged",
        "big",
        EXCLUSIVE,
        "rewrite",
    );
    safe("", "alter table big set logged", "big");
}

#[test]
fn another_place_or_method_rewrites_the_table() {
    let method = "create access method heap2 type table handler heap_tableam_handler";
    let set = "alter table big set access method heap2";
    refused(method, set, "big", EXCLUSIVE, "rewrite");
    let database = tables("");
    let place = format!("{}_place", database.name());
    let mut client = database.client();
    let create = format!("create tablespace {place} location ''");
    client
        .batch_execute("set allow_in_place_tablespaces = on")
        .expect("the administrator may");
    client.batch_execute(&create).expect("it may");
    let set = format!("alter table big set tablespace {place}");
    let done = done(&mut client, &set, "big");
    let advice = advice(&database, &[&set]);
    let drop = format!("drop tablespace {place}");
    client.batch_execute(&drop).expect("it is empty");
    assert_eq!(
        (LOCKS[done.0].1, done.1),
        (EXCLUSIVE, "rewrite"),
        "the server"
    );
    assert_eq!(advice[0]["allow"], "rewrite:public.big");
}

#[test]
fn what_changes_only_the_catalog_needs_no_advice() {
    for alter in [
        "alter n set default 4",
        "alter id drop not null",
        "alter t set storage external",
        "alter t set statistics 100",
        "drop constraint big_pkey",
        "set (fillfactor = 70)",
        "replica identity full",
        "disable trigger user",
        "enable row level security",
        "rename constraint big_pkey to k",
        "owner to current_user",
    ] {
        let setup =
            "alter table big drop constraint big_pkey; alter table big add constraint big_pkey
                     unique (id)";
        safe(setup, &format!("alter table big {alter}"), "big");
    }
    safe("", "alter index big_s rename to big_t", "big");
    safe("", "comment on table big is 'x'", "big");
    safe("", "create table small (id bigint references big)", "big");
    safe("", "analyze big", "big");
    let function =
        "create function f() returns trigger language plpgsql as 'begin return new; end'";
    let trigger = "create trigger t before insert on big for each row execute function f()";
    safe(function, trigger, "big");
    let kind = "create type kind as enum ('a'); alter table big add kind kind";
    safe(kind, "alter type kind add value 'b'", "big");
}

#[test]
fn what_running_code_may_still_use_is_said_and_not_refused() {
    said(
        "",
        "alter table big drop column n",
        "big",
        EXCLUSIVE,
        "none",
    );
    said(
        "",
        "alter table big rename n to m",
        "big",
        EXCLUSIVE,
        "none",
    );
    said(
        "",
        "alter table big rename to large",
        "big",
        EXCLUSIVE,
        "none",
    );
    said(
        "create schema s",
        "alter table big set schema s",
        "big",
        EXCLUSIVE,
        "none",
    );
    said("", "drop table big", "big", EXCLUSIVE, "none");
    said("", "truncate big", "big", EXCLUSIVE, "none");
    said("", "lock table big", "big", EXCLUSIVE, "none");
    said("", "lock table big in share mode", "big", "SHARE", "none");
}

#[test]
fn an_index_is_built_while_nobody_writes_unless_concurrently() {
    refused("", "create index i on big (n)", "big", "SHARE", "index");
    refused(
        "",
        "create unique index on only public.big (n)",
        "big",
        "SHARE",
        "index",
    );
    safe("", "create index if not exists big_s on big (n)", "big");
    let database = tables("");
    assert_eq!(
        advice(&database, &["create index concurrently i on big (n)"]).len(),
        0
    );
}

#[test]
fn an_index_of_a_partitioned_table_is_built_while_nobody_writes_to_any_partition() {
    let create = "create index on parts (n)";
    let database = tables(PARTS);
    let done = done(&mut database.client(), create, "part");
    assert_eq!((LOCKS[done.0].1, done.1), ("SHARE", "index"), "the server");
    let advice = advice(&database, &[create]);
    assert_eq!(advice[0]["allow"], "index:public.parts");
    assert_eq!(
        advice[0]["rows"], 2_000_000,
        "with all partitions: {advice:?}"
    );
    let instead = advice[0]["instead"].as_str().expect("it is text");
    assert!(instead.contains("ON ONLY"), "{instead}");
    safe(PARTS, "create index on only parts (n)", "parts");
}

#[test]
fn an_index_is_dropped_under_a_lock_on_its_table() {
    said("", "drop index big_s", "big", EXCLUSIVE, "none");
    let database = tables("");
    assert_eq!(
        advice(&database, &["drop index concurrently big_s"]).len(),
        0
    );
}

#[test]
fn reindex_builds_indexes_while_nobody_writes_unless_concurrently() {
    refused("", "reindex table big", "big", "SHARE", "index");
    refused("", "reindex (verbose) index big_s", "big", "SHARE", "index");
    let database = tables("");
    for safe in [
        "reindex table concurrently big",
        "reindex (concurrently) index big_s",
    ] {
        assert_eq!(advice(&database, &[safe]).len(), 0, "{safe}");
    }
}

#[test]
fn cluster_rewrites_the_table() {
    refused(
        "",
        "cluster big using big_pkey",
        "big",
        EXCLUSIVE,
        "rewrite",
    );
}

#[test]
fn vacuum_full_rewrites_the_table_and_vacuum_does_not() {
    let database = tables("");
    let client = &mut database.client();
    assert_eq!(waited_for(&database, "vacuum full big"), EXCLUSIVE);
    let mut file = || -> u32 {
        let query = "select relfilenode from pg_class where relname = 'big'";
        client.query_one(query, &[]).expect("it is there").get(0)
    };
    let before = file();
    for full in ["vacuum full analyze big", "vacuum (analyze, full) big"] {
        let advice = advice(&database, &[full]);
        assert_eq!(advice[0]["work"], "rewrite", "{full}");
        assert_eq!(advice[0]["lock"], EXCLUSIVE, "{full}");
    }
    assert_eq!(advice(&database, &["vacuum analyze big"]).len(), 0);
    let vacuum = "vacuum full big";
    database
        .client()
        .batch_execute(vacuum)
        .expect("it is allowed");
    assert_ne!(file(), before);
}

/// Returns the lock that a statement waits for while another session reads `big`.
fn waited_for(database: &Database, statement: &str) -> &'static str {
    let mut reader = database.client();
    let mut reading = reader.transaction().expect("it begins");
    reading
        .batch_execute("select from big")
        .expect("it is there");
    thread::scope(|scope| {
        let waits = scope.spawn(|| database.client().batch_execute(statement));
        let mut observer = database.client();
        let mode: String = wait_for("the statement to wait", || {
            let query =
                "select mode from pg_locks where relation = 'big'::regclass and not granted";
            Some(
                observer
                    .query_opt(query, &[])
                    .expect("it is readable")?
                    .get(0),
            )
        });
        drop(reading);
        waits.join().expect("no panic").expect("it runs");
        LOCKS[place(&mode)].1
    })
}

#[test]
fn a_materialized_view_is_refreshed_while_nobody_reads_it_unless_concurrently() {
    let view = "create materialized view seen_big as select * from big;
                create unique index on seen_big (id)";
    let refresh = "refresh materialized view seen_big";
    refused(view, refresh, "seen_big", EXCLUSIVE, "rewrite");
    let database = tables(view);
    let concurrently = "refresh materialized view concurrently seen_big";
    assert_eq!(advice(&database, &[concurrently]).len(), 0);
}

#[test]
fn changing_every_row_is_refused_and_changing_some_is_said() {
    refused("", "update big set n = 1", "big", "ROW EXCLUSIVE", "change");
    refused("", "delete from only big", "big", "ROW EXCLUSIVE", "change");
    said(
        "",
        "update big set n = 1 where id = 5",
        "big",
        "ROW EXCLUSIVE",
        "change",
    );
    let with = "with gone as (delete from big where n > 5 returning id) select count(*) from gone";
    said("", with, "big", "ROW EXCLUSIVE", "change");
    let with = "with one as (select 1) update big set n = 1";
    refused("", with, "big", "ROW EXCLUSIVE", "change");
    let with = "with gone as (delete from big returning id) select count(*) from gone";
    refused("", with, "big", "ROW EXCLUSIVE", "change");
}

#[test]
fn copying_a_large_table_is_said() {
    said(
        "",
        "create table copied as select * from big",
        "big",
        "ACCESS SHARE",
        "copy",
    );
    let target = "create table target (id bigint)";
    said(
        target,
        "insert into target select id from big",
        "big",
        "ACCESS SHARE",
        "copy",
    );
    safe(
        target,
        "insert into target values ((select count(*) from other))",
        "target",
    );
}

#[test]
fn an_attached_partition_and_the_default_one_are_scanned_unless_a_check_proves_the_bound() {
    let attach = "alter table parts attach partition next for values from (10000) to (20000)";
    refused(PARTS, attach, "next", EXCLUSIVE, "scan");
    refused(PARTS, attach, "rest", EXCLUSIVE, "scan");
    let proven = format!(
        "{PARTS} alter table next add check (id >= 10000 and id < 20000), alter id set not null;
         alter table rest add check (id >= 20000), alter id set not null"
    );
    safe(&proven, attach, "next");
    safe(&proven, attach, "rest");
}

#[test]
fn a_new_partition_scans_the_default_one() {
    let create = "create table new_part partition of parts for values from (10000) to (20000)";
    refused(PARTS, create, "rest", EXCLUSIVE, "scan");
}

#[test]
fn a_partition_is_detached_under_a_lock_on_its_parent_unless_concurrently() {
    said(
        PARTS,
        "alter table parts detach partition part",
        "parts",
        EXCLUSIVE,
        "none",
    );
    let database = tables(PARTS);
    let concurrently = "alter table parts detach partition part concurrently";
    assert_eq!(advice(&database, &[concurrently]).len(), 0);
}

#[test]
fn a_constraint_of_a_domain_scans_the_tables_that_have_it() {
    let domain = "create domain amount as bigint; create table paid (amount amount);
                  insert into paid select g from generate_series(1, 1000) g";
    let add = "alter domain amount add constraint k check (value > 0)";
    refused(domain, add, "paid", "SHARE", "scan");
    refused(
        domain,
        "alter domain amount set not null",
        "paid",
        "SHARE",
        "scan",
    );
    safe(domain, &format!("{add} not valid"), "paid");
}

#[test]
fn a_lock_that_is_held_while_a_later_statement_takes_long_is_refused() {
    let database = tables("create table small (id int); insert into small values (1)");
    let together = "alter table small add x int;\nalter table big add constraint k check (n > 0) not valid;\n\
                    alter table big validate constraint k";
    let found = advice(&database, &[together]);
    let held: Vec<(&Value, &Value)> = found
        .iter()
        .map(|one| (&one["allow"], &one["line"]))
        .collect();
    let expected = [
        (&json!("hold:public.small"), &json!(3)),
        (&json!("hold:public.big"), &json!(3)),
    ];
    assert_eq!(held, expected, "{found:?}");
    let instead = found[0]["instead"].as_str().expect("it is text");
    assert!(instead.contains("line 1"), "{instead}");
    let parts = together.split(";\n").collect::<Vec<_>>();
    assert_eq!(
        advice(&database, &parts).len(),
        0,
        "each in a file of its own"
    );
    let framed = format!("begin; {}; commit; vacuum other; {}", parts[1], parts[2]);
    assert_eq!(
        advice(&database, &[&framed]).len(),
        0,
        "in transactions of their own"
    );
}

#[test]
fn what_a_pending_statement_proves_counts_for_the_next() {
    let database = tables("");
    let advice = advice(
        &database,
        &[
            "alter table big add constraint k check (n is not null) not valid",
            "alter table big validate constraint k",
            "alter table big alter n set not null; alter table big drop constraint k",
        ],
    );
    assert_eq!(advice.len(), 0, "{advice:?}");
}

#[test]
fn a_table_is_found_by_the_files_search_path_and_by_its_former_name() {
    let database = tables("create schema s; alter table big set schema s");
    for text in [
        "set search_path to s, public; create index on big (n)",
        "select set_config('search_path', 's', false); create index on big (n)",
        "create index on s.big (n)",
    ] {
        assert_eq!(
            advice(&database, &[text])[0]["allow"],
            "index:s.big",
            "{text}"
        );
    }
    assert_eq!(advice(&database, &["create index on big (n)"]).len(), 0);
    let renamed = "alter table s.big rename to large; create index on s.large (n)";
    let advice = advice(&database, &[renamed]);
    assert_eq!(advice[1]["allow"], "index:s.big", "{advice:?}");
}

#[test]
fn a_table_that_a_pending_file_makes_or_empties_needs_no_advice() {
    let database = tables("");
    for text in [
        "create table new (n int); create index on new (n); update new set n = 1",
        "alter table other rename to old; create table other (n int); create index on other (n)",
        "create table other2 as select 1 as n; alter table other2 alter n type bigint",
    ] {
        let advice = advice(&database, &[text]);
        let refused = advice.iter().filter(|one| one["allow"] != Value::Null);
        assert_eq!(refused.count(), 0, "{text}: {advice:?}");
    }
}

#[test]
fn a_small_or_an_empty_table_needs_no_advice() {
    let database = Database::new();
    database
        .client()
        .batch_execute(TABLES)
        .expect("it is allowed");
    let text = "create index on big (n); alter table big alter n type bigint; update big set n = 1;
                do $$ begin update big set n = 1; end $$; truncate big; drop table other";
    let dir = files(&[("1_a.sql", text)]);
    let reply = checked(&database, dir.path());
    assert_eq!(
        reply,
        json!({"status": "checked", "advice": [], "unknown": []})
    );
}

#[test]
fn a_table_that_was_never_analysed_is_known_by_the_counts_of_its_rows() {
    let database = Database::new();
    let fill = "create table fresh with (autovacuum_enabled = off) as
                select g as n from generate_series(1, 150000) g";
    database
        .client()
        .batch_execute(fill)
        .expect("it is allowed");
    let advice = wait_for("the counts", || {
        Some(advice(&database, &["create index on fresh (n)"])).filter(|found| !found.is_empty())
    });
    assert_eq!(advice[0]["rows"], 150_000);
}

#[test]
fn what_cannot_be_judged_is_listed_while_a_table_is_large() {
    let function = "create function f() returns int language sql as 'select 1'";
    let database = tables(function);
    enlarge(&database);
    let dir = files(&[(
        "1_a.sql",
        "do $$ begin update big set n = 1; end $$;\nselect f();\nselect setval('x', 1);\nvacuum full;",
    )]);
    let reply = checked(&database, dir.path());
    assert_eq!(reply["advice"], json!([]));
    let lines = |list: &Value| -> Vec<Value> {
        let list = list.as_array().expect("it is a list");
        list.iter().map(|one| one["line"].clone()).collect()
    };
    assert_eq!(lines(&reply["unknown"]), [1, 2, 4]);
    assert_eq!(reply["unknown"][0]["version"], "1");
    assert!(reply["unknown"][0]["reason"].as_str().is_some());
}

#[test]
fn migrate_refuses_what_is_unsafe_before_anything_runs_until_it_is_allowed_by_name() {
    let database = tables("");
    enlarge(&database);
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        (
            "2_b.sql",
            "alter table big drop column t;\nalter table big alter n type bigint",
        ),
    ]);
    let local = local(&database, dir.path());
    let error = local
        .invoke("migrations", MIGRATE)
        .expect_err("it is refused");
    assert_eq!(error["errorType"], "Function.UnsafeMigration", "{error}");
    let message = error["errorMessage"].as_str().expect("it is text");
    for words in [
        "2_b.sql:2:1`",
        "ACCESS EXCLUSIVE",
        "`public.big`",
        "about 1000000 rows, 163 MB",
        "for about 5 s",
        "add a new column",
        "\"allow\":[\"rewrite:public.big\"]",
    ] {
        assert!(message.contains(words), "no {words:?} in {message}");
    }
    assert!(!database.has("a") && !database.has("plain_lambda.users"));
    let other = json!({"action": "migrate", "allow": ["scan:public.big", "rewrite:public.a"]});
    local
        .invoke("migrations", &other.to_string())
        .expect_err("another work is allowed");
    let dry = json!({"action": "migrate", "dry_run": true}).to_string();
    local
        .invoke("migrations", &dry)
        .expect_err("it would hold the same lock");
    let allow = json!({"action": "migrate", "allow": ["rewrite:public.big"]});
    let reply = local
        .invoke("migrations", &allow.to_string())
        .expect("it is allowed");
    assert_eq!(versions(&reply["applied"]), ["1", "2"]);
}

#[test]
fn check_changes_nothing_and_takes_no_other_field() {
    let database = tables("");
    let dir = files(&[("1_a.sql", "create table a ()")]);
    checked(&database, dir.path());
    assert!(!database.has("a") && !database.has("plain_lambda.migrations"));
    let local = local(&database, dir.path());
    let error = local.invoke("migrations", r#"{"action":"check","to":"1"}"#);
    assert_eq!(
        error.expect_err("it is refused")["errorType"],
        "Function.InvalidEvent"
    );
}

#[test]
fn no_history_raises_an_alarm_on_an_empty_database() {
    let database = Database::new();
    let nothing = json!({"status": "checked", "advice": [], "unknown": []});
    let histories = root().join("tests/histories");
    let entries = histories.read_dir().expect("the checkout has it");
    let dirs = entries.map(|entry| entry.expect("it is readable").path());
    let dirs: Vec<_> = dirs.filter(|path| path.is_dir()).collect();
    assert!(dirs.len() > 8);
    for dir in dirs {
        assert_eq!(checked(&database, &dir), nothing, "{}", dir.display());
    }
}
