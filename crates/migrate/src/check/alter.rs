//! Reads `ALTER TABLE`, action by action, and the other ALTERs that lock tables.
//!
//! Must not know any database, as `read`.

use super::operation::{Effect, Lock, Operation, Reading, Relation, When, Work};
use super::types;
use super::words::{Name, Words, is_in};
use crate::sql::TokenKind;

const EXPAND: &str =
    "add a new column, fill it in batches (`-- batched:`), and let code change over";
const FILL: &str = "ADD COLUMN without the default, ALTER … SET DEFAULT, then fill old rows in batches \
                    (`-- batched:`)";
const NOT_VALID: &str = "ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in a later file";
const NOT_NULL: &str = "ADD CONSTRAINT c CHECK (column IS NOT NULL) NOT VALID; in a later file VALIDATE \
                        CONSTRAINT c, then SET NOT NULL, which does not scan then";
const USING_INDEX: &str = "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … USING INDEX";
const NO_WAY: &str = "nothing is; do it while nobody uses the table";
const BOUND_CHECK: &str = "ADD CONSTRAINT … CHECK of the partition's bound NOT VALID, VALIDATE CONSTRAINT, \
                           and ATTACH PARTITION then does not scan";
const CHECK_DEFAULT: &str = "a valid CHECK on the default partition that excludes the new bound";

/// The types whose default takes a number from a sequence.
const SERIAL: &str = "bigserial serial serial2 serial4 serial8 smallserial";

/// Reads the statement after `ALTER`.
pub(super) fn read(mut words: Words, reading: &mut Reading) {
    if words.eat("table") || words.eat("materialized view") {
        alter_table(words, reading);
    } else if words.eat("index") {
        alter_index(words, reading);
    } else if words.eat("domain") {
        alter_domain(words, reading);
    }
}

/// Adds the scan of the default partition, which must hold no row of a new partition.
pub(super) fn scan_default(reading: &mut Reading, parent: &Name) {
    let default = Relation::DefaultOf(parent.clone());
    let scan = reading.add(default, Lock::AccessExclusive, Work::Scan, CHECK_DEFAULT);
    scan.when = When::Unproven(parent.clone());
}

fn alter_table(mut words: Words, reading: &mut Reading) {
    if words.eat("all in tablespace") {
        reading.unknown = Some("it moves every table of a tablespace");
        return;
    }
    words.eat("if exists");
    words.eat("only");
    let Some(table) = words.name() else { return };
    words.eat_symbol(b'*');
    let first = reading.operations.len();
    for part in words.parts() {
        let mut action = Action {
            table: &table,
            words: part,
            reading,
        };
        action.read();
    }
    // The statement takes the strongest lock that one of its actions needs.
    let own = Relation::Table(table);
    let is_own = |operation: &&mut Operation| operation.relation == own;
    let operations = &mut reading.operations[first..];
    let strongest = operations
        .iter_mut()
        .filter(is_own)
        .map(|one| one.lock)
        .max();
    for operation in operations.iter_mut().filter(is_own) {
        operation.lock = strongest.unwrap_or(operation.lock);
    }
}

/// One action of an `ALTER TABLE`.
struct Action<'a, 'r> {
    table: &'a Name,
    words: Words<'a>,
    reading: &'r mut Reading,
}

impl Action<'_, '_> {
    fn read(&mut self) {
        if self.words.eat("add") {
            self.add();
        } else if self.words.eat("alter") {
            self.words.eat("column");
            self.alter_column();
        } else if self.words.eat("drop constraint") {
            self.brief(Lock::AccessExclusive);
        } else if self.words.eat("drop") || self.words.eat("set schema") {
            self.breaks_code(
                "first deploy code that does not use it; a brief lock, but running code that \
                              does fails",
            );
        } else if self.words.eat("rename") {
            self.rename();
        } else if self.words.eat("validate constraint") {
            self.validate();
        } else if self.words.eat("attach partition") {
            self.attach();
        } else if self.words.eat("detach partition") {
            self.detach();
        } else {
            self.set();
        }
    }

    fn operation(&mut self, lock: Lock, work: Work, instead: &'static str) -> &mut Operation {
        let table = Relation::Table(self.table.clone());
        self.reading.add(table, lock, work, instead)
    }

    fn brief(&mut self, lock: Lock) {
        self.reading.add_brief(self.table.clone(), lock);
    }

    fn breaks_code(&mut self, instead: &'static str) {
        self.operation(Lock::AccessExclusive, Work::Nothing, instead);
    }

    fn add(&mut self) {
        let constraint = match self.words.eat("constraint") {
            true => self.words.identifier(),
            false => None,
        };
        if self.words.eat("check") {
            self.add_check(constraint, None);
        } else if self.words.eat("not null") {
            let column = self.words.identifier();
            self.add_check(constraint, column);
        } else if self.words.eat("foreign key") {
            self.add_foreign_key();
        } else if self.words.eat("unique") {
            self.add_unique(false);
        } else if self.words.eat("primary key") {
            self.add_unique(true);
        } else if is_exclude(self.words) {
            self.operation(Lock::AccessExclusive, Work::Index, NO_WAY);
        } else {
            self.words.eat("column");
            self.add_column();
        }
    }

    /// Reads a CHECK, or a NOT NULL of `column`.
    fn add_check(&mut self, constraint: Option<String>, column: Option<String>) {
        let column = column.or_else(|| not_null_column(self.words.skip_one()));
        let is_valid = !self.words.has("not valid");
        match is_valid {
            true => {
                self.operation(Lock::AccessExclusive, Work::Scan, NOT_VALID);
            }
            false => self.brief(Lock::AccessExclusive),
        }
        let name = constraint.unwrap_or_default();
        let effects = &mut self.reading.effects;
        if let Some(column) = column {
            effects.push(Effect::NotNull(self.table.clone(), name.clone(), column));
        }
        if is_valid {
            effects.push(Effect::Validated(self.table.clone(), name));
        }
    }

    fn add_foreign_key(&mut self) {
        match self.words.has("not valid") {
            true => self.brief(Lock::ShareRowExclusive),
            false => {
                self.operation(Lock::ShareRowExclusive, Work::Scan, NOT_VALID);
            }
        }
        if self.words.skip_past("references")
            && let Some(referenced) = self.words.name()
        {
            self.reading.add_brief(referenced, Lock::ShareRowExclusive);
        }
    }

    fn add_unique(&mut self, is_primary: bool) {
        if !self.words.skip_past("using index") || self.words.eat("tablespace") {
            self.operation(Lock::AccessExclusive, Work::Index, USING_INDEX);
            return;
        }
        self.brief(Lock::AccessExclusive);
        if let Some(index) = self.words.name().filter(|_| is_primary) {
            let schema = self.table.schema.clone();
            let added = self.operation(Lock::AccessExclusive, Work::Scan, NOT_NULL);
            added.when = When::NullableIndex(Name { schema, ..index });
        }
    }

    fn add_column(&mut self) {
        let may_exist = self.words.eat("if not exists");
        let Some(column) = self.words.identifier() else {
            return;
        };
        let (kind, _) = types::take(&mut self.words);
        let rest = self.words;
        let default = default_of(rest);
        let mut found = Vec::new();
        let is_serial = is_in(SERIAL, &kind);
        if is_serial || rest.has("as identity") || is_stored(rest) {
            found.push((Work::Rewrite, When::Always, EXPAND));
        }
        let mut called = default.map(Words::called).unwrap_or_default();
        called.retain(|name| name != "now" && !types::is_plain(name));
        if !called.is_empty() {
            found.push((Work::Rewrite, When::Volatile(called), FILL));
        }
        if !types::is_plain(&kind) {
            found.push((
                Work::Rewrite,
                When::Constrained(kind),
                "a type without constraints",
            ));
        }
        if rest.has("unique") || rest.has("primary key") {
            found.push((Work::Index, When::Always, USING_INDEX));
        }
        if rest.has("check") || (rest.has("references") && default.is_some()) {
            found.push((Work::Scan, When::Always, NOT_VALID));
        }
        self.brief(Lock::AccessExclusive);
        for (work, when, instead) in found {
            let added = self.operation(Lock::AccessExclusive, work, instead);
            added.when = match may_exist {
                true => When::NoColumn(column.clone(), Box::new(when)),
                false => when,
            };
        }
        for referenced in rest.names_after("references") {
            self.reading.add_brief(referenced, Lock::ShareRowExclusive);
        }
    }

    fn alter_column(&mut self) {
        let Some(column) = self.words.identifier() else {
            return;
        };
        if self.words.eat("set not null") {
            let added = self.operation(Lock::AccessExclusive, Work::Scan, NOT_NULL);
            added.when = When::Nullable(column);
        } else if self.words.eat("set expression") {
            self.operation(Lock::AccessExclusive, Work::Rewrite, EXPAND);
        } else if self.words.eat("set data type") || self.words.eat("type") {
            self.alter_type(column);
        } else if self.words.eat("set statistics") {
            self.brief(Lock::ShareUpdateExclusive);
        } else {
            self.brief(Lock::AccessExclusive);
        }
    }

    fn alter_type(&mut self, column: String) {
        let (kind, modifiers) = types::take(&mut self.words);
        let has_collation = self.words.has("collate");
        let is_plain = !self.words.skip_past("using") || is_cast_to(self.words, &column, &kind);
        let conditions = [
            (
                Work::Rewrite,
                match is_plain {
                    true => When::Converted(column.clone(), kind.clone(), modifiers),
                    false => When::Always,
                },
            ),
            (Work::Scan, When::Checked(column.clone())),
            (
                Work::Index,
                match has_collation {
                    true => When::Indexed(column),
                    false => When::Resorted(column, kind),
                },
            ),
        ];
        for (work, when) in conditions {
            self.operation(Lock::AccessExclusive, work, EXPAND).when = when;
        }
        self.brief(Lock::AccessExclusive);
    }

    fn rename(&mut self) {
        if self.words.eat("constraint") {
            return self.brief(Lock::AccessExclusive);
        }
        if self.words.eat("to")
            && let Some(name) = self.words.identifier()
        {
            let schema = self.table.schema.clone();
            let renamed = Effect::Renamed(self.table.clone(), Name { schema, name });
            self.reading.effects.push(renamed);
        }
        self.breaks_code(
            "a new name beside the old one (a view, or a new column) until no code uses it",
        );
    }

    fn validate(&mut self) {
        self.operation(
            Lock::ShareUpdateExclusive,
            Work::Scan,
            "VALIDATE CONSTRAINT in a statement of its own",
        );
        if let Some(constraint) = self.words.identifier() {
            let validated = Effect::Validated(self.table.clone(), constraint);
            self.reading.effects.push(validated);
        }
    }

    fn attach(&mut self) {
        self.brief(Lock::ShareUpdateExclusive);
        let Some(partition) = self.words.name() else {
            return;
        };
        let partition = Relation::Table(partition);
        let scan = self
            .reading
            .add(partition, Lock::AccessExclusive, Work::Scan, BOUND_CHECK);
        scan.when = When::Unproven(self.table.clone());
        if !self.words.eat("default") {
            scan_default(self.reading, self.table);
        }
    }

    fn detach(&mut self) {
        let partition = self.words.name();
        if self.words.eat("concurrently") || self.words.eat("finalize") {
            return;
        }
        self.breaks_code("DETACH PARTITION … CONCURRENTLY, outside of BEGIN and COMMIT");
        if let Some(partition) = partition {
            self.reading.add_brief(partition, Lock::AccessExclusive);
        }
    }

    /// Reads the actions that set something of the table.
    fn set(&mut self) {
        let words = &mut self.words;
        if words.eat("set tablespace") || words.eat("set access method") {
            let instead = "pg_repack, which is an extension and locks briefly";
            self.operation(Lock::AccessExclusive, Work::Rewrite, instead);
        } else if words.eat("set logged") {
            let added = self.operation(Lock::AccessExclusive, Work::Rewrite, NO_WAY);
            added.when = When::Persistence('u');
        } else if words.eat("set unlogged") {
            let added = self.operation(Lock::AccessExclusive, Work::Rewrite, NO_WAY);
            added.when = When::Persistence('p');
        } else if words.eat("cluster on") || words.eat("set without cluster") {
            self.brief(Lock::ShareUpdateExclusive);
        } else if words.eat("enable trigger") || words.eat("disable trigger") {
            self.brief(Lock::ShareRowExclusive);
        } else {
            let is_option = words.eat_any(&["set", "reset"]) && words.eat_symbol(b'(');
            self.brief(match is_option {
                true => Lock::ShareUpdateExclusive,
                false => Lock::AccessExclusive,
            });
        }
    }
}

fn alter_index(mut words: Words, reading: &mut Reading) {
    words.eat("if exists");
    let Some(index) = words.name() else { return };
    if words.eat("set tablespace") {
        let instead = "CREATE INDEX CONCURRENTLY … TABLESPACE, then DROP INDEX CONCURRENTLY";
        let index = Relation::OfIndex(index);
        reading.add(index, Lock::AccessExclusive, Work::Index, instead);
    } else if words.eat("rename to")
        && let Some(name) = words.identifier()
    {
        let schema = index.schema.clone();
        reading
            .effects
            .push(Effect::Renamed(index, Name { schema, name }));
    }
}

fn alter_domain(mut words: Words, reading: &mut Reading) {
    let Some(domain) = words.name() else { return };
    let scans = words.eat("set not null")
        || words.eat("validate constraint")
        || words.eat("add") && !words.has("not valid");
    if scans {
        let instead =
            "a CHECK on the tables, with NOT VALID, and VALIDATE CONSTRAINT in a later file";
        let table = Relation::WithDomain(domain);
        reading.add(table, Lock::Share, Work::Scan, instead);
    }
}

/// Returns whether `EXCLUDE [USING …] (` follows, and not a column of that name.
fn is_exclude(mut words: Words) -> bool {
    words.eat("exclude") && (words.eat("using") || words.eat_symbol(b'('))
}

/// Returns the column of `column IS NOT NULL`, if a CHECK is nothing else.
fn not_null_column(mut check: Words) -> Option<String> {
    let column = check.identifier()?;
    (check.eat("is not null") && check.0.is_empty()).then_some(column)
}

/// Returns whether `GENERATED ALWAYS AS (…) STORED` follows.
fn is_stored(mut rest: Words) -> bool {
    rest.skip_past("generated always as") && rest.has("stored")
}

/// Returns the expression of a DEFAULT; `None` if it is NULL or there is none.
fn default_of(mut rest: Words) -> Option<Words> {
    if !rest.skip_past("default") || rest.eat("null") {
        return None;
    }
    let start = rest.0;
    let is_end = |token: &crate::sql::Token| {
        let ends = [
            "not",
            "null",
            "check",
            "unique",
            "primary",
            "references",
            "generated",
            "constraint",
        ];
        ends.iter().any(|word| token.is(word))
    };
    let mut length = 0;
    while rest.0.first().is_some_and(|token| !is_end(token)) {
        rest.skip_one();
        length = start.len() - rest.0.len();
    }
    Some(Words(&start[..length]))
}

/// Returns whether `column::type`, in any parentheses, is the whole expression.
fn is_cast_to(mut expression: Words, column: &str, kind: &str) -> bool {
    while expression
        .0
        .first()
        .is_some_and(|token| token.kind == TokenKind::Symbol(b'('))
        && expression
            .0
            .last()
            .is_some_and(|token| token.kind == TokenKind::Symbol(b')'))
    {
        expression = Words(&expression.0[1..expression.0.len() - 1]);
    }
    let is_column = expression.identifier().as_deref() == Some(column);
    let is_cast = expression.eat_symbol(b':') && expression.eat_symbol(b':');
    is_column && is_cast && types::take(&mut expression).0 == kind && expression.0.is_empty()
}
