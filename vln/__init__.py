"""The shared ground of the toolkit: graph, simulator, data, features, metrics, networks."""
