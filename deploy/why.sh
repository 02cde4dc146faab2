#!/bin/sh
# Prints what one looks at when a page does not come: the function, its answer, the last errors, the
# versions and the migrations. Changes nothing.
cd "$(dirname "$0")/.."
. deploy/settings.sh
now=$(date +%s)

# Prints $1, and beside it what the rest prints, or the last line of why it prints nothing.
ask() {
    title=$1
    shift
    "$@" >"$dir/asked" 2>"$dir/refusal" || tail -n 1 "$dir/refusal" >>"$dir/asked"
    printf '%-11s %s\n' "$title" "$(head -n "${lines:-1}" "$dir/asked" | sed '2,$s/^/            /')"
}

# Requests $1 of the deployed pages, and prints the status, the time and the first line.
page() {
    curl --silent --show-error --max-time 40 --output "$dir/page" \
        --write-out '%{http_code} in %{time_total} s: ' "${url%/}$1"
    head -n 1 "$dir/page" | cut -c 1-90
}

# Prints how many invocations of function $1 had the metric $2 in the last hour.
count() {
    sum=$(aws cloudwatch get-metric-statistics --namespace AWS/Lambda --metric-name "$2" \
        --dimensions "Name=FunctionName,Value=$1" --statistics Sum --period 3600 \
        --start-time $((now - 3600)) --end-time "$now" --query 'Datapoints[0].Sum' --output text)
    echo "${sum%.*}" | sed 's/^None$/0/'
}

# Prints the last lines of an hour of function $1's log that tell of an error.
errors() {
    aws logs filter-log-events --log-group-name "/aws/lambda/$1" --start-time $(((now - 3600) * 1000)) \
        --filter-pattern '?ERROR ?WARN ?"Task timed out" ?"Runtime." ?"failed to"' \
        --query 'events[].[message]' --output text | sed '/^$/d' | tail -n 5 | cut -c 1-160
}

state() {
    aws lambda get-function-configuration --function-name "$1" --output text \
        --query '[State,StateReason,LastUpdateStatus,LastUpdateStatusReason]' | tr '\t' ' '
}

action() {
    printf '{"action":"%s"}' "$1" >"$inputs/why.json"
    PLAN='' invoke "$migrations" "$inputs/why.json" >/dev/null || true
    cut -c 1-1200 "$dir/answer.json"
}

echo "$function in $region, $(date -u '+%Y-%m-%d %H:%M UTC')"
url=$(aws lambda get-function-url-config --function-name "$web" --qualifier live --query FunctionUrl \
    --output text 2>/dev/null || true)
ask web state "$web"
ask migrations state "$migrations"
if [ -n "$url" ]; then
    ask /up page /up
    ask '/up?db' page '/up?db'
else
    echo "url         none: make deploy makes it"
fi
echo "last hour   $(count "$web" Invocations) invocations, $(count "$web" Errors) errors, $(count "$web" Throttles) throttles"
lines=5 ask errors errors "$web"
lines=4 ask versions deploy/versions.sh
ask status action status
ask doctor action doctor
