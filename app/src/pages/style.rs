//! The stylesheet, at an address that changes with its content, so that a browser asks once.

use crate::http::{Request, Response, takes_gzip};

const CSS: &str = include_str!("../../templates/style.css");
const CSS_TYPE: &str = "text/css; charset=utf-8";
/// By `build.rs`.
const COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/style.css.gz"));
const HASH: u64 = fnv1a(CSS.as_bytes());

/// Where the pages find the stylesheet.
pub fn path() -> String {
    format!("/style-{HASH:016x}.css")
}

/// The stylesheet, compressed when it was compiled.
pub fn show(request: &Request) -> Response {
    let response = match takes_gzip(request) {
        true => Response::of(200, CSS_TYPE, COMPRESSED).with("content-encoding", "gzip"),
        false => Response::of(200, CSS_TYPE, CSS),
    };
    response
        .with("cache-control", "public, max-age=31536000, immutable")
        .with("vary", "accept-encoding")
}

/// FNV-1a, 64 bits: small enough to be computed by the compiler.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
