"""Networks as files: YAML, JSON, ONNX and torch.export."""
