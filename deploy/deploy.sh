#!/bin/sh
# Creates or updates on AWS what deploy.env and the package describe, changing only what differs;
# with PLAN=1, only prints the changes. The new code takes traffic once its migrations are done and it
# has answered. rollback.sh undoes the code, destroy.sh everything.
# Argument: the zip, or a file with the image's address. ALLOW lists what `migrate` may do, with commas.
cd "$(dirname "$0")/.."
. deploy/settings.sh
. deploy/look.sh
code=$1
changed=''
# Whether the web function's code or settings were changed, or would be.
differs=''

role() {
    cat >"$inputs/trust.json" <<JSON
{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
 "Principal":{"Service":"lambda.amazonaws.com"}}]}
JSON
    cat >"$inputs/policy.json" <<JSON
{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
 "Action":["logs:CreateLogStream","logs:PutLogEvents"],
 "Resource":["$logs$web:*","$logs$migrations:*"]}]}
JSON
    if ! has aws iam get-role --role-name "$role_name"; then
        change aws iam create-role --role-name "$role_name" \
            --assume-role-policy-document "file://$inputs/trust.json"
        change aws iam wait role-exists --role-name "$role_name"
    fi
    if ! has aws iam get-role-policy --role-name "$role_name" --policy-name logs \
        --query 'PolicyDocument.Statement[0].Resource' --output text ||
        [ "$(cat "$dir/found")" != "$(printf '%s\t%s' "$logs$web:*" "$logs$migrations:*")" ]; then
        change aws iam put-role-policy --role-name "$role_name" --policy-name logs \
            --policy-document "file://$inputs/policy.json"
    fi
}

log_group() {
    days=$(setting LOG_DAYS 30)
    kept=$(aws logs describe-log-groups --log-group-name-prefix "/aws/lambda/$1" --output text \
        --query "logGroups[?logGroupName=='/aws/lambda/$1'].[retentionInDays]")
    [ -n "$kept" ] || change aws logs create-log-group --log-group-name "/aws/lambda/$1"
    [ "$kept" = "$days" ] || change aws logs put-retention-policy \
        --log-group-name "/aws/lambda/$1" --retention-in-days "$days"
}

# Creates a function, or updates it where it differs. Arguments: its name, handler and timeout.
ensure() {
    differs=''
    if ! has aws lambda get-function --function-name "$1" --output text \
        --query '[Configuration.PackageType,Configuration.CodeSha256,Code.ImageUri,Configuration.Architectures[0],Configuration.LastUpdateStatus]'; then
        create "$@"
        change aws lambda wait function-active-v2 --function-name "$1"
        differs=yes
        return
    fi
    read -r is_package is_sha256 is_image is_architecture is_updated <"$dir/found"
    case "$is_package" in
        Zip) is_code=$is_sha256 ;;
        *) is_code=$is_image ;;
    esac
    [ "$(echo "$is_package" | tr '[:upper:]' '[:lower:]')" = "$package" ] ||
        fail "failed to update $1: AWS cannot make it PACKAGE=$package; make destroy, then deploy"
    # An update that an interrupted deploy has begun; AWS refuses another one until it has ended.
    [ "$is_updated" != InProgress ] || change aws lambda wait function-updated-v2 --function-name "$1"
    configure "$1" "$3"
    if [ "$is_code $is_architecture" != "$wanted_code $architecture" ]; then
        change aws lambda update-function-code --function-name "$1" \
            --architectures "$architecture" "$code_option" "$code"
        change aws lambda wait function-updated-v2 --function-name "$1"
        differs=yes
    fi
}

create() {
    name=$1 handler=$2 timeout=$3
    case "$package" in
        zip) set -- --runtime provided.al2023 --handler "$handler" --zip-file "$code" ;;
        image) set -- --package-type Image --code "ImageUri=$code" --image-config "Command=$handler" ;;
    esac
    set -- aws lambda create-function --function-name "$name" --role "$role" \
        --architectures "$architecture" --memory-size "$memory" --timeout "$timeout" \
        --environment "file://$inputs/environment.json" "$@"
    changed=yes
    print_command "$@"
    [ -z "${PLAN:-}" ] || return 0
    # A new role is not known in all of AWS at once, and Lambda refuses it until it is.
    for pause in 1 2 4 8 16 last; do
        "$@" >"$dir/said" 2>"$dir/refusal" && return
        grep -E -q 'cannot be assumed by Lambda|KMS key is invalid for CreateGrant' "$dir/refusal" &&
            [ $pause != last ] || break
        echo "the role is new, and not all of AWS knows it yet: asking again in $pause s"
        sleep $pause
    done
    cat "$dir/refusal" >&2
    exit 1
}

# Updates a function's memory, timeout, role and environment where they differ. Arguments: its name
# and timeout.
configure() {
    variables "$inputs/environment.json" >"$dir/wanted"
    # A plan of the first deploy comes here without a function.
    if has aws lambda get-function-configuration --function-name "$1" --query Environment \
        --output json; then
        variables "$dir/found" >"$dir/is"
        has aws lambda get-function-configuration --function-name "$1" \
            --query '[MemorySize,Timeout,Role]' --output text
        [ "$(cat "$dir/found")" = "$(printf '%s\t%s\t%s' "$memory" "$2" "$role")" ] &&
            cmp -s "$dir/is" "$dir/wanted" && return
    fi
    change aws lambda update-function-configuration --function-name "$1" --role "$role" \
        --memory-size "$memory" --timeout "$2" --environment "file://$inputs/environment.json"
    change aws lambda wait function-updated-v2 --function-name "$1"
    differs=yes
}

# Applies the migrations, in as many invocations as they take.
migrate() {
    allow=''
    [ -z "${ALLOW:-}" ] || allow=",\"allow\":[\"$(printf %s "$ALLOW" | sed 's/,/","/g')\"]"
    while :; do
        printf '{"action":"migrate"%s,"id":"%s"}' "$allow" "$(openssl rand -hex 16)" >"$inputs/migrate.json"
        invoke "$migrations" "$inputs/migrate.json" && answered=yes || answered=''
        [ -z "${PLAN:-}" ] || return 0
        show "$dir/answer.json"
        [ -n "$answered" ] ||
            fail "failed to migrate: nothing of the new code takes traffic; mend it and deploy again"
        grep -q '"status": *"partial"' "$dir/answer.json" || return 0
        ! cmp -s "$dir/answer.json" "$dir/before.json" ||
            fail "failed to migrate: two invocations came no further; nothing of the new code takes traffic"
        cp "$dir/answer.json" "$dir/before.json"
        echo "the migrations take longer than one invocation: going on"
    done
}

# Prints a digest of all that distinguishes version $1 from others.
fingerprint() {
    aws lambda get-function-configuration --function-name "$web" --qualifier "$1" --output json \
        --query '[CodeSha256,MemorySize,Timeout,Architectures,Environment.Variables]' |
        openssl dgst -sha256
}

publish() {
    change aws lambda publish-version --function-name "$web" --query Version --output text \
        --description "$(git log -1 --format='%h %cs' 2>/dev/null || true)"
    version=$(cat "$dir/said" 2>/dev/null || true)
    version=${version:-'<new>'}
}

# Sets `url` to the URL of the alias `live`; to nothing if there is none yet.
find_url() {
    url=''
    if has aws lambda get-function-url-config --function-name "$web" --qualifier live \
        --query FunctionUrl --output text; then
        url=$(cat "$dir/found")
    fi
}

# Gives the alias `live` a URL, which nobody may invoke yet.
make_url() {
    change aws lambda create-function-url-config --function-name "$web" --qualifier live \
        --auth-type NONE
    find_url
    url=${url:-https://<new>.lambda-url.$region.on.aws/}
}

# Lets everyone invoke the URL: since October 2025, that takes two permissions.
open_url() {
    has aws lambda get-policy --function-name "$web" --qualifier live --query Policy --output text &&
        cp "$dir/found" "$dir/open" || : >"$dir/open"
    grep -q '"public-url"' "$dir/open" ||
        change aws lambda add-permission --function-name "$web" --qualifier live \
            --statement-id public-url --principal '*' --action lambda:InvokeFunctionUrl \
            --function-url-auth-type NONE
    grep -q '"public-invoke"' "$dir/open" ||
        change aws lambda add-permission --function-name "$web" --qualifier live \
            --statement-id public-invoke --principal '*' --action lambda:InvokeFunction \
            --invoked-via-function-url
}

# Sets `live` and `former` to the versions of these aliases; to nothing if there are none.
find_aliases() {
    live='' former=''
    ! has aws lambda get-alias --function-name "$web" --name live --query FunctionVersion \
        --output text || live=$(cat "$dir/found")
    ! has aws lambda get-alias --function-name "$web" --name former --query FunctionVersion \
        --output text || former=$(cat "$dir/found")
}

# Succeeds if version $1 knows its URL. The very first one does not, and would serve any host.
knows_url() {
    has aws lambda get-function-configuration --function-name "$web" --qualifier "$1" \
        --query Environment.Variables.LAMBDA_FUNCTION_URL --output text &&
        [ "$(cat "$dir/found")" != None ]
}

# Publishes the newest code and configuration, has it answer, and gives it the traffic. Before that,
# records the version that has the traffic, to which rollback.sh goes back.
go_live() {
    publish
    prove "$version"
    if [ "$former" != "$live" ] && knows_url "$live"; then
        make=create-alias
        [ -z "$former" ] || make=update-alias
        change aws lambda "$make" --function-name "$web" --name former --function-version "$live"
    fi
    change aws lambda update-alias --function-name "$web" --name live \
        --function-version "$version"
}

# Requests a page as a browser does; if that fails, gives the traffic back to the former version.
ask_url() {
    [ -z "${PLAN:-}" ] || return 0
    print_command curl "${url%/}/up"
    curl --silent --show-error --fail --retry 2 --max-time 20 "${url%/}/up" && return
    if [ -n "$version" ] && [ "$version" != "$live" ] && knows_url "$live"; then
        change aws lambda update-alias --function-name "$web" --name live --function-version "$live"
        fail "failed to get /up from version $version: version $live is back; make why says more"
    fi
    fail "failed to get ${url%/}/up: make why says more"
}

look
role
log_group "$web"
log_group "$migrations"

find_url
address=$url
environment "$address"
measure
ensure "$migrations" migrate "$(setting MIGRATIONS_TIMEOUT 900)"
migrate

ensure "$web" http "$(setting WEB_TIMEOUT 30)"
version=''
find_aliases
if [ -z "$live" ]; then
    publish
    change aws lambda create-alias --function-name "$web" --name live \
        --function-version "$version"
    live=$version
fi
[ -n "$url" ] || make_url
if [ "$url" != "$address" ]; then
    environment "$url"
    measure
    configure "$web" "$(setting WEB_TIMEOUT 30)"
    configure "$migrations" "$(setting MIGRATIONS_TIMEOUT 900)"
    differs=yes
fi
if [ -n "$differs" ] || [ "$(fingerprint "$live")" != "$(fingerprint "\$LATEST")" ]; then
    go_live
fi
open_url
ask_url
[ -n "$changed" ] || echo "nothing changed"
echo "$url"
