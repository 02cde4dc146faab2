//! The pages of docs/your-pages.md, to the letter.

use admin::{Action, PageError, Role, Route, SignedInRequest};
use askama::Template;
use database::{Access, Connection, from_row};
use records::RowErrors;
use records::write::Change;
use web::{Response, field};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/parts", Role::Viewer, list).in_navigation("Parts"),
    Route::form("/parts/{id}/order", Role::Editor, show_order, order).under("/parts"),
];

struct Part {
    id: i64,
    name: String,
    stock: i32,
}
from_row!(Part { id, name, stock });

#[derive(Template)]
#[template(
    ext = "html",
    source = "<h1>Parts</h1><ul>{% for part in parts %}<li><a href=\"/parts/{{ part.id }}/order\">{{ part.name }}</a>: {{ part.stock }}</li>{% endfor %}</ul>"
)]
struct Parts {
    parts: Vec<Part>,
}

/// `GET /parts`
fn list(request: &SignedInRequest, connection: &mut Connection) -> Result<Response, PageError> {
    let mut transaction = connection.transaction(request.invocation, Access::ReadOnly)?;
    let parts = transaction.query("SELECT id, name, stock FROM parts ORDER BY name", &[])?;
    Ok(request.page("Parts", &Parts { parts }))
}

#[derive(Template)]
#[template(
    ext = "html",
    source = "<h1>Order</h1><form method=\"post\"><label>Quantity <input name=\"quantity\" value=\"{{ quantity }}\"></label>{% if let Some(wrong) = wrong %}<span class=\"error\" role=\"alert\">{{ wrong }}</span>{% endif %}<button>Order</button></form>"
)]
struct Order<'a> {
    quantity: &'a str,
    wrong: Option<&'a str>,
}

/// `GET /parts/{id}/order`
fn show_order(request: &SignedInRequest, _: &mut Connection) -> Result<Response, PageError> {
    let page = Order {
        quantity: "1",
        wrong: None,
    };
    Ok(request.page("Order", &page))
}

/// `POST /parts/{id}/order`
fn order(request: &SignedInRequest, connection: &mut Connection) -> Result<Response, PageError> {
    let id: i64 = request.capture("id")?;
    let fields = request.http.form()?;
    let quantity = field(&fields, "quantity");
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    let catalog = request.catalog(&mut transaction)?;
    let table = catalog
        .find("public", "orders")
        .ok_or(PageError::NotFound)?;
    let added = transaction.in_savepoint(|transaction| {
        transaction.rows(
            "INSERT INTO orders (part_id, quantity) VALUES ($1::bigint, $2::integer)
             RETURNING id::text, to_jsonb(orders)::text",
            &[Some(&id.to_string()), Some(quantity)],
        )
    })?;
    let mut row = match added {
        Ok(mut rows) => rows.remove(0),
        Err(error) => {
            let errors = RowErrors::of(table, &error).ok_or(error)?;
            let wrong = errors.at("quantity").or(errors.general.as_deref());
            return Ok(request.page_with(422, "Order", &Order { quantity, wrong }));
        }
    };
    let after = row.remove(1);
    let change = Change {
        key: row,
        before: None,
        after,
    };
    request.audit(&mut transaction, Action::Insert, table, &change)?;
    transaction.commit()?;
    Ok(request.redirect("/parts".to_string(), "The order was placed."))
}
