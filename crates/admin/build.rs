//! Compresses the stylesheet and the script when the crate is built, so that no request has to.
//! Knows no content: `src/assets.rs` serves the files.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    for name in ["style.css", "app.js"] {
        let source = Path::new("templates").join(name);
        println!("cargo::rerun-if-changed={}", source.display());
        let plain = fs::read(source).expect("the file is in the checkout");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let written = gzip.write_all(&plain).and_then(|()| gzip.finish());
        let path = Path::new(&out).join(format!("{name}.gz"));
        fs::write(path, written.expect("writing to a vector cannot fail"))
            .expect("cargo made the directory");
    }
}
