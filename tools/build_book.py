"""Build the HTML book, with warnings as errors, and say where it is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"


def repository_url(remote: str) -> str | None:
    """Return the web address of a GitHub repository from its git remote, or None."""
    match = re.fullmatch(r"(?:https://(?:[^@/]+@)?|git@|ssh://git@)github\.com[:/](.+?)/?", remote)
    return f"https://github.com/{match[1].removesuffix('.git')}" if match else None


def git(*args: str) -> str:
    """Return what a git command prints, or nothing where it fails."""
    if shutil.which("git") is None:
        return ""
    run = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=False)
    return run.stdout.strip() if run.returncode == 0 else ""


def config() -> dict:
    """Return _config.yml, with the buttons that need the repository's address if it is known."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    # Paths in it are relative to the file, and the copy lies elsewhere.
    extensions = settings["sphinx"]["local_extensions"]
    extensions.update({name: str(ROOT / path) for name, path in extensions.items()})
    url = repository_url(git("remote", "get-url", "origin"))
    if url:
        branch = git("rev-parse", "--abbrev-ref", "HEAD")
        branch = branch if branch not in ("", "HEAD") else "main"
        settings["repository"] = {"url": url, "branch": branch, "path_to_book": ""}
        settings["html"] |= {"use_repository_button": True, "use_issues_button": True}
        settings["launch_buttons"] = {
            "binderhub_url": "https://mybinder.org",
            "notebook_interface": "jupyterlab",
        }
    return settings


def main() -> int:
    BUILD.mkdir(exist_ok=True)
    path = BUILD / "_config.yml"
    path.write_text(yaml.safe_dump(config(), allow_unicode=True), encoding="utf-8")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ROOT]
    command += ["--config", path, "--toc", ROOT / "_toc.yml", "--path-output", ROOT]
    # All pages anew: what an earlier build remembers may no longer be so, and it takes seconds.
    command += ["--all", "-W", "-n", "--keep-going", "-q"]
    run = subprocess.run(command, cwd=ROOT, check=False)
    if run.returncode:
        print("The book was not built: see the warnings above.", file=sys.stderr)
        return run.returncode
    print(f"The book is built. Open {BUILD / 'html' / 'index.html'}, or run 'make serve'.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
