//! Recognises requests that another site made the browser send.
//!
//! Knows headers. Knows no page.

use crate::Request;

/// Returns `true` if another site made the browser send this request. A GET, a HEAD or an OPTIONS
/// request may come from anywhere: it changes nothing.
///
/// Decides as Rails 8.2 and Go 1.25 do: by `Sec-Fetch-Site`, else by `Origin`. A client that sends
/// neither is not a browser, and so does not send a user's cookies. Where the headers cannot be
/// read, the request counts as another site's.
///
/// ```
/// let event = br#"{"version": "2.0", "rawPath": "/", "headers": {"sec-fetch-site": "cross-site"},
///     "requestContext": {"http": {"method": "POST"}}}"#;
/// let invocation = handler::Invocation { event: event.to_vec(), ..Default::default() };
/// assert!(web::is_cross_site(&web::Request::from_event(&invocation)?));
/// # Ok::<(), handler::Failure>(())
/// ```
pub fn is_cross_site(request: &Request) -> bool {
    if matches!(request.method.as_ref(), "GET" | "HEAD" | "OPTIONS") {
        return false;
    }
    if request.has_odd_headers() {
        return true;
    }
    match (request.header("sec-fetch-site"), request.header("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin
            .split_once("://")
            .is_none_or(|(_, origin)| Some(origin) != request.header("host")),
        (None, None) => false,
    }
}
