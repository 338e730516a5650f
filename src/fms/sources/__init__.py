"""Where fares come from: JSON lines, CSV with a mapping, Parquet, Arrow IPC."""
