"""What `streamgauge models` does: versions and what became of them, two of them side by side, decisions of people."""
