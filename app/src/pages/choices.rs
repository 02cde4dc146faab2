//! `…/choices/<column>?q=`: what a column can refer to, for the script of the form.

use super::errors;
use super::gate::Visit;
use super::list;
use crate::Failure;
use crate::database::{Access, Connection, failed};
use crate::http::{Response, field};
use crate::records::labels;
use serde_json::{Value, json};

/// A list of `[value, label]`.
pub fn show(
    visit: &Visit,
    connection: &mut Connection,
    path: &[&str],
) -> Result<Response, Failure> {
    let parameters = match visit.request.parameters() {
        Ok(parameters) => parameters,
        Err(why) => return Ok(errors::unreadable(visit.request, why)),
    };
    let mut transaction = connection.transaction(visit.invocation, Access::ReadOnly)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let target = list::find(&catalogue, path).and_then(|table| {
        let column = crate::records::values::unmark(path[4].to_string())?;
        let key = table.foreign_key(table.column(&column)?)?;
        let single = key.columns.len() == 1;
        Some((catalogue.by_oid(&key.table)?, &key.to[0])).filter(|_| single)
    });
    let Some((target, to)) = target else {
        return Ok(errors::not_found(visit.request));
    };
    let search = field(&parameters, "q");
    let choices = labels::choices(&mut transaction, target, to, search).map_err(failed)?;
    let choices: Vec<Value> = { choices.iter() }
        .map(|choice| json!([choice.value, choice.label]))
        .collect();
    Ok(Response::of(
        200,
        "application/json",
        Value::from(choices).to_string(),
    ))
}
