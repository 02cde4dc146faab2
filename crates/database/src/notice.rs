//! Logs the server's notices and warnings, with the file and line of the statement.
//!
//! The driver reads notices on the thread that waits for an answer, so the place is stored for each
//! thread. Knows no file.

use log::Level;
use postgres::error::DbError;
use std::cell::RefCell;

thread_local! {
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Sets the text that precedes this thread's notices from now on: the place of the statement that
/// comes next. An empty text ends that.
pub fn place(place: String) {
    PLACE.set(place);
}

/// Logs a notice: a `WARNING` at the level of a warning, any other at that of information.
pub(crate) fn log(notice: &DbError) {
    let level = match notice.severity() {
        "WARNING" => Level::Warn,
        _ => Level::Info,
    };
    let detail = notice.detail().map(|detail| format!("; detail: {detail}"));
    let hint = notice.hint().map(|hint| format!("; hint: {hint}"));
    PLACE.with_borrow(|place| {
        let before = if place.is_empty() { "" } else { ": " };
        log::log!(
            level,
            "{place}{before}{}: {}{}{}",
            notice.severity(),
            notice.message(),
            detail.unwrap_or_default(),
            hint.unwrap_or_default()
        );
    });
}
