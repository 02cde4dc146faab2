//! What there is in the database: tables and views, their columns, keys and constraints.
//!
//! Read from Postgres's own catalogue as far as the connection's role may look, and kept for a
//! minute. Identifiers reach SQL from here only, and quoted. Knows no row and no page.

mod read;

use crate::Failure;
use crate::database::{Transaction, failed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The schema changes when a migration runs: seldom, and a page that stumbles over it forgets the
/// catalogue at once.
const KEPT: Duration = Duration::from_secs(60);

/// The catalogue as it was read last.
#[derive(Default)]
pub struct Cache(Mutex<Option<(SystemTime, Arc<Catalogue>)>>);

/// All that may be looked at: tables of `public` first, then by schema and name.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Everything with rows.
    pub tables: Vec<Table>,
}

/// Something with rows.
#[derive(Debug, Default)]
pub struct Table {
    /// Identifies it in the catalogue.
    pub oid: String,
    /// Its schema's name.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub kind: &'static str,
    /// What `COMMENT ON` says of it.
    pub comment: Option<String>,
    /// In their order; those that may not be read are left out.
    pub columns: Vec<Column>,
    /// The columns that tell its rows apart, as indexes into `columns`: the primary key, else a
    /// unique key without NULL. Empty when there is none: such rows cannot be changed one by one.
    pub key: Vec<usize>,
    /// Whether the role may add rows, change them, delete them.
    pub may_insert: bool,
    /// See `may_insert`.
    pub may_update: bool,
    /// See `may_insert`.
    pub may_delete: bool,
    /// What a value has to keep to.
    pub constraints: Vec<Constraint>,
    /// Where its columns refer to.
    pub foreign_keys: Vec<ForeignKey>,
}

/// A column.
#[derive(Debug, Default)]
pub struct Column {
    /// Identifies it in its table, in the catalogue.
    pub number: String,
    /// Its name.
    pub name: String,
    /// Its type as Postgres writes it, with length and scale.
    pub type_name: String,
    /// The same for a cast: without length and scale, because a cast would cut silently.
    pub cast: String,
    /// How its values are shown and asked for.
    pub kind: Kind,
    /// Whether it needs a value.
    pub not_null: bool,
    /// What it gets when nothing is said.
    pub default: Option<String>,
    /// What `COMMENT ON` says of it.
    pub comment: Option<String>,
    /// Whether Postgres can put its values in order.
    pub sortable: bool,
    /// Whether the role may give it a value in a new row, or another one.
    pub may_insert: bool,
    /// See `may_insert`.
    pub may_update: bool,
}

/// What a column's values are, for a person.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `boolean`.
    Boolean,
    /// Any number.
    Number,
    /// `text` and its like.
    Text,
    /// `date`.
    Date,
    /// `timestamp with time zone`.
    Time,
    /// `json` and `jsonb`.
    Json,
    /// `bytea`.
    Bytes,
    /// One of these.
    Enum(Vec<String>),
    /// Anything else, which Postgres reads from text.
    #[default]
    Other,
}

/// A unique key, a check, or an exclusion.
#[derive(Debug)]
pub struct Constraint {
    /// As Postgres's errors call it.
    pub name: String,
    /// The columns that it is about, as indexes.
    pub columns: Vec<usize>,
    /// As it was written.
    pub definition: String,
}

/// Columns that refer to another table's.
#[derive(Debug)]
pub struct ForeignKey {
    /// As Postgres's errors call it.
    pub name: String,
    /// The columns that refer, as indexes into this table's.
    pub columns: Vec<usize>,
    /// The other table's `oid`.
    pub table: String,
    /// The columns referred to, by their names.
    pub to: Vec<String>,
    /// What becomes of the row when the other is deleted.
    pub on_delete: OnDelete,
}

/// What becomes of a row when the one that it refers to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// It goes with it.
    Cascade,
    /// It refers to nothing, or to the default.
    Unset,
    /// It prevents that.
    Refuse,
}

impl Cache {
    /// The catalogue, read when it is older than a minute.
    ///
    /// # Errors
    /// `Function.QueryFailed`.
    pub fn get(&self, transaction: &mut Transaction) -> Result<Arc<Catalogue>, Failure> {
        let now = SystemTime::now();
        if let Some((read_at, catalogue)) = &*self.lock()
            && now.duration_since(*read_at).is_ok_and(|age| age < KEPT)
        {
            return Ok(Arc::clone(catalogue));
        }
        let catalogue = Arc::new(read::read(transaction).map_err(failed)?);
        *self.lock() = Some((now, Arc::clone(&catalogue)));
        Ok(catalogue)
    }

    /// Has the next page read it anew.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(SystemTime, Arc<Catalogue>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalogue {
    /// A table by its schema and name.
    pub fn find(&self, schema: &str, name: &str) -> Option<&Table> {
        let mut tables = self.tables.iter();
        tables.find(|table| table.schema == schema && table.name == name)
    }

    /// A table by its `oid`; `None` when it may not be looked at.
    pub fn by_oid(&self, oid: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.oid == oid)
    }

    /// Who refers to a table, and by what.
    pub fn referring_to<'a>(
        &'a self,
        table: &'a Table,
    ) -> impl Iterator<Item = (&'a Table, &'a ForeignKey)> {
        self.tables.iter().flat_map(move |other| {
            let keys = other.foreign_keys.iter();
            { keys }
                .filter(move |key| key.table == table.oid)
                .map(move |key| (other, key))
        })
    }
}

impl Table {
    /// Its name in SQL.
    pub fn sql(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    /// Its name for a person: with the schema when that is not `public`.
    pub fn title(&self) -> String {
        match self.schema.as_str() {
            "public" => self.name.clone(),
            schema => format!("{schema}.{}", self.name),
        }
    }

    /// A column by its name, as an index.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The key's columns.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|&column| &self.columns[column])
    }

    /// The column that tells a person which row it is: a name, a title, else the first text that
    /// every row has; `None` when only the key does.
    pub fn label(&self) -> Option<usize> {
        const NAMES: [&str; 8] = [
            "name",
            "title",
            "label",
            "email",
            "full_name",
            "slug",
            "code",
            "subject",
        ];
        let is_text = |&column: &usize| self.columns[column].kind == Kind::Text;
        let named = NAMES.iter().filter_map(|name| self.column(name));
        let first = (0..self.columns.len()).filter(|&column| self.columns[column].not_null);
        let label = named.chain(first).find(is_text);
        label.filter(|column| self.key != [*column])
    }

    /// The foreign key that begins with a column, if one does.
    pub fn foreign_key(&self, column: usize) -> Option<&ForeignKey> {
        let mut keys = self.foreign_keys.iter();
        keys.find(|key| key.columns.first() == Some(&column))
    }
}

impl Column {
    /// Its name in SQL.
    pub fn sql(&self) -> String {
        quote(&self.name)
    }
}

/// An identifier in SQL, whatever is in it ("Identifiers and Key Words", Postgres manual).
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_cannot_end_its_quotes() {
        assert_eq!(quote("orders"), "\"orders\"");
        assert_eq!(
            quote("a\"; DROP TABLE b; --"),
            "\"a\"\"; DROP TABLE b; --\""
        );
    }

    #[test]
    fn a_rows_label_is_its_name_or_its_first_text_and_never_the_key() {
        let column = |name: &str, kind, not_null| Column {
            name: name.to_string(),
            kind,
            not_null,
            ..Column::default()
        };
        let label = |columns: Vec<Column>| {
            let table = Table {
                columns,
                key: vec![0],
                ..Table::default()
            };
            table.label().map(|label| table.columns[label].name.clone())
        };
        let id = || column("id", Kind::Number, true);
        let text = |name, not_null| column(name, Kind::Text, not_null);
        assert_eq!(label(vec![id()]), None);
        assert_eq!(label(vec![text("code", true)]), None);
        assert_eq!(
            label(vec![id(), text("note", false), text("city", true)]),
            Some("city".to_string())
        );
        assert_eq!(
            label(vec![id(), text("city", true), text("title", false)]),
            Some("title".to_string())
        );
    }
}
