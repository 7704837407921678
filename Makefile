# Each target makes what it needs, first of all .venv. `make demo` and `make test` work on a machine
# that has Python >= 3.11, venv and make, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo demo-trusted test serve check bench format clean

demo: $(STAMP)
	$(BIN)/kmipkit demo

# The trusted story needs a TPM: swtpm, and the TPM software stack to speak to it. As root, on Debian.
demo-trusted: $(STAMP)
	tools/install-tpm $(BIN)
	$(BIN)/kmipkit demo trusted

test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

serve: $(STAMP)
	$(BIN)/kmipkit serve

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/gen_spec.py --check
	$(BIN)/python tools/unasync.py --check
	$(BIN)/python tools/gen_suite.py --check

bench: $(STAMP)
	$(BIN)/python -m bench

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test,check]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
