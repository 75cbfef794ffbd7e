"""Hands the name MatterSim over to `vln.mattersim` in processes that a launched script starts."""  # noqa: N999

import sys
from pathlib import Path

try:
    from vln.mattersim.launch import install
except ModuleNotFoundError:  # not installed, and started in another folder than the launcher
    sys.path.append(str(Path(__file__).parents[3]))
    from vln.mattersim.launch import install

install()
