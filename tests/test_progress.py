import io
import subprocess
import sys

from adam_tutorial import progress


def test_no_bar_where_nobody_watches():
    code = "from adam_tutorial.progress import progress; list(progress(range(3), 3, 'x'))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert run.stderr == run.stdout == b""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_in_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(progress.progress(range(3), 3, "training runs")) == [0, 1, 2]
    assert "training runs" in sys.stderr.getvalue()


class Kernel:
    def __init__(self, allow_stdin):
        self.allow_stdin = allow_stdin

    def get_parent(self, channel):
        return {"content": {"allow_stdin": self.allow_stdin}}


def test_in_a_notebook_the_front_end_decides(monkeypatch):
    for allow_stdin in (True, False):
        ipython = type("IPython", (), {})()
        shell = type("Shell", (), {"kernel": Kernel(allow_stdin)})()
        ipython.get_ipython = lambda shell=shell: shell
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert progress.watched() is allow_stdin
