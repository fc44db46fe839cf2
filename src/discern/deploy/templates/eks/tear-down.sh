#!/usr/bin/env bash
# Take down what deploy.sh made: the namespace with its load balancer, then the cluster.
# The images stay in ECR; with --images they go too. What is gone already is passed over.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
need kubectl eksctl

read -r -p "Delete the cluster $cluster in $region and everything in it? Type its name: " answer
[[ "$answer" == "$cluster" ]] || {
    echo "Nothing was deleted."
    exit 1
}

if aws eks describe-cluster --name "$cluster" >/dev/null 2>&1; then
    export KUBECONFIG="$here/.kubeconfig"
    aws eks update-kubeconfig --name "$cluster" >/dev/null
    # First, while its controller still runs: a load balancer left behind keeps the VPC, and costs.
    echo "Deleting the namespace {= namespace =}"
    kubectl delete namespace {= namespace =} --ignore-not-found --timeout 10m
    echo "Deleting the cluster $cluster: about 15 minutes"
    eksctl delete cluster -f "$here/cluster.yaml" --wait --disable-nodegroup-eviction
    rm -f "$KUBECONFIG"
else
    echo "There is no cluster $cluster in $region"
fi

if [[ "${1:-}" == "--images" ]]; then
    path="${registry#*/}"
    [[ "$path" == "$registry" ]] && path="" # no path after the host
    for image in "${images[@]}"; do
        repository="${path:+$path/}{= name =}-$image"
        echo "Deleting the repository $repository"
        aws ecr delete-repository --repository-name "$repository" --force >/dev/null 2>&1 || true
    done
fi
