"""The stored notebooks are fit to be verified and read; and the verification can fail."""

import itertools
import re
import subprocess
import sys

import nbformat
import notebooks
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

PATHS = notebooks.notebooks()
FIGURE = {"figure": {"caption": "A line.", "name": "fig-line"}, "image": {"alt": "A line."}}


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_there_are_notebooks():
    assert len(PATHS) >= 3


def test_is_verified_and_readable(notebook):
    assert notebooks.problems(notebook) == []


def test_is_stored_in_its_normal_form(notebook):
    before = nbformat.writes(notebook)
    notebooks.normalise(notebook)
    assert nbformat.writes(notebook) == before


def test_cells_are_short(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 20, cell.source


def test_headings_are_in_order(notebook):
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    text = re.sub(r"^(```+|:::+).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    levels = [len(h) for h in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_no_line_of_text_is_lost_and_no_table_is_one_line(notebook):
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    # MyST takes such a line for a comment.
    assert not re.search(r"^ {0,3}%", text, re.MULTILINE)
    # Rows of a table that stand on one line are text.
    assert not re.search(r"\| +\| ?:?-{2,}", text)


def test_opens_with_its_question_and_ends_with_summary_and_exercises(notebook):
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert "**Question.**" in text
    assert "**Time:**" in text
    assert text.index("\n## Summary") < text.index("\n## Exercises")
    exercises = re.findall(r"^```\{exercise\}.*?^:label: (\S+)", text, re.DOTALL | re.MULTILINE)
    solutions = re.findall(
        r"^```\{solution(?:-start)?\} (\S+)\n:class: dropdown", text, re.MULTILINE
    )
    assert len(exercises) >= 4
    assert exercises == solutions


def test_leads_to_the_glossary(notebook):
    assert "{doc}`the glossary </book/reference/glossary>`" in notebook.cells[0].source


def test_every_notebook_is_a_chapter_and_every_chapter_is_there():
    toc = yaml.safe_load((notebooks.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    sources = [p for p in (notebooks.ROOT / "book").rglob("*") if p.suffix in (".ipynb", ".md")]
    # What starts with an underscore is part of other pages.
    sources = [p for p in sources if ".ipynb_checkpoints" not in p.parts and p.name[0] != "_"]
    stored = {str(p.relative_to(notebooks.ROOT).with_suffix("")) for p in sources}
    assert stored == set(files)
    assert len(files) == len(set(files))


# What `problems` is there to find, each planted in a sound cell.


def sound():
    png = new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "axes 0: "})
    cell = new_code_cell("plt.show()", execution_count=1, outputs=[png])
    cell.metadata["mystnb"] = FIGURE
    return cell


def stream(text, name="stdout"):
    return lambda cell: cell.outputs.append(new_output("stream", text=text, name=name))


def set_metadata(cell, **values):
    cell.metadata.update(values)


def test_a_sound_cell_has_no_problems():
    assert notebooks.cell_problems(sound()) == []


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (lambda c: c.update(execution_count=None), "no execution count"),
        (lambda c: set_metadata(c, tags=["nbval-skip"]), "not verified"),
        (lambda c: set_metadata(c, tags=["nbval-ignore-output"]), "not verified"),
        (lambda c: c.update(source="# NBVAL_IGNORE_OUTPUT\nprint(1)"), "not verified"),
        (stream("UserWarning: no", name="stderr"), "a stored warning"),
        (stream("see /home/ada/data"), "a path of some machine"),
        (stream("see C:\\Users\\ada"), "a path of some machine"),
        (lambda c: c.outputs.append(new_output("error", ename="ValueError")), "a stored error"),
        (lambda c: set_metadata(c, mystnb={"figure": {"caption": "A line."}}), "without alt text"),
        (lambda c: set_metadata(c, mystnb={"image": {"alt": "A line."}}), "without a caption"),
    ],
)
def test_a_planted_problem_is_found(plant, message):
    cell = sound()
    plant(cell)
    assert any(message in problem for problem in notebooks.cell_problems(cell))


def test_an_unverified_cell_may_give_its_reason():
    cell = sound()
    set_metadata(cell, tags=["nbval-ignore-output"], unverified="a time, other on every machine")
    assert notebooks.cell_problems(cell) == []


# nbval itself, on a notebook that is stored rightly and then spoilt.

SETUP = "from adam_tutorial.notebook import setup\nsetup()"
STEP = """import numpy as np
from adam_tutorial import Adam
adam = Adam(lr=0.01)
print(adam.step(np.array([1.0]), np.array([0.5]), adam.init(np.ones(1))).theta)"""
PLOT = """import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.plot([1.0, 2.0, 2.5, 4.0])
plt.show()"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("book") / "chapter.ipynb"
    cells = [new_markdown_cell("# Chapter"), *map(new_code_cell, (SETUP, STEP, PLOT))]
    cells[-1].metadata["mystnb"] = FIGURE
    nbformat.write(new_notebook(cells=cells), path)
    notebooks.execute(path)
    return path


def verdict(path):
    """Return whether nbval accepts a notebook."""
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", str(path)]
    command += ["-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(path.parent)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return run.returncode == 0


def test_nbval_accepts_what_is_right(stored):
    assert verdict(stored)
    first = stored.read_bytes()
    notebooks.execute(stored)
    assert stored.read_bytes() == first


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("[0.99]", "[0.98]"), ("2.5, 4.0", "2.501, 4.0")],
    ids=["a wrong digit in an output", "a changed value in a plot"],
)
def test_nbval_refuses_what_is_wrong(stored, tmp_path, right, wrong):
    text = stored.read_text(encoding="utf-8")
    assert text.count(right) == 1
    spoilt = tmp_path / "spoilt.ipynb"
    spoilt.write_text(text.replace(right, wrong), encoding="utf-8")
    assert not verdict(spoilt)
