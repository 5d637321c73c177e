"""What ONNX's operators give and what they cost, by the shapes of their inputs."""
