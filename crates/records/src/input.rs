//! Reads the fields of a form as an input for each column.
//!
//! The field `v:<column>` has a value; the field `n:<column>` asks for no value: NULL, or in a new
//! row the column's default. If a form has both, a value that is not empty wins. An empty value of
//! a column that is not text asks for no value, too; that of a secret column, which a form does not
//! show, changes nothing. Knows no page.

use crate::catalog::{Column, Kind, Table};

/// The input for a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The form has no field for the column.
    Absent,
    /// The column gets no value.
    Nothing,
    /// The column gets this value.
    Value(String),
}

/// Returns the input for each column of a table.
///
/// ```
/// use records::catalog::{Column, Table};
/// use records::input::{Input, inputs};
///
/// let column = |name: &str| Column { name: name.to_string(), ..Default::default() };
/// let table = Table { columns: vec![column("id"), column("price")], ..Default::default() };
/// let form = [("v:price".to_string(), "5".to_string())];
/// assert_eq!(inputs(&table, &form), [Input::Absent, Input::Value("5".to_string())]);
/// ```
pub fn inputs(table: &Table, form: &[(String, String)]) -> Vec<Input> {
    let columns = table.columns.iter();
    columns.map(|column| input(column, form)).collect()
}

fn input(column: &Column, form: &[(String, String)]) -> Input {
    let field = |prefix: &str| {
        let mut fields = form.iter();
        fields.find(|(name, _)| name.strip_prefix(prefix) == Some(&column.name))
    };
    let has_empty_value = column.kind == Kind::Text;
    match (field("v:"), field("n:")) {
        (Some((_, value)), _) if !value.is_empty() => Input::Value(value.clone()),
        (_, Some(_)) => Input::Nothing,
        (Some(_), None) if column.is_secret => Input::Absent,
        (Some(_), None) if has_empty_value => Input::Value(String::new()),
        (Some(_), None) => Input::Nothing,
        (None, None) => Input::Absent,
    }
}
