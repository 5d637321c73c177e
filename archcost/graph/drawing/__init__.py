"""Drawings of a graph: lanes and boxes, laid out on a grid and written as SVG."""
