//! Checks what a start must not do before its first `/next`: open a file, resolve a name, start a thread,
//! run CPUID, or map more memory than it needs.
//!
//! Reads the traces of strace and valgrind. Every system call that is not listed here fails the test.

use super::{is_x86_64_musl, watch};
use crate::support::{Part, bootstrap, needs, run};
use std::collections::BTreeSet;
use std::process::Command;

/// The system calls that a start needs. libc and std set up thread-local storage, signals, the standard
/// streams and the stack for overflows; then come the allocator's first memory and the connection.
const NEEDED: [&str; 14] = [
    "execve",
    "mmap",
    "arch_prctl",
    "set_tid_address",
    "poll",
    "rt_sigaction",
    "sigaltstack",
    "mprotect",
    "rt_sigprocmask",
    "socket",
    "connect",
    "setsockopt",
    "getrandom",
    "sendto",
];

/// The largest piece of memory that may be mapped: one portion of the allocator.
const LARGEST_BYTES: u64 = 64 * 1024;

#[test]
fn nothing_is_opened_resolved_or_spawned_before_next() {
    needs!(Shipped, Strace);
    if !is_x86_64_musl(&bootstrap()) {
        println!("another target's libc has other system calls");
        return;
    }
    let calls = watch::system_calls(&bootstrap(), 0, "GET /2018");
    let shown = calls.join("\n");
    for call in &calls {
        // `4711 mmap(NULL, 65536, …) = 0x7f…`
        let (_, call) = call.split_once(' ').expect("strace writes the process");
        let (name, arguments) = call.trim().split_once('(').unwrap_or((call, ""));
        assert!(NEEDED.contains(&name), "{call} in\n{shown}");
        if name == "mmap" {
            let mut arguments = arguments.split(", ").skip(1);
            let bytes = arguments.next().and_then(|bytes| bytes.parse::<u64>().ok());
            let bytes = bytes.unwrap_or_else(|| panic!("{call}"));
            assert!(bytes <= LARGEST_BYTES, "{call} in\n{shown}");
            assert!(call.contains("MAP_ANONYMOUS"), "{call} in\n{shown}");
        }
    }
    let count = |name: &str| calls.iter().filter(|call| call.contains(name)).count();
    assert_eq!(
        (count(" execve("), count(" socket("), count(" connect(")),
        (1, 1, 1),
        "{shown}"
    );
    assert_eq!(
        count("socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC"),
        1,
        "{shown}"
    );
}

/// Each CPUID traps to the hypervisor and takes some 10 µs. glibc runs 68 of them, a crate that detects CPU
/// features a few.
#[test]
fn no_cpuid_instruction_runs_before_next() {
    needs!(Shipped, Valgrind, Binutils);
    if !is_x86_64_musl(&bootstrap()) {
        println!("only x86_64 has the instruction");
        return;
    }
    let mut objdump = Command::new(Part::Binutils.path());
    let listed = run(objdump.args(["-d", "--no-show-raw-insn"]).arg(bootstrap()));
    let instruction = |line: &str| {
        let (address, text) = line.split_once(":\t")?;
        let address = u64::from_str_radix(address.trim(), 16).ok()?;
        (text.trim() == "cpuid").then_some(address)
    };
    let known: BTreeSet<u64> = listed.lines().filter_map(instruction).collect();
    assert!(!known.is_empty(), "ring has some, for later");
    let run = watch::touched(&bootstrap(), 0).run;
    let run: Vec<String> = run
        .intersection(&known)
        .map(|at| format!("{at:x}"))
        .collect();
    assert!(
        run.is_empty(),
        "CPUID was run at {run:?}: `nm` a build with KEEP_SYMBOLS=1"
    );
}
