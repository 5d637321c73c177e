"""An ONNX file: read within limits, followed node by node, each node counted."""
