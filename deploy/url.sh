#!/bin/sh
# Where the deployed pages are.
cd "$(dirname "$0")/.."
. deploy/settings.sh
aws lambda get-function-url-config --function-name "$web" --qualifier live --query FunctionUrl \
    --output text
