"""A broker and a store without Docker or Java, ended with the process that started them."""

from streamgauge.local_stack.child import Child
from streamgauge.local_stack.stack import LocalStack, free_port

__all__ = ["Child", "LocalStack", "free_port"]
