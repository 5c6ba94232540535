"""What puts events on a feed's topic: simulators, replay of files, senders. Knows contracts only."""
