//! The stylesheet and the script, at addresses that change with their content, so that a browser
//! asks once.

use crate::http::{Request, Response, takes_gzip};

/// A file that is in the executable twice: as it is, and compressed when it was compiled.
pub struct Asset {
    name: &'static str,
    extension: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    hash: u64,
}

macro_rules! asset {
    ($name:literal, $extension:literal, $content_type:literal) => {{
        const PLAIN: &[u8] = include_bytes!(concat!("../../templates/", $name, ".", $extension));
        Asset {
            name: $name,
            extension: $extension,
            content_type: $content_type,
            plain: PLAIN,
            gzip: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".", $extension, ".gz")),
            hash: fnv1a(PLAIN),
        }
    }};
}

static STYLE: Asset = asset!("style", "css", "text/css; charset=utf-8");
static SCRIPT: Asset = asset!("app", "js", "text/javascript; charset=utf-8");

/// Where the pages find the stylesheet.
pub fn style() -> String {
    STYLE.path()
}

/// Where the pages find the script.
pub fn script() -> String {
    SCRIPT.path()
}

/// The file at this path, if it is one.
pub fn find(path: &str) -> Option<&'static Asset> {
    let mut assets = [&STYLE, &SCRIPT].into_iter();
    assets.find(|asset| path == asset.path())
}

impl Asset {
    /// The file, which a browser keeps for ever.
    pub fn show(&self, request: &Request) -> Response {
        let response = match takes_gzip(request) {
            true => {
                Response::of(200, self.content_type, self.gzip).with("content-encoding", "gzip")
            }
            false => Response::of(200, self.content_type, self.plain),
        };
        response
            .with("cache-control", "public, max-age=31536000, immutable")
            .with("vary", "accept-encoding")
    }

    fn path(&self) -> String {
        format!("/{}-{:016x}.{}", self.name, self.hash, self.extension)
    }
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
