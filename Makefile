# Everything here works in an empty clone, with Python 3.11+, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CLIENTS := .venv-clients
PROTOS := src/discern/serving/protocols/protos

# Images are measured by hand: that takes root, buildah and a base image. Two are no measurements.
BENCHES := $(filter-out bench/images.py bench/load.py bench/material.py,$(wildcard bench/*.py))

.PHONY: demo test lint bench docs distribution converters clients protos clean

demo: $(READY)  ## train, evaluate and use a classifier on scikit-learn's digits
	$(BIN)/discern demo

# As many processes as cores, each test file in one of them ("logical", for "auto" would count a
# core's two threads as one). Networks so small gain nothing from threads of their own.
test: $(READY)  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile

lint: $(READY)  ## style, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## measure: ours, the machine's limit, a peer, the ratio
	for file in $(BENCHES); do $(BIN)/python $$file || exit 1; done

docs: $(READY)  ## the docs as a site, in site/; a broken link stops it
	$(BIN)/mkdocs build --strict --quiet

distribution: $(READY)  ## sdist and wheel in dist/, looked at, installed and used in a clean venv
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m build --wheel --outdir dist/direct .
	DISCERN_DISTRIBUTION=dist $(BIN)/python -m pytest tests/test_distribution.py

converters: $(READY)  ## the environment with TensorFlow that some exports need, in the cache
	$(BIN)/python -m discern.export.environments

clients: $(CLIENTS)/.ready  ## other servers' own clients, which the tests use where they are

protos: $(READY)  ## compile the protocols' messages
	cd $(PROTOS) && $(CURDIR)/$(BIN)/python -m grpc_tools.protoc -I. --descriptor_set_out=compiled.binpb *.proto

# An environment of their own: they bring TensorFlow, and other versions of what discern uses.
$(CLIENTS)/.ready: constraints-clients.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/pip install --quiet --disable-pip-version-check -c constraints-clients.txt \
		kserve tensorflow-serving-api 'tritonclient[http,grpc]'
	touch $@

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,openvino,serve,otel,deploy,docs,dev]'
	touch $@

clean:
	rm -rf $(VENV) $(CLIENTS) demo dist site
