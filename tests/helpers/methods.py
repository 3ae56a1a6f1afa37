"""Training methods as the configuration makes them."""

from omegaconf import DictConfig

from helpers.configs import composed
from memlaw.config.instantiation import instantiate_checked
from memlaw.methods.memft import (
    Method,
    SlidingWindow,
)


def method_of(config: DictConfig, pairs: int) -> Method:
    """The method that a config names, on a memory of so many pairs."""
    return instantiate_checked(config.method).on(pairs)


def sliding(**changes) -> SlidingWindow:
    method = method_of(composed("method=memft_sw", *(f"method.{key}={value}" for key, value in changes.items())), 1)
    assert isinstance(method, SlidingWindow)
    return method
