//! The page of README.md, to the letter.

use admin::{PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection};
use web::Response;

#[derive(Template)]
#[template(
    ext = "html",
    source = "<ul>{% for (name, left) in parts %}<li>{{ name }}: {{ left }}</li>{% endfor %}</ul>"
)]
struct Stock {
    parts: Vec<(String, i32)>,
}

pub(crate) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let mut transaction = connection.transaction(request.invocation, Access::ReadOnly)?;
    let parts = transaction.query("SELECT name, stock FROM parts ORDER BY name", &[])?;
    Ok(request.page("Stock", &Stock { parts }))
}
