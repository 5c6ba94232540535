"""How good the predictions were: metrics and slices of joined labels."""
