#!/usr/bin/env bash
# Take down what deploy.sh made: the namespace with its load balancer, then the cluster.
# The images stay in Artifact Registry; with --images they go too. What is gone already is passed
# over.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
need kubectl gke-gcloud-auth-plugin

read -r -p "Delete the cluster $cluster in $region and everything in it? Type its name: " answer
[[ "$answer" == "$cluster" ]] || {
    echo "Nothing was deleted."
    exit 1
}

if gcloud container clusters describe "$cluster" \
    --project "$project" --location "$region" >/dev/null 2>&1; then
    export KUBECONFIG="$here/.kubeconfig"
    gcloud container clusters get-credentials "$cluster" --project "$project" --location "$region"
    # First, while its controller still runs: a load balancer left behind goes on costing.
    echo "Deleting the namespace {= namespace =}"
    kubectl delete namespace {= namespace =} --ignore-not-found --timeout 10m
    echo "Deleting the cluster $cluster: about 10 minutes"
    gcloud container clusters delete "$cluster" --project "$project" --location "$region" --quiet
    rm -f "$KUBECONFIG"
else
    echo "There is no cluster $cluster in $region"
fi

if [[ "${1:-}" == "--images" ]]; then
    for image in "${images[@]}"; do
        echo "Deleting $registry/{= name =}-$image"
        gcloud artifacts docker images delete "$registry/{= name =}-$image" \
            --delete-tags --quiet || true
    done
fi
