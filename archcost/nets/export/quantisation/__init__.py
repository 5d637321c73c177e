"""Networks of 8 bits: how one is quantised, its file, and which layers that slows."""
