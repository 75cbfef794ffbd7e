"""Puts this package in MatterSim's place: in this process, and in those that a script starts.

Here `sys.modules` holds it under the name `MatterSim`. Processes started later find it through a
folder on their PYTHONPATH whose one module of that name calls `install`.
"""

from __future__ import annotations

import builtins
import os
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Final

from vln.errors import BadConfig, VlnError
from vln.mattersim.errors import OtherMatterSim

NAME: Final = "MatterSim"
SHIM: Final = Path(__file__).parent / "shim"
"""Goes onto PYTHONPATH: holds a module of MatterSim's name."""

USAGE: Final = """\
usage: python -m vln.mattersim run SCRIPT [ARGUMENTS ...]
       python -m vln.mattersim run -m MODULE [ARGUMENTS ...]

Runs a program written for the C++ simulator as `python SCRIPT ARGUMENTS` would, with
vln.mattersim in the place of the module MatterSim, in the processes that it starts as well.
A program that is not in a file (`-`, `-c CODE`), or a folder or zip of one, is not taken.
"""


def install() -> ModuleType:
    """Gives this package after making `import MatterSim` mean it; may be called again.

    Raises:
        OtherMatterSim: Another module of that name has been imported already.
    """
    ours = sys.modules[__name__.rpartition(".")[0]]
    present = sys.modules.get(NAME)
    if present is not None and present is not ours and not _is_shim(present):
        raise OtherMatterSim(
            f"another {NAME} has been imported already, from "
            f"{getattr(present, '__file__', None) or 'an unknown place'}. Call "
            "vln.mattersim.install() before anything that imports it."
        )
    sys.modules[NAME] = ours
    return ours


def _is_shim(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).parent == SHIM


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the script's own exceptions and exit codes pass through."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["run"]:
        del given[0]
        if given and given != ["-m"] and given[0] not in ("-h", "--help"):
            return _run(given)
        asked = given not in ([], ["-m"])
    else:
        asked = given[:1] in (["-h"], ["--help"])
    (sys.stdout if asked else sys.stderr).write(USAGE)
    return 0 if asked else 2


def _run(given: list[str]) -> int:
    # `vln.runs.entry_point` is not for us: it sets logging up, which is the script's to do.
    try:
        install()
        code = None if given[0] == "-m" else _compiled(given[0])
    except VlnError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except SyntaxError as error:
        sys.excepthook(type(error), error.with_traceback(None), None)
        return 1
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{SHIM}{os.pathsep}{inherited}" if inherited else str(SHIM)
    _hide_outer_frames()
    if code is None:
        _run_module(*given[1:])
    else:
        _run_script(code, given)
    return 0


def _compiled(script: str) -> CodeType:
    try:
        source = Path(script).read_bytes()
    except OSError as error:
        raise BadConfig(
            f"cannot read {script} ({error.strerror}). Expected the path of a Python script: "
            "python -m vln.mattersim run SCRIPT ARGUMENTS"
        ) from None
    # Python names its main module by the whole path.
    return compile(source, str(Path(script).absolute()), "exec", dont_inherit=True)


def _run_script(code: CodeType, argv: list[str]) -> None:
    """Runs a script as `python SCRIPT` does: its folder first on the path, its name `__main__`.

    The module stays `__main__`, since threads, pickles and spawned processes ask for it by name.
    """
    main_module = ModuleType("__main__")
    main_module.__dict__.update(
        __builtins__=builtins,
        __cached__=None,
        __file__=code.co_filename,
        __loader__=SourceFileLoader("__main__", code.co_filename),
    )
    sys.modules["__main__"] = main_module
    sys.argv[:] = argv
    if not _is_path_safe():
        sys.path[0] = str(Path(argv[0]).resolve().parent)
    _put_shim_on_path()
    exec(code, main_module.__dict__)


def _run_module(name: str, *arguments: str) -> None:
    sys.argv[:] = [name, *arguments]
    _put_shim_on_path()
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _is_path_safe() -> bool:
    """Tells whether Python left the folder that it starts in, or the script's, off `sys.path`."""
    return bool(getattr(sys.flags, "safe_path", sys.flags.isolated))  # no such flag before 3.11


def _put_shim_on_path() -> None:
    # Spawned processes are given this path; the shim stands where PYTHONPATH puts it.
    sys.path.insert(0 if _is_path_safe() else 1, str(SHIM))


def _hide_outer_frames() -> None:
    """Makes tracebacks of uncaught exceptions begin in the program, as they would without us."""
    show = sys.excepthook
    main_file = str(Path(__file__).with_name("__main__.py"))
    outer = {__file__, main_file, runpy.run_module.__code__.co_filename}

    def show_from_program(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        inner = trace
        while inner is not None and inner.tb_frame.f_code.co_filename in outer:
            inner = inner.tb_next
        kept = inner or trace
        show(kind, error.with_traceback(kept), kept)

    sys.excepthook = show_from_program
