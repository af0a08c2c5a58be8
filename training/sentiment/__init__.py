"""What the sentiment recipe is made of: rows, sub-words, the linear evidence, the LSTM's fitting, and the report."""
