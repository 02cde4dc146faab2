# shellcheck shell=sh disable=SC2034
# What every script here begins with: the settings of deploy.env, and how a command is shown and run.
# A secret goes from file to file; never into an argument, which every user of the machine can read.
set -eu
umask 077
export AWS_PAGER=

fail() {
    echo "$1" >&2
    exit 1
}

settings=${DEPLOY_ENV:-deploy.env}
[ -f "$settings" ] || fail "failed to find $settings: cp deploy.env.example $settings, and fill it in"
# In names AWS would wonder at it, and the CLI prints a file whole that is no JSON.
! LC_ALL=C grep -q '[[:cntrl:]]' "$settings" ||
    fail "failed to read $settings: it has a tab, a carriage return or another control character"

# A setting of the file, or what stands in for it.
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

# Prints a command that changes something and runs it; `make plan` only prints it.
change() {
    changed=yes
    echo "$ $*"
    [ -n "${PLAN:-}" ] || "$@" >"$dir/said"
}

# Whether AWS has something. Any refusal but "not found" ends the script in AWS's words.
has() {
    "$@" >"$dir/found" 2>"$dir/refusal" && return
    grep -q 'ResourceNotFound\|NoSuchEntity\|RepositoryNotFound' "$dir/refusal" && return 1
    cat "$dir/refusal" >&2
    exit 1
}

# Invokes a function with a file; its log's end and its answer. Fails when the function does.
invoke() {
    echo "$ aws lambda invoke --function-name $1 --payload fileb://$2 $dir/answer.json"
    [ -z "${PLAN:-}" ] || return 0
    aws lambda invoke --function-name "$1" --payload "fileb://$2" --log-type Tail \
        --cli-read-timeout 0 --query '[FunctionError,LogResult]' --output text \
        "$dir/answer.json" >"$dir/invoked"
    cut -f 2 "$dir/invoked" | openssl base64 -d -A
    cat "$dir/answer.json"
    echo
    [ "$(cut -f 1 "$dir/invoked")" = None ]
}
