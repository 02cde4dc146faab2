//! `…/new` and `…/edit/<key>`: a row's form. Nothing that was typed is lost, whatever Postgres says.

use super::cell::{list_path, row_path, table_path};
use super::errors::Stop;
use super::gate::Visit;
use super::{list, row};
use crate::Failure;
use crate::audit::{self, Action};
use crate::catalogue::{Catalogue, Column, Kind, Table};
use crate::database::{Access, Connection, Transaction};
use crate::http::{Response, field};
use crate::records::labels::{self, Choice};
use crate::records::row::Record;
use crate::records::write::{self, Input, Outcome, inputs};
use crate::records::{Refusal, values};
use askama::Template;

#[derive(Template)]
#[template(path = "editor.html")]
struct Editor<'a> {
    table: &'a Table,
    title: String,
    list: String,
    back: String,
    /// Of the row that is looked at; empty for a new one.
    version: String,
    fields: Vec<Field<'a>>,
    /// What is wrong with the row as a whole.
    wrong: Option<String>,
    /// Whether somebody else was faster.
    meanwhile: bool,
}

/// A column's field.
struct Field<'a> {
    column: &'a Column,
    value: String,
    /// Whether there shall be no value.
    nothing: bool,
    /// Whether it can have none: NULL, or in a new row the default.
    can_be_nothing: bool,
    required: bool,
    wrong: Option<String>,
    /// What the database has now, where that is something else.
    now: Option<String>,
    reference: Option<Reference>,
}

/// What a column refers to.
struct Reference {
    title: String,
    list: String,
    /// Where the script asks for choices.
    choices_path: String,
    choices: Vec<Choice>,
}

impl Editor<'_> {
    fn has_wrong_fields(&self) -> bool {
        self.fields.iter().any(|field| field.wrong.is_some())
    }
}

impl Field<'_> {
    fn choices(&self) -> Option<Vec<(&str, &str)>> {
        match &self.column.kind {
            Kind::Boolean => Some(vec![("true", "yes"), ("false", "no")]),
            Kind::Enum(labels) => Some(labels.iter().map(|label| (&**label, &**label)).collect()),
            _ => None,
        }
    }

    fn is_long(&self) -> bool {
        self.column.kind == Kind::Json
            || (self.column.kind == Kind::Text
                && (self.column.type_name == "text" || self.value.contains('\n')))
    }

    fn is_code(&self) -> bool {
        matches!(self.column.kind, Kind::Json | Kind::Bytes)
    }

    /// A browser's own date field holds only what it can show.
    fn input_type(&self) -> &'static str {
        let is_plain = |date: &str| date.is_empty() || (date.len() == 10 && !date.contains(' '));
        match self.column.kind {
            Kind::Date if is_plain(&self.value) => "date",
            _ => "text",
        }
    }

    fn mode(&self) -> Option<&'static str> {
        (self.column.kind == Kind::Number).then_some("decimal")
    }
}

/// `…/new`.
pub fn add(visit: &Visit, connection: &mut Connection, path: &[&str]) -> Result<Response, Stop> {
    let mut transaction = connection.transaction(visit.invocation, Access::ReadWrite)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let table = list::find(&catalogue, path)?;
    if !table.may_insert {
        return Err(Stop::NotFound);
    }
    let mut form = Form::new(visit, &catalogue, table, None);
    if visit.request.method != "POST" {
        return form.page(&mut transaction, 200);
    }
    form.inputs = inputs(table, &visit.request.form()?);
    match write::insert(&mut transaction, table, &form.inputs)? {
        Outcome::Done(change) => {
            record(visit, &mut transaction, Action::Insert, table, &change)?;
            transaction.commit()?;
            let to = match change.key.is_empty() {
                true => list_path(table, ""),
                false => row_path(table, change.key.iter().map(Option::as_deref)),
            };
            Ok(visit.go(to, "The row was added."))
        }
        Outcome::Refused(refusal) => {
            form.refusal = refusal;
            form.page(&mut transaction, 422)
        }
        Outcome::Same | Outcome::Gone | Outcome::Meanwhile(_) => {
            let none = "The table did not take the row: a rule or a trigger of it prevents that.";
            form.refusal.general = Some(none.to_string());
            form.page(&mut transaction, 422)
        }
    }
}

/// `…/edit/<key>`.
pub fn edit(visit: &Visit, connection: &mut Connection, path: &[&str]) -> Result<Response, Stop> {
    let mut transaction = connection.transaction(visit.invocation, Access::ReadWrite)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let (table, key, now) = row::find(&mut transaction, &catalogue, path)?;
    if !table.may_update {
        return Err(Stop::NotFound);
    }
    let mut form = Form::new(visit, &catalogue, table, Some(now));
    if visit.request.method != "POST" {
        return form.page(&mut transaction, 200);
    }
    let fields = visit.request.form()?;
    let version = field(&fields, "version");
    form.inputs = inputs(table, &fields);
    let row = |key: &[Option<String>]| row_path(table, key.iter().map(Option::as_deref));
    match write::update(&mut transaction, table, &key, version, &form.inputs)? {
        Outcome::Done(change) => {
            record(visit, &mut transaction, Action::Update, table, &change)?;
            transaction.commit()?;
            Ok(visit.go(row(&change.key), "The row was saved."))
        }
        Outcome::Same => Ok(visit.go(row(&key), "There was nothing to change.")),
        Outcome::Refused(refusal) => {
            form.refusal = refusal;
            // The version that was looked at, not the one that is there now.
            form.version = Some(version.to_string());
            form.page(&mut transaction, 422)
        }
        Outcome::Meanwhile(now) => {
            form.meanwhile = true;
            form.now = Some(now);
            form.page(&mut transaction, 409)
        }
        Outcome::Gone => {
            let gone = "The row is not there any more, or a rule of its table prevents the change.";
            form.refusal.general = Some(gone.to_string());
            form.page(&mut transaction, 409)
        }
    }
}

/// Writes a change into the audit.
///
/// # Errors
/// `Function.QueryFailed`.
pub fn record(
    visit: &Visit,
    transaction: &mut Transaction,
    action: Action,
    table: &Table,
    change: &write::Change,
) -> Result<(), Failure> {
    let request_id = &visit.invocation.request_id;
    audit::write(
        transaction,
        &visit.person,
        request_id,
        action,
        table,
        change,
    )
}

/// What a form is made of.
struct Form<'a, 'event> {
    visit: &'a Visit<'a, 'event>,
    catalogue: &'a Catalogue,
    table: &'a Table,
    /// The row as it is; `None` for a new one.
    now: Option<Record>,
    version: Option<String>,
    inputs: Vec<Input>,
    refusal: Refusal,
    meanwhile: bool,
}

impl<'a, 'event> Form<'a, 'event> {
    fn new(
        visit: &'a Visit<'a, 'event>,
        catalogue: &'a Catalogue,
        table: &'a Table,
        now: Option<Record>,
    ) -> Form<'a, 'event> {
        Form {
            visit,
            catalogue,
            table,
            now,
            version: None,
            inputs: vec![Input::Absent; table.columns.len()],
            refusal: Refusal::default(),
            meanwhile: false,
        }
    }

    fn page(self, transaction: &mut Transaction, status: u16) -> Result<Response, Stop> {
        let table = self.table;
        let mut fields = Vec::new();
        for at in 0..table.columns.len() {
            fields.extend(self.field(transaction, at)?);
        }
        let (title, back) = match &self.now {
            None => (format!("New row of {}", table.name), list_path(table, "")),
            Some(record) => {
                let key = record.key(table);
                let back = row_path(table, key.iter().map(Option::as_deref));
                (format!("Edit {}", record.title(table)), back)
            }
        };
        let version = self.version.clone();
        let version = version.or(self.now.as_ref().map(|record| record.version.clone()));
        let page = Editor {
            table,
            title: title.clone(),
            list: list_path(table, ""),
            back,
            version: version.unwrap_or_default(),
            fields,
            wrong: self.refusal.general.clone(),
            meanwhile: self.meanwhile,
        };
        Ok(self.visit.page_with(status, "/tables", &title, &page))
    }

    /// A column's field; `None` for one that is not to be filled in.
    fn field(&self, transaction: &mut Transaction, at: usize) -> Result<Option<Field<'a>>, Stop> {
        let column = &self.table.columns[at];
        let is_new = self.now.is_none();
        let open = match &self.now {
            None => column.may_insert,
            Some(record) => column.may_update && record.whole[at],
        };
        if !open {
            return Ok(None);
        }
        let stored = self
            .now
            .as_ref()
            .and_then(|record| record.values[at].clone());
        let (value, nothing) = match &self.inputs[at] {
            Input::Value(value) => (value.clone(), false),
            Input::Nothing => (String::new(), true),
            Input::Absent => (stored.clone().unwrap_or_default(), stored.is_none()),
        };
        let mut wrong = self.refusal.fields.iter();
        let wrong = wrong.find(|(column, _)| *column == at);
        let differs = self.meanwhile
            && (stored.is_none() != nothing || stored.as_deref().unwrap_or_default() != value);
        Ok(Some(Field {
            column,
            nothing,
            can_be_nothing: !column.not_null || (is_new && column.default.is_some()),
            required: column.not_null
                && column.kind != Kind::Text
                && !(is_new && column.default.is_some()),
            wrong: wrong.map(|(_, words)| words.clone()),
            now: differs.then(|| stored.unwrap_or_else(|| "null".to_string())),
            reference: self.reference(transaction, at, &value)?,
            value,
        }))
    }

    fn reference(
        &self,
        transaction: &mut Transaction,
        at: usize,
        value: &str,
    ) -> Result<Option<Reference>, Stop> {
        let key = self
            .table
            .foreign_key(at)
            .filter(|key| key.columns.len() == 1);
        let target = key.and_then(|key| Some((self.catalogue.by_oid(&key.table)?, key)));
        let Some((target, key)) = target else {
            return Ok(None);
        };
        let choices = labels::choices(transaction, target, &key.to[0], value);
        let column = values::encode([Some(&*self.table.columns[at].name)]);
        Ok(Some(Reference {
            title: target.title(),
            list: list_path(target, ""),
            choices_path: table_path(self.table, &format!("/choices/{column}")),
            choices: choices?,
        }))
    }
}
