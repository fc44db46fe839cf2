# Everything here works in an empty clone, with Python 3.11+, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench clean

demo: $(READY)  ## train, evaluate and use a classifier on scikit-learn's digits
	$(BIN)/discern demo

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest

lint: $(READY)  ## style, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## measure: ours, the machine's limit, a peer, the ratio
	for file in bench/*.py; do $(BIN)/python $$file || exit 1; done

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,openvino,dev]'
	touch $@

clean:
	rm -rf $(VENV) demo
