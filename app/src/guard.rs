//! What every request has to pass before a page sees it. Knows hosts and origins; knows no page.

mod hosts;

use crate::http::Request;
use crate::settings::Settings;

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
    // Whoever watches the process asks by its address.
    if request.path != "/up" && !hosts::allow(settings, request) {
        return Some(Refusal::Host);
    }
    is_cross_site(request).then_some(Refusal::CrossSite)
}

/// As Rails 8.2 and Go 1.25 decide: by what the browser says of the site, else by the origin. What
/// sends neither is no browser, and has no cookies of anybody's.
fn is_cross_site(request: &Request) -> bool {
    if matches!(request.method.as_ref(), "GET" | "HEAD" | "OPTIONS") {
        return false;
    }
    match (request.header("sec-fetch-site"), request.header("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin
            .split_once("://")
            .is_none_or(|(_, origin)| Some(origin) != request.header("host")),
        (None, None) => false,
    }
}
