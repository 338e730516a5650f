"""Who owns which slot: the catalog's map, the router in memory, and the rows inside each shard that decide."""
