#!/bin/sh
# Pushes the image to the account's own registry; its digest goes to target/deploy/image.
# Argument: the local image. Undone by `make destroy`.
cd "$(dirname "$0")/.."
. deploy/settings.sh
image=$1
container=${CONTAINER:-docker}
account=$(aws sts get-caller-identity --query Account --output text)
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region)}}
registry=${REGISTRY:-$account.dkr.ecr.$region.amazonaws.com}

has aws ecr describe-repositories --repository-names "$function" ||
    change aws ecr create-repository --repository-name "$function"
echo "$ aws ecr get-login-password | $container login --username AWS --password-stdin $registry"
aws ecr get-login-password | "$container" login --username AWS --password-stdin "$registry" >&2
# What it holds is its name: the same image is not pushed twice, and no name changes its meaning.
tag=$("$container" image inspect --format '{{.Id}}' "$image" | sed 's/^sha256://' | cut -c 1-16)
change "$container" tag "$image" "$registry/$function:$tag"
change "$container" push "$registry/$function:$tag"
mkdir -p target/deploy
digest=$("$container" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' \
    "$registry/$function:$tag" | grep "^$registry/$function@" | tail -n 1)
[ -n "$digest" ] || fail "failed to learn the digest of $registry/$function:$tag: $container does not say it"
echo "$digest" | tee target/deploy/image
