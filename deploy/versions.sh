#!/bin/sh
# Lists the versions that the traffic can be given to, the newest first: make rollback-code TO=<version>.
cd "$(dirname "$0")/.."
. deploy/settings.sh
aws lambda list-aliases --function-name "$web" --query 'Aliases[].[FunctionVersion,Name]' \
    --output text >"$dir/aliases"
aws lambda list-versions-by-function --function-name "$web" --output text \
    --query "Versions[?Version!='\$LATEST'].[Version,LastModified,MemorySize,CodeSha256,Description]" |
    sort -n -r | awk -F '\t' -v aliases="$dir/aliases" '
        BEGIN { while ((getline line < aliases) > 0) { split(line, alias, "\t"); name[alias[1]] = name[alias[1]] " " alias[2] } }
        NR == 1 { printf "%-8s %-17s %-7s %-9s %-20s %s\n", "version", "published (UTC)", "memory", "code", "commit", "has" }
        { printf "%-8s %-17s %-7s %-9s %-20s%s\n", $1, substr($2, 1, 10) " " substr($2, 12, 5), $3 " MB", substr($4, 1, 8), $5, name[$1] }'
