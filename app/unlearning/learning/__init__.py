"""Networks, and how they learn: all at once, task by task, or in shards."""
