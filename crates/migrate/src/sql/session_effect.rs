//! Reads from a statement what it leaves in the session: a setting, which can be made again, or
//! something that only this session has.
//!
//! Follows the grammar of PostgreSQL 18 (`gram.y`). Must not know what follows from the effect.

use super::statement_kind::{Words, begins_statement, body, identifier};
use super::tokens::{Kind, Token, Tokens};

/// What a statement leaves in the session.
#[derive(Debug, PartialEq, Eq)]
pub enum SessionEffect {
    /// Nothing that the statement's own text shows.
    Nothing,
    /// A setting, a role or a loaded library: the same statement makes it again.
    Setting,
    /// A setting that the statement makes beside its other work, or from what it reads: sent again,
    /// the statement would do that work twice, or read something else.
    SettingAmongOthers,
    /// Something that ends with the session, such as a temporary table.
    Object {
        /// What it is, for messages.
        kind: &'static str,
        /// Its name as the catalog has it; empty if it has none.
        name: String,
    },
    /// What later sessions of the database or of a role begin with, and this one does not have:
    /// `ALTER DATABASE … SET`, `ALTER ROLE … SET`.
    SetsDefaults,
    /// The end of everything in the session, the advisory locks among it.
    ReleasesLocks,
}

/// The functions that take an advisory lock for the rest of the session.
const SESSION_LOCKS: [&str; 4] = [
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
];

impl SessionEffect {
    /// Reads one statement.
    pub(super) fn of(statement: &str, escapes: bool) -> SessionEffect {
        let mut words = Words::new(statement, escapes);
        while words.eat_symbol(b'(') {}
        let keyword = words.keyword();
        let effect = match keyword.as_str() {
            "set" => {
                let ends_with_transaction =
                    words.eat("local") || words.eat("constraints") || words.eat("transaction");
                match ends_with_transaction {
                    true => SessionEffect::Nothing,
                    false => SessionEffect::Setting,
                }
            }
            "reset" | "load" => SessionEffect::Setting,
            "discard" if words.eat("all") => SessionEffect::ReleasesLocks,
            "select" if words.is_set_config() => SessionEffect::Setting,
            "alter" => words.altered_defaults(),
            "create" => words.temporary_object(),
            "prepare" => object("prepared statement", words.names().pop()),
            "declare" => words.held_cursor(),
            _ => SessionEffect::Nothing,
        };
        match effect {
            SessionEffect::Nothing => of_words(statement, escapes),
            known => known,
        }
    }
}

/// Returns the word after which a statement sets or resets whose rights the session has: `role` or
/// `authorization`. A later one of the same word undoes it.
pub(super) fn role_word(statement: &str) -> Option<&'static str> {
    let mut words = Words::new(statement, false);
    if !words.eat("set") && !words.eat("reset") {
        return None;
    }
    words.eat("session");
    let mut found = ["role", "authorization"].into_iter();
    found.find(|word| words.eat(word))
}

/// Returns whether a statement has this name among its words, or in one of its strings, which may be
/// a function's body.
pub(super) fn mentions(statement: &str, escapes: bool, name: &str) -> bool {
    Tokens::new(statement, 0, escapes).any(|token| match token.kind {
        Kind::Word | Kind::Name => identifier(&token) == name,
        Kind::Text => token.text.to_lowercase().contains(&name.to_lowercase()),
        Kind::Number | Kind::Symbol(_) => false,
    })
}

/// Reads the effects that any word of a statement may have: `SELECT … INTO TEMP t`, calls of
/// `set_config` and of the functions for advisory locks, and the code of a `DO`.
fn of_words(statement: &str, escapes: bool) -> SessionEffect {
    let is_block = statement_runs_its_text(statement);
    // What these define runs later, if ever.
    let defines = Tokens::new(statement, 0, escapes)
        .next()
        .is_some_and(|first| first.is("create") || first.is("alter"));
    let mut tokens = Tokens::new(statement, 0, escapes);
    let mut is_after_into = false;
    let mut effect = SessionEffect::Nothing;
    while let Some(token) = tokens.next() {
        if token.is("pg_advisory_unlock_all") {
            return SessionEffect::ReleasesLocks;
        }
        if SESSION_LOCKS.iter().any(|function| token.is(function)) {
            effect = object("advisory lock of the session", Some(String::new()));
        }
        if token.is("set_config")
            && !defines
            && outlives_transaction(Tokens::new(statement, token.end(), escapes))
        {
            effect = SessionEffect::SettingAmongOthers;
        }
        if token.kind == Kind::Text && is_block {
            let lower = token.text.to_lowercase();
            if lower.contains("pg_advisory_unlock_all") || lower.contains("discard all") {
                return SessionEffect::ReleasesLocks;
            }
            match of_block(body(token.text)) {
                SessionEffect::Nothing => {}
                known => effect = known,
            }
        }
        if is_after_into && (token.is("temp") || token.is("temporary")) {
            let mut name = tokens.next().filter(|next| !next.is("table"));
            name = name.or_else(|| tokens.next());
            effect = object("temporary table", name.map(|name| identifier(&name)));
        }
        is_after_into = token.is("into");
    }
    effect
}

/// Reads the effects of the statements of a PL/pgSQL block, and of the texts that they execute. A
/// setting comes before all others.
fn of_block(block: &str) -> SessionEffect {
    let mut effect = SessionEffect::Nothing;
    let mut previous: Option<Token> = None;
    let mut executes = false;
    for token in Tokens::new(block, 0, false) {
        let begins = begins_statement(previous);
        executes = token.is("execute") || executes && !begins;
        let found = match token.kind {
            Kind::Text if executes => SessionEffect::of(body(token.text), false),
            Kind::Word if begins => SessionEffect::of(statement_at(block, token.start), false),
            _ => SessionEffect::Nothing,
        };
        match found {
            SessionEffect::Nothing => {}
            SessionEffect::Setting | SessionEffect::SettingAmongOthers => {
                return SessionEffect::SettingAmongOthers;
            }
            // `INTO temp` names a variable here.
            SessionEffect::Object { ref name, .. }
                if !name.is_empty() && token.kind == Kind::Word && !token.is("create") => {}
            found => effect = found,
        }
        previous = Some(token);
    }
    effect
}

/// Returns the text from a byte of a block to the next semicolon.
fn statement_at(block: &str, start: usize) -> &str {
    let end = Tokens::new(block, start, false).find(|token| token.kind == Kind::Symbol(b';'));
    &block[start..end.map_or(block.len(), |end| end.start)]
}

/// Returns whether a call of `set_config`, with these tokens after its name, sets something for longer
/// than its transaction: unless its last argument is `true`.
fn outlives_transaction(tokens: Tokens) -> bool {
    let (mut depth, mut last) = (0, None);
    for token in tokens {
        match token.kind {
            Kind::Symbol(b'(') => depth += 1,
            Kind::Symbol(b')') if depth == 1 => break,
            Kind::Symbol(b')') => depth -= 1,
            _ if depth == 0 => return false,
            _ => {}
        }
        last = Some(token);
    }
    !last.is_some_and(|last| last.is("true"))
}

/// Returns whether a string of the statement is code that the statement runs.
fn statement_runs_its_text(statement: &str) -> bool {
    Tokens::new(statement, 0, false)
        .next()
        .is_some_and(|first| first.is("do"))
}

fn object(kind: &'static str, name: Option<String>) -> SessionEffect {
    match name {
        Some(name) => SessionEffect::Object { kind, name },
        None => SessionEffect::Nothing,
    }
}

impl Words<'_> {
    /// Returns whether the rest of a `SELECT` calls nothing but `set_config`, and reads no table.
    fn is_set_config(&mut self) -> bool {
        loop {
            let names = self.names();
            if names.last().is_none_or(|name| name != "set_config") || !self.eat_symbol(b'(') {
                return false;
            }
            let mut depth = 1;
            while depth > 0 {
                match self.take() {
                    None => return false,
                    Some(token) if token.is("select") => return false,
                    Some(token) if token.kind == Kind::Symbol(b'(') => depth += 1,
                    Some(token) if token.kind == Kind::Symbol(b')') => depth -= 1,
                    Some(_) => {}
                }
            }
            if self.eat("as") {
                self.names();
            }
            if !self.eat_symbol(b',') {
                return self.is_at_end();
            }
        }
    }

    /// Reads the rest of an `ALTER`.
    fn altered_defaults(&mut self) -> SessionEffect {
        if !self.eat("database") && !self.eat("role") && !self.eat("user") {
            return SessionEffect::Nothing;
        }
        while let Some(token) = self.take() {
            if (token.is("set") || token.is("reset")) && !self.eat("tablespace") {
                return SessionEffect::SetsDefaults;
            }
        }
        SessionEffect::Nothing
    }

    /// Reads the rest of a `CREATE` of a temporary object, which stays until the session ends.
    fn temporary_object(&mut self) -> SessionEffect {
        let _ = self.eat("or") && self.eat("replace");
        let _ = self.eat("global") || self.eat("local");
        let mut is_temporary = self.eat("temp") || self.eat("temporary");
        self.eat("unlogged");
        self.eat("recursive");
        let kind = match self.keyword().as_str() {
            "table" => "temporary table",
            "view" => "temporary view",
            "sequence" => "temporary sequence",
            "function" | "procedure" | "type" | "domain" => "object of pg_temp",
            _ => return SessionEffect::Nothing,
        };
        let _ = self.eat("if") && self.eat("not") && self.eat("exists");
        let mut names = self.names();
        is_temporary |= names.first().is_some_and(|schema| schema == "pg_temp");
        if !is_temporary || self.ends_with_on_commit_drop() {
            return SessionEffect::Nothing;
        }
        object(kind, names.pop())
    }

    fn ends_with_on_commit_drop(&mut self) -> bool {
        let mut last: [Option<Token>; 2] = [None, None];
        while let Some(token) = self.take() {
            if token.is("drop") && last[1].is_some_and(|word| word.is("commit")) {
                return last[0].is_some_and(|word| word.is("on"));
            }
            last = [last[1], Some(token)];
        }
        false
    }

    /// Reads the rest of a `DECLARE`; a cursor outlives its transaction only `WITH HOLD`.
    fn held_cursor(&mut self) -> SessionEffect {
        let name = self.names().pop();
        while let Some(token) = self.take() {
            if token.is("with") && self.eat("hold") {
                return object("cursor", name);
            }
            if token.is("for") {
                break;
            }
        }
        SessionEffect::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statement: &str) -> SessionEffect {
        SessionEffect::of(statement, false)
    }

    #[test]
    fn statements_that_set_something_can_be_sent_again() {
        for statement in [
            "set search_path = app",
            "SET SESSION timezone TO 'UTC';",
            "set role r",
            "set session authorization x",
            "set session characteristics as transaction read only",
            "reset all;",
            "reset role",
            "load 'auto_explain'",
            "select set_config('search_path', 'app', false);",
            "select pg_catalog.set_config('a.b', 'c', false), set_config('x', current_setting('y'), true) as z",
        ] {
            assert_eq!(of(statement), SessionEffect::Setting, "{statement}");
        }
    }

    #[test]
    fn what_only_the_session_has_is_known_by_its_name() {
        for (statement, expected) in [
            ("create temp table T (a int)", "t"),
            ("create temporary table if not exists x as select 1", "x"),
            ("create local temp table x () on commit delete rows", "x"),
            ("create table pg_temp.x (a int)", "x"),
            ("create or replace temp view v as select 1", "v"),
            (
                "create function pg_temp.f() returns int language sql as 'select 1'",
                "f",
            ),
            ("select a into temp x from t", "x"),
            ("select a into temporary table \"X\" from t", "X"),
            ("prepare p as select 1", "p"),
            ("declare c cursor with hold for select 1", "c"),
            (
                "do $$ begin create temp table if not exists x (a int); insert into x values (1); end $$",
                "x",
            ),
            (
                "do $$ begin execute 'create temp table x as select 1'; end $$",
                "x",
            ),
            ("do $$ begin perform pg_advisory_lock(1); end $$", ""),
            ("select pg_advisory_lock(1)", ""),
            (
                "with a as (select pg_try_advisory_lock_shared(1)) select 1",
                "",
            ),
        ] {
            match of(statement) {
                SessionEffect::Object { name, .. } => assert_eq!(name, expected, "{statement}"),
                other => panic!("{statement}: {other:?}"),
            }
        }
    }

    #[test]
    fn statements_that_leave_nothing_are_known() {
        for statement in [
            "set local search_path = app",
            "set constraints all deferred",
            "set transaction read only",
            "create table temp (a int)",
            "create temp table x on commit drop as select 1",
            "select 'pg_advisory_lock'",
            "select pg_advisory_xact_lock(1)",
            "select pg_advisory_unlock(1)",
            "select set_config('a.b', 'c', true), count(*) from t",
            "create view v as select set_config('a.b', 'c', false)",
            "do $$ begin set local x = 1; update t set y = 2; end $$",
            "do $$ begin perform set_config('a.b', v, true); raise notice 'set x = 1'; end $$",
            "do $$ begin select a into temp from t; end $$",
            "declare c cursor for select 1",
            "do $$ begin perform 1; end $$",
            "comment on table t is 'discard all'",
            "alter role r login password 'set'",
            "alter database d set tablespace x",
            "alter table role set (fillfactor = 50)",
        ] {
            assert_eq!(of(statement), SessionEffect::Nothing, "{statement}");
        }
    }

    #[test]
    fn defaults_of_later_sessions_are_known() {
        for statement in [
            "alter database d set search_path = s",
            "alter role all in database d reset all",
            "alter user current_user set x = 1",
            "do $$ begin execute format('alter database %I set a = %L', d, v); end $$",
        ] {
            assert_eq!(of(statement), SessionEffect::SetsDefaults, "{statement}");
        }
    }

    #[test]
    fn the_later_of_two_roles_undoes_the_earlier() {
        assert_eq!(role_word("set session role r"), Some("role"));
        assert_eq!(role_word("RESET ROLE"), Some("role"));
        let user = "set session authorization x";
        assert_eq!(role_word(user), Some("authorization"));
        assert_eq!(role_word("set search_path = role"), None);
    }

    #[test]
    fn a_setting_that_cannot_be_made_again_alone_is_known() {
        for statement in [
            "select set_config('a.b', 'c', false), count(*) from t",
            "select set_config('a.b', (select v from t), false)",
            "with a as (select set_config('a.b', 'c', false)) select * from a",
            "insert into t select set_config('a.b', 'c', false)",
            "do $$ begin perform set_config('a.b', 'c', false); end $$",
            "do $$ begin if x then set role r; end if; end $$",
            "do $$ declare x int; begin reset all; end $$",
            "do 'begin execute format($x$set search_path = %I$x$, s); end'",
            "do $$ begin create temp table t (); execute 'set a.b = 1'; end $$",
        ] {
            let effect = of(statement);
            assert_eq!(effect, SessionEffect::SettingAmongOthers, "{statement}");
        }
    }

    #[test]
    fn statements_that_release_every_lock_are_known() {
        for statement in [
            "discard all",
            "DISCARD /* */ ALL;",
            "select pg_catalog.pg_advisory_unlock_all()",
            "with a as (select pg_advisory_unlock_all()) select * from a",
            "do $$ begin perform pg_advisory_unlock_all(); end $$",
        ] {
            assert_eq!(of(statement), SessionEffect::ReleasesLocks, "{statement}");
        }
        assert_eq!(of("discard temp"), SessionEffect::Nothing);
        assert_eq!(
            of("select 'pg_advisory_unlock_all'"),
            SessionEffect::Nothing
        );
    }

    #[test]
    fn a_name_is_found_among_words_and_in_strings() {
        assert!(mentions("insert into X select 1", false, "x"));
        assert!(mentions("do $$ begin delete from x; end $$", false, "x"));
        assert!(!mentions("insert into \"X\" select 1", false, "x"));
        assert!(!mentions("insert into xy -- x", false, "x"));
    }
}
