//! `…/export`: the rows of a list as a file, and the page that offers the formats, or says that the
//! list takes several files. Knows no format: `records::export` writes the file.

use super::list;
use super::tables::grouped;
use crate::audit::Deed;
use crate::display_value::{list_path, table_path};
use crate::{PageError, SignedInRequest};
use crate::{access_log, error_pages};
use askama::Template;
use database::{Access, Connection, Transaction, wrong_value};
use records::Selection;
use records::catalog::{MASK, Table};
use records::export::{Export, Format, write};
use records::list::estimate;
use web::{Response, field, takes_gzip};

/// Bytes of a file at most, before compression: for a client that takes gzip, and for one that does
/// not. A reply is JSON of at most 6 MB, in which compressed bytes stand in base64, which makes
/// four bytes of three, and text is escaped, which makes two of a quote or the end of a line.
const LIMIT_WITH_GZIP: usize = 4 * 1024 * 1024;
const LIMIT_WITHOUT_GZIP: usize = 2 * 1024 * 1024;

#[derive(Template)]
#[template(path = "export.html")]
struct Page<'a> {
    table: &'a Table,
    list: String,
    rows: String,
    filters: Vec<String>,
    csv: String,
    json: String,
    /// The address of the first part, that of the rest, and the format, when one file does not hold
    /// the list.
    parts: Option<(String, String, String)>,
}

impl Page<'_> {
    fn has_secrets(&self) -> bool {
        self.table.columns.iter().any(|column| column.is_secret)
    }
}

/// Shows the page; with the parameter `as`, sends the file.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let parameters = request.http.parameters()?;
    let is_own = |(name, _): &(String, String)| matches!(name.as_str(), "as" | "part");
    let (own, of_list): (Vec<_>, Vec<_>) = parameters.into_iter().partition(is_own);
    // A file is written into the audit; the page before it is not.
    let access = match field(&own, "as") {
        "" => Access::ReadOnly,
        _ => Access::ReadWrite,
    };
    let (mut transaction, catalog) = request.begin(connection, access)?;
    let table = list::find(&catalog, request)?;
    let selection = match Selection::read(table, &of_list) {
        Ok(selection) => selection,
        Err(why) => return Ok(list::no_such_list(request, &why)),
    };
    let is_part = own.iter().any(|(name, _)| name == "part");
    match field(&own, "as") {
        "" => match estimate(&mut transaction, table, &selection) {
            Ok(rows) => Ok(page(request, table, &selection, &rows, None)),
            Err(error) => wrong_filter(request, error),
        },
        "csv" => send(
            request,
            transaction,
            table,
            &selection,
            Format::Csv,
            is_part,
        ),
        "json" => send(
            request,
            transaction,
            table,
            &selection,
            Format::Json,
            is_part,
        ),
        _ => {
            let text = "A list is exported as csv or json.";
            Ok(error_pages::notice(
                request.http,
                400,
                "No such format",
                text,
                "",
            ))
        }
    }
}

/// Sends the file. When one file does not hold the list, a browser gets a page that says so, unless
/// it asks for the first part.
fn send(
    request: &SignedInRequest,
    mut transaction: Transaction,
    table: &Table,
    selection: &Selection,
    format: Format,
    is_part: bool,
) -> Result<Response, PageError> {
    let limit = match takes_gzip(request.http) {
        true => LIMIT_WITH_GZIP,
        false => LIMIT_WITHOUT_GZIP,
    };
    let export = match write(&mut transaction, table, selection, format, limit) {
        Ok(export) => export,
        Err(error) => return wrong_filter(request, error),
    };
    if export.is_lost {
        let text = "A row was changed while the file was written, so that the rest of the list is \
                    not known. Begin the export again.";
        let title = "The list has changed";
        return Ok(error_pages::notice(request.http, 409, title, text, ""));
    }
    let accepted = request.http.header("accept").unwrap_or_default();
    if export.next.is_some() && !is_part && accepted.contains("text/html") {
        let rows = export.rows.to_string();
        return Ok(page(
            request,
            table,
            selection,
            &rows,
            Some((format, &export)),
        ));
    }
    let query = &access_log::loggable(request.http).query();
    let rows = export.rows;
    request.record(&mut transaction, &Deed::Export { table, query, rows })?;
    transaction.commit()?;
    Ok(file(table, selection, format, export))
}

/// Answers a filter whose value its column cannot have.
///
/// # Errors
/// The error itself, when it says something else.
fn wrong_filter(request: &SignedInRequest, error: postgres::Error) -> Result<Response, PageError> {
    let words = wrong_value(&error).ok_or(error)?;
    Ok(error_pages::notice(
        request.http,
        422,
        "Nothing to export",
        &words,
        "",
    ))
}

/// Returns the file; the header `Link` has the address of the next one, if there is one.
fn file(table: &Table, selection: &Selection, format: Format, export: Export) -> Response {
    let (content_type, extension) = match format {
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        Format::Json => ("application/json", "json"),
    };
    // The file's name has only letters, digits and `_`, because a table's name may be any text.
    let is_plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let name: String = table
        .name
        .chars()
        .filter(|character| is_plain(*character))
        .collect();
    let response = Response::of(200, content_type, export.bytes)
        .with("cache-control", "no-store")
        .with(
            "content-disposition",
            format!("attachment; filename=\"{name}.{extension}\""),
        );
    match &export.next {
        None => response,
        Some(next) => {
            let rest = address(table, &selection.query(table, Some(next)), format);
            response.with("link", format!("<{rest}>; rel=\"next\""))
        }
    }
}

fn page(
    request: &SignedInRequest,
    table: &Table,
    selection: &Selection,
    rows: &str,
    part: Option<(Format, &Export)>,
) -> Response {
    let query = selection.query(table, selection.cursor.as_ref());
    let search = (!selection.search.is_empty()).then(|| format!("holds “{}”", selection.search));
    let filters = selection.filters.iter().map(|filter| filter.words(table));
    let page = Page {
        table,
        list: list_path(table, &query),
        rows: grouped(rows),
        filters: search.into_iter().chain(filters).collect(),
        csv: address(table, &query, Format::Csv),
        json: address(table, &query, Format::Json),
        parts: part.map(|(format, export)| {
            let rest = selection.query(table, export.next.as_ref());
            (
                format!("{}&part=1", address(table, &query, format)),
                address(table, &rest, format),
                name(format).to_uppercase(),
            )
        }),
    };
    request.page(&format!("Export {}", table.title()), &page)
}

fn address(table: &Table, query: &str, format: Format) -> String {
    let format = name(format);
    let and = if query.is_empty() { "" } else { "&" };
    table_path(table, &format!("/export?{query}{and}as={format}"))
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Csv => "csv",
        Format::Json => "json",
    }
}
