"""Pages: facts as typed blocks, then figures, then one HTML file. Nothing here loads torch."""
