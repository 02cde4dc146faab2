//! `…/choices/<column>?q=`: what a column can refer to, for the script of the form.

use super::errors::Stop;
use super::gate::Visit;
use super::list;
use crate::database::{Access, Connection};
use crate::http::{Response, field};
use crate::records::{labels, values};
use serde_json::{Value, json};

/// A list of `[value, label]`.
pub fn show(visit: &Visit, connection: &mut Connection, path: &[&str]) -> Result<Response, Stop> {
    let parameters = visit.request.parameters()?;
    let mut transaction = connection.transaction(visit.invocation, Access::ReadOnly)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let table = list::find(&catalogue, path)?;
    let key = values::unmark(path[4].to_string())
        .and_then(|column| table.foreign_key(table.column(&column)?))
        .filter(|key| key.columns.len() == 1);
    let target = key.and_then(|key| Some((catalogue.by_oid(&key.table)?, &key.to[0])));
    let (target, to) = target.ok_or(Stop::NotFound)?;
    let search = field(&parameters, "q");
    let choices = labels::choices(&mut transaction, target, to, search)?;
    let choices: Vec<Value> = { choices.iter() }
        .map(|choice| json!([choice.value, choice.label]))
        .collect();
    Ok(Response::of(
        200,
        "application/json",
        Value::from(choices).to_string(),
    ))
}
