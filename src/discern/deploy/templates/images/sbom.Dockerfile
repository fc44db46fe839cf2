# The bill of materials of a built image, as sbom.json in CycloneDX:
#   docker build -f images/sbom/Dockerfile --build-arg IMAGE=NAME --output sbom/ .
ARG PYTHON_IMAGE=python:{= python =}-slim
ARG IMAGE

FROM ${IMAGE} AS image

FROM ${PYTHON_IMAGE} AS tool
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /tool && /tool/bin/pip install --only-binary :all: cyclonedx-bom=={= cyclonedx =}

COPY images/sbom/sbom.py /tool/sbom.py
ARG IMAGE
# The packages are asked of the image's own environment, not of the files it was built from.
RUN --mount=type=bind,from=image,target=/image \
    /tool/bin/cyclonedx-py environment --output-format JSON --output-file /packages.json \
        /image/opt/discern/bin/python && \
    python /tool/sbom.py "${IMAGE}" /image /packages.json /sbom.json

FROM scratch
COPY --from=tool /sbom.json /sbom.json
