"""Readings that no worker folded in time, through the same fold into the history: from files, or what came late."""
