#!/bin/sh
# Checks every script, the Dockerfile, the workflows of GitHub and GitLab, Dependabot's configuration
# and the issue forms with shellcheck, hadolint, zizmor and the schemas that check-jsonschema brings.
set -eu
cd "$(dirname "$0")/../.."
tests/tools/venv.sh lint
lint=target/tools/lint/bin

git ls-files '*.sh' .ci/run | xargs $lint/shellcheck --external-sources
$lint/hadolint Dockerfile.al2023
$lint/zizmor --quiet --offline .github/workflows
$lint/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
$lint/check-jsonschema --quiet --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci \
    .gitlab-ci.yml
$lint/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
$lint/check-jsonschema --quiet --builtin-schema vendor.github-issue-config \
    .github/ISSUE_TEMPLATE/config.yml
$lint/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms \
    .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/idea.yml
