# Everything a newcomer needs: `make run` and `make test`. Both create the environment on first use.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: run demo test gate core others soak fuzz lock bench docs deb clean

run: $(VENV)/run.stamp          ## set up, then run the agent on the shipped checks.yaml
	$(BIN)/brownout run checks.yaml

demo: $(VENV)/run.stamp         ## the whole product in a minute; PORT=9799 for another port
	$(BIN)/brownout demo $(if $(PORT),--port $(PORT))

test: gate core others          ## set up, then the whole gate

core: $(VENV)/dev.stamp         ## the tests of deciding, which must reach every branch
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -p no:cacheprovider tests/core
	$(BIN)/coverage report

others: $(VENV)/dev.stamp       ## all other tests
	$(BIN)/pytest -n auto --dist worksteal --ignore=tests/core

gate: $(VENV)/dev.stamp         ## everything but pytest
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(VENV)/dev.stamp         ## what takes half an hour: 200 kills, a kill at every point, a minute's pause; SEED=N repeats the 200
	$(BIN)/python -m tests.soak $(if $(SEED),--seed $(SEED)) $(if $(MOMENTS),--moments $(MOMENTS))
	BROWNOUT_PAUSE=60 $(BIN)/pytest -q -p no:cacheprovider tests/faults/test_paused.py
	$(BIN)/pytest -q -p no:cacheprovider -m long

fuzz: $(VENV)/fuzz.stamp        ## an hour of inputs that nobody would think of; SECONDS=600 for less
	$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(TARGETS)

lock: $(VENV)/dev.stamp         ## renew all lock files; no download address gets into them
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --upgrade $(LOCK) pyproject.toml --extra all --group build -o requirements.lock
	$(BIN)/uv pip compile -q --upgrade $(LOCK) pyproject.toml --extra all --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile -q --upgrade $(LOCK) --group pyproject.toml:fuzz -o requirements-fuzz.lock

LOCK := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links

docs: $(VENV)/dev.stamp         ## renew the generated pages in docs/
	$(BIN)/python -m docs.generate

deb: $(VENV)/run.stamp          ## a package for this Debian release, in dist/
	packaging/build-deb $(abspath $(BIN))

bench: $(VENV)/run.stamp        ## every benchmark, one comparable line each
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

# --- the environments -------------------------------------------------------------------------------------

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Brownout needs Python 3.11 or later; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
# One that was interrupted has no pip, and is made anew.
	@$(PYTHON) -m venv $(VENV) && { [ -x $(BIN)/pip ] || $(PYTHON) -m venv --clear $(VENV); } \
	  || { echo "Cannot create a virtual environment. On Debian: apt-get install python3-venv"; exit 2; }
	@touch $@

$(VENV)/run.stamp: $(VENV)/python.stamp requirements.lock pyproject.toml
	@echo "Installing what Brownout needs into $(VENV) ..."
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/python.stamp requirements-dev.lock pyproject.toml
	@echo "Installing what the tests need into $(VENV) ..."
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/run.stamp

$(VENV)/fuzz.stamp: $(VENV)/dev.stamp requirements-fuzz.lock
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-fuzz.lock
	@touch $@
