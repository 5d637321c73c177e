"""A torch.export file: its JSON read by our own parser, and counted on meta tensors."""
