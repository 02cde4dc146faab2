//! Pages that go wrong, one that anybody sees, and one whose path is the tool's.

use admin::{PageError, PublicRequest, Role, Route, SignedInRequest};
use database::{Access, Connection, from_row};
use web::Response;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/odd/{kind}", Role::Viewer, mismatch),
    Route::public_post("/hook", hook),
    Route::public("/sign-in", hook),
];

struct Part {
    name: String,
    weight: f64,
}
from_row!(Part { name, weight });

/// Reads a part in ways that do not fit.
fn mismatch(request: &SignedInRequest, connection: &mut Connection) -> Result<Response, PageError> {
    let kind: String = request.capture("kind")?;
    let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
    let statement = match kind.as_str() {
        "type" => "SELECT name, stock AS weight FROM parts",
        "null" => "SELECT name, NULL::float8 AS weight FROM parts",
        "missing" => "SELECT name FROM parts",
        "row" => {
            "INSERT INTO orders (part_id, quantity) VALUES (7, -4711) RETURNING 'a', 0::float8"
        }
        "text" => "SELECT name, '{\"a\": x4711x}'::json #>> '{}' FROM parts",
        "tuple" => {
            let parts: Vec<(String, i64)> =
                transaction.query("SELECT name, stock FROM parts", &[])?;
            return Ok(Response::html(200, format!("{parts:?}")));
        }
        _ => return Err(PageError::NotFound),
    };
    let parts: Vec<Part> = transaction.query(statement, &[])?;
    let shown: Vec<String> = { parts.iter() }
        .map(|part| format!("{} {}", part.name, part.weight))
        .collect();
    Ok(Response::html(200, shown.join(", ")))
}

/// Answers anybody with what was sent.
fn hook(request: &PublicRequest) -> Result<Response, PageError> {
    let body = request.http.body()?;
    Ok(Response::of(200, "text/plain; charset=utf-8", body))
}
