//! `…/export`: a list as a file, and a page that says how, or that it takes several.

use super::cell::table_path;
use super::errors::{self, Stop};
use super::gate::Visit;
use super::list;
use super::tables::grouped;
use crate::catalogue::Table;
use crate::database::{Access, Connection, Transaction, wrong_value};
use crate::http::{Response, field, takes_gzip};
use crate::records::Selection;
use crate::records::export::{Export, Format, write};
use crate::records::list::estimate;
use askama::Template;

/// Bytes of a file. A reply has 6 MB, as JSON: it takes what is compressed in base64, and escapes
/// the rest.
const COMPRESSED: usize = 4 * 1024 * 1024;
const PLAIN: usize = 2 * 1024 * 1024;

#[derive(Template)]
#[template(path = "export.html")]
struct Page<'a> {
    table: &'a Table,
    list: String,
    rows: String,
    filters: Vec<String>,
    csv: String,
    json: String,
    /// Where the part and the rest are, when one file does not hold it all.
    parts: Option<(String, String, String)>,
}

/// The page; with `as`, the file.
pub fn show(visit: &Visit, connection: &mut Connection, path: &[&str]) -> Result<Response, Stop> {
    let parameters = visit.request.parameters()?;
    let (own, of_list): (Vec<_>, Vec<_>) =
        { parameters.into_iter() }.partition(|(name, _)| matches!(name.as_str(), "as" | "part"));
    let mut transaction = connection.transaction(visit.invocation, Access::ReadOnly)?;
    let catalogue = visit.app.catalogue.get(&mut transaction)?;
    let table = list::find(&catalogue, path)?;
    let selection = match Selection::read(table, &of_list) {
        Ok(selection) => selection,
        Err(why) => return Ok(errors::notice(visit.request, 400, "No such list", &why, "")),
    };
    let is_part = own.iter().any(|(name, _)| name == "part");
    match field(&own, "as") {
        "" => match estimate(&mut transaction, table, &selection) {
            Ok(rows) => Ok(page(visit, table, &selection, &rows, None)),
            Err(error) => wrong(visit, error),
        },
        "csv" => send(
            visit,
            &mut transaction,
            table,
            &selection,
            Format::Csv,
            is_part,
        ),
        "json" => send(
            visit,
            &mut transaction,
            table,
            &selection,
            Format::Json,
            is_part,
        ),
        _ => {
            let text = "A list is exported as csv or json.";
            Ok(errors::notice(
                visit.request,
                400,
                "No such format",
                text,
                "",
            ))
        }
    }
}

/// The file; where one does not hold it all, a person is told first.
fn send(
    visit: &Visit,
    transaction: &mut Transaction,
    table: &Table,
    selection: &Selection,
    format: Format,
    is_part: bool,
) -> Result<Response, Stop> {
    let limit = match takes_gzip(visit.request) {
        true => COMPRESSED,
        false => PLAIN,
    };
    let export = match write(transaction, table, selection, format, limit) {
        Ok(export) => export,
        Err(error) => return wrong(visit, error),
    };
    let accepted = visit.request.header("accept").unwrap_or_default();
    if export.next.is_some() && !is_part && accepted.contains("text/html") {
        let rows = export.rows.to_string();
        return Ok(page(
            visit,
            table,
            selection,
            &rows,
            Some((format, &export)),
        ));
    }
    Ok(file(table, selection, format, export))
}

/// A filter's value that its column cannot have.
fn wrong(visit: &Visit, error: postgres::Error) -> Result<Response, Stop> {
    let words = wrong_value(&error).ok_or(error)?;
    Ok(errors::notice(
        visit.request,
        422,
        "Nothing to export",
        &words,
        "",
    ))
}

fn file(table: &Table, selection: &Selection, format: Format, export: Export) -> Response {
    let (content_type, extension) = match format {
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        Format::Json => ("application/json", "json"),
    };
    // A file's name is plain ASCII here; the table's own may be anything.
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let name: String = table
        .name
        .chars()
        .filter(|character| plain(*character))
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
    visit: &Visit,
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
        list: super::cell::list_path(table, &query),
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
    visit.page("/tables", &format!("Export {}", table.title()), &page)
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
