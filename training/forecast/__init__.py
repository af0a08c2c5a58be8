"""What the forecast recipes are made of: series, training windows, linear experts, baselines, and the evaluation."""
