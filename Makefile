# What learners type is in start.py, which needs no make. Every target makes the environment first
# if it is missing or out of date, and is quick if it is not.
PYTHON ?= python3
BIN := .venv/bin
# as `import utils` sets it in every kernel; here also for scripts that load PyTorch before
export OMP_WAIT_POLICY ?= PASSIVE

lab:  ## open the course in JupyterLab (more options: make lab ARGS=--no-browser)
	$(PYTHON) start.py lab $(ARGS)

app:  ## open the bear app in a browser (more options: make app ARGS=--no-browser)
	$(PYTHON) start.py app $(ARGS)

test:  ## test everything: utils, notebooks, pages in a browser
	$(PYTHON) start.py test $(ARGS)

setup:  ## only make the environment, in .venv (ARGS=--light: without libraries for NVIDIA cards)
	$(PYTHON) start.py setup $(ARGS)

bench: .venv/installed  ## measure, side by side: training recipes, a transformer and counting words, the app and learn.predict, the cleaner
	$(BIN)/python tests/bench.py $(ARGS)
	$(BIN)/python tests/bench_texts.py
	$(BIN)/python tests/bench_deploy.py
	$(BIN)/python -m tests.bench_cleaner

kills: .venv/installed  ## kill the course while it writes answers and cleans, 2,500 times: what is lost? (ARGS="200 50" for fewer)
	$(BIN)/python tests/bench_kills.py $(ARGS)

busy: .venv/installed  ## for authors: each chapter's time, quiet and with one core busy (CHAPTERS=01,06 for some)
	$(BIN)/python tests/bench_busy.py $(ARGS)

elsewhere: .venv/installed  ## for authors: play other processors and Pythons (SETTINGS=avx2 CHAPTERS=01 for some); hours
	$(BIN)/python tests/elsewhere.py

notebooks: .venv/installed  ## for authors: run every chapter and store it with its outputs
	$(BIN)/course store --all

pictures: .venv/installed  ## for authors: draw the sample sets again
	$(BIN)/python data/draw_pets.py --out data/pets
	$(BIN)/python data/draw_bears.py --out data
	$(BIN)/python data/draw_tasks.py --out data

site: .venv/installed  ## for authors: the stored chapters as a site, in build/site
	$(BIN)/python -m pip install --quiet --constraint requirements.txt --editable ".[site]"
	$(BIN)/python site/build.py

class: .venv/installed  ## ten learners on a JupyterHub at once (needs configurable-http-proxy): is an answer lost?
	$(BIN)/python -m pip install --quiet --constraint requirements.txt --editable ".[class]"
	$(BIN)/python -m tests.class_of_ten

colab: .venv/installed  ## play Colab on this machine: does chapter 01 run there from its page alone? (CHAPTERS=01,06 for others)
	$(BIN)/python -m pip install --quiet uv
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m tests.play_colab

oldest: .venv/installed  ## the tests with the oldest libraries that pyproject.toml allows (ARGS=tests/test_data.py for some)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear .venv-oldest
	$(BIN)/uv pip install --quiet --python .venv-oldest --resolution lowest-direct --editable .
	@# left out: what compares with the pinned versions, which are not there
	.venv-oldest/bin/python -m pytest -n 2 --deselect tests/test_environment.py -k 'not installed_fresh and not its_requirements' $(or $(ARGS),tests --ignore tests/browser)

update-cases: .venv/installed  ## what becomes of a learner's changes and the course's, case by case
	$(BIN)/python -m pytest -n 0 -v tests/test_update.py

screenshots: .venv/installed  ## for authors: take the README's pictures again, from the stored pages
	$(BIN)/python -m tests.screenshots

pins: .venv/installed  ## for authors: work out requirements.txt, environment.yml and utils/app/hosting/requirements.txt
	$(BIN)/python -m pip install --quiet uv && $(BIN)/python tests/pins.py --write

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) start.py setup

map: .venv/installed  ## for authors: draw the parts of utils and their imports in utils/README.md
	$(BIN)/python tests/parts.py --write

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

.PHONY: lab app test setup bench kills busy elsewhere notebooks pictures site class colab oldest update-cases screenshots pins map help
