"""The files around the book: what they promise is there."""

import ast
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import build_book
import pytest
import yaml
from packaging.requirements import Requirement

# Parts of other functions, for readers of the code.
NOT_LISTED = {
    *("step_all", "parts", "compiled_step_all"),
    *("shape_of", "one_axis", "within", "ratio", "into", "out_of", "power_iteration"),
    *("quantize", "dequantize", "blocks", "unblocked"),
    *("Arrays", "Bandwidth", "shapes_of", "parameters_of", "save"),
    *("Several", "optimizer_of", "bytes_moved", "algorithm_of"),
}
ROOT = Path(__file__).resolve().parent.parent


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://github.com/ada/adam.git", "https://github.com/ada/adam"),
        ("https://token@github.com/ada/adam", "https://github.com/ada/adam"),
        ("git@github.com:ada/adam.git", "https://github.com/ada/adam"),
        ("ssh://git@github.com/ada/adam.git", "https://github.com/ada/adam"),
        ("https://example.org/ada/adam.git", None),
        ("/srv/git/adam.git", None),
        ("", None),
    ],
)
def test_the_repository_comes_from_the_remote(remote, url):
    assert build_book.repository_url(remote) == url


@pytest.mark.parametrize("remote", ["https://github.com/ada/adam.git", ""])
def test_buttons_appear_only_where_the_repository_is_known(monkeypatch, remote):
    monkeypatch.setattr(build_book, "git", lambda *args: remote if args[0] == "remote" else "main")
    settings = build_book.config()
    assert settings["html"]["use_repository_button"] is bool(remote)
    assert ("launch_buttons" in settings) is bool(remote)
    assert ("repository" in settings) is bool(remote)


def locked():
    lines = [x for x in read("requirements.txt").splitlines() if x and not x.startswith("#")]
    return [Requirement(line) for line in lines]


def test_the_lock_is_exact_and_fits_every_machine():
    for requirement in locked():
        (version,) = requirement.specifier
        assert version.operator == "=="
        assert "+" not in version.version
        assert not requirement.name.startswith(("nvidia", "cuda", "triton"))


def test_the_lock_fits_the_ranges():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    ranges = [*project["dependencies"], *extras["book"], *extras["test"]]
    versions = {r.name: next(iter(r.specifier)).version for r in locked()}
    for requirement in map(Requirement, ranges):
        assert requirement.specifier.contains(versions[requirement.name])


def test_binder_gets_the_locked_versions_and_no_cuda():
    lines = read(".binder/requirements.txt").splitlines()
    assert {"-c ../requirements.txt", "-e .[lab]"} <= set(lines)
    assert any(line.startswith("--find-links") and "/cpu" in line for line in lines)
    assert read(".binder/runtime.txt").strip() in ("python-3.11", "python-3.12", "python-3.13")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_relative_link_leads_somewhere(name):
    links = re.findall(r"\]\(([^)#\s]+)", read(name))
    assert links
    for link in links:
        if not link.startswith(("http://", "https://")):
            assert (ROOT / link).exists(), link


def test_the_readme_maps_every_chapter():
    toc = yaml.safe_load(read("_toc.yml"))
    readme = read("README.md")
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            if "reference/" not in chapter["file"]:
                assert chapter["file"] in readme


def test_every_make_target_of_the_texts_exists():
    targets = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), flags=re.MULTILINE))
    texts = read("README.md") + read("CONTRIBUTING.md") + read("book/index.md")
    assert set(re.findall(r"`make ([a-z-]+)", texts)) <= targets


def test_the_reference_lists_every_public_name():
    api = read("book/reference/api.md")
    modules = (ROOT / "adam_tutorial").rglob("[a-z]*.py")
    for path in modules:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"
            if public and ast.get_docstring(node) and node.name not in NOT_LISTED:
                assert re.search(rf"\b{node.name}\b", api), f"{path.name}: {node.name}"


needs_sh = pytest.mark.skipif(shutil.which("sh") is None, reason="no sh")


@needs_sh
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "no './python' found; install Python 3.11, 3.12 or 3.13"),
        ("Python 3.10.4", "Python 3.10.4 is not supported"),
    ],
)
def test_a_missing_or_unsupported_python_gets_one_line(tmp_path, answer, message):
    if answer:
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{answer}" || exit 1\n')
        python.chmod(0o755)
    script = ROOT / "tools" / "check_python.sh"
    run = subprocess.run(
        ["sh", str(script), "./python"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_help_lists_the_targets():
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    run = subprocess.run(
        ["make", "help"], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    for target in ("book", "test", "serve", "notebooks", "lock", "test-browser", "test-numbers"):
        assert f"make {target}" in run.stdout
