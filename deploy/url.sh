#!/bin/sh
# Prints the URL of the deployed pages.
cd "$(dirname "$0")/.."
. deploy/settings.sh
aws lambda get-function-url-config --function-name "$web" --qualifier live --query FunctionUrl \
    --output text
