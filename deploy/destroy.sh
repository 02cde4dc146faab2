#!/bin/sh
# Removes all that push.sh and deploy.sh created in this account and region, after asking for the
# function's name. Never touches the database.
cd "$(dirname "$0")/.."
. deploy/settings.sh
account=$(aws sts get-caller-identity --query Account --output text)
printf 'This removes the functions, logs, role and images of %s in account %s, %s. Its name: ' \
    "$function" "$account" "$region"
read -r answer || answer=''
[ "$answer" = "$function" ] || fail "nothing removed: that is not \`$function\`"
for name in "$web" "$migrations"; do
    has aws lambda get-function-url-config --function-name "$name" --qualifier live &&
        change aws lambda delete-function-url-config --function-name "$name" --qualifier live
    has aws lambda get-function --function-name "$name" &&
        change aws lambda delete-function --function-name "$name"
    [ -z "$(aws logs describe-log-groups --log-group-name-prefix "/aws/lambda/$name" --output text \
        --query "logGroups[?logGroupName=='/aws/lambda/$name'].[logGroupName]")" ] ||
        change aws logs delete-log-group --log-group-name "/aws/lambda/$name"
done
if has aws iam get-role --role-name "$function-$region"; then
    has aws iam get-role-policy --role-name "$function-$region" --policy-name logs &&
        change aws iam delete-role-policy --role-name "$function-$region" --policy-name logs
    change aws iam delete-role --role-name "$function-$region"
fi
has aws ecr describe-repositories --repository-names "$function" &&
    change aws ecr delete-repository --repository-name "$function" --force
rm -rf "$inputs"
echo "removed; the database is as it was"
