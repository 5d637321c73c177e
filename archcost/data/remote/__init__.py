"""Files at a URL: opened, copied whole, and kept in the cache as long as they are the same."""
