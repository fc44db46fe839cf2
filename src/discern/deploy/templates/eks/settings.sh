# shellcheck shell=bash disable=SC2034 # those who source it use the variables
# What the scripts agree on. They source this file; it does nothing by itself.
{% include "cluster/need.sh" %}
need aws
cluster="$(sed -n 's/^  name: //p' "$here/cluster.yaml" | head -n 1)"
region="$(sed -n 's/^  region: //p' "$here/cluster.yaml")"
{% if registry %}
registry="{= registry =}"
{% else %}
# Of the account that is logged in; any other: REGISTRY=… before the command.
registry="${REGISTRY:-$(aws sts get-caller-identity --query Account --output text).dkr.ecr.$region.amazonaws.com}"
{% endif %}
tag="{= tag =}"
images=({= images | join(" ") =})
export AWS_REGION="$region" AWS_PAGER=""
