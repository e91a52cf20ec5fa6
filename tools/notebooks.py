"""Execute the notebooks of the book in place, or say what is wrong with them as they are stored.

python tools/notebooks.py execute [PATH ...]
python tools/notebooks.py check [PATH ...]
"""

import argparse
import hashlib
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
UNVERIFIED = {"nbval-skip", "nbval-ignore-output", "nbval-raises-exception"}
MACHINE_PATH = re.compile(r"(?:/(?:root|home|tmp|work|Users|private|var/folders)/|[A-Z]:\\)")
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


def notebooks() -> list[Path]:
    """Return the notebooks of the book."""
    found = (ROOT / "book").rglob("*.ipynb")
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def execute(path: Path) -> None:
    """Run a notebook from the top and store it with its outputs, in the same bytes every time."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        record_timing=False,
        # The kernel warns that it listens on TCP, which every notebook's kernel does.
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    normalise(notebook)
    path.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Drop what differs from machine to machine, and give every cell an id made of its text."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        name = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[name] = seen.get(name, 0) + 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
        for name in ("execution", "collapsed", "scrolled", "ExecuteTime"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            join_streams(cell)


def join_streams(cell: nbformat.NotebookNode) -> None:
    """Join text that the kernel sent in several pieces, as many as chance wanted."""
    outputs = []
    for output in cell.outputs:
        last = outputs[-1] if outputs else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            outputs.append(output)
    cell.outputs = outputs


def problems(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what makes a stored notebook unfit for the book: it is not verified, or not readable.

    A cell may go unverified only if its metadata gives the reason, under ``unverified``.
    """
    found = []
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip():
            found += [f"cell {i}: {problem}" for problem in cell_problems(cell)]
    return found


def cell_problems(cell: nbformat.NotebookNode) -> list[str]:
    found = []
    if cell.execution_count is None:
        found.append("no execution count, so nbval compares nothing there")
    tags = UNVERIFIED & set(cell.metadata.get("tags", []))
    if (tags or "NBVAL_" in cell.source) and not cell.metadata.get("unverified"):
        found.append(f"not verified ({', '.join(sorted(tags)) or 'marker'}), and no reason given")
    for output in cell.outputs:
        text = nbformat.writes(nbformat.v4.new_notebook(cells=[cell_with(output)]))
        if output.output_type == "error":
            found.append(f"a stored error: {output.ename}")
        if output.output_type == "stream" and output.name == "stderr":
            found.append("a stored warning, or other output to stderr")
        if MACHINE_PATH.search(re.sub(r'"image/png": ".*"', "", text)):
            found.append("a path of some machine in the output")
        if "image/png" in output.get("data", {}):
            figure = cell.metadata.get("mystnb", {})
            if not figure.get("image", {}).get("alt"):
                found.append("a figure without alt text")
            if not figure.get("figure", {}).get("caption"):
                found.append("a figure without a caption")
    return found


def cell_with(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(outputs=[output])


def main() -> int:
    parser = argparse.ArgumentParser(prog="notebooks.py", description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["execute", "check"])
    parser.add_argument("paths", nargs="*", type=Path, help="default: all of the book")
    args = parser.parse_args()
    # Frozen modules hide from the kernel's debugger; it warns on stderr unless told otherwise.
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    wrong = 0
    for path in args.paths or notebooks():
        if args.command == "execute":
            print(f"{path}: running ...", flush=True)
            execute(path)
        for problem in problems(nbformat.read(path, as_version=4)):
            print(f"{path}: {problem}")
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
