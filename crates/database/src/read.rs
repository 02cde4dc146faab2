//! Reads the rows of a query as Rust values: as tuples, or as structs by the names of their fields.
//!
//! Uses the driver's conversions, and says which column does not fit. Knows no statement.

use crate::describe;
use handler::{Failure, Kind};
use postgres::Row;
use postgres::types::FromSql;
use std::any::type_name;
use std::error::Error;
use std::fmt;

/// A type that a row can be read as: a tuple of up to eight values, by their order, or a struct, by
/// the names of its fields ([`from_row!`](crate::from_row)).
pub trait FromRow: Sized {
    /// Reads one row.
    ///
    /// # Errors
    /// [`ReadError::Mismatch`]: a column is missing, is NULL, or has another type than the value.
    fn from_row(row: &Row) -> Result<Self, ReadError>;
}

/// The error of a query whose rows are read as Rust values.
#[derive(Debug)]
pub enum ReadError {
    /// Postgres refused the statement, or the connection is lost.
    Postgres(postgres::Error),
    /// A column cannot be read as the wanted type. The text has the column, its type and the wanted
    /// type.
    Mismatch(String),
}

impl From<postgres::Error> for ReadError {
    fn from(error: postgres::Error) -> ReadError {
        ReadError::Postgres(error)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        match error {
            ReadError::Postgres(error) => crate::failed(error),
            ReadError::Mismatch(reason) => Failure::new(Kind::QueryFailed, reason),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ReadError::Postgres(error) => out.write_str(&describe(error)),
            ReadError::Mismatch(reason) => out.write_str(reason),
        }
    }
}

impl Error for ReadError {}

/// Reads one column of a row by its index.
///
/// # Errors
/// [`ReadError::Mismatch`].
pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, ReadError> {
    let Some(column) = row.columns().get(at) else {
        return Err(ReadError::Mismatch(format!(
            "failed to read value {} of a row as {}: the query gives only {} columns",
            at + 1,
            type_name::<T>(),
            row.len()
        )));
    };
    let name = format!("column `{}`", column.name());
    row.try_get(at)
        .map_err(|error| mismatch::<T>(name, column.type_().name(), &error))
}

/// Reads one column of a row by its name; [`from_row!`](crate::from_row) calls it.
///
/// # Errors
/// [`ReadError::Mismatch`].
pub fn named<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> Result<T, ReadError> {
    match row
        .columns()
        .iter()
        .position(|column| column.name() == name)
    {
        Some(at) => column(row, at),
        None => {
            let names: Vec<&str> = row.columns().iter().map(postgres::Column::name).collect();
            Err(ReadError::Mismatch(format!(
                "failed to read column `{name}`: the query gives only {}",
                names.join(", ")
            )))
        }
    }
}

fn mismatch<T>(name: String, found: &str, error: &postgres::Error) -> ReadError {
    let wanted = type_name::<T>();
    let cause = error.source().map(ToString::to_string);
    let reason = match cause {
        Some(cause) if cause.contains("was `NULL`") => {
            "it is NULL; read it as an Option".to_string()
        }
        Some(cause) if !cause.contains("cannot convert") => cause,
        _ => "they do not fit; cast the column in the query".to_string(),
    };
    ReadError::Mismatch(format!(
        "failed to read {name} of type {found} as {wanted}: {reason}"
    ))
}

/// Implements [`FromRow`] for a struct: each field is read from the column of its name.
///
/// ```
/// struct Month {
///     month: String,
///     orders: i64,
/// }
/// database::from_row!(Month { month, orders });
/// ```
#[macro_export]
macro_rules! from_row {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::FromRow for $name {
            fn from_row(row: &$crate::PostgresRow) -> Result<$name, $crate::ReadError> {
                Ok($name { $($field: $crate::named(row, stringify!($field))?),+ })
            }
        }
    };
}

macro_rules! tuple {
    ($($value:ident $at:tt),+) => {
        impl<$($value: for<'a> FromSql<'a>),+> FromRow for ($($value,)+) {
            fn from_row(row: &Row) -> Result<Self, ReadError> {
                Ok(($(column::<$value>(row, $at)?,)+))
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
