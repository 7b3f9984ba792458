# The commands of everyday work; README.md explains them.
#   make serve [TORCH_INDEX=https://download.pytorch.org/whl/cpu]

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := $(shell sed -n 's/^torch==.*/&/p' constraints.txt)
MODELS ?= var/models

.PHONY: serve test check format bench docs retrain-demo clean

serve: $(VENV)/.installed  ## Serve the shipped models at http://127.0.0.1:8000
	@exec $(BIN)/python -m service

test: $(VENV)/.developing  ## Run all tests
	$(BIN)/python -m pytest

check: $(VENV)/.developing  ## Format, lint, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.developing  ## Put the code in form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

retrain-demo: $(VENV)/.installed  ## Make a corpus of dates, train on it, publish the model (one to three minutes)
	$(BIN)/python -m training.demo dates data/dates.tsv
	$(BIN)/python -m training run recipes/dates.toml --models $(MODELS)

bench: $(VENV)/.installed  ## The benchmarks, on a quiet machine (half an hour); benchmarks/README.md explains them
	$(BIN)/python -m benchmarks.peers.install
	$(BIN)/python -m benchmarks.decode_speed
	$(BIN)/python -m benchmarks.serve_load
	$(BIN)/python -m benchmarks.batch_invariance
	$(BIN)/python -m benchmarks.train_speed

docs: $(VENV)/.developing  ## Make the pictures of the page again
	$(BIN)/python docs/screenshots.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# torch first and alone: from TORCH_INDEX if given, so that nobody downloads CUDA against their will
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Interlinear needs Python 3.11 or newer; name one with make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "the venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	$(PIP) install --quiet $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX)) "$(TORCH)"
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@
