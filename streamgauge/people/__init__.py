"""What people say about incidents and about spans without one, and what follows from it."""
