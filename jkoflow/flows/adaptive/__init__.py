"""Flows whose step sizes follow the error: `flow_adaptive`."""

from .flow import flow_adaptive

__all__ = ["flow_adaptive"]
