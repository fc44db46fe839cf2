#!/usr/bin/env bash
# Build the images and push them to Artifact Registry. Run again, it pushes only what is not there.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
need docker

if ! gcloud artifacts repositories describe "$repository" \
    --project "$project" --location "$region" >/dev/null 2>&1; then
    echo "Creating the repository $repository in $region"
    gcloud services enable artifactregistry.googleapis.com --project "$project"
    gcloud artifacts repositories create "$repository" --project "$project" \
        --location "$region" --repository-format docker --immutable-tags
fi
gcloud auth configure-docker "$host" --quiet

for image in "${images[@]}"; do
    full="$registry/{= name =}-$image:$tag"
    if gcloud artifacts docker images describe "$full" >/dev/null 2>&1; then
        echo "$full is there already"
        continue
    fi
    echo "Building and pushing $full"
    # The nodes are amd64, whatever this machine is.
    docker build --platform linux/amd64 -f "$here/images/$image/Dockerfile" -t "$full" "$here"
    docker push "$full"
done
