"""From a trained model to figures: extraction, protocols over tables, paired differences, the run card."""
