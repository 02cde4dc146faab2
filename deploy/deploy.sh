#!/bin/sh
# Creates or updates on AWS what deploy.env and the package describe, changing only what differs;
# with PLAN=1, only prints the changes. rollback.sh undoes the code, destroy.sh everything.
# Argument: the zip, or a file with the image's address.
cd "$(dirname "$0")/.."
. deploy/settings.sh
code=$1
changed=''

# Writes the functions' environment: all of deploy.env but the settings of these scripts, and the
# URL in $1, if it is known.
environment() {
    awk -v url="$1" '
        function add(name, value,    safe, at, letter) {
            for (at = 1; at <= length(value); at++) {
                letter = substr(value, at, 1)
                safe = safe (letter == "\\" || letter == "\"" ? "\\" : "") letter
            }
            text = text (text ? ",\n" : "") "\"" name "\": \"" safe "\""
        }
        /^(FUNCTION|PACKAGE|ARCH|MEMORY|WEB_TIMEOUT|MIGRATIONS_TIMEOUT|LOG_DAYS)=/ { next }
        /^[A-Za-z][A-Za-z0-9_]*=./ { at = index($0, "="); add(substr($0, 1, at - 1), substr($0, at + 1)) }
        END {
            if (url) add("LAMBDA_FUNCTION_URL", url)
            print "{\"Variables\": {\n" text "\n}}"
        }' "$settings" >"$dir/environment.json"
}

# Prints the names and values of the environment in the JSON file $1, one a line, sorted.
variables() {
    sed -n 's/^ *\("[A-Za-z][A-Za-z0-9_]*": ".*"\),\{0,1\}$/\1/p' "$1" | LC_ALL=C sort
}

role() {
    cat >"$dir/trust.json" <<JSON
{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
 "Principal":{"Service":"lambda.amazonaws.com"}}]}
JSON
    cat >"$dir/policy.json" <<JSON
{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
 "Action":["logs:CreateLogStream","logs:PutLogEvents"],
 "Resource":["$logs$web:*","$logs$migrations:*"]}]}
JSON
    if ! has aws iam get-role --role-name "$function"; then
        change aws iam create-role --role-name "$function" \
            --assume-role-policy-document "file://$dir/trust.json"
        change aws iam wait role-exists --role-name "$function"
    fi
    if ! has aws iam get-role-policy --role-name "$function" --policy-name logs \
        --query 'PolicyDocument.Statement[0].Resource' --output text ||
        [ "$(cat "$dir/found")" != "$(printf '%s\t%s' "$logs$web:*" "$logs$migrations:*")" ]; then
        change aws iam put-role-policy --role-name "$function" --policy-name logs \
            --policy-document "file://$dir/policy.json"
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
    if ! has aws lambda get-function --function-name "$1" --output text \
        --query '[Configuration.PackageType,Configuration.CodeSha256,Code.ImageUri,Configuration.Architectures[0]]'; then
        create "$@"
        change aws lambda wait function-active-v2 --function-name "$1"
        return
    fi
    read -r is_package is_sha256 is_image is_architecture <"$dir/found"
    case "$is_package" in
        Zip) is_code=$is_sha256 ;;
        *) is_code=$is_image ;;
    esac
    [ "$(echo "$is_package" | tr '[:upper:]' '[:lower:]')" = "$package" ] ||
        fail "failed to update $1: AWS cannot make it PACKAGE=$package; make destroy, then deploy"
    configure "$1" "$3"
    if [ "$is_code $is_architecture" != "$wanted_code $architecture" ]; then
        change aws lambda update-function-code --function-name "$1" \
            --architectures "$architecture" "$code_option" "$code"
        change aws lambda wait function-updated-v2 --function-name "$1"
    fi
}

create() {
    name=$1 handler=$2 timeout=$3
    case "$package" in
        zip) set -- --runtime provided.al2023 --handler "$handler" --zip-file "$code" ;;
        image) set -- --package-type Image --code "ImageUri=$code" --image-config "Command=$handler" ;;
    esac
    # A new role is not known in all of AWS at once, and Lambda refuses it until it is.
    for pause in 1 2 4 8 16 last; do
        change aws lambda create-function --function-name "$name" --role "$role" \
            --architectures "$architecture" --memory-size "$memory" --timeout "$timeout" \
            --environment "file://$dir/environment.json" "$@" 2>"$dir/refusal" && return
        grep -q 'cannot be assumed by Lambda' "$dir/refusal" && [ $pause != last ] || break
        sleep $pause
    done
    cat "$dir/refusal" >&2
    exit 1
}

# Updates a function's memory, timeout, role and environment where they differ. Arguments: its name
# and timeout.
configure() {
    aws lambda get-function-configuration --function-name "$1" --query Environment \
        --output json >"$dir/is.json"
    is=$(aws lambda get-function-configuration --function-name "$1" \
        --query '[MemorySize,Timeout,Role]' --output text)
    variables "$dir/is.json" >"$dir/is"
    variables "$dir/environment.json" >"$dir/wanted"
    [ "$is" = "$(printf '%s\t%s\t%s' "$memory" "$2" "$role")" ] && cmp -s "$dir/is" "$dir/wanted" &&
        return
    change aws lambda update-function-configuration --function-name "$1" --role "$role" \
        --memory-size "$memory" --timeout "$2" --environment "file://$dir/environment.json"
    change aws lambda wait function-updated-v2 --function-name "$1"
}

# Prints a digest of all that distinguishes version $1 from others.
fingerprint() {
    aws lambda get-function-configuration --function-name "$web" --qualifier "$1" --output json \
        --query '[CodeSha256,MemorySize,Timeout,Architectures,Environment.Variables]' |
        openssl dgst -sha256
}

publish() {
    change aws lambda publish-version --function-name "$web" --query Version --output text
    version=$(cat "$dir/said" 2>/dev/null || echo '<new>')
}

# Gives the alias `live` a URL, and lets everyone invoke it: since October 2025, that takes two
# permissions.
open_url() {
    has aws lambda get-function-url-config --function-name "$web" --qualifier live ||
        change aws lambda create-function-url-config --function-name "$web" --qualifier live \
            --auth-type NONE
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

# Sets `url` to the URL of the alias `live`; to nothing if there is none yet.
find_url() {
    url=''
    if has aws lambda get-function-url-config --function-name "$web" --qualifier live \
        --query FunctionUrl --output text; then
        url=$(cat "$dir/found")
    fi
}

# Gives the traffic to the newest code and configuration, if they differ from the live version.
go_live() {
    former=$(aws lambda get-alias --function-name "$web" --name live --query FunctionVersion \
        --output text 2>"$dir/refusal" || true)
    [ -n "$former" ] && [ "$(fingerprint "$former")" = "$(fingerprint "\$LATEST")" ] && return
    publish
    change aws lambda update-alias --function-name "$web" --name live \
        --function-version "$version"
}

# Requests a page of the new version; if that fails, gives the traffic back to the former version.
smoke() {
    [ -z "${PLAN:-}" ] || return 0
    echo "$ curl ${url%/}/up"
    curl --silent --show-error --fail --retry 3 --max-time 30 "${url%/}/up" && return
    if [ -n "$former" ] && [ "$former" != "${version:-$former}" ]; then
        change aws lambda update-alias --function-name "$web" --name live \
            --function-version "$former"
        fail "failed to get /up from version $version: version $former is back; make logs says why"
    fi
    fail "failed to get ${url%/}/up: make logs says why"
}

# Records the former version, to which rollback.sh goes back. Not the very first version, which did
# not know its URL, and would serve any host.
remember_former() {
    [ -n "$address" ] && [ -n "$former" ] && [ "$former" != "${version:-$former}" ] || return 0
    make=create-alias
    has aws lambda get-alias --function-name "$web" --name former && make=update-alias
    change aws lambda "$make" --function-name "$web" --name former --function-version "$former"
}

if ! grep -q '^SECRET_KEY_BASE=.' "$settings" && [ -z "${PLAN:-}" ]; then
    # printf is a shell builtin, so the secret is not the argument of a process.
    printf '\nSECRET_KEY_BASE=%s\n' "$(openssl rand -hex 64)" >>"$settings"
    echo "made a SECRET_KEY_BASE in $settings: keep it, sessions are sealed with it"
fi
chmod 600 "$settings"

identity=$(aws sts get-caller-identity --query '[Account,Arn]' --output text)
account=$(echo "$identity" | cut -f 1)
partition=$(echo "$identity" | cut -d : -f 2)
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region)}}
logs=arn:$partition:logs:$region:$account:log-group:/aws/lambda/
role=arn:$partition:iam::$account:role/$function
memory=$(setting MEMORY 512)
echo "$function in account $account, $region"
case "$package" in
    zip)
        wanted_code=$(openssl dgst -sha256 -binary "$code" | openssl base64)
        code_option=--zip-file
        code=fileb://$code
        ;;
    image)
        [ -f "$code" ] || fail "failed to find the image's address $code: make push writes it"
        wanted_code=$(cat "$code")
        code_option=--image-uri
        code=$wanted_code
        ;;
esac

role
log_group "$web"
log_group "$migrations"

find_url
address=$url
environment "$address"
ensure "$migrations" migrate "$(setting MIGRATIONS_TIMEOUT 900)"
echo '{"action":"migrate"}' >"$dir/migrate.json"
invoke "$migrations" "$dir/migrate.json" ||
    fail "failed to migrate: nothing of the new code takes traffic; mend it and deploy again"

ensure "$web" http "$(setting WEB_TIMEOUT 30)"
former='' version=''
if ! has aws lambda get-alias --function-name "$web" --name live; then
    publish
    change aws lambda create-alias --function-name "$web" --name live \
        --function-version "$version"
fi
open_url
find_url
if [ "$url" != "$address" ]; then
    environment "$url"
    configure "$web" "$(setting WEB_TIMEOUT 30)"
    configure "$migrations" "$(setting MIGRATIONS_TIMEOUT 900)"
fi
[ -n "${PLAN:-}" ] && [ -z "$address" ] || go_live # The plan of a first deploy has printed it above.
smoke
remember_former
[ -n "$changed" ] || echo "nothing changed"
echo "${url:-https://<new>.lambda-url.$region.on.aws/}"
