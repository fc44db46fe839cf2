#!/usr/bin/env bash
# Build the images and push them to ECR. Run again, it pushes only what is not there.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
need docker

host="${registry%%/*}"
# An ECR repository's name is everything after the host.
prefix="${registry#"$host"}"
prefix="${prefix#/}"

echo "Logging in to $host"
aws ecr get-login-password | docker login --username AWS --password-stdin "$host"

for image in "${images[@]}"; do
    repository="${prefix:+$prefix/}{= name =}-$image"
    if ! aws ecr describe-repositories --repository-names "$repository" >/dev/null 2>&1; then
        echo "Creating the repository $repository"
        aws ecr create-repository --repository-name "$repository" \
            --image-tag-mutability IMMUTABLE \
            --image-scanning-configuration scanOnPush=true >/dev/null
    fi
    if aws ecr describe-images --repository-name "$repository" \
        --image-ids "imageTag=$tag" >/dev/null 2>&1; then
        echo "$repository:$tag is there already"
        continue
    fi
    echo "Building and pushing $repository:$tag"
    # The nodes are amd64, whatever this machine is.
    docker build --platform linux/amd64 -f "$here/images/$image/Dockerfile" \
        -t "$host/$repository:$tag" "$here"
    docker push "$host/$repository:$tag"
done
