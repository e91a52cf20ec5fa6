# Says in one line what is wrong with the Python that `make` was given, if anything is.
python=$1
say() { echo "$1" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 ||
    say "make: no '$python' found; install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=/path/to/python"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null ||
    say "make: $("$python" --version 2>&1) is not supported; name a Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    say "make: '$python' cannot make virtual environments; on Debian or Ubuntu install python3-venv"
