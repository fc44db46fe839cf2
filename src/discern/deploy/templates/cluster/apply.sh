# The overlay names images as they are called here; this one, thrown away below, adds the registry.
overlay="$(mktemp -d "$here/.deploy.XXXXXX")"
trap 'rm -rf "$overlay"' EXIT
{
    echo "resources: [../{= overlay =}]"
    echo "images:"
    for image in "${images[@]}"; do
        echo "  - name: {= registry_prefix =}{= name =}-$image"
        echo "    newName: $registry/{= name =}-$image"
    done
} >"$overlay/kustomization.yaml"

echo "Applying {= overlay =}"
kubectl apply -k "$overlay"
for deployment in $(kubectl -n {= namespace =} get deployments -o name); do
    kubectl -n {= namespace =} rollout status "$deployment" --timeout 10m
done
kubectl -n {= namespace =} get pods,services,ingress
