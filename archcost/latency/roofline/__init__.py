"""The roofline: what a device reaches at most, and how near to it a layer comes."""
