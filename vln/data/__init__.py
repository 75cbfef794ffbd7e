"""Loaders: every data set is opened here and nowhere else."""
