//! `…/new` and `…/edit/{key...}`: the form for a row. When Postgres refuses the row, the form comes
//! back with everything that was typed. Knows no SQL: `records` writes the row.

use super::{list, row};
use crate::Action;
use crate::display_value::{list_path, row_path, table_path};
use crate::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection, Transaction};
use records::catalog::{Catalog, Column, Kind, Table};
use records::input::{Input, inputs};
use records::labels::{self, Choice};
use records::row::Record;
use records::write::{self, Outcome};
use records::{RowErrors, values};
use web::{Response, field};

#[derive(Template)]
#[template(path = "editor.html")]
struct Editor<'a> {
    table: &'a Table,
    title: String,
    list: String,
    back: String,
    /// The version of the row that the form shows; empty for a new row.
    version: String,
    fields: Vec<Field<'a>>,
    /// The names of the columns whose values are too large for a form.
    too_large: Vec<&'a str>,
    /// What is wrong with the row as a whole.
    wrong: Option<String>,
    /// Whether the row was changed by somebody else while the form was open.
    has_conflict: bool,
}

/// The field for a column.
struct Field<'a> {
    column: &'a Column,
    value: String,
    /// Whether the column shall have no value.
    nothing: bool,
    /// Whether the column can have no value: NULL, or in a new row the default.
    can_be_nothing: bool,
    required: bool,
    wrong: Option<String>,
    /// The value in the database, where it differs from `value` because of a conflict.
    now: Option<String>,
    reference: Option<Reference>,
}

/// The table that a column refers to.
struct Reference {
    title: String,
    list: String,
    /// The path at which the script asks for choices.
    choices_path: String,
    choices: Vec<Choice>,
}

impl Editor<'_> {
    fn has_wrong_fields(&self) -> bool {
        self.fields.iter().any(|field| field.wrong.is_some())
    }
}

impl Field<'_> {
    /// Returns the values that can be chosen, with their texts; `None` when any value can be typed.
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

    /// Returns the type of the input. A browser's date field cannot hold `infinity`, nor a year
    /// that has not four digits: such a date is edited as text.
    fn input_type(&self) -> &'static str {
        let is_plain = |date: &str| date.is_empty() || (date.len() == 10 && !date.contains(' '));
        match self.column.kind {
            Kind::Date if is_plain(&self.value) => "date",
            _ => "text",
        }
    }

    /// Returns the kind of keyboard that a phone shows.
    fn mode(&self) -> Option<&'static str> {
        (self.column.kind == Kind::Number).then_some("decimal")
    }
}

/// Shows the form for a new row.
pub(super) fn show_new(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let (mut transaction, catalog) = request.begin(connection, Access::ReadOnly)?;
    let table = list::find(&catalog, request)?;
    if !table.may_insert {
        return Err(PageError::NotFound);
    }
    Form::new(request, &catalog, table, None).page(&mut transaction, 200)
}

/// Adds a row.
pub(super) fn insert(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let (mut transaction, catalog) = request.begin(connection, Access::ReadWrite)?;
    let table = list::find(&catalog, request)?;
    if !table.may_insert {
        return Err(PageError::NotFound);
    }
    let mut form = Form::new(request, &catalog, table, None);
    form.inputs = inputs(table, &request.http.form()?);
    match write::insert(&mut transaction, table, &form.inputs)? {
        Outcome::Done(change) => {
            request.audit(&mut transaction, Action::Insert, table, &change)?;
            transaction.commit()?;
            let to = match change.key.is_empty() {
                true => list_path(table, ""),
                false => row_path(table, change.key.iter().map(Option::as_deref)),
            };
            Ok(request.redirect(to, "The row was added."))
        }
        Outcome::Refused(errors) => {
            form.errors = errors;
            form.page(&mut transaction, 422)
        }
        Outcome::Unchanged | Outcome::Gone | Outcome::Conflict(_) => {
            let text = "The row was not added: a rule or a trigger of the table prevents it.";
            form.errors.general = Some(text.to_string());
            form.page(&mut transaction, 422)
        }
    }
}

/// Shows the form for a row.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let (mut transaction, catalog) = request.begin(connection, Access::ReadOnly)?;
    let (table, _, now) = row::find(&mut transaction, &catalog, request)?;
    if !table.may_update {
        return Err(PageError::NotFound);
    }
    Form::new(request, &catalog, table, Some(now)).page(&mut transaction, 200)
}

/// Changes a row.
pub(super) fn update(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let (mut transaction, catalog) = request.begin(connection, Access::ReadWrite)?;
    let (table, key, now) = row::find(&mut transaction, &catalog, request)?;
    if !table.may_update {
        return Err(PageError::NotFound);
    }
    let mut form = Form::new(request, &catalog, table, Some(now));
    let fields = request.http.form()?;
    let version = field(&fields, "version");
    form.inputs = inputs(table, &fields);
    let row = |key: &[Option<String>]| row_path(table, key.iter().map(Option::as_deref));
    match write::update(&mut transaction, table, &key, version, &form.inputs)? {
        Outcome::Done(change) => {
            request.audit(&mut transaction, Action::Update, table, &change)?;
            transaction.commit()?;
            Ok(request.redirect(row(&change.key), "The row was saved."))
        }
        Outcome::Unchanged => Ok(request.redirect(row(&key), "There was nothing to change.")),
        Outcome::Refused(errors) => {
            form.errors = errors;
            // The version that the user saw, not the one in the database now.
            form.version = Some(version.to_string());
            form.page(&mut transaction, 422)
        }
        Outcome::Conflict(now) => {
            form.has_conflict = true;
            form.now = Some(now);
            form.page(&mut transaction, 409)
        }
        Outcome::Gone => {
            let text = "The row no longer exists, or a rule or a trigger prevents the change.";
            form.errors.general = Some(text.to_string());
            form.page(&mut transaction, 409)
        }
    }
}

/// What the page with the form is made of.
struct Form<'a, 'event> {
    request: &'a SignedInRequest<'a, 'event>,
    catalog: &'a Catalog,
    table: &'a Table,
    /// The row in the database; `None` for a new one.
    now: Option<Record>,
    /// The version that the user saw, where it is not that of `now`.
    version: Option<String>,
    /// What the user typed, for each column.
    inputs: Vec<Input>,
    errors: RowErrors,
    has_conflict: bool,
}

impl<'a, 'event> Form<'a, 'event> {
    fn new(
        request: &'a SignedInRequest<'a, 'event>,
        catalog: &'a Catalog,
        table: &'a Table,
        now: Option<Record>,
    ) -> Form<'a, 'event> {
        Form {
            request,
            catalog,
            table,
            now,
            version: None,
            inputs: vec![Input::Absent; table.columns.len()],
            errors: RowErrors::default(),
            has_conflict: false,
        }
    }

    fn page(self, transaction: &mut Transaction, status: u16) -> Result<Response, PageError> {
        let table = self.table;
        let mut fields = Vec::new();
        for at in 0..table.columns.len() {
            fields.extend(self.field(transaction, at)?);
        }
        let columns = table.columns.iter().enumerate();
        let too_large = columns.filter(|(at, column)| {
            let record = self.now.as_ref();
            column.may_update && record.is_some_and(|record| !record.complete[*at])
        });
        let too_large = too_large.map(|(_, column)| column.name.as_str()).collect();
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
            too_large,
            wrong: self.errors.general.clone(),
            has_conflict: self.has_conflict,
        };
        Ok(self.request.page_with(status, &title, &page))
    }

    /// Returns the field for a column; `None` when the user may not set the column.
    fn field(
        &self,
        transaction: &mut Transaction,
        at: usize,
    ) -> Result<Option<Field<'a>>, PageError> {
        let column = &self.table.columns[at];
        let is_new = self.now.is_none();
        let is_editable = match &self.now {
            None => column.may_insert,
            Some(record) => column.may_update && record.complete[at],
        };
        if !is_editable {
            return Ok(None);
        }
        let stored = self
            .now
            .as_ref()
            .and_then(|record| record.values[at].clone());
        let (value, nothing) = match &self.inputs[at] {
            Input::Value(value) => (value.clone(), false),
            Input::Nothing => (String::new(), true),
            Input::Absent if column.is_secret => (String::new(), false),
            Input::Absent => (stored.clone().unwrap_or_default(), stored.is_none()),
        };
        let differs = self.has_conflict
            && !column.is_secret
            && (stored.is_none() != nothing || stored.as_deref().unwrap_or_default() != value);
        Ok(Some(Field {
            column,
            nothing,
            can_be_nothing: !column.not_null || (is_new && column.default.is_some()),
            required: column.not_null
                && (is_new || !column.is_secret)
                && column.kind != Kind::Text
                && !(is_new && column.default.is_some()),
            wrong: self.errors.at(&column.name).map(str::to_string),
            now: differs.then(|| stored.unwrap_or_else(|| "null".to_string())),
            reference: self.reference(transaction, at, &value)?,
            value,
        }))
    }

    /// Returns the table that a column refers to; `None` when it refers to none, or only together
    /// with other columns.
    fn reference(
        &self,
        transaction: &mut Transaction,
        at: usize,
        value: &str,
    ) -> Result<Option<Reference>, PageError> {
        let key = self
            .table
            .foreign_key(at)
            .filter(|key| key.columns.len() == 1);
        let target = key.and_then(|key| Some((self.catalog.by_oid(&key.table)?, key)));
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
