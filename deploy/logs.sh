#!/bin/sh
# Prints a function's log, oldest first. A line of an invocation has its request id.
# Argument: web or migrations. SINCE is 10m, 2h or 3d; FIND is a text or a request id; FOLLOW=1 goes on.
cd "$(dirname "$0")/.."
. deploy/settings.sh
asked=${SINCE:-10m}
case "$asked" in
    *[!0-9]?* | [!0-9]*) number='' ;;
    *m) number=$((${asked%m} * 60)) ;;
    *h) number=$((${asked%h} * 3600)) ;;
    *d) number=$((${asked%d} * 86400)) ;;
    *) number='' ;;
esac
[ -n "$number" ] || fail "failed to read SINCE \`$asked\`: write 10m, 2h or 3d"
since=$((($(date +%s) - number) * 1000))
group=/aws/lambda/$function-$1
# CloudWatch takes a text in double quotes as it is.
set -- --log-group-name "$group"
[ -z "${FIND:-}" ] || set -- "$@" --filter-pattern "\"$(printf %s "$FIND" | sed 's/["\\]/\\&/g')\""

# Prints the lines from `since` on, and moves `since` behind the last one.
print() {
    aws logs filter-log-events "$@" --start-time "$since" \
        --query 'events[].[timestamp,message]' --output text | sed '/^$/d' >"$dir/lines"
    sed 's/^[0-9]*	//' "$dir/lines"
    last=$(sed -n 's/^\([0-9][0-9]*\)	.*/\1/p' "$dir/lines" | tail -n 1)
    [ -z "$last" ] || since=$((last + 1))
}

print_command aws logs filter-log-events "$@" --start-time "$since" >&2
print "$@"
[ -s "$dir/lines" ] || echo "nothing in $group since $asked${FIND:+ with $FIND}" >&2
while [ -n "${FOLLOW:-}" ]; do
    sleep 2
    print "$@"
done
