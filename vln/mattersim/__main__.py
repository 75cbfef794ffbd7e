"""`python -m vln.mattersim run SCRIPT ARGUMENTS`: see `vln.mattersim.launch`."""

import sys

from vln.mattersim.launch import main

if __name__ == "__main__":
    sys.exit(main())
