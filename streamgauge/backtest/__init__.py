"""`streamgauge backtest`: files in, scores and alerts in files out."""
