"""The search of a study, for any study of Optuna's: its space is learnt from its trials."""
