//! Gathers what the pending statements do, in their order: a table that a pending statement makes or
//! empties needs no look, and what one statement proves or renames counts for the next.
//!
//! Must not know any database.

use super::operation::{Effect, Operation, Reading, Relation, When, Work};
use super::words::{Name, Words};
use crate::files::Migration;
use crate::sql::{Control, Token, Tokens};
use crate::steps::Steps;
use std::collections::{HashMap, HashSet};

/// The pending statements that do something to tables that may exist.
#[derive(Default)]
pub(super) struct Pending<'a> {
    /// The statements, in the order in which they run.
    pub statements: Vec<Statement<'a>>,
    /// The number of transactions so far.
    transactions: usize,
    /// Tables and indexes that are new, empty or gone.
    new: HashSet<Name>,
    /// Present names by the names that the pending statements give.
    renamed: HashMap<Name, Name>,
    /// Volatile functions and domains with constraints.
    defined: HashSet<String>,
    /// Constraints that say that a column is not NULL, by table and name.
    not_null: Vec<(Name, String, String)>,
    /// Columns for which such a constraint is valid.
    proven: HashSet<(Name, String)>,
    /// Tables with a constraint that was validated.
    validated: HashSet<Name>,
    /// The file's search path; empty if it is the session's own.
    path: Vec<String>,
}

/// A statement, and what it does.
pub(super) struct Statement<'a> {
    /// The migration of the statement.
    pub migration: &'a Migration,
    /// The statement's first byte in the file.
    pub start: usize,
    /// The transaction in which it runs: statements of one number hold their locks together.
    pub transaction: usize,
    /// The schemas in which its names are looked up; empty for the session's own.
    pub path: Vec<String>,
    /// What it does.
    pub operations: Vec<Operation>,
    /// Why its words do not show what it does.
    pub unknown: Option<&'static str>,
}

/// The number of tokens of a statement that are read; a statement with more is a list of values.
const MAX_TOKENS: usize = 10_000;

impl<'a> Pending<'a> {
    /// Adds the statements of a file, of which the first `done` have run.
    pub(super) fn add(&mut self, migration: &'a Migration, steps: &Steps, done: usize) {
        // Batches lock briefly, whatever the size of the table.
        if steps.batched.is_some() {
            return;
        }
        self.path.clear();
        self.transactions += 1;
        let mut is_framed = false;
        for (at, statement) in steps.statements.iter().enumerate() {
            match statement.control() {
                Some(Control::Begin) => is_framed = true,
                Some(Control::Commit) => is_framed = false,
                _ => {}
            }
            let goes_on = steps.single_transaction || (is_framed && statement.control().is_none());
            self.transactions += usize::from(!goes_on);
            let text = &migration.up.text[statement.span.clone()];
            let tokens: Vec<Token> = Tokens::new(text, 0, false).take(MAX_TOKENS).collect();
            let reading = Reading::of(statement.keyword(), Words(&tokens));
            if at >= done {
                self.add_statement(migration, statement.span.start, &reading);
            }
            for effect in reading.effects {
                if at >= done || matches!(effect, Effect::SearchPath(_)) {
                    self.apply(effect);
                }
            }
        }
    }

    /// Returns whether `migrate` may have to refuse one of the statements if their tables are large.
    pub(super) fn may_be_unsafe(&self) -> bool {
        let mut held = None;
        self.statements.iter().any(|statement| {
            let operations = &statement.operations;
            let is_long = operations.iter().any(|one| one.work != Work::Nothing);
            let is_unsafe = operations.iter().any(Operation::is_unsafe);
            if is_unsafe || is_long && held == Some(statement.transaction) {
                return true;
            }
            if operations.iter().any(|one| one.lock.stops_writes()) {
                held = Some(statement.transaction);
            }
            false
        })
    }

    fn add_statement(&mut self, migration: &'a Migration, start: usize, reading: &Reading) {
        let operations = reading.operations.iter().cloned();
        let operations: Vec<Operation> = operations.filter_map(|one| self.known(one)).collect();
        if operations.is_empty() && reading.unknown.is_none() {
            return;
        }
        self.statements.push(Statement {
            migration,
            start,
            transaction: self.transactions,
            path: self.path.clone(),
            operations,
            unknown: reading.unknown,
        });
    }

    /// Returns an operation with the present name of its table, and with what the statements before
    /// have proven; `None` if the table is new.
    fn known(&self, mut operation: Operation) -> Option<Operation> {
        let name = match &mut operation.relation {
            Relation::Table(name) | Relation::OfIndex(name) => name,
            Relation::DefaultOf(name) | Relation::WithDomain(name) => name,
        };
        let table = self.full(name);
        if self.new.contains(&table) {
            return None;
        }
        let is_proven = match &operation.when {
            When::Nullable(column) => self.proven.contains(&(table.clone(), column.clone())),
            When::Unproven(_) => self.validated.contains(&table),
            _ => false,
        };
        if let Some(old) = self.renamed.get(&table) {
            *name = old.clone();
        }
        if is_proven {
            (operation.work, operation.instead) = (Work::Nothing, "");
        }
        let when = match &mut operation.when {
            When::NoColumn(_, when) => &mut **when,
            when => when,
        };
        let is_defined = match when {
            When::Volatile(called) => called.iter().any(|name| self.defined.contains(name)),
            When::Constrained(domain) => self.defined.contains(domain),
            _ => false,
        };
        if is_defined {
            *when = When::Always;
        }
        Some(operation)
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::New(name) => {
                self.new.insert(self.full(&name));
            }
            Effect::Renamed(from, to) => {
                let (from, to) = (self.full(&from), self.full(&to));
                let is_new = self.new.contains(&from);
                let old = self.renamed.remove(&from).unwrap_or_else(|| from.clone());
                self.new.remove(&to);
                match is_new {
                    true => drop(self.new.insert(to)),
                    false => drop(self.renamed.insert(to, old)),
                }
                self.new.insert(from);
            }
            Effect::Defined(name) => drop(self.defined.insert(name)),
            Effect::NotNull(table, constraint, column) => {
                self.not_null.push((self.full(&table), constraint, column));
            }
            Effect::Validated(table, constraint) => {
                let table = self.full(&table);
                let said = self.not_null.iter();
                let said = said.filter(|one| one.0 == table && one.1 == constraint);
                self.proven
                    .extend(said.map(|one| (table.clone(), one.2.clone())));
                self.validated.insert(table);
            }
            Effect::SearchPath(path) => self.path = path,
        }
    }

    /// Returns a name with the schema in which it would be made.
    fn full(&self, name: &Name) -> Name {
        let first = || {
            self.path
                .first()
                .map_or("public", String::as_str)
                .to_string()
        };
        Name {
            schema: Some(name.schema.clone().unwrap_or_else(first)),
            name: name.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Script, Version};

    fn may_be_unsafe(text: &str) -> bool {
        let migration = Migration {
            version: Version::read("1").expect("it is one"),
            name: "a".to_string(),
            up: Script {
                path: "1_a.sql".into(),
                section: 0..text.len(),
                text: text.to_string(),
                transaction: true,
            },
            down: None,
            built_in: false,
            covers: Vec::new(),
        };
        let steps = Steps::of(&migration.up).expect("it can be run");
        let mut pending = Pending::default();
        pending.add(&migration, &steps, 0);
        pending.may_be_unsafe()
    }

    #[test]
    fn what_cannot_be_unsafe_asks_nothing_of_the_catalog() {
        for text in [
            "create table a (id int primary key, b int references a); create index on a (b);
             insert into a values (1); update a set b = 1; alter table a add check (b > 0)",
            "create table a.b (id int); create index on a.b (id)",
            "set search_path to a; create table b (id int); create index on a.b (id)",
            "alter table a add column b int, add c timestamptz default now(), drop column d",
            "update a set b = 1 where id = 5; alter table a add column c text",
            "-- batched: a by id\nupdate a set b = 1 where id between $1 and $2",
            "create index concurrently i on a (b); alter table a validate constraint k",
            "alter table a add check (b > 0) not valid; select setval('x', 1); grant all on a to b",
            "create function f() returns int language sql as 'update a set b = 1'",
        ] {
            assert!(!may_be_unsafe(text), "{text}");
        }
    }

    #[test]
    fn what_may_be_unsafe_asks_the_catalog() {
        for text in [
            "create index on a (b)",
            "create table if not exists a (b int); create index on a (b)",
            "create table x.a (b int); create index on y.a (b)",
            "delete from a",
            "alter table a add column c int; update a set b = 1 where c > 2",
            "create function f() returns int as 'x'; alter table a add c int default f()",
            "alter table only a add constraint k foreign key (b) references c (d)",
            "alter table a rename to b; create index on b (c)",
        ] {
            assert!(may_be_unsafe(text), "{text}");
        }
    }
}
