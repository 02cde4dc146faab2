//! What every request has to pass before a page sees it, and what every response gets.
//!
//! Knows hosts, origins and headers; knows no page.

mod hosts;

use crate::http::{Request, Response};
use crate::settings::Settings;

/// Only what is ours is loaded, nothing is inline, and nobody frames us (Content Security Policy
/// Level 3). The empty icon in the layout is `data:`.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Why a request goes no further.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is for a host that is not ours.
    Host,
    /// Another site has made the browser send it.
    CrossSite,
}

/// Whether a request goes no further.
pub fn refusal(settings: &Settings, request: &Request) -> Option<Refusal> {
    let host = request.header("host").unwrap_or_default();
    // Whoever watches the process asks by its address.
    if request.path != "/up" && !hosts::allows(settings, host) {
        return Some(Refusal::Host);
    }
    is_cross_site(request, host).then_some(Refusal::CrossSite)
}

/// Adds what a browser needs to protect its user, and the id under which the log has the request.
#[must_use]
pub fn secure(response: Response, request: &Request, request_id: &str) -> Response {
    let response = response
        .with("content-security-policy", POLICY)
        .with("x-content-type-options", "nosniff")
        .with("referrer-policy", "same-origin")
        .with("cross-origin-opener-policy", "same-origin")
        .with("cross-origin-resource-policy", "same-origin")
        .with("x-request-id", request_id);
    match request.header("x-forwarded-proto") {
        // Two years, as browsers' lists want it (RFC 6797).
        Some("https") => response.with("strict-transport-security", "max-age=63072000"),
        _ => response,
    }
}

/// As Rails 8.2 and Go 1.25 decide: by what the browser says of the site, else by the origin. What
/// sends neither is no browser, and has no cookies of anybody's.
fn is_cross_site(request: &Request, host: &str) -> bool {
    if matches!(request.method.as_ref(), "GET" | "HEAD" | "OPTIONS") {
        return false;
    }
    match (request.header("sec-fetch-site"), request.header("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin
            .split_once("://")
            .is_none_or(|(_, origin)| origin != host),
        (None, None) => false,
    }
}
