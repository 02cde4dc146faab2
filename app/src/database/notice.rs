//! What the server says beside its answers: notices and warnings, logged with their place.
//!
//! The driver reads them on the thread that waits for an answer, so the place is the thread's.

use log::Level;
use postgres::error::DbError;
use std::cell::RefCell;

thread_local! {
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Says where the statements that follow stand; nowhere when empty.
pub fn place(place: String) {
    PLACE.set(place);
}

/// Logs a notice: a warning as one, the rest as information.
pub fn log(notice: &DbError) {
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
