"""What travels: fares, changes, alerts, notifications. Standard library, numpy and pyarrow; no I/O."""
