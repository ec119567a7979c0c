# The two commands of the README are `make demo` and `make test`; both set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
# Cached byte code makes every start faster.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test check fix slow fuzz sweep bench docs clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[train,dev]'
	touch $@

demo: setup
	$(BIN)/edgewright ship examples/digits.yaml --out bundles/digits
	$(BIN)/edgewright verify bundles/digits
	$(BIN)/edgewright predict bundles/digits bundles/digits/golden --top 3

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy pipeline exporters runtime tests benchmarks examples docs
	$(BIN)/python -m pytest -n 2 --dist loadgroup

fix: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

slow: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m slow

fuzz: setup
	$(BIN)/python -m tests.fuzz

sweep: setup
	$(BIN)/python benchmarks/parity_sweep.py

bench: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks

docs: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m docs.generator
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build dist site runs bundles .pytest_cache .mypy_cache .ruff_cache
