//! Reads from a statement's words whether it begins or ends a transaction, or refuses to run in one.
//!
//! Follows the grammar of PostgreSQL 18 (`gram.y`) and the calls of `PreventInTransactionBlock` in
//! the server's source. Reads no more tokens than it needs. Must not know where a statement ends.

use super::tokens::{Kind, Token, Tokens};

/// The properties of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StatementKind {
    /// The first word, in lower case.
    pub keyword: String,
    /// How the statement begins or ends a transaction, if it does.
    pub control: Option<Control>,
    /// Whether the server refuses the statement in a transaction, as far as its words show.
    pub refuses_transaction: bool,
    /// What a statement that works concurrently works on.
    pub concurrent: Option<Concurrent>,
    /// The modes of a `BEGIN` or a `SET TRANSACTION`.
    pub modes: Option<Modes>,
    /// Whether a backslash escapes in the plain strings of later statements; `None` if the statement
    /// does not change that.
    pub escapes: Option<bool>,
}

/// A statement that begins or ends a transaction. Savepoints do neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// `BEGIN` or `START TRANSACTION`, with any modes.
    Begin,
    /// `COMMIT` or `END`.
    Commit,
    /// `COMMIT AND CHAIN`, which begins another transaction at once.
    CommitAndChain,
    /// `ROLLBACK` or `ABORT`.
    Rollback,
    /// `ROLLBACK AND CHAIN`, which begins another transaction at once.
    RollbackAndChain,
    /// `PREPARE TRANSACTION`, which ends the session's transaction without committing it.
    Prepare,
    /// `COMMIT PREPARED`, which commits a prepared transaction and refuses to run in another.
    CommitPrepared,
    /// `ROLLBACK PREPARED`, which rolls back a prepared transaction and refuses to run in another.
    RollbackPrepared,
}

/// The modes that a `BEGIN` or a `SET TRANSACTION` gives its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modes {
    /// None: a plain `BEGIN`.
    Default,
    /// `READ ONLY`, with or without others.
    ReadOnly,
    /// Others, such as an isolation level.
    Other,
}

/// A statement that works concurrently, and may be left half done. Relations are written as in a
/// statement, with quotes, and with their schema where the statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concurrent {
    /// `CREATE INDEX CONCURRENTLY`, which may leave the index invalid.
    CreateIndex {
        /// The table.
        table: String,
        /// The index's name as the catalog has it; `None` if the server chooses it.
        name: Option<String>,
    },
    /// `REINDEX … CONCURRENTLY`, which may leave an invalid copy of an index.
    Reindex,
    /// `DROP INDEX CONCURRENTLY`, which may leave the index invalid.
    DropIndex {
        /// The index.
        index: String,
    },
    /// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`, which may leave the detaching pending.
    Detach {
        /// The partitioned table.
        table: String,
        /// The partition.
        partition: String,
    },
}

impl StatementKind {
    /// Reads one statement. `escapes` says whether a backslash escapes in plain strings.
    pub(super) fn of(statement: &str, escapes: bool) -> StatementKind {
        let mut words = Words::new(statement, escapes);
        while words.eat_symbol(b'(') {}
        let keyword = words.keyword();
        let mut kind = StatementKind::default();
        match keyword.as_str() {
            "abort" | "begin" | "commit" | "end" | "prepare" | "rollback" | "start" => {
                kind.control = words.control(&keyword);
                if kind.control == Some(Control::Begin) {
                    kind.modes = words.transaction_modes("");
                }
                kind.refuses_transaction = matches!(
                    kind.control,
                    Some(Control::CommitPrepared | Control::RollbackPrepared)
                );
            }
            "alter" if words.eat("table") => kind.concurrent = words.concurrent_detach(),
            "alter" => kind.refuses_transaction = words.alter_refuses(),
            "cluster" => kind.refuses_transaction = words.cluster_refuses(),
            "create" if words.eat("subscription") => {
                kind.refuses_transaction = words.create_subscription_refuses();
            }
            "create" => {
                kind.concurrent = words.concurrent_index();
                kind.refuses_transaction = words.eat("database") || words.eat("tablespace");
            }
            "discard" if words.eat("all") => {
                kind.refuses_transaction = true;
                kind.escapes = Some(false);
            }
            "do" => kind.refuses_transaction = words.do_refuses(),
            "drop" if words.eat("index") => kind.concurrent = words.concurrent_drop(),
            "drop" => kind.refuses_transaction = words.drop_refuses(),
            "reindex" => words.reindex(&mut kind),
            "reset" | "set" => {
                kind.modes = words.transaction_modes("transaction");
                kind.escapes = words.escapes();
            }
            "vacuum" => kind.refuses_transaction = true,
            _ => {}
        }
        kind.refuses_transaction |= kind.concurrent.is_some();
        kind.keyword = keyword;
        kind
    }
}

/// The tokens of a statement that are still to be read.
pub(super) struct Words<'text> {
    tokens: Tokens<'text>,
    next: Option<Token<'text>>,
}

impl<'text> Words<'text> {
    pub(super) fn new(text: &'text str, escapes: bool) -> Words<'text> {
        let mut tokens = Tokens::new(text, 0, escapes);
        let next = tokens.next();
        Words { tokens, next }
    }

    /// Takes the next token.
    pub(super) fn take(&mut self) -> Option<Token<'text>> {
        std::mem::replace(&mut self.next, self.tokens.next())
    }

    /// Takes the next token if it is this word; returns whether it is.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let is_next = self.next.is_some_and(|token| token.is(word));
        if is_next {
            self.take();
        }
        is_next
    }

    /// Takes the next token if it is this symbol; returns whether it is.
    pub(super) fn eat_symbol(&mut self, symbol: u8) -> bool {
        let is_next = self
            .next
            .is_some_and(|token| token.kind == Kind::Symbol(symbol));
        if is_next {
            self.take();
        }
        is_next
    }

    /// Takes the next token if it is a word, and returns it in lower case; else an empty string.
    pub(super) fn keyword(&mut self) -> String {
        match self.next {
            Some(token) if token.kind == Kind::Word => {
                self.take();
                token.text.to_ascii_lowercase()
            }
            _ => String::new(),
        }
    }

    /// Takes a name, and returns the parts of it that dots separate.
    pub(super) fn names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(token) = self.next {
            match token.kind {
                Kind::Word | Kind::Name => names.push(identifier(&token)),
                _ => break,
            }
            self.take();
            if !self.eat_symbol(b'.') {
                break;
            }
        }
        names
    }

    /// Returns whether only the statement's semicolon follows, or nothing.
    pub(super) fn is_at_end(&self) -> bool {
        self.next
            .is_none_or(|token| token.kind == Kind::Symbol(b';'))
    }

    /// Takes a list of options in parentheses, such as `(a, b = off, c 1)`, and returns whether each
    /// is on.
    fn options(&mut self) -> Vec<(String, bool)> {
        let mut options = Vec::new();
        if !self.eat_symbol(b'(') {
            return options;
        }
        while let Some(token) = self.take() {
            match token.kind {
                Kind::Symbol(b')') => break,
                Kind::Word | Kind::Name => {
                    self.eat_symbol(b'=');
                    let value = self
                        .next
                        .filter(|next| !matches!(next.kind, Kind::Symbol(_)));
                    options.push((identifier(&token), value.is_none_or(|value| is_on(&value))));
                    if value.is_some() {
                        self.take();
                    }
                }
                _ => {}
            }
        }
        options
    }

    /// Reads the rest of a statement whose first word is `keyword`.
    fn control(&mut self, keyword: &str) -> Option<Control> {
        match keyword {
            "begin" => return Some(Control::Begin),
            "start" => return self.eat("transaction").then_some(Control::Begin),
            "prepare" => return self.eat("transaction").then_some(Control::Prepare),
            _ => {}
        }
        let is_commit = matches!(keyword, "commit" | "end");
        if self.eat("prepared") {
            return Some(match is_commit {
                true => Control::CommitPrepared,
                false => Control::RollbackPrepared,
            });
        }
        let _ = self.eat("work") || self.eat("transaction");
        if self.eat("to") {
            return None;
        }
        let has_chain = self.eat("and") && !self.eat("no");
        Some(match (is_commit, has_chain) {
            (true, false) => Control::Commit,
            (true, true) => Control::CommitAndChain,
            (false, false) => Control::Rollback,
            (false, true) => Control::RollbackAndChain,
        })
    }

    fn alter_refuses(&mut self) -> bool {
        match self.keyword().as_str() {
            "system" => true,
            "database" => {
                self.names();
                self.eat("set") && self.eat("tablespace")
            }
            "subscription" => {
                self.names();
                self.alter_subscription_refuses()
            }
            _ => false,
        }
    }

    /// Reads the rest of `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`.
    fn concurrent_detach(&mut self) -> Option<Concurrent> {
        let _ = self.eat("if") && self.eat("exists");
        self.eat("only");
        let table = written(&self.names());
        self.eat_symbol(b'*');
        let detaches = self.eat("detach") && self.eat("partition");
        let partition = written(&self.names());
        (detaches && self.eat("concurrently")).then_some(Concurrent::Detach { table, partition })
    }

    /// Reads the rest of `DROP INDEX CONCURRENTLY [IF EXISTS] index`.
    fn concurrent_drop(&mut self) -> Option<Concurrent> {
        if !self.eat("concurrently") {
            return None;
        }
        let _ = self.eat("if") && self.eat("exists");
        let index = written(&self.names());
        Some(Concurrent::DropIndex { index })
    }

    /// Reads the modes of a `BEGIN`, or of a `SET` whose next word is `word`.
    fn transaction_modes(&mut self, word: &str) -> Option<Modes> {
        if !word.is_empty() && !self.eat(word) {
            return None;
        }
        let _ = self.eat("work") || self.eat("transaction");
        let mut modes = Modes::Default;
        while let Some(token) = self.take() {
            match token.kind {
                Kind::Symbol(b';') => break,
                _ if token.is("read") && self.eat("only") => modes = Modes::ReadOnly,
                _ if token.is("read") && self.eat("write") => modes = Modes::Other,
                _ if modes == Modes::Default => modes = Modes::Other,
                _ => {}
            }
        }
        Some(modes)
    }

    /// Returns whether the rest of an `ALTER SUBSCRIPTION` refuses a transaction: a refresh, and the
    /// options that change the replication slot, change the other server, which no rollback undoes.
    fn alter_subscription_refuses(&mut self) -> bool {
        let action = self.keyword();
        match action.as_str() {
            "refresh" => true,
            "add" | "drop" | "set" if self.eat("publication") => {
                while self.take().is_some_and(|token| !token.is("with")) {}
                !self.options().contains(&("refresh".into(), false))
            }
            "set" => self
                .options()
                .iter()
                .any(|(name, _)| name == "failover" || name == "two_phase"),
            _ => false,
        }
    }

    fn create_subscription_refuses(&mut self) -> bool {
        while self.take().is_some_and(|token| !token.is("with")) {}
        let options = self.options();
        let is_off = |name| options.iter().any(|(word, on)| word == name && !on);
        !is_off("connect") && !is_off("create_slot")
    }

    /// Returns whether a `CLUSTER` names no table: it then clusters every table, each in a
    /// transaction of its own.
    fn cluster_refuses(&mut self) -> bool {
        self.options();
        self.eat("verbose");
        self.is_at_end()
    }

    fn drop_refuses(&mut self) -> bool {
        match self.keyword().as_str() {
            // A subscription without a slot could be dropped in a transaction, but only the server
            // knows that it has none.
            "database" | "subscription" | "tablespace" => true,
            _ => false,
        }
    }

    fn reindex(&mut self, kind: &mut StatementKind) {
        let concurrently = self.options().contains(&("concurrently".into(), true));
        let object = self.keyword();
        kind.refuses_transaction = matches!(object.as_str(), "database" | "schema" | "system");
        if concurrently || self.eat("concurrently") {
            kind.concurrent = Some(Concurrent::Reindex);
        }
    }

    /// Reads the rest of `CREATE [UNIQUE] INDEX CONCURRENTLY [[IF NOT EXISTS] name] ON [ONLY] table`.
    fn concurrent_index(&mut self) -> Option<Concurrent> {
        self.eat("unique");
        if !(self.eat("index") && self.eat("concurrently")) {
            return None;
        }
        let _ = self.eat("if") && self.eat("not") && self.eat("exists");
        let name = match self.eat("on") {
            true => None,
            false => {
                let name = self.names().pop();
                self.eat("on");
                name
            }
        };
        self.eat("only");
        let table = written(&self.names());
        Some(Concurrent::CreateIndex { table, name })
    }

    /// Returns whether the body of a `DO` commits or rolls back, which Postgres allows only outside
    /// of a transaction.
    fn do_refuses(&mut self) -> bool {
        let mut is_language = false;
        while let Some(token) = self.take() {
            if token.kind == Kind::Text && !is_language {
                return ends_transactions(body(token.text));
            }
            is_language = token.is("language");
        }
        false
    }

    /// Reads the rest of `SET [SESSION|LOCAL] standard_conforming_strings TO …` or `RESET …`;
    /// `None` if it is about another setting.
    fn escapes(&mut self) -> Option<bool> {
        let _ = self.eat("session") || self.eat("local");
        if self.eat("all") {
            return Some(false);
        }
        let is_this_setting = self.names() == ["standard_conforming_strings"];
        let _ = self.eat("to") || self.eat_symbol(b'=');
        is_this_setting.then(|| self.next.is_some_and(|value| !is_on(&value)))
    }
}

/// Returns whether an option's value means on: any value but those that Postgres reads as off.
fn is_on(value: &Token) -> bool {
    let value = value.text.trim_matches('\'').to_ascii_lowercase();
    !matches!(
        value.as_str(),
        "0" | "f" | "false" | "n" | "no" | "of" | "off"
    )
}

/// Returns a name as the catalog has it: in lower case unless it is quoted, and cut at 63 bytes.
pub(crate) fn identifier(token: &Token) -> String {
    const NAMEDATALEN: usize = 64;
    let name = match token.text.strip_prefix('"') {
        Some(quoted) => quoted
            .strip_suffix('"')
            .unwrap_or(quoted)
            .replace("\"\"", "\""),
        None => token.text.to_ascii_lowercase(),
    };
    name[..name.floor_char_boundary(NAMEDATALEN - 1)].to_string()
}

/// Returns a name of several parts as a statement has it, with quotes. The database before the schema
/// is left out, as it can only be this one.
fn written(names: &[String]) -> String {
    let parts: Vec<String> = names
        .iter()
        .rev()
        .take(2)
        .rev()
        .map(|name| database::quote(name))
        .collect();
    parts.join(".")
}

/// Returns the text between the quotes of a string.
pub(super) fn body(string: &str) -> &str {
    let start = match string.starts_with('$') {
        true => string[1..].find('$').map_or(0, |end| end + 2),
        false => string.find('\'').map_or(0, |quote| quote + 1),
    };
    let closing = match string.starts_with('$') {
        true => start,
        false => 1,
    };
    string.get(start..string.len() - closing).unwrap_or("")
}

/// Returns whether a statement of PL/pgSQL can begin behind this token; `None` at the block's begin.
pub(super) fn begins_statement(previous: Option<Token>) -> bool {
    previous.is_none_or(|previous| {
        previous.kind == Kind::Symbol(b';')
            || previous.kind == Kind::Symbol(b'>')
            || ["begin", "else", "loop", "then"]
                .iter()
                .any(|word| previous.is(word))
    })
}

/// Returns whether a PL/pgSQL text has the statement `COMMIT` or `ROLLBACK`.
fn ends_transactions(body: &str) -> bool {
    let mut previous: Option<Token> = None;
    let mut tokens = Tokens::new(body, 0, false).peekable();
    while let Some(token) = tokens.next() {
        let begins_statement = begins_statement(previous);
        let ends_transaction = token.is("commit") || token.is("rollback");
        let ends = |next: &Token| next.kind == Kind::Symbol(b';') || next.is("and");
        if begins_statement && ends_transaction && tokens.peek().is_some_and(ends) {
            return true;
        }
        previous = Some(token);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statement: &str) -> StatementKind {
        StatementKind::of(statement, false)
    }

    #[test]
    fn statements_that_begin_or_end_a_transaction_are_known() {
        use Control::*;
        for (statement, expected) in [
            ("BEGIN", Begin),
            ("/* a */ Begin work isolation level serializable;", Begin),
            ("start transaction read only", Begin),
            ("commit", Commit),
            ("END;", Commit),
            ("commit work and no chain", Commit),
            ("commit transaction and chain;", CommitAndChain),
            ("rollback", Rollback),
            ("abort work;", Rollback),
            ("rollback and chain", RollbackAndChain),
            ("prepare transaction 'x'", Prepare),
            ("commit prepared 'x'", CommitPrepared),
            ("rollback prepared 'x'", RollbackPrepared),
        ] {
            assert_eq!(of(statement).control, Some(expected), "{statement}");
        }
        for statement in [
            "rollback to a",
            "rollback work to savepoint a",
            "savepoint a",
            "release a",
            "prepare p as select 1",
            "do $$ begin end $$",
            "create table begin_x ()",
            "\"commit\"",
        ] {
            assert_eq!(of(statement).control, None, "{statement}");
        }
    }

    #[test]
    fn statements_that_refuse_a_transaction_are_known() {
        for statement in [
            "VACUUM",
            "vacuum (full) t",
            "create database d",
            "drop database if exists d",
            "create tablespace s location 'x'",
            "drop tablespace s",
            "alter system set a = 1",
            "alter database \"d\" set tablespace s",
            "create index concurrently i on t (a)",
            "create unique index concurrently on t (a)",
            "drop index concurrently if exists i",
            "reindex table concurrently t",
            "reindex (verbose, concurrently) index i",
            "reindex (concurrently true) table t",
            "reindex schema s",
            "reindex (verbose) database d",
            "reindex system d",
            "cluster",
            "cluster verbose;",
            "cluster (verbose);",
            "discard all",
            "alter table if exists only s.t detach partition s.p concurrently",
            "create subscription s connection 'with (connect=false)' publication p",
            "create subscription s connection 'c' publication p with (enabled = false)",
            "alter subscription s refresh publication",
            "alter subscription s add publication p with (copy_data = false)",
            "alter subscription s set (failover = true)",
            "drop subscription s",
            "commit prepared 'x'",
            "rollback prepared 'x'",
            "do $$ begin insert into t values (1); commit; end $$",
            "do language plpgsql 'begin if a then rollback and chain; end if; end'",
            "do $$ <<l>> begin loop commit /* ; */ ; end loop; end $$ language plpgsql",
        ] {
            assert!(of(statement).refuses_transaction, "{statement}");
        }
    }

    #[test]
    fn statements_that_run_in_a_transaction_are_known() {
        for statement in [
            "create index i on t (concurrently)",
            "create index \"concurrently\" on t (a)",
            "drop index i",
            "reindex table t",
            "reindex (concurrently false) table t",
            "reindex (concurrently off, verbose) index i",
            "cluster t",
            "cluster verbose t using i",
            "discard plans",
            "alter database d set work_mem = 1",
            "alter table t detach partition p",
            "alter table t detach partition p finalize",
            "alter table t add column concurrently int",
            "create subscription s connection 'c' publication p with (connect = false)",
            "create subscription s connection 'c' publication p with (create_slot = 'off', a = b)",
            "alter subscription s set publication p with (refresh = false)",
            "alter subscription s disable",
            "alter subscription s set (slot_name = none)",
            "create table vacuum ()",
            "do $$ begin raise notice 'commit;'; /* commit; */ end $$",
            "do $$ begin update t set commit = 1; end $$",
            "do language plpgsql $$ begin end $$",
            "call p()",
        ] {
            assert!(!of(statement).refuses_transaction, "{statement}");
        }
    }

    #[test]
    fn what_a_concurrent_statement_works_on_is_named_as_in_the_catalog() {
        let index = |name: Option<&str>, table: &str| Concurrent::CreateIndex {
            table: table.to_string(),
            name: name.map(str::to_string),
        };
        let check = |statement: &str, expected: Concurrent| {
            assert_eq!(of(statement).concurrent, Some(expected), "{statement}");
        };
        check(
            "create index concurrently Users_Name on Users (name)",
            index(Some("users_name"), "\"users\""),
        );
        check(
            "create unique index concurrently if not exists \"I \"\"x\" on only S.\"T\" (a)",
            index(Some("I \"x"), "\"s\".\"T\""),
        );
        check(
            "create index concurrently on d.s.t (a)",
            index(None, "\"s\".\"t\""),
        );
        let long = "é".repeat(40);
        check(
            &format!("create index concurrently {long} on t (a)"),
            index(Some(&long[..62]), "\"t\""),
        );
        check(
            "drop index concurrently if exists S.i;",
            Concurrent::DropIndex {
                index: "\"s\".\"i\"".to_string(),
            },
        );
        check(
            "alter table if exists only t detach partition s.p concurrently",
            Concurrent::Detach {
                table: "\"t\"".to_string(),
                partition: "\"s\".\"p\"".to_string(),
            },
        );
        check(
            "reindex (verbose, concurrently) index i",
            Concurrent::Reindex,
        );
        check("reindex schema concurrently s", Concurrent::Reindex);
        assert_eq!(of("create index i on t (a)").concurrent, None);
        assert_eq!(of("reindex schema s").concurrent, None);
    }

    #[test]
    fn the_modes_of_a_transaction_are_known() {
        for (statement, expected) in [
            ("begin", Some(Modes::Default)),
            ("begin work;", Some(Modes::Default)),
            ("start transaction", Some(Modes::Default)),
            ("begin read only", Some(Modes::ReadOnly)),
            (
                "begin isolation level serializable, read only, deferrable;",
                Some(Modes::ReadOnly),
            ),
            ("begin isolation level read committed", Some(Modes::Other)),
            ("begin read only, read write", Some(Modes::Other)),
            ("set transaction read only", Some(Modes::ReadOnly)),
            ("set search_path = a", None),
            ("commit", None),
        ] {
            assert_eq!(of(statement).modes, expected, "{statement}");
        }
    }
}
