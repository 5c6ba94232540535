"""The commands of the front door, one a file; each is imported only when it is called."""
