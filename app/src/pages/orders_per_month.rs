//! `/orders-per-month`: an example of a page of your own.
//!
//! It has four parts: a query, a struct for a row of the result, a struct for the template
//! `app/templates/orders_per_month.html`, and a function that makes the page.

use admin::{Chart, PageError, SignedInRequest};
use askama::Template;
use database::{Access, Connection, from_row};
use web::Response;

/// The last 24 months that have orders, the newest first. A draft has no `placed_at`.
const MONTHS: &str = "
    SELECT to_char(date_trunc('month', placed_at), 'YYYY-MM') AS month, count(*) AS orders,
           to_char(sum(total_cents) / 100.0, 'FM999G999G990D00') AS total
    FROM order_totals
    WHERE placed_at IS NOT NULL AND status <> 'cancelled'
    GROUP BY 1 ORDER BY 1 DESC LIMIT 24";

/// A row of `MONTHS`. The fields have the names and the types of the columns.
struct Month {
    month: String,
    orders: i64,
    total: String,
}
from_row!(Month {
    month,
    orders,
    total
});

/// What the template shows.
#[derive(Template)]
#[template(path = "orders_per_month.html")]
struct OrdersPerMonth {
    chart: Chart,
    months: Vec<Month>,
}

/// Shows a chart and a table of the orders of each month.
pub(super) fn show(
    request: &SignedInRequest,
    connection: &mut Connection,
) -> Result<Response, PageError> {
    let mut transaction = connection.transaction(request.invocation, Access::ReadOnly)?;
    let months: Vec<Month> = transaction.query(MONTHS, &[])?;
    // The chart begins with the oldest month.
    let bars: Vec<(String, u64)> = months
        .iter()
        .rev()
        .map(|month| (month.month.clone(), month.orders.unsigned_abs()))
        .collect();
    let page = OrdersPerMonth {
        chart: Chart::new("Orders per month", &bars),
        months,
    };
    Ok(request.page("Orders per month", &page))
}
