"""Private real servers for tests, benchmarks and scripts: started on free ports, killed at will, never left behind."""
