//! Tells the linker what to make of the static executable: no symbols, and the functions of a start
//! beside each other, so that a start touches few of its pages (`docs/cold-start.md`).
//!
//! Here and not in the profile, because a profile's `strip` changes every symbol's name, and
//! `make order` has to see the names that the shipped executable had.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=startup-order.txt");
    println!("cargo::rerun-if-env-changed=KEEP_SYMBOLS");
    // Only there the linker is rust-lld, called directly.
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        let dir = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        link(&format!("--symbol-ordering-file={dir}/startup-order.txt"));
        // The names are those of one compiler and one target; others are no harm.
        link("--no-warn-symbol-ordering");
    }
    if env::var("PROFILE").is_ok_and(|profile| profile == "release")
        && env::var_os("KEEP_SYMBOLS").is_none()
    {
        link("-s");
    }
}

fn link(argument: &str) {
    println!("cargo::rustc-link-arg-bins={argument}");
}
