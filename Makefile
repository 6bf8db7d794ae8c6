# Two commands for everyone: `make quickstart` and `make test`. The rest is for those who change Regard.
PYTHON ?= python3
BIN := .venv/bin
# Processes that run tests.
WORKERS := 2
EXTRAS := offline seg tune web hf export postgres ray prune

# Tests start hundreds of processes: what one has compiled, the next ones read.
test torture cover: export PYTHONDONTWRITEBYTECODE =

.PHONY: quickstart test check cover torture format bench lock clean

quickstart: .venv/ready
	$(BIN)/regard quickstart

test: .venv/ready
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# Every attack at full length, which takes hours, and what came of each: see docs/reliability.md.
torture: .venv/ready
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m torture

# What of the source the tests run, and whether that is enough.
cover: .venv/ready
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=json:coverage.json
	$(BIN)/python benchmarks/covered.py coverage.json

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(MAKE) --no-print-directory test

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/ready
	TQDM_DISABLE=1 $(BIN)/python benchmarks/saliency.py
	$(BIN)/python benchmarks/guidance.py

# One environment, from the lock file alone (hashes checked), valid for every Python from 3.11.
.venv/ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

lock:
	$(BIN)/uv pip compile pyproject.toml $(foreach extra,$(EXTRAS),--extra $(extra)) --group dev --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock

clean:
	rm -rf .venv build dist
