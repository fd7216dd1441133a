"""Search: a space, a study, its trials. Knows no method, no data, no network; Optuna samples and prunes."""
