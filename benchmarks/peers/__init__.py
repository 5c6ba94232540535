"""The same job in other engines, each written as its documentation would have it, and run as a process of its own."""
