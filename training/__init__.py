"""Data sets, PyTorch networks, the training loop and the recipes; writes checkpoints for the exporter."""
