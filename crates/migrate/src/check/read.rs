//! Reads from the words of one statement what it does to tables that exist: which lock it takes on
//! which table, what work it does under the lock, and what would be safe instead.
//!
//! The rows are those of the table in docs/migrations.md, each with the test that proves it. Must not
//! know any database: what depends on the catalog is a [`When`].

use super::alter;
use super::operation::{Effect, Lock, Reading, Relation, When, Work};
use super::words::{Name, Words, is_in};
use crate::sql::Token;

const CONCURRENTLY: &str = "CREATE INDEX CONCURRENTLY, in a statement outside of BEGIN and COMMIT";
const BATCHED: &str = "batches: a file that begins with `-- batched: table by key`";
const STILL_USED: &str =
    "first deploy code that does not use it; a brief lock, but running code that does fails";
const REPACK: &str = "pg_repack, which is an extension and locks briefly";

/// Names that a SELECT may call without doing anything to a table.
const HARMLESS: &str = "array array_agg as cast coalesce concat count currval exists format from in \
    lastval max min nextval now over pg_get_serial_sequence pg_notify pg_sleep select set_config setval";

impl Reading {
    /// Reads a statement whose first word is `keyword`.
    pub(super) fn of(keyword: &str, mut words: Words) -> Reading {
        let mut reading = Reading::default();
        if words.eat_symbol(b'(') {
            return reading;
        }
        words.eat(keyword);
        match keyword {
            "alter" => alter::read(words, &mut reading),
            "call" => reading.unknown = Some("a procedure's statements are not in the file"),
            "cluster" => reading.cluster(words),
            "create" => reading.create(words),
            "delete" | "merge" | "update" => reading.change(words),
            "do" => reading.unknown = Some("the statements inside DO are not read"),
            "drop" => reading.drop(words),
            "execute" => reading.unknown = Some("the prepared statement is not looked up"),
            "insert" => reading.insert(words),
            "lock" => reading.lock(words),
            "refresh" => reading.refresh(words),
            "reindex" => reading.reindex(words),
            "reset" if words.eat("search_path") || words.eat("all") => {
                reading.effects.push(Effect::SearchPath(Vec::new()));
            }
            "select" => reading.select(words),
            "set" => reading.set(words),
            "truncate" => reading.truncate(words),
            "vacuum" => reading.vacuum(words),
            "with" => reading.with(words),
            _ => {}
        }
        reading
    }

    fn create(&mut self, mut words: Words) {
        words.eat("or replace");
        let _ = words.eat_any(&["global", "local"]);
        let is_temporary = words.eat_any(&["temporary", "temp"]);
        words.eat("unlogged");
        if words.eat("table") {
            return self.create_table(words, is_temporary);
        }
        let _ = words.eat_any(&["unique", "constraint"]);
        if words.eat("index") {
            return self.create_index(words);
        }
        if words.eat_any(&["function", "procedure"]) {
            let is_volatile = !words.has("immutable") && !words.has("stable");
            if let Some(name) = words.name().filter(|_| is_volatile) {
                self.effects.push(Effect::Defined(name.name));
            }
        } else if words.eat("domain") {
            let is_constrained = words.has("check") || words.has("not null");
            if let Some(name) = words.name().filter(|_| is_constrained) {
                self.effects.push(Effect::Defined(name.name));
            }
        } else if words.eat("materialized view") {
            self.create_filled(words);
        } else if words.eat("view") {
            self.effects.extend(words.name().map(Effect::New));
        } else if words.eat("trigger") {
            self.brief_after("on", words, Lock::ShareRowExclusive);
        } else if words.eat("rule") {
            self.brief_after("to", words, Lock::AccessExclusive);
        } else if words.eat("policy") {
            self.brief_after("on", words, Lock::AccessExclusive);
        }
    }

    /// Adds a brief lock on the table that follows a word.
    fn brief_after(&mut self, word: &str, mut words: Words, lock: Lock) {
        if words.skip_past(word)
            && let Some(table) = words.name()
        {
            self.add_brief(table, lock);
        }
    }

    fn create_table(&mut self, mut words: Words, is_temporary: bool) {
        if is_temporary {
            let Some(name) = words.name() else { return };
            return self.effects.push(Effect::New(name));
        }
        for table in words.names_after("references") {
            self.add_brief(table, Lock::ShareRowExclusive);
        }
        let mut rest = words;
        if rest.skip_past("partition of")
            && let Some(parent) = rest.name()
        {
            alter::scan_default(self, &parent);
            self.add_brief(parent, Lock::AccessExclusive);
        }
        self.create_filled(words);
    }

    /// Reads a table or a materialized view that a query may fill.
    fn create_filled(&mut self, mut words: Words) {
        let may_exist = words.eat("if not exists");
        let Some(name) = words.name() else { return };
        if words.skip_past("as") {
            self.copy(words);
        }
        if !may_exist {
            self.effects.push(Effect::New(name));
        }
    }

    fn create_index(&mut self, mut words: Words) {
        let is_concurrent = words.eat("concurrently");
        let may_exist = words.eat("if not exists");
        let name = match words.eat("on") {
            true => None,
            false => words.name().filter(|_| words.eat("on")),
        };
        let is_only = words.eat("only");
        let Some(table) = words.name() else { return };
        if !is_concurrent {
            let schema = table.schema.clone();
            let table = Relation::Table(table);
            let added = self.add(table, Lock::Share, Work::Index, CONCURRENTLY);
            added.when = match name.clone().filter(|_| may_exist) {
                Some(name) => When::NoIndex(Name { schema, ..name }),
                None if is_only => When::NoPartitions,
                None => When::Always,
            };
        }
        self.effects
            .extend(name.filter(|_| !may_exist).map(Effect::New));
    }

    fn drop(&mut self, mut words: Words) {
        let is_table = words.eat("table") || words.eat("materialized view");
        if is_table {
            words.eat("if exists");
            for table in words.names() {
                self.effects.push(Effect::New(table.clone()));
                let table = Relation::Table(table);
                self.add(table, Lock::AccessExclusive, Work::Nothing, STILL_USED);
            }
        } else if words.eat("index") && !words.eat("concurrently") {
            words.eat("if exists");
            for index in words.names() {
                let index = Relation::OfIndex(index);
                let instead = "DROP INDEX CONCURRENTLY, outside of BEGIN and COMMIT";
                self.add(index, Lock::AccessExclusive, Work::Nothing, instead);
            }
        }
    }

    fn reindex(&mut self, mut words: Words) {
        let options = words.group();
        if options.has("concurrently") || words.has("concurrently") {
            return;
        }
        let is_index = words.eat("index");
        if !is_index && !words.eat("table") {
            self.unknown = Some("it works on every table of the schema or database");
            return;
        }
        if let Some(name) = words.name() {
            let relation = match is_index {
                true => Relation::OfIndex(name),
                false => Relation::Table(name),
            };
            let instead = "REINDEX … CONCURRENTLY, outside of BEGIN and COMMIT";
            self.add(relation, Lock::Share, Work::Index, instead);
        }
    }

    fn cluster(&mut self, mut words: Words) {
        words.eat("verbose");
        match words.name() {
            Some(table) => {
                let table = Relation::Table(table);
                self.add(table, Lock::AccessExclusive, Work::Rewrite, REPACK);
            }
            None => self.unknown = Some("it works on every clustered table"),
        }
    }

    fn vacuum(&mut self, mut words: Words) {
        let options = words.group();
        let is_full = options.has("full") || words.eat("full");
        if !is_full {
            return;
        }
        while words.eat_any(&["freeze", "verbose", "analyze"]) {}
        let mut tables = Vec::new();
        for mut part in words.parts() {
            tables.extend(part.name());
        }
        if tables.is_empty() {
            self.unknown = Some("it works on every table of the database");
        }
        for table in tables {
            let table = Relation::Table(table);
            self.add(table, Lock::AccessExclusive, Work::Rewrite, REPACK);
        }
    }

    fn refresh(&mut self, mut words: Words) {
        if !words.eat("materialized view") || words.eat("concurrently") {
            return;
        }
        if let Some(view) = words.name() {
            let instead = "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index";
            let work = match words.has("no data") {
                true => Work::Nothing,
                false => Work::Rewrite,
            };
            self.add(Relation::Table(view), Lock::AccessExclusive, work, instead);
        }
    }

    /// Reads UPDATE, DELETE or MERGE from its table on.
    fn change(&mut self, mut words: Words) {
        let _ = words.eat_any(&["from", "into"]);
        words.eat("only");
        let Some(table) = words.name() else { return };
        let changes_some = words.has("where") || words.has("using");
        let work = match changes_some {
            true => Work::ChangeSome,
            false => Work::ChangeAll,
        };
        self.add(Relation::Table(table), Lock::RowExclusive, work, BATCHED);
    }

    fn insert(&mut self, mut words: Words) {
        words.eat("into");
        words.name();
        if words.has("select") && !words.has("values") {
            self.copy(words);
        }
    }

    /// Reads a query whose rows go into another table.
    fn copy(&mut self, words: Words) {
        for word in ["from", "join"] {
            for table in words.names_after(word) {
                let table = Relation::Table(table);
                self.add(table, Lock::AccessShare, Work::Copy, BATCHED);
            }
        }
    }

    fn truncate(&mut self, mut words: Words) {
        words.eat("table");
        for table in words.names() {
            self.effects.push(Effect::New(table.clone()));
            let instead = "nothing, if all rows may go; a brief lock";
            let table = Relation::Table(table);
            self.add(table, Lock::AccessExclusive, Work::Nothing, instead);
        }
    }

    fn lock(&mut self, mut words: Words) {
        words.eat("table");
        let tables = words.names();
        let lock = match words.skip_past("in") {
            false => Lock::AccessExclusive,
            true if words.eat("access exclusive") => Lock::AccessExclusive,
            true if words.eat("exclusive") => Lock::Exclusive,
            true if words.eat("share row") => Lock::ShareRowExclusive,
            true if words.eat("share mode") => Lock::Share,
            true => return,
        };
        for table in tables {
            let instead = "nothing that takes long before COMMIT, which ends the lock";
            self.add(Relation::Table(table), lock, Work::Nothing, instead);
        }
    }

    fn select(&mut self, words: Words) {
        let called = words.called();
        let sets_path = called.iter().any(|name| name == "set_config");
        let mut strings = words.0.iter().filter(|token| token.text.starts_with('\''));
        if sets_path
            && strings
                .next()
                .is_some_and(|name| name.text == "'search_path'")
        {
            let path = strings
                .next()
                .map_or("", |path| path.text.trim_matches('\''));
            let schemas = path.split(',').map(|schema| schema.trim().to_string());
            let schemas = schemas.filter(|schema| !schema.is_empty()).collect();
            self.effects.push(Effect::SearchPath(schemas));
        }
        if called.iter().any(|name| !is_in(HARMLESS, name)) {
            self.unknown = Some("what its functions do is not in the file");
        }
        if words.has("into") {
            self.copy(words);
        }
    }

    fn set(&mut self, mut words: Words) {
        let _ = words.eat_any(&["session", "local"]);
        if !words.eat("search_path") {
            return;
        }
        let _ = words.eat("to") || words.eat_symbol(b'=');
        let is_default = words.eat("default");
        let schema = |mut part: Words| match part.identifier() {
            Some(name) => Some(name),
            None => part
                .0
                .first()
                .map(|token| token.text.trim_matches('\'').to_string()),
        };
        let schemas = words.parts().into_iter().filter_map(schema);
        self.effects.push(Effect::SearchPath(match is_default {
            true => Vec::new(),
            false => schemas.collect(),
        }));
    }

    /// Reads a `WITH`, whose parts may change rows.
    fn with(&mut self, words: Words) {
        let changed = words
            .names_after("update")
            .into_iter()
            .filter(|table| table.name != "set");
        let changed = changed.chain(words.0.windows(2).enumerate().filter_map(|(at, pair)| {
            let is_delete = pair[0].is("delete") && pair[1].is("from");
            is_delete.then(|| Words(&words.0[at + 2..]).name())?
        }));
        let limits = |word: &Token| word.is("where") || word.is("using");
        let work = match words.0.iter().any(limits) {
            true => Work::ChangeSome,
            false => Work::ChangeAll,
        };
        for table in changed {
            self.add(Relation::Table(table), Lock::RowExclusive, work, BATCHED);
        }
        if words.0.iter().any(|token| token.is("insert")) {
            self.copy(words);
        }
    }
}
