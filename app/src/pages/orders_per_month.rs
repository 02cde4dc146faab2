//! `/orders-per-month`: an example of a page of your own. A query, a struct, a template.

use super::chart::Chart;
use super::errors::Stop;
use super::gate::Visit;
use crate::database::{Access, Connection};
use crate::http::Response;
use askama::Template;

#[derive(Template)]
#[template(path = "orders_per_month.html")]
struct OrdersPerMonth {
    chart: Chart,
    months: Vec<Vec<Option<String>>>,
}

/// Every value is `text`: that is what `Transaction::rows` reads.
const MONTHS: &str = "
    SELECT to_char(date_trunc('month', placed_at), 'YYYY-MM'), count(*)::text,
           to_char(sum(total_cents) / 100.0, 'FM999G999G990D00')
    FROM order_totals
    WHERE placed_at IS NOT NULL AND status <> 'cancelled'
    GROUP BY 1 ORDER BY 1 DESC LIMIT 24";

/// The chart and the numbers.
pub fn show(visit: &Visit, connection: &mut Connection, _: &[&str]) -> Result<Response, Stop> {
    let mut transaction = connection.transaction(visit.invocation, Access::ReadOnly)?;
    let months = transaction.rows(MONTHS, &[])?;
    let bar = |month: &Vec<Option<String>>| {
        let orders = month[1].as_deref().and_then(|orders| orders.parse().ok());
        (month[0].clone().unwrap_or_default(), orders.unwrap_or(0))
    };
    let bars: Vec<_> = months.iter().rev().map(bar).collect();
    let page = OrdersPerMonth {
        chart: Chart::new("Orders per month", &bars),
        months,
    };
    Ok(visit.page("/orders-per-month", "Orders per month", &page))
}
