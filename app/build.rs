//! Compresses the stylesheet once, so that no request pays for it.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;
use std::{env, fs};

const STYLE: &str = "templates/style.css";

fn main() {
    println!("cargo::rerun-if-changed={STYLE}");
    let css = fs::read(STYLE).expect("the stylesheet is there");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let written = gzip.write_all(&css).and_then(|()| gzip.finish());
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    let path = Path::new(&out).join("style.css.gz");
    fs::write(path, written.expect("a vector takes everything")).expect("cargo made the directory");
}
