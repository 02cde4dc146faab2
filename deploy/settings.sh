# shellcheck shell=sh disable=SC2034
# Sourced by every script here that calls AWS: reads the settings of deploy.env, finds the account's
# region, and prints and runs commands. A secret goes from file to file, never into an argument, which
# every user of the machine can read.
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
# A line that a shell would read, and these scripts do not, would be left out without a word. Values
# may be secrets, and are not named.
awk -v file="$settings" '
    function refuse(why) {
        print "failed to read " file ": line " NR " " why | "cat >&2"
        exit 1
    }
    /^ *#/ || /^ *$/ { next }
    !/^[A-Za-z][A-Za-z0-9_]*=/ { refuse("is not NAME=value: write no `export`, and no space before the =") }
    { name = substr($0, 1, index($0, "=") - 1); value = substr($0, index($0, "=") + 1) }
    name ~ /^AWS_/ { refuse("has " name ", which is of the CLI or of Lambda: set it in the shell instead") }
    seen[name] { refuse("has " name ", as line " seen[name] " has: keep one of them") }
    value ~ /^ | $/ { refuse("has a space at an end of the value of " name ": take it out") }
    value ~ /^".*"$/ || value ~ /^\047.*\047$/ { refuse("has the value of " name " in quotes: take them off") }
    { seen[name] = NR }
' "$settings" || exit 1

# Prints the value of the setting $1, or $2 if it is absent or empty.
setting() {
    value=$(sed -n "s/^$1=//p" "$settings")
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

command -v aws >/dev/null || fail "failed to find the AWS CLI, \`aws\`: docs/deploy.md says which"
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[ -n "$region" ] || fail "failed to find the region: export AWS_REGION=…, the one nearest to the database"
# Version 1 of the CLI reads the one name, version 2 both.
export AWS_REGION="$region" AWS_DEFAULT_REGION="$region"

# What the printed commands read, as it was last: they can be pasted. Beside the settings, as another
# folder may have another account with the same names.
inputs=$(dirname "$settings")/target/deploy/$function-$region
inputs=${inputs#./}
mkdir -p "$inputs"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Prints a command, as a shell reads it.
print_command() {
    printf '$'
    for word; do
        case "$word" in
            '' | *[!A-Za-z0-9_./:=@,+-]*) printf " '%s'" "$(printf %s "$word" | sed "s/'/'\\\\''/g")" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    echo
}

# Prints a command that changes something, and runs it unless PLAN is set. Its output is in
# $dir/said.
change() {
    changed=yes
    print_command "$@"
    [ -n "${PLAN:-}" ] || "$@" >"$dir/said"
}

# Runs a command that asks AWS for something, and succeeds if AWS has it; the output is in
# $dir/found. A refusal other than "not found" ends the script with AWS's words.
has() {
    "$@" >"$dir/found" 2>"$dir/refusal" && return
    grep -E -q 'ResourceNotFound|NoSuchEntity|RepositoryNotFound' "$dir/refusal" && return 1
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

# Invokes function $1 with the event in file $2, and prints the end of its log on standard error. The
# answer is in $dir/answer.json. Fails when the function fails. $3 is a version or an alias.
#
# The CLI would send the event again by itself when a connection is lost, while the function may still
# be at work. So it sends the event once and waits for as long as the function may take; then the
# same event is sent again; an action that must not be done twice has an id, by which the engine knows it.
invoke() {
    [ "${JSON:-0}" != 0 ] || print_command aws lambda invoke --function-name "$1" ${3:+--qualifier "$3"} --payload "fileb://$2" /dev/stdout
    [ -z "${PLAN:-}" ] || return 0
    for pause in 1 3 9 last; do
        AWS_MAX_ATTEMPTS=1 aws lambda invoke --function-name "$1" ${3:+--qualifier "$3"} \
            --payload "fileb://$2" --log-type Tail --cli-connect-timeout 10 \
            --cli-read-timeout "$(($(setting MIGRATIONS_TIMEOUT 900) + 20))" \
            --query '[FunctionError,LogResult]' --output text \
            "$dir/answer.json" >"$dir/invoked" 2>"$dir/refusal" && break
        grep -E -i -q 'connect|timeout|timed out|TooManyRequests|Pending|ResourceConflict' "$dir/refusal" &&
            [ $pause != last ] || {
            cat "$dir/refusal" >&2
            exit 1
        }
        echo "$1 did not answer ($(tail -n 1 "$dir/refusal")); asking again in $pause s" >&2
        sleep $pause
    done
    cut -f 2 "$dir/invoked" | sed 's/^None$//' | openssl base64 -d -A >&2
    [ "$(cut -f 1 "$dir/invoked")" = None ]
}
