//! Prepares a response for transfer: conditional requests, HEAD and compression (RFC 9110, sections
//! 8.4, 9.3.2 and 13).
//!
//! Knows bytes and headers. Knows no page.

mod gzip;

use super::request::Shape;
use super::{Request, Response};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The size from which a body is compressed, in bytes: a smaller one hardly shrinks.
const MIN_COMPRESSED: usize = 1024;

/// Removes the body if the browser has it or asked for headers only, and compresses it if the
/// browser accepts that.
#[must_use]
pub fn prepare(response: Response, request: &Request) -> Response {
    let mut response = compress(conditional(response, request), request);
    if request.method == "HEAD" {
        response.body.clear();
    }
    response
}

/// Returns `true` if the client accepts gzip, and the sender of the event passes bytes on: an API of
/// format 1.0 sends base64 as text, unless its `binaryMediaTypes` are set.
pub fn takes_gzip(request: &Request) -> bool {
    if request.shape == Shape::V1 {
        return false;
    }
    let accepted = request.header("accept-encoding").unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = parameters.trim().strip_prefix("q=").unwrap_or("1");
        let is_zero = quality.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        name.trim().eq_ignore_ascii_case("gzip") && !is_zero
    })
}

/// Sets the ETag, and removes the body if the browser has it.
fn conditional(response: Response, request: &Request) -> Response {
    let is_cached = response.header("cache-control") != Some("no-store");
    let is_read = matches!(request.method.as_ref(), "GET" | "HEAD");
    match response.status == 200 && is_cached && is_read {
        true => with_etag(response, request),
        false => response,
    }
}

/// Not inlined, like everything that few starts run: inlined code is paged in with its caller.
#[inline(never)]
fn with_etag(response: Response, request: &Request) -> Response {
    let digest = Sha256::digest(&response.body);
    let digest: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("W/\"{digest}\"");
    let browser_has_it = request
        .header("if-none-match")
        .is_some_and(|known| etag_matches(known, &tag));
    let mut response = response.with("etag", tag);
    if browser_has_it {
        response.status = 304;
        response.headers.retain(|(name, _)| *name != "content-type");
        response.body.clear();
    }
    response
}

/// Returns `true` if the list of `If-None-Match` has a tag. Compares weakly: `W/` does not count.
fn etag_matches(list: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_string();
    list.trim() == "*" || list.split(',').any(|known| opaque(known) == opaque(tag))
}

/// Compresses the body if it is text and the client accepts gzip.
fn compress(response: Response, request: &Request) -> Response {
    let is_text = response.header("content-type").is_some_and(is_compressible);
    if !is_text || response.header("content-encoding").is_some() {
        return response;
    }
    let vary: Cow<str> = match response.header("vary") {
        Some(vary) => format!("{vary}, accept-encoding").into(),
        None => "accept-encoding".into(),
    };
    let response = response.with("vary", vary);
    match response.body.len() >= MIN_COMPRESSED && takes_gzip(request) {
        true => gzip_body(response),
        false => response,
    }
}

#[inline(never)]
fn gzip_body(mut response: Response) -> Response {
    response.body = gzip::compress(&response.body);
    response.with("content-encoding", "gzip")
}

fn is_compressible(content_type: &str) -> bool {
    let (name, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    name.starts_with("text/") || matches!(name, "application/json" | "image/svg+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_compared_weakly_with_each_of_a_list() {
        assert!(etag_matches("\"a\", W/\"b\"", "W/\"b\""));
        assert!(etag_matches("\"b\"", "W/\"b\""));
        assert!(etag_matches(" * ", "W/\"b\""));
        assert!(!etag_matches("\"bb\", b", "W/\"b\""));
        assert!(!etag_matches("", "W/\"b\""));
    }

    #[test]
    fn text_is_compressible_and_an_image_is_not() {
        assert!(is_compressible("text/html; charset=utf-8"));
        assert!(is_compressible("image/svg+xml"));
        assert!(!is_compressible("image/png"));
        assert!(!is_compressible("application/octet-stream"));
    }
}
