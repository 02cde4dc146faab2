#!/bin/sh
# Looks at every script, the Dockerfile and both services' workflows with shellcheck, hadolint,
# zizmor and GitLab's own schema.
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
