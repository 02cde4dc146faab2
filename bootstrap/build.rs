//! Passes the linker's arguments: no symbols in the executable, and the functions that a start runs
//! next to each other, so that a start touches few pages (`docs/cold-start.md`).
//!
//! The symbols are stripped here and not by the profile's `strip`, because that option changes the
//! name of every symbol, and `make order` needs the names that the shipped executable had.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=startup-order.txt");
    println!("cargo::rerun-if-env-changed=KEEP_SYMBOLS");
    // Only the musl targets call rust-lld directly (`.cargo/config.toml`).
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        let dir = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        link(&format!("--symbol-ordering-file={dir}/startup-order.txt"));
        // The list has the symbol names of one compiler and one target; unknown names do no harm.
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
