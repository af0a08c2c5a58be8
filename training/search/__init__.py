"""`python -m training search RECIPE`: hyperparameters that do better on validation rows than the shipped ones, if any.

Only this package needs Optuna; the recipes just say what may be chosen.
"""
