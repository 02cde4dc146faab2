//! The error of a failed file: its place, its line and Postgres's message, without a secret.

use super::{MIGRATE, check_fails, files, local};
use crate::support::Database;

#[track_caller]
fn check(text: &str, says: &[&str]) -> String {
    let database = Database::new();
    let dir = files(&[("1_a.sql", text)]);
    let local = local(&database, dir.path());
    check_fails(&local, "Function.MigrationFailed", says);
    local.log()
}

#[test]
fn an_error_shows_its_line_with_a_caret() {
    check(
        "create table a ();\n\tselect no_such\n",
        &[
            "1_a.sql:2:9`",
            "\n2 |  select no_such\n            ^",
            "SQLSTATE 42703",
        ],
    );
}

#[test]
fn columns_are_counted_in_characters() {
    check("select 'öäü€', nö", &["1_a.sql:1:16`"]);
}

#[test]
fn an_error_in_a_block_has_the_line_of_the_file() {
    check(
        "select 1;\ndo $x$\nbegin\n  perform 1;\n  perform 1/0;\nend $x$;",
        &["1_a.sql:5:3`", "5 |   perform 1/0;"],
    );
}

#[test]
fn an_error_in_a_function_of_the_file_has_the_line_where_it_stands() {
    check(
        "create or replace function public.f(n int) returns void language plpgsql as $$\nbegin\n\
         raise exception 'no %', n using detail = 'at all', hint = 'do not';\nend $$;\nselect f(1);",
        &[
            "1_a.sql:3:1`",
            "no 1",
            "detail: at all",
            "hint: do not",
            "SQLSTATE P0001",
        ],
    );
}

#[test]
fn an_error_in_copied_data_has_the_line_of_the_data() {
    check(
        "create table a (id int);\ncopy a from stdin;\n1\n2\nthree\n\\.\n",
        &["1_a.sql:5:1`", "\"three\"", "COPY a, line 3"],
    );
}

#[test]
fn a_syntax_error_in_a_function_body_has_its_own_line() {
    check(
        "create function f() returns void language plpgsql as $$\nbegin\n  slect 1;\nend $$;",
        &["1_a.sql:3:3`", "SQLSTATE 42601"],
    );
}

#[test]
fn an_error_says_where_its_statement_begins_if_that_is_another_line() {
    let database = Database::new();
    let text = "-- a comment\ncreate table a ()\n\n  create table b ();\nselect\n  no_such;";
    let dir = files(&[("1_a.sql", text)]);
    let says = [
        "1_a.sql:4:3`, and rolled it back",
        "the statement begins at `",
        "1_a.sql:2:1`; is a `;` missing before the place?\n4 |   create",
    ];
    check_fails(
        &local(&database, dir.path()),
        "Function.MigrationFailed",
        &says,
    );
    let mended = text.replace("a ()", "a ();");
    let dir = files(&[("1_a.sql", &mended)]);
    let local = local(&database, dir.path());
    let error = local.invoke("migrations", MIGRATE).expect_err("it fails");
    let message = error["errorMessage"].as_str().expect("it is a text");
    assert!(message.contains("1_a.sql:6:3`, and"), "{message}");
    assert!(message.contains("1_a.sql:5:1`\n6 |"), "no hint: {message}");
}

#[test]
fn an_error_of_one_line_does_not_repeat_its_place() {
    let log = check("select no_such", &["1_a.sql:1:8`", "SQLSTATE 42703"]);
    assert!(!log.contains("the statement begins"), "{log}");
}

#[test]
fn notices_and_warnings_are_logged_with_their_place() {
    let database = Database::new();
    let text = "select 1;\n\ndo $$ begin raise notice 'hello'; raise warning 'careful'; end $$;";
    let dir = files(&[("1_a.sql", text)]);
    let local = local(&database, dir.path());
    local.invoke("migrations", MIGRATE).expect("it applies");
    for line in [
        "1_a.sql:3: NOTICE: hello",
        "WARN RequestId:",
        "1_a.sql:3: WARNING: careful",
    ] {
        local.expect_log(line);
    }
}

#[test]
fn a_password_in_a_file_reaches_no_message_and_no_log() {
    let log = check(
        "create role nobody_here password 'hunter2' in role no_such_role;",
        &["no_such_role", "1_a.sql:1:1`"],
    );
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_meta_command_of_psql_is_refused() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "select 1;\n\\i other.sql\n")]);
    check_fails(
        &local(&database, dir.path()),
        "Function.InvalidMigrations",
        &["1_a.sql:2:1`", "\\i"],
    );
}

#[test]
fn the_output_of_pg_dump_is_accepted() {
    let database = Database::new();
    let text = "\\restrict abc\nSET statement_timeout = 0;\n\
                SELECT pg_catalog.set_config('search_path', '', false);\n\
                CREATE TABLE public.a (id integer);\nCOPY public.a (id) FROM stdin;\n1\n\\.\n\n\
                \\unrestrict abc\n";
    let dir = files(&[("1_a.sql", text), ("2_b.sql", "create table b ()")]);
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.expect("it applies");
    assert!(database.has("public.b"));
}
