"""A broker and a store without Docker or Java, ended with the process that started them."""

from streamgauge.local_stack.child import Child
from streamgauge.local_stack.stack import LocalStack, first_free_port, free_port

__all__ = ["Child", "LocalStack", "first_free_port", "free_port"]
