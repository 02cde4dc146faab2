//! A statement that is being written, with its values beside it.

use crate::catalogue::{Column, Kind};
use crate::database::{Row, Transaction};

/// A statement and its parameters.
#[derive(Debug, Default)]
pub struct Sql {
    /// The statement so far.
    pub text: String,
    values: Vec<Option<String>>,
}

impl Sql {
    /// Begins with a text.
    pub fn new(text: impl Into<String>) -> Sql {
        Sql {
            text: text.into(),
            values: Vec::new(),
        }
    }

    /// Adds text.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Keeps a value, and gives what stands for it.
    pub fn bind(&mut self, value: Option<&str>) -> String {
        self.values.push(value.map(str::to_string));
        format!("${}::text", self.values.len())
    }

    /// The same, as a value of a column's type.
    pub fn bind_as(&mut self, value: Option<&str>, column: &Column) -> String {
        let bound = self.bind(value);
        format!("{bound}::{}", column.cast)
    }

    /// The same, to be written: a text as it is, because a cast to a type that has a length, maybe
    /// behind a domain, would cut it, where an assignment refuses it.
    pub fn bind_new(&mut self, value: Option<&str>, column: &Column) -> String {
        match column.kind {
            Kind::Text => self.bind(value),
            _ => self.bind_as(value, column),
        }
    }

    /// `a = $1 AND b = $2`: the row of a key.
    pub fn bind_key<'a>(
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

    /// Runs it.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn rows(&self, transaction: &mut Transaction) -> Result<Vec<Row>, postgres::Error> {
        let values: Vec<Option<&str>> = self.values.iter().map(Option::as_deref).collect();
        transaction.rows(&self.text, &values)
    }
}
