//! Builds a statement together with its parameters.
//!
//! Knows how a column's values are cast. Knows no statement.

use crate::catalog::{Column, Kind};
use database::{Row, Transaction};

/// A statement and its parameters.
#[derive(Debug, Default)]
pub(crate) struct Sql {
    text: String,
    values: Vec<Option<String>>,
}

impl Sql {
    /// Creates a statement that begins with a text.
    pub(crate) fn new(text: impl Into<String>) -> Sql {
        Sql {
            text: text.into(),
            values: Vec::new(),
        }
    }

    /// Adds text to the statement.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds a parameter, and returns its SQL: `$1::text`.
    pub(crate) fn bind(&mut self, value: Option<&str>) -> String {
        self.values.push(value.map(str::to_string));
        format!("${}::text", self.values.len())
    }

    /// Adds a parameter, and returns its SQL with a cast to a column's type.
    pub(crate) fn bind_as(&mut self, value: Option<&str>, column: &Column) -> String {
        let bound = self.bind(value);
        format!("{bound}::{}", column.cast)
    }

    /// Adds a parameter that is written to a column, and returns its SQL. A text is not cast: a
    /// cast to a type with a length, perhaps under a domain, truncates a text that an assignment
    /// refuses.
    pub(crate) fn bind_new(&mut self, value: Option<&str>, column: &Column) -> String {
        match column.kind {
            Kind::Text => self.bind(value),
            _ => self.bind_as(value, column),
        }
    }

    /// Adds the values of a key, and returns the condition for its row: `t.a = $1 AND t.b = $2`,
    /// with casts.
    pub(crate) fn bind_key<'a>(
        &mut self,
        columns: impl Iterator<Item = &'a Column>,
        values: &[Option<String>],
    ) -> String {
        let equals: Vec<String> = columns
            .zip(values)
            .map(|(column, value)| {
                let value = self.bind_as(value.as_deref(), column);
                format!("t.{} = {value}", column.sql())
            })
            .collect();
        equals.join(" AND ")
    }

    /// Runs the statement, and returns its rows.
    ///
    /// # Errors
    /// Postgres's.
    pub(crate) fn rows(&self, transaction: &mut Transaction) -> Result<Vec<Row>, postgres::Error> {
        let values: Vec<Option<&str>> = self.values.iter().map(Option::as_deref).collect();
        transaction.rows(&self.text, &values)
    }
}
