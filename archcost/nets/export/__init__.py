"""Files of networks: YAML, JSON and drawings, and the programs that ONNX Runtime and torch.export run."""
