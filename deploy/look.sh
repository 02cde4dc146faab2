# shellcheck shell=sh disable=SC2034,SC2154
# Sourced by deploy.sh and rollback.sh: what is looked at before something is changed, and what a version
# has to prove before it takes traffic. Changes nothing on AWS.

# Writes the functions' environment: all of deploy.env but the settings of these scripts, and the
# URL in $1, if it is known and deploy.env names no other.
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
        /^LAMBDA_FUNCTION_URL=./ { url = "" }
        /^[A-Za-z][A-Za-z0-9_]*=./ { at = index($0, "="); add(substr($0, 1, at - 1), substr($0, at + 1)) }
        END {
            if (url) add("LAMBDA_FUNCTION_URL", url)
            print "{\"Variables\": {\n" text "\n}}"
        }' "$settings" >"$inputs/environment.json"
}

# Refuses an environment of more than the 4 KB that Lambda takes: AWS's own error prints it, with
# every secret.
measure() {
    bytes=$(variables "$inputs/environment.json" | LC_ALL=C awk '{ bytes += length($0) - 6 } END { print bytes + 0 }')
    [ "$bytes" -le 4096 ] ||
        fail "failed to read $settings: its variables take $bytes bytes, and Lambda has room for 4096"
}

# Prints the names and values of the environment in the JSON file $1, one a line, sorted.
variables() {
    sed -n 's/^ *\("[A-Za-z][A-Za-z0-9_]*": ".*"\),\{0,1\}$/\1/p' "$1" | LC_ALL=C sort
}

# Says what is about to be changed, where and by whom, and stops where it cannot work. Sets `account`,
# `logs`, `role_name`, `role`, `memory` and what the package is.
look() {
    for needed in curl openssl; do
        command -v $needed >/dev/null || fail "failed to find \`$needed\`: install it"
    done
    case "$(aws --version 2>&1)" in
        aws-cli/1.[0-9].* | aws-cli/1.[123][0-9].* | aws-cli/1.4[0-4].*)
            fail "failed to use the AWS CLI: it is older than 1.45, and cannot make a URL public; docs/deploy.md" ;;
    esac
    identity=$(aws sts get-caller-identity --query '[Account,Arn]' --output text) ||
        fail "failed to learn who you are to AWS: sign in (aws sso login, aws configure), and look at the clock"
    account=$(echo "$identity" | cut -f 1)
    partition=$(echo "$identity" | cut -d : -f 2)
    logs=arn:$partition:logs:$region:$account:log-group:/aws/lambda/
    # IAM has no regions, and each region's role names its own logs.
    role_name=$function-$region
    role=arn:$partition:iam::$account:role/$role_name
    memory=$(setting MEMORY 512)
    case "$package" in
        zip)
            [ -f "$code" ] || fail "failed to find the package $code: make zip writes it"
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
    if ! grep -q '^SECRET_KEY_BASE=.' "$settings" && [ -z "${PLAN:-}" ]; then
        secret=$(openssl rand -hex 64)
        [ ${#secret} = 128 ] || fail "failed to make a SECRET_KEY_BASE: openssl gave no random bytes"
        # printf is a shell builtin, so the secret is not the argument of a process.
        printf '\nSECRET_KEY_BASE=%s\n' "$secret" >>"$settings"
        echo "made a SECRET_KEY_BASE in $settings: keep it, sessions are sealed with it"
    fi
    chmod 600 "$settings"
    environment ''
    measure
    echo "$function: $package for $architecture, $memory MB, in account $account, $region"
    echo "as $(echo "$identity" | cut -f 2), with $(aws --version 2>&1 | cut -d ' ' -f 1)"
    name_rights "$(echo "$identity" | cut -f 2)"
    echo "environment: $(variables "$inputs/environment.json" | wc -l | tr -d ' ') variables, $bytes of 4096 bytes"
    name_database
    [ -n "${PLAN:-}" ] || has aws lambda get-function --function-name "$migrations" || ask_first
}

# Asks at a terminal whether a first deploy is meant: to another account or region it is one, too.
ask_first() {
    [ -t 0 ] || return 0
    printf 'nothing of %s is there yet. Make it in account %s, %s? [y/N] ' "$function" "$account" "$region"
    read -r answer || answer=''
    case "$answer" in
        y | Y | yes) ;;
        *) fail "nothing made" ;;
    esac
}

# Says which rights the caller $1 seems to lack. A policy for some resources only may give more than
# the simulation knows, so nothing stops here.
name_rights() {
    source=$(echo "$1" | sed 's,:sts:\(.*\):assumed-role/\([^/]*\)/.*,:iam:\1:role/\2,')
    if lacks=$(aws iam simulate-principal-policy --policy-source-arn "$source" --action-names \
        iam:CreateRole iam:PassRole iam:PutRolePolicy lambda:CreateFunction lambda:UpdateFunctionCode \
        lambda:UpdateFunctionConfiguration lambda:PublishVersion lambda:CreateAlias lambda:UpdateAlias \
        lambda:CreateFunctionUrlConfig lambda:AddPermission lambda:InvokeFunction logs:CreateLogGroup \
        logs:PutRetentionPolicy --output text \
        --query "EvaluationResults[?EvalDecision!='allowed'].EvalActionName" 2>/dev/null); then
        [ -z "$lacks" ] || echo "rights: AWS's simulation misses $lacks"
    else
        echo "rights: not looked at, as iam:SimulatePrincipalPolicy is refused"
    fi
}

# Says where the database is, if its host's name tells, and whether that is another region. A page
# asks it more than once.
name_database() {
    # Of a URL that is wrong, the user or a part of the password may stand there: no dot, no host.
    host=$(setting DATABASE_URL '' | sed -n 's#^[a-z]*://\([^/]*@\)\{0,1\}\([A-Za-z0-9-]*\.[A-Za-z0-9.-]*\).*#\2#p')
    host=${host:-$(setting DB_HOST '')}
    there=$(echo "$host" | grep -E -o '(us|eu|ap|sa|ca|me|af|il|mx)-(gov-)?[a-z]+-[0-9]' | head -n 1 || true)
    case "$there" in
        '' | "$region") echo "database: ${host:-no host is named}${there:+, in the same region}" ;;
        *) echo "database: $host is in $there, and the functions are in $region: each query travels; AWS_REGION=$there would be nearer" ;;
    esac
}

# Has version $1 of the web function answer /up and /up?db, before anybody else can ask it.
prove() {
    host=${url#https://}
    for query in '' db; do
        cat >"$inputs/up${query:+-$query}.json" <<JSON
{"version":"2.0","routeKey":"\$default","rawPath":"/up","rawQueryString":"$query",
 "headers":{"host":"${host%/}"},"isBase64Encoded":false,
 "requestContext":{"domainName":"${host%/}","stage":"\$default","timeEpoch":0,
 "http":{"method":"GET","path":"/up","protocol":"HTTP/1.1","sourceIp":"127.0.0.1"}}}
JSON
        if invoke "$web" "$inputs/up${query:+-$query}.json" "$1" && {
            [ -n "${PLAN:-}" ] || grep -q '"statusCode": *200[,}]' "$dir/answer.json"
        }; then
            continue
        fi
        cat "$dir/answer.json" >&2
        fail "
failed to get /up${query:+?$query} from version $1: it takes no traffic, and what had it goes on"
    done
}
