"""Commands about a device: what it reaches, what it was calibrated for, and its end of ssh."""
