"""A network's profile: counts, witnesses, latencies; compared, held to a budget, reduced."""
