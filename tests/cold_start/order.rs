//! `make order`: writes the list of symbols that a start uses, for the linker (`bootstrap/build.rs`). The
//! linker puts them together, so that a start touches few pages.

use super::watch::{self, Touched};
use crate::support::{Part, root, run};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A function or a variable.
struct Symbol {
    name: String,
    begin: u64,
    /// Where the next symbol begins: symbols of assembly have no size.
    end: u64,
}

/// Writes the symbols that a start of the executable in UNSTRIPPED uses until after its first response,
/// and the symbols with the same names in the executable in UNSTRIPPED_TOO.
#[test]
#[ignore = "make order runs it"]
fn the_symbols_of_a_start_are_written_for_the_linker() {
    let executable = unstripped("UNSTRIPPED");
    let touched = watch::touched(&executable, 1);
    let mut order: BTreeSet<String> = symbols(&executable)
        .into_iter()
        .filter(|symbol| is_touched(symbol, &touched))
        .map(|symbol| symbol.name)
        .collect();
    let plainly: BTreeSet<&str> = order.iter().map(|name| plain(name)).collect();
    let mut other = symbols(&unstripped("UNSTRIPPED_TOO"));
    other.retain(|symbol| plainly.contains(plain(&symbol.name)));
    order.extend(other.into_iter().map(|symbol| symbol.name));
    let order: Vec<String> = order.into_iter().collect();
    let path = root().join("bootstrap/startup-order.txt");
    fs::write(path, order.join("\n") + "\n").expect("it is ours");
}

fn unstripped(variable: &str) -> PathBuf {
    root().join(std::env::var(variable).expect("make order sets it"))
}

fn is_touched(symbol: &Symbol, touched: &Touched) -> bool {
    let inside = |addresses: &BTreeSet<u64>| {
        let mut found = addresses.range(symbol.begin..symbol.end);
        found.next().is_some()
    };
    inside(&touched.run) || inside(&touched.data)
}

/// Returns a symbol without its hash, which differs from target to target.
fn plain(symbol: &str) -> &str {
    symbol.rsplit_once("17h").map_or(symbol, |(name, _)| name)
}

/// Returns the symbols with an address. Several may share one, as the linker merges identical functions.
fn symbols(executable: &Path) -> Vec<Symbol> {
    let nm = Part::Binutils.path().with_file_name("nm");
    let listed = run(Command::new(nm).arg("--numeric-sort").arg(executable));
    let places: Vec<(u64, &str)> = listed
        .lines()
        .filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [address, kind, name] if "tTwWrRdDbB".contains(kind) => {
                Some((u64::from_str_radix(address, 16).ok()?, name))
            }
            _ => None,
        })
        .collect();
    let symbol = |(index, (begin, name)): (usize, &(u64, &str))| {
        let mut later = places[index..].iter().map(|(address, _)| *address);
        Symbol {
            name: (*name).to_string(),
            begin: *begin,
            end: later.find(|later| later > begin).unwrap_or(begin + 1),
        }
    };
    places.iter().enumerate().map(symbol).collect()
}
