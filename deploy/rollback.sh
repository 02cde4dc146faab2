#!/bin/sh
# Gives the traffic to another version: that of TO, or the one that had it before the last deploy. The
# migrations function keeps the newest code, because only that has the down files of the migrations
# that it applied. `make deploy` undoes it.
cd "$(dirname "$0")/.."
. deploy/settings.sh
. deploy/look.sh

# Prints the names and digests of the variables of version $1.
settings_of() {
    aws lambda get-function-configuration --function-name "$web" --qualifier "$1" \
        --query Environment --output json >"$dir/its.json"
    variables "$dir/its.json" | while read -r line; do
        echo "${line%%:*} $(printf %s "$line" | openssl dgst -sha256)"
    done
}

live=$(aws lambda get-alias --function-name "$web" --name live --query FunctionVersion --output text)
to=${TO:-}
if [ -z "$to" ]; then
    has aws lambda get-alias --function-name "$web" --name former --query FunctionVersion --output text ||
        fail "failed to roll back: version $live is the first; deploy the code that you want"
    to=$(cat "$dir/found")
fi
has aws lambda get-function-configuration --function-name "$web" --qualifier "$to" --query Version \
    --output text || fail "failed to find version \`$to\`: make versions lists them"
[ "$to" != "$live" ] ||
    fail "failed to roll back: version $live has the traffic already; make versions lists the others"
settings_of "$live" >"$dir/now"
settings_of "$to" >"$dir/then"
differ=$(diff "$dir/now" "$dir/then" | sed -n 's/^[<>] "\(.*\)" .*/\1/p' | sort -u | tr '\n' ' ')
[ -z "$differ" ] ||
    echo "version $to has its own values of these settings, too, which may be out of date: $differ"
url=$(aws lambda get-function-url-config --function-name "$web" --qualifier live \
    --query FunctionUrl --output text)
prove "$to"
change aws lambda update-alias --function-name "$web" --name live --function-version "$to"
echo "version $to has the traffic, version $live had it; the database is as it was"
