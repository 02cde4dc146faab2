//! The routes of your own pages. Each page is a file in `pages/` and has one entry here.

mod orders_per_month;

use admin::{Role, Route};

/// The path of each page, the lowest role that may see it, the function that makes it, and its name
/// in the navigation.
pub(crate) const ROUTES: &[Route] = &[
    // Add an entry for each page of yours.
    Route::get("/orders-per-month", Role::Viewer, orders_per_month::show)
        .in_navigation("Orders per month"),
];
