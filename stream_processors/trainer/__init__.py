"""The trainer: retrain requests to versions on `<feed>.models`, none lost and none registered twice."""
