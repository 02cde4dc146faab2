//! `…/choices/{column}?q=`: the rows that a column can refer to, in JSON for `templates/app.js`.

use super::list;
use crate::{PageError, SignedInRequest};
use database::{Access, Connection};
use records::labels;
use records::values::Name;
use serde_json::{Value, json};
use web::{Response, field};

/// Answers with a list of `[value, label]`, for the rows that the text in `q` finds.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let parameters = request.http.parameters()?;
    let (mut transaction, catalog) = request.begin(connection, Access::ReadOnly)?;
    let table = list::find(&catalog, request)?;
    let Name(column) = request.capture("column")?;
    let key = table
        .column(&column)
        .and_then(|column| table.foreign_key(column))
        .filter(|key| key.columns.len() == 1);
    let target = key.and_then(|key| Some((catalog.by_oid(&key.table)?, &key.to[0])));
    let (target, to) = target.ok_or(PageError::NotFound)?;
    let search = field(&parameters, "q");
    let choices = labels::choices(&mut transaction, target, to, search)?;
    let choices: Vec<Value> = choices
        .iter()
        .map(|choice| json!([choice.value, choice.label]))
        .collect();
    Ok(Response::of(
        200,
        "application/json",
        Value::from(choices).to_string(),
    ))
}
