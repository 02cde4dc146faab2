#!/bin/sh
# Pushes the image to the account's own registry, and writes its address there, by digest, to a file.
# Arguments: the local image, the file. `make destroy` undoes it.
cd "$(dirname "$0")/.."
. deploy/settings.sh
image=$1
container=${CONTAINER:-docker}

has aws ecr describe-repositories --repository-names "$function" ||
    change aws ecr create-repository --repository-name "$function"
repository=$(aws ecr describe-repositories --repository-names "$function" \
    --query 'repositories[0].repositoryUri' --output text)
registry=${repository%%/*}
echo "$ aws ecr get-login-password | $container login --username AWS --password-stdin $registry"
aws ecr get-login-password | "$container" login --username AWS --password-stdin "$registry" >&2
# The tag is the image's id: the same image is not pushed twice, and a tag never names another image.
tag=$("$container" image inspect --format '{{.Id}}' "$image" | sed 's/^sha256://' | cut -c 1-16)
change "$container" tag "$image" "$repository:$tag"
change "$container" push "$repository:$tag"
# ECR's digest, because podman's is the digest of its own copy, which is not compressed.
digest=$(aws ecr describe-images --repository-name "$function" --image-ids "imageTag=$tag" \
    --query 'imageDetails[0].imageDigest' --output text)
mkdir -p "$(dirname "$2")"
echo "$repository@$digest" | tee "$2"
