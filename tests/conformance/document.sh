#!/bin/sh
# Prints `docs/conformance.md`: an introduction, the table, and how to test another runtime.
# Arguments: our executable and that of AWS's runtime. `table.sh` runs the tests.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
ours=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml" | head -n 1)
theirs=$(sed -n '/^name = "lambda_runtime"$/{n;s/^version = "\(.*\)"/\1/p;}' "$here/lambda_runtime/Cargo.lock")

cat <<END
# Conformance to the Lambda Runtime API

What a runtime does on the wire, and how it ends, row by row: Plain Lambda $ours beside AWS's own
\`lambda_runtime\` $theirs for Rust, used as its README shows and built with \`--release\`.

\`make conformance\` wrote this page. Every row is a test of \`tests/conformance.rs\` of the same name,
run on each executable against a Runtime API of plain sockets; "no" is a test that failed.
END

"$here/table.sh" "Plain Lambda=$1" "lambda_runtime=$2"

cat <<'END'

The first table is what the documentation describes and what AWS's emulator shows that the platform
reads. A stack trace, a content type, an error type and a cause for X-Ray are optional there: without
them a failure still arrives, and says less. The second table is what no document promises: broken
answers, other people's emulators. There a runtime may end where another goes on; a row asks only that
it does no harm. Three rows need a word:

- "a failure before the first event …": `lambda_runtime` leaves `/init/error` to its user (except
  where a snapshot is taken); Lambda then knows the exit code only.
- "next is asked again …": 204 is `cargo lambda watch`'s, not AWS's; `lambda_runtime` knows it in
  debug builds only.
- "connections are kept …" asks for at most 5 connections in 50 events.

## Another runtime

```sh
make conformance BOOTSTRAP=/path/to/bootstrap
```

prints the same tables for that executable. It is started with what Lambda sets in the environment,
and its handler has to answer an event, a JSON object, by its `do`:

| `do` | the handler |
|---|---|
| `echo`, any other, or none | replies with the event; it may add fields |
| `fail` | fails; its message holds the event's `why`, if there is one |
| `panic` | panics, throws, or what the language calls it |
| `reply` | replies with a JSON string of `bytes` bytes in all, with both quotes |
| `trace` | replies `{"trace": …}` with the environment variable `_X_AMZN_TRACE_ID`, or `null` |

An event that is not JSON has to fail before the handler. With the environment's `_HANDLER` at
`missing`, the executable has to fail its initialisation. `tests/conformance/lambda_runtime/main.rs`
is an example of some 30 lines.
END
