"""A folder for PYTHONPATH: processes with it import `vln.mattersim` under MatterSim's name."""
