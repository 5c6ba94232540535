"""The stream fold: one partition of events in; vectors, scores, dead letters and evidence out. Pure: no I/O, no clock."""
