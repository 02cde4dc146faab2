//! What a browser has already, and how small the rest can be made: conditional requests, HEAD, and
//! compression (RFC 9110, sections 8.4, 9.3.2 and 13).
//!
//! Knows bytes and headers; knows no page.

mod gzip;

use super::{Request, Response};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Less than this gets hardly smaller, in bytes.
const WORTH_COMPRESSING: usize = 1024;

/// A response as it leaves: without what the browser has, and as small as it takes it.
#[must_use]
pub fn prepare(response: Response, request: &Request) -> Response {
    let mut response = compress(validate(response, request), request);
    if request.method == "HEAD" {
        response.body.clear();
    }
    response
}

/// Whether a client takes gzip.
pub fn takes_gzip(request: &Request) -> bool {
    let accepted = request.header("accept-encoding").unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = parameters.trim().strip_prefix("q=").unwrap_or("1");
        let is_zero = quality.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        name.trim().eq_ignore_ascii_case("gzip") && !is_zero
    })
}

/// Names the content, and leaves it out when the browser has it.
fn validate(response: Response, request: &Request) -> Response {
    let kept = response.header("cache-control") != Some("no-store");
    let asked = matches!(request.method.as_ref(), "GET" | "HEAD");
    match response.status == 200 && kept && asked {
        true => name(response, request),
        false => response,
    }
}

/// Out of line, as all that few starts run: what is inlined is paged in.
#[inline(never)]
fn name(response: Response, request: &Request) -> Response {
    let digest = Sha256::digest(&response.body);
    let digest: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("W/\"{digest}\"");
    let has = request
        .header("if-none-match")
        .is_some_and(|known| names(known, &tag));
    let mut response = response.with("etag", tag);
    if has {
        response.status = 304;
        response.headers.retain(|(name, _)| *name != "content-type");
        response.body.clear();
    }
    response
}

/// Whether `If-None-Match` holds a tag: weak ones are compared as strong ones are.
fn names(list: &str, tag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_string();
    list.trim() == "*" || list.split(',').any(|known| strong(known) == strong(tag))
}

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
    match response.body.len() >= WORTH_COMPRESSING && takes_gzip(request) {
        true => shrink(response),
        false => response,
    }
}

#[inline(never)]
fn shrink(mut response: Response) -> Response {
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
    fn tags_are_compared_weakly_in_a_list() {
        assert!(names("\"a\", W/\"b\"", "W/\"b\""));
        assert!(names("\"b\"", "W/\"b\""));
        assert!(names(" * ", "W/\"b\""));
        assert!(!names("\"bb\", b", "W/\"b\""));
        assert!(!names("", "W/\"b\""));
    }

    #[test]
    fn text_is_compressible_and_pictures_are_not() {
        assert!(is_compressible("text/html; charset=utf-8"));
        assert!(is_compressible("image/svg+xml"));
        assert!(!is_compressible("image/png"));
        assert!(!is_compressible("application/octet-stream"));
    }
}
