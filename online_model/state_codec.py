"""Python models to bytes and back, without pickle: see online_model/state_format.py for what may be carried and how."""

from online_model.state_reader import decode_state
from online_model.state_writer import encode_state

__all__ = ["decode_state", "encode_state"]
