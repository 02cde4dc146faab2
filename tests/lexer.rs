//! The lexer of the migrations, compared with psql and the server: all three split a text into the same
//! statements, and the server treats each statement as the lexer predicts.

use crate::support::{Cluster, Database, said};
use migrate::sql::{Concurrent, Control, Place, Statement, statements};
use postgres::Client;
use postgres::error::SqlState;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use tempfile::NamedTempFile;

/// Statements without their semicolons, in every form that decides where a statement ends.
const STATEMENTS: &[&str] = &[
    "select 1",
    "SELECT ';', \"a;b\", 'it''s;', '\\'",
    "select E'\\';', e'it''s\\\\', 'a' -- ';\n 'b;'",
    CONTINUED,
    "select U&'\\003b;' , U&\"a;\\0041\" , N'\\', B'01', X'1f', b'0'\n'1'",
    "select $$;$$, $a$;$b$;$$;$a$, $é$;'$é$, a$b$ from t",
    "select $1::int, $2 + 1",
    "select 1e5, 0.5e-3, 1.e2, .5, 1::text || 'x;'",
    "select a[1:2], a.b, t.* from t where a <@ b and c @> d and e ?| f",
    "select 1 /* ; /* ; */ ' */ -- ; '\n + 2",
    "select 1+-- ;\n2, 3*/*;*/4, 5-/**/6",
    "(select 1) union (select 2;)",
    "select \u{a0}x, größe$1 from \"Größe;\"",
    "create table begin_t (\"end\" int, begin int default 1, check (begin > 0))",
    "create rule r as on insert to t do also (insert into a values (';'); delete from b)",
    "create function f() returns int language sql as 'select 1;'",
    "create function f() returns trigger as $$ begin if a then b; end if; end; $$ language plpgsql",
    "create or replace function f(a int default (1)) returns int language sql begin atomic \
     select case when a > 1 then 2 else case a when 1 then 3 end end; select ';'; end",
    "CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); ; END",
    "create function f() returns int return case when true then 1 end",
    "do $do$ begin execute $$select ';'$$; end $do$",
    "do language plpgsql 'begin null; end'",
    "insert into t values (1, ');'), (2, $$);$$)",
    "with a as (select 1;) select * from a",
    "comment on table t is E'a\\\nb;'",
    "create view v as select 'begin atomic;' as begin",
    "create trigger g before insert on t for each row execute function f(';')",
    "alter table t add constraint c check (a ~ '^[;'']+$')",
    "grant select on t to \"a;b\"",
    "prepare x as select 1",
    "values (1), (2)",
    "set search_path = a, \"b;c\"",
    "explain (costs off) select ';'",
];

/// A string with escapes over two lines. psql reads line by line and forgets the `E` in the second one.
const CONTINUED: &str = "select E'a' -- '\n '\\';' , E'', 'x'";

/// Texts that may stand between two statements, after the semicolon of the first.
const BETWEEN: &[&str] = &[
    "",
    " ",
    "\n",
    "\r\n\t",
    "\n\n-- it's; \"a $$ comment\n",
    " -- ( /* \r\n",
    "/* ' ; /* \" */ $$ */",
    "\n/**/--\n",
    "--\n;;",
    " ; ",
];

/// Returns random texts, each with the statements that it is made of; the same in every run.
fn texts(count: usize) -> Vec<(String, Vec<&'static str>)> {
    let mut random: u64 = 42;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % below
    };
    let mut text = |_| {
        let mut text = BETWEEN[next(BETWEEN.len())].to_string();
        let mut pieces = Vec::new();
        for _ in 0..=next(8) {
            let piece = STATEMENTS[next(STATEMENTS.len())];
            pieces.push(piece);
            text.push_str(piece);
            text.push_str(["", " ", "\n", " -- '\n"][next(4)]);
            text.push(';');
            text.push_str(BETWEEN[next(BETWEEN.len())]);
        }
        (text, pieces)
    };
    (0..count).map(&mut text).collect()
}

fn split(text: &str) -> Vec<Statement> {
    statements(text, 0..text.len()).expect("nothing is refused")
}

/// Returns the texts of the statements without their semicolons and the space before.
fn bare(text: &str) -> Vec<String> {
    let bare = |statement: Statement| {
        let text = &text[statement.span];
        let text = text.strip_suffix(';').unwrap_or(text).trim_end();
        text.strip_suffix("-- '")
            .unwrap_or(text)
            .trim_end()
            .to_string()
    };
    split(text).into_iter().map(bare).collect()
}

#[test]
fn the_server_parses_each_statement_as_one() {
    let database = Database::new();
    let mut client = database.client();
    for (text, pieces) in texts(300) {
        assert_eq!(bare(&text), pieces, "{text}");
        for statement in split(&text) {
            let place = Place::of(&text, statement.span.start);
            let sent = &text[statement.span.clone()];
            // Only psql accepts a `;` before `)`.
            if sent.contains(";)") {
                continue;
            }
            // The protocol's message Parse accepts exactly one statement.
            let parsed = client.prepare(sent);
            let code = parsed.err().and_then(|error| error.code().cloned());
            assert_ne!(code, Some(SqlState::SYNTAX_ERROR), "{place} of {text}");
        }
    }
}

#[test]
fn psql_sends_the_same_statements_and_data() {
    let database = Database::new();
    let create = "create table t (a text); create table u (a text, b text)";
    database
        .client()
        .batch_execute(create)
        .expect("it is allowed");
    let all = texts(60).into_iter().map(|(text, _)| text);
    let mut texts: Vec<String> = all.filter(|text| !text.contains(CONTINUED)).collect();
    for text in [
        "select 1; select 'a;",
        "select 1; select /* ; ",
        "select $$;$a$",
        "select ( ; -- the end\n",
        "set standard_conforming_strings = off;\nselect '\\';', B'0', 'a'\n'\\';';\n\
         reset standard_conforming_strings;\nselect '\\';\n\\echo 'it;\n\\timing off\nselect 2",
        "COPY t FROM stdin; -- '\n1;\t'\n\\.x\n\\.\nselect 'between';\n\
         copy u (a, b) from STDIN with (format csv);\r\n\"a;\",\\.\n\\.\r\nselect 'after';",
        "copy t from stdout;\n;\n\\.\ncopy t from stdin;\nthe end",
        "copy t from stdin",
    ] {
        texts.push(text.to_string());
    }
    for text in texts {
        let (queries, data) = sent_by_psql(&database, &text);
        let ours = split(&text);
        // psql sends empty statements too.
        let is_empty =
            |sent: &&String| statements(sent, 0..sent.len()).is_ok_and(|is| is.is_empty());
        let theirs: Vec<&String> = queries.iter().filter(|sent| !is_empty(sent)).collect();
        assert_eq!(ours.len(), theirs.len(), "{theirs:?} of {text}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            // psql sends the comments around a statement, too.
            let ours = &text[ours.span.clone()];
            let around = theirs
                .split_once(ours)
                .map(|(before, after)| (split(before), split(after)));
            assert_eq!(
                around,
                Some((vec![], vec![])),
                "{theirs:?} for {ours:?} of {text}"
            );
        }
        let ours: String = ours
            .into_iter()
            .filter_map(|found| found.data.map(|data| &text[data]))
            .collect();
        // This version of psql sends the line `\.` too.
        let lines = data.split_inclusive('\n');
        let theirs: String = lines
            .filter(|line| !matches!(line.trim_end(), "\\."))
            .collect();
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn a_meta_command_of_psql_is_refused_with_its_place() {
    let text = "select '\\i';\nselect 1 \\gexec\n";
    let refusal = statements(text, 0..text.len()).expect_err("only psql has the command");
    assert_eq!(Place::of(text, refusal.at).to_string(), "2:10");
    assert!(refusal.reason.contains("\\gexec"), "{}", refusal.reason);
}

#[test]
fn the_lexer_and_the_server_agree_on_what_a_transaction_refuses() {
    let database = Database::new();
    let mut client = database.client();
    client
        .batch_execute(
            "create table t (a int primary key);
             create table p (a int) partition by range (a);
             create table q partition of p for values from (0) to (1)",
        )
        .expect("it is allowed");
    for statements in [
        "vacuum t",
        "create database test_never",
        "drop database if exists test_never",
        "create tablespace never location '/never'",
        "drop tablespace never",
        "alter system set work_mem = '1MB'",
        "alter database postgres set tablespace pg_default",
        "alter database postgres set work_mem = '1MB'",
        "create unique index concurrently if not exists i on t (a)",
        "create index i on t (a)",
        "drop index concurrently t_pkey",
        "drop index if exists never",
        "reindex table concurrently t",
        "reindex (verbose, concurrently) table t",
        "reindex (concurrently false, verbose) table t",
        "reindex table t",
        "reindex schema public",
        "reindex (verbose) system postgres",
        "cluster",
        "cluster verbose;",
        "cluster verbose t using t_pkey",
        "discard all",
        "discard plans",
        "alter table only p detach partition q concurrently",
        "alter table p detach partition q",
        "create subscription s connection 'dbname=x' publication p",
        "create subscription s connection 'dbname=x' publication p with (connect = off)",
        "create subscription s connection 'dbname=x' publication p \
         with (create_slot = 'false', enabled = false)",
        "create subscription slot connection 'dbname=x' publication p with (connect = false); \
         drop subscription slot",
        "create subscription slot connection 'dbname=x' publication p with (connect = false); \
         alter subscription slot set publication p with (refresh = false)",
        "create subscription slot connection 'dbname=x' publication p with (connect = false); \
         alter subscription slot disable",
        "rollback prepared 'x'",
        "do $$ begin commit; end $$",
        "do language plpgsql 'begin if true then rollback and chain; end if; end'",
        "do $$ begin perform 'commit;'; end $$",
        "alter type never add value 'x'",
        "lock table t",
        "truncate t",
        "analyze",
    ] {
        let refused = in_a_transaction(&mut client, statements).is_some_and(|code| {
            code == SqlState::ACTIVE_SQL_TRANSACTION
                || code == SqlState::INVALID_TRANSACTION_TERMINATION
        });
        let last = split(statements).pop().expect("it is one");
        assert_eq!(last.refuses_transaction(), refused, "{statements}");
    }
}

#[test]
fn the_lexer_and_the_server_agree_on_when_a_transaction_ends() {
    let database = Database::new();
    let mut client = database.client();
    for statement in [
        "begin isolation level serializable",
        "start transaction",
        "commit work",
        "end and no chain",
        "commit and chain",
        "rollback",
        "abort transaction",
        "rollback and chain",
        "savepoint s",
        "prepare p as select 1",
    ] {
        client.batch_execute("begin").expect("it is allowed");
        client
            .batch_execute(statement)
            .expect("the statement is valid");
        let is_in = client.batch_execute("savepoint probe").is_ok();
        client.batch_execute("rollback").expect("it is allowed");
        let said = !matches!(
            split(statement)[0].control(),
            Some(Control::Commit | Control::Rollback)
        );
        assert_eq!(said, is_in, "{statement}");
    }
    for (statement, expected) in [
        ("start transaction", Control::Begin),
        ("commit and chain", Control::CommitAndChain),
        ("rollback and chain", Control::RollbackAndChain),
    ] {
        assert_eq!(split(statement)[0].control(), Some(expected));
        assert_eq!(
            split(statement)[0].keyword(),
            statement.split(' ').next().expect("a word")
        );
    }
}

#[test]
fn a_failed_concurrent_index_has_the_name_that_the_lexer_reads() {
    let database = Database::new();
    let mut client = database.client();
    client
        .batch_execute(
            "create schema \"S s\"; create table \"S s\".\"T\"\"t\" (a int);
             create table t (a int); insert into t values (1), (1);
             insert into \"S s\".\"T\"\"t\" values (1), (1)",
        )
        .expect("it is allowed");
    let long = format!(
        "create unique index concurrently {} on t (a)",
        "é".repeat(40)
    );
    for statement in [
        "create unique index concurrently I_One on T (a)",
        "create unique index concurrently if not exists \"I ; \"\"x\" on only \"S s\".\"T\"\"t\" (a)",
        &long,
    ] {
        client
            .batch_execute(statement)
            .expect_err("the rows are not unique");
        let split = split(statement);
        let Some(Concurrent::CreateIndex {
            table,
            name: Some(name),
        }) = split[0].concurrent()
        else {
            panic!("{statement} creates an index that is named");
        };
        let found = client
            .query_one(
                "select count(*) from pg_index i join pg_class c on c.oid = i.indexrelid
                 where not i.indisvalid and c.relname = $1 and i.indrelid = $2::text::regclass",
                &[&name, &table],
            )
            .expect("the catalog is readable");
        assert_eq!(found.get::<_, i64>(0), 1, "{statement}");
    }
}

/// Runs statements one by one in a transaction; returns the code of the first error.
fn in_a_transaction(client: &mut Client, statements: &str) -> Option<SqlState> {
    client.batch_execute("begin").expect("it is allowed");
    let mut each = split(statements).into_iter();
    let code = each.find_map(|statement| {
        let run = client.batch_execute(&statements[statement.span]);
        run.err().and_then(|error| error.code().cloned())
    });
    client.batch_execute("rollback").expect("it is allowed");
    code
}

/// Returns the queries and the data that psql sends to the server for a file.
fn sent_by_psql(database: &Database, text: &str) -> (Vec<String>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    let port = listener.local_addr().expect("it is bound").port();
    let mut file = NamedTempFile::new().expect("there is room");
    file.write_all(text.as_bytes()).expect("there is room");
    let psql = Cluster::get()
        .command("psql")
        .args(["--no-psqlrc", "--quiet", "--dbname"])
        .arg(database.url_at(port))
        .arg("--file")
        .arg(file.path())
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql starts");
    let (client, _) = listener.accept().expect("psql connects");
    let sent = record(client, database.port());
    let output = psql.wait_with_output().expect("psql ends");
    assert!(output.status.success(), "{}", said(&output));
    messages(&sent)
}

/// Connects a client to the server until the client ends; returns the bytes that it sent.
fn record(mut client: TcpStream, server: u16) -> Vec<u8> {
    let mut server = TcpStream::connect(("127.0.0.1", server)).expect("Postgres listens");
    let mut answers = server.try_clone().expect("there are descriptors");
    let mut back = client.try_clone().expect("there are descriptors");
    let answering = thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let mut sent = Vec::new();
    let mut bytes = [0; 64 * 1024];
    while let Ok(length @ 1..) = client.read(&mut bytes) {
        sent.extend_from_slice(&bytes[..length]);
        server.write_all(&bytes[..length]).expect("Postgres reads");
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = answering.join();
    sent
}

/// Returns the queries (`Q`) and the data (`d`) among the messages. The first message has no type.
fn messages(sent: &[u8]) -> (Vec<String>, String) {
    let length = |at: usize| {
        let bytes = sent[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes) as usize
    };
    let (mut queries, mut data) = (Vec::new(), String::new());
    let mut at = length(0);
    while at < sent.len() {
        let end = at + 1 + length(at + 1);
        let text = |end| str::from_utf8(&sent[at + 5..end]).expect("it was UTF-8");
        match sent[at] {
            b'Q' => queries.push(text(end - 1).to_string()),
            b'd' => data.push_str(text(end)),
            _ => {}
        }
        at = end;
    }
    (queries, data)
}
