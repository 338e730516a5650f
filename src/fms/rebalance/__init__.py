"""Slots moved between shards while they are read and written: planned, made, resumed, and checked."""
