#!/usr/bin/env bash
# Create the cluster where it is not there yet, then apply the manifests and wait until pods are
# ready. Run again after any change; what is unchanged stays as it is.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=settings.sh
source "$(dirname "${BASH_SOURCE[0]}")/settings.sh"
need kubectl gke-gcloud-auth-plugin

if gcloud container clusters describe "$cluster" \
    --project "$project" --location "$region" >/dev/null 2>&1; then
    echo "The cluster $cluster is there"
else
    echo "Creating the cluster $cluster in $region: about 10 minutes, and from now on it costs"
    gcloud services enable container.googleapis.com --project "$project"
    # Autopilot: Google looks after nodes, and pods are paid for by what they request. It enforces
    # NetworkPolicies and serves the metrics that HorizontalPodAutoscalers read.
    # To keep nodes and the control plane off the internet, add: --enable-private-nodes
    # --enable-master-authorized-networks --master-authorized-networks 203.0.113.0/24
    # Gateways then need Cloud NAT to fetch pictures from URLs (terraform/ has it).
    gcloud container clusters create-auto "$cluster" --project "$project" --location "$region" \
        --release-channel regular
fi
{% if bucket %}

# The model server's service account, and no other, may read the bucket of models.
number="$(gcloud projects describe "$project" --format 'value(projectNumber)')"
pool="projects/$number/locations/global/workloadIdentityPools/$project.svc.id.goog"
gcloud storage buckets add-iam-policy-binding "gs://{= bucket =}" \
    --member "principal://iam.googleapis.com/$pool/subject/ns/{= namespace =}/sa/{= service_account =}" \
    --role roles/storage.objectViewer >/dev/null
{% endif %}

# A configuration of its own: whatever kubectl is set to on this machine stays so.
export KUBECONFIG="$here/.kubeconfig"
gcloud container clusters get-credentials "$cluster" --project "$project" --location "$region"

{% include "cluster/apply.sh" %}
