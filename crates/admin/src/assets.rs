//! The stylesheet and the script. The address of each contains a hash of its content, so that a
//! browser may keep the file and never has to ask for it again. Knows no page.

use crate::{PageError, PublicRequest};
use web::{Request, Response, takes_gzip};

/// A file that the executable contains twice: as it is, and compressed by `build.rs`.
struct Asset {
    name: &'static str,
    extension: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    hash: u64,
}

macro_rules! asset {
    ($name:literal, $extension:literal, $content_type:literal) => {{
        const PLAIN: &[u8] = include_bytes!(concat!("../templates/", $name, ".", $extension));
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

/// Returns the path of the stylesheet.
pub(crate) fn style() -> String {
    STYLE.path()
}

/// Returns the path of the script.
pub(crate) fn script() -> String {
    SCRIPT.path()
}

/// Answers `/static/{file}`.
///
/// # Errors
/// [`PageError::NotFound`] for another name, or for the hash of another content.
pub(crate) fn show(request: &PublicRequest) -> Result<Response, PageError> {
    let file: String = request.capture("file")?;
    let mut assets = [&STYLE, &SCRIPT].into_iter();
    let asset = assets.find(|asset| asset.file() == file);
    Ok(asset.ok_or(PageError::NotFound)?.response(request.http))
}

impl Asset {
    /// Returns the file, which a browser may keep for a year without asking again.
    fn response(&self, request: &Request) -> Response {
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
        format!("/static/{}", self.file())
    }

    fn file(&self) -> String {
        format!("{}-{:016x}.{}", self.name, self.hash, self.extension)
    }
}

/// Computes the 64-bit FNV-1a hash, which is simple enough for a `const fn`.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
