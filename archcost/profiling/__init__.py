"""One network's profile: counts, witnesses and latencies; compared with others, held to a budget, made smaller."""
