# shellcheck shell=sh disable=SC2034
# Sourced by every script here that calls AWS: reads the settings of deploy.env, and prints and runs
# commands. A secret goes from file to file, never into an argument, which every user of the machine
# can read.
set -eu
umask 077
export AWS_PAGER=

fail() {
    echo "$1" >&2
    exit 1
}

settings=${DEPLOY_ENV:-deploy.env}
[ -f "$settings" ] || fail "failed to find $settings: cp deploy.env.example $settings, and fill it in"
# AWS refuses a control character in a name; in a value, environment.json would not be JSON, and the
# CLI prints such a file whole.
! LC_ALL=C grep -q '[[:cntrl:]]' "$settings" ||
    fail "failed to read $settings: it has a tab, a carriage return or another control character"

# Prints the value of the setting $1, or $2 if it is absent or empty.
setting() {
    value=$(sed -n "s/^$1=//p" "$settings" | tail -n 1)
    echo "${value:-$2}"
}

function=$(setting FUNCTION plain-lambda)
case "$function" in
    -* | *[!a-z0-9_-]*) fail "failed to read FUNCTION \`$function\`: write a-z, 0-9, - and _ only" ;;
esac
web=$function-web
migrations=$function-migrations
package=${PACKAGE:-$(setting PACKAGE zip)}
case "$package" in
    zip | image) ;;
    *) fail "failed to read PACKAGE \`$package\`: set it to zip or image" ;;
esac
architecture=${ARCH:-$(setting ARCH x86_64)}
case "$architecture" in
    aarch64 | arm64) architecture=arm64 ;;
    x86_64) ;;
    *) fail "failed to read ARCH \`$architecture\`: set it to x86_64 or arm64" ;;
esac

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Prints a command that changes something, and runs it unless PLAN is set. Its output is in
# $dir/said.
change() {
    changed=yes
    echo "$ $*"
    [ -n "${PLAN:-}" ] || "$@" >"$dir/said"
}

# Runs a command that asks AWS for something, and succeeds if AWS has it; the output is in
# $dir/found. A refusal other than "not found" ends the script with AWS's words.
has() {
    "$@" >"$dir/found" 2>"$dir/refusal" && return
    grep -q 'ResourceNotFound\|NoSuchEntity\|RepositoryNotFound' "$dir/refusal" && return 1
    cat "$dir/refusal" >&2
    exit 1
}

# Prints the answer in file $1: on a terminal as tables, by an executable of this machine if one is
# built, else as the JSON that it is.
show() {
    if [ -t 1 ] && [ "${JSON:-0}" = 0 ]; then
        for bootstrap in target/debug/bootstrap target/*/release/bootstrap; do
            "$bootstrap" --show <"$1" 2>/dev/null && return
        done
    fi
    cat "$1"
    echo
}

# Invokes function $1 with the event in file $2, and prints the end of its log and its answer. With
# JSON=1 only the answer is on standard output. Fails when the function fails.
invoke() {
    [ "${JSON:-0}" != 0 ] || echo "$ aws lambda invoke --function-name $1 --payload fileb://$2 $dir/answer.json"
    [ -z "${PLAN:-}" ] || return 0
    aws lambda invoke --function-name "$1" --payload "fileb://$2" --log-type Tail \
        --cli-read-timeout 0 --query '[FunctionError,LogResult]' --output text \
        "$dir/answer.json" >"$dir/invoked"
    cut -f 2 "$dir/invoked" | openssl base64 -d -A >&2
    show "$dir/answer.json"
    [ "$(cut -f 1 "$dir/invoked")" = None ]
}
