//! The tables and views of the database, with their columns, keys and constraints.
//!
//! Read from Postgres's catalog, as far as the role of the connection has privileges, and kept for
//! a minute. Identifiers in SQL come from here, and are quoted. Knows no row and no page.

mod read;

use database::{Transaction, failed, quote};
use handler::Failure;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The time for which the catalog is kept. The schema changes only when a migration runs, and a
/// page that fails forgets the catalog at once.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The tables and views from which the role may read: those of `public` first, then by schema and
/// name.
#[derive(Debug, Default)]
pub struct Catalog {
    /// The tables, partitioned tables, views, materialized views and foreign tables.
    pub tables: Vec<Table>,
}

/// The catalog as it was last read, and the time of the reading.
#[derive(Default)]
pub struct Cache(Mutex<Option<(SystemTime, Arc<Catalog>)>>);

/// A table, or a view.
#[derive(Debug, Default)]
pub struct Table {
    /// The object identifier in Postgres's catalog.
    pub oid: String,
    /// The name of the schema.
    pub schema: String,
    /// The name of the table.
    pub name: String,
    /// The kind of relation in words, such as `materialized view`.
    pub kind: &'static str,
    /// The text of `COMMENT ON`.
    pub comment: Option<String>,
    /// The columns that the role may read, in their order.
    pub columns: Vec<Column>,
    /// The columns that identify a row, as indexes into `columns`: the primary key, else a unique
    /// key whose columns are NOT NULL. Empty when there is none: a single row cannot be changed
    /// then.
    pub key: Vec<usize>,
    /// Whether the role may insert rows, and Postgres can: a view may be read-only.
    pub may_insert: bool,
    /// Whether the role may update rows, and Postgres can.
    pub may_update: bool,
    /// Whether the role may delete rows, and Postgres can.
    pub may_delete: bool,
    /// The unique keys, checks and exclusions.
    pub constraints: Vec<Constraint>,
    /// The foreign keys of the table's own columns.
    pub foreign_keys: Vec<ForeignKey>,
}

/// A column.
#[derive(Debug, Default)]
pub struct Column {
    /// The number in Postgres's catalog (`attnum`).
    pub number: String,
    /// The name of the column.
    pub name: String,
    /// The type as Postgres writes it, with length and scale.
    pub type_name: String,
    /// The type for a cast: without length and scale, because a cast to them truncates silently.
    pub cast: String,
    /// The kind of values, which decides how they are shown and entered.
    pub kind: Kind,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// The expression of the default, or `the next number` for an identity column.
    pub default: Option<String>,
    /// The text of `COMMENT ON`.
    pub comment: Option<String>,
    /// Whether a list can be sorted by the values: Postgres can, and they are not secret.
    pub sortable: bool,
    /// Whether the name says that the values are secret ([`is_secret_name`]). Such values are not
    /// read: [`MASK`] stands in their place. Values that identify rows are never secret, because
    /// addresses hold them; nor are booleans, enums, dates and times, nor numbers of tokens.
    pub is_secret: bool,
    /// Whether the role may set the value in a new row, and Postgres does not generate it.
    pub may_insert: bool,
    /// Whether the role may change the value, and Postgres does not generate it.
    pub may_update: bool,
}

/// The kind of a column's values, for a person.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `boolean`.
    Boolean,
    /// An integer, a decimal or a floating-point number, or an `oid`.
    Number,
    /// `text`, `varchar`, `char`, `name` and `citext`.
    Text,
    /// `date`.
    Date,
    /// `timestamp with time zone`.
    Time,
    /// `json` and `jsonb`.
    Json,
    /// `bytea`.
    Bytes,
    /// An enum, with its values.
    Enum(Vec<String>),
    /// Any other type, whose values are entered as text.
    #[default]
    Other,
}

/// A unique key, a check or an exclusion.
#[derive(Debug)]
pub struct Constraint {
    /// The name, as Postgres's errors have it.
    pub name: String,
    /// The columns of the constraint, as indexes into the table's columns.
    pub columns: Vec<usize>,
    /// The definition, as Postgres writes it.
    pub definition: String,
}

/// A foreign key.
#[derive(Debug)]
pub struct ForeignKey {
    /// The name, as Postgres's errors have it.
    pub name: String,
    /// The columns that refer, as indexes into the columns of their table.
    pub columns: Vec<usize>,
    /// The `oid` of the table that is referred to.
    pub table: String,
    /// The names of the columns that are referred to.
    pub to: Vec<String>,
    /// What Postgres does to a row when the row that it refers to is deleted.
    pub on_delete: OnDelete,
}

/// What Postgres does to a row when the row that it refers to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// Deletes it, too.
    Cascade,
    /// Sets the columns of the foreign key to NULL, or to their defaults.
    SetNull,
    /// Refuses the deletion.
    Restrict,
}

/// The text in place of a secret value.
pub const MASK: &str = "[hidden]";

/// Returns `true` if a column or a parameter with this name holds a secret, by parts of names that
/// a new Rails app filters from its log (`filter_parameter_logging.rb`). The short ones have to be
/// a word of the name: `classname` has "ssn" in it.
///
/// ```
/// use records::catalog::is_secret_name;
///
/// assert!(is_secret_name("password_digest") && is_secret_name("apiKey"));
/// assert!(is_secret_name("user_otp") && !is_secret_name("footprint"));
/// ```
pub fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 6] = ["passw", "secret", "token", "_key", "crypt", "certificate"];
    const WORDS: [&str; 5] = ["salt", "otp", "ssn", "cvv", "cvc"];
    // `apiKey` is read as `api_key`.
    let mut lower = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            lower.push('_');
        }
        lower.push(character.to_ascii_lowercase());
    }
    let mut words = lower.split(|character: char| !character.is_ascii_alphanumeric());
    PARTS.iter().any(|part| lower.contains(part)) || words.any(|word| WORDS.contains(&word))
}

impl Cache {
    /// Returns the catalog, and reads it if the last reading is a minute old or older.
    ///
    /// # Errors
    /// `Function.QueryFailed`.
    pub fn get(&self, transaction: &mut Transaction) -> Result<Arc<Catalog>, Failure> {
        let now = SystemTime::now();
        if let Some((read_at, catalog)) = &*self.lock()
            && now.duration_since(*read_at).is_ok_and(|age| age < MAX_AGE)
        {
            return Ok(Arc::clone(catalog));
        }
        let catalog = Arc::new(read::read(transaction).map_err(failed)?);
        *self.lock() = Some((now, Arc::clone(&catalog)));
        Ok(catalog)
    }

    /// Forgets the catalog, so that the next page reads it again.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(SystemTime, Arc<Catalog>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog {
    /// Returns a table by its schema and name.
    pub fn find(&self, schema: &str, name: &str) -> Option<&Table> {
        let mut tables = self.tables.iter();
        tables.find(|table| table.schema == schema && table.name == name)
    }

    /// Returns a table by its `oid`; `None` when the role may not read it.
    pub fn by_oid(&self, oid: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.oid == oid)
    }

    /// Returns the foreign keys that refer to a table, each with the table that has it.
    pub(crate) fn referring_to<'a>(
        &'a self,
        table: &'a Table,
    ) -> impl Iterator<Item = (&'a Table, &'a ForeignKey)> {
        self.tables.iter().flat_map(move |other| {
            let keys = other.foreign_keys.iter();
            keys.filter(move |key| key.table == table.oid)
                .map(move |key| (other, key))
        })
    }
}

impl Table {
    /// Returns the name in SQL: quoted, with the schema.
    pub fn sql(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    /// Returns the name for a person: with the schema, unless that is `public`.
    ///
    /// ```
    /// let table = |schema: &str| records::catalog::Table {
    ///     schema: schema.to_string(),
    ///     name: "orders".to_string(),
    ///     ..Default::default()
    /// };
    /// assert_eq!(table("public").title(), "orders");
    /// assert_eq!(table("archive").title(), "archive.orders");
    /// ```
    pub fn title(&self) -> String {
        match self.schema.as_str() {
            "public" => self.name.clone(),
            schema => format!("{schema}.{}", self.name),
        }
    }

    /// Returns the index of a column by its name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Returns the columns of the key.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|&column| &self.columns[column])
    }

    /// Returns the column by which a person recognises a row: a text with one of the usual names,
    /// else the first text that is NOT NULL. `None` when there is no such column, or it is the key.
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
        let is_text = |&column: &usize| {
            let column = &self.columns[column];
            column.kind == Kind::Text && !column.is_secret
        };
        let named = NAMES.iter().filter_map(|name| self.column(name));
        let not_null = (0..self.columns.len()).filter(|&column| self.columns[column].not_null);
        let label = named.chain(not_null).find(is_text);
        label.filter(|column| self.key != [*column])
    }

    /// Returns the foreign key whose first column is this one.
    pub fn foreign_key(&self, column: usize) -> Option<&ForeignKey> {
        let mut keys = self.foreign_keys.iter();
        keys.find(|key| key.columns.first() == Some(&column))
    }
}

impl Column {
    /// Returns the name in SQL: quoted.
    pub fn sql(&self) -> String {
        quote(&self.name)
    }

    /// Returns the value of a secret column in SQL: [`MASK`], or NULL.
    pub(crate) fn masked(&self) -> String {
        format!("CASE WHEN t.{} IS NOT NULL THEN '{MASK}' END", self.sql())
    }

    /// Returns `true` if every value is a short text: such a value needs no limit.
    pub(crate) fn is_short(&self) -> bool {
        match self.kind {
            Kind::Boolean | Kind::Date | Kind::Time | Kind::Enum(_) => true,
            // A `numeric` has up to 131,072 digits, and so has a domain over it.
            Kind::Number => matches!(
                self.cast.as_str(),
                "smallint" | "integer" | "bigint" | "real" | "double precision" | "oid"
            ),
            Kind::Text | Kind::Json | Kind::Bytes | Kind::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_a_name_or_the_first_text_and_never_the_key() {
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
