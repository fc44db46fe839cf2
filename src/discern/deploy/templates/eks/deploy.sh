#!/usr/bin/env bash
# Create the cluster where it is not there yet, then apply the manifests and wait until pods are
# ready. Run again after any change; what is unchanged stays as it is.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
need kubectl helm

if aws eks describe-cluster --name "$cluster" >/dev/null 2>&1; then
    echo "The cluster $cluster is there"
else
    need eksctl
    echo "Creating the cluster $cluster in $region: about 20 minutes, and from now on it costs"
    eksctl create cluster -f "$here/cluster.yaml" --write-kubeconfig=false
fi

# A configuration of its own: whatever kubectl is set to on this machine stays so.
export KUBECONFIG="$here/.kubeconfig"
aws eks update-kubeconfig --name "$cluster" >/dev/null

# It makes the load balancer that the Ingress asks for; cluster.yaml gives it its role. Pods cannot
# ask their node where they are, so it is told.
echo "Installing the AWS Load Balancer Controller, or leaving it as it is"
vpc="$(aws eks describe-cluster --name "$cluster" --query cluster.resourcesVpcConfig.vpcId --output text)"
helm upgrade --install aws-load-balancer-controller aws-load-balancer-controller \
    --repo https://aws.github.io/eks-charts --version 1.13.3 --namespace kube-system \
    --set "clusterName=$cluster,region=$region,vpcId=$vpc" \
    --set serviceAccount.name=aws-load-balancer-controller --wait >/dev/null

{% include "cluster/apply.sh" %}
