import gc
import weakref

import torch
from helpers.configs import composed

from memlaw.config.instantiation import instantiate_checked
from memlaw.models.cache import BaseModelCache
from memlaw.models.random_weights import RandomModel


def source() -> RandomModel:
    return instantiate_checked(composed("model=random").model)


FP32, CPU = torch.float32, torch.device("cpu")


def test_the_same_model_is_loaded_once_and_another_dtype_is_another_model():
    cache = BaseModelCache()
    base = cache.load(source(), FP32, CPU)
    assert cache.load(source(), FP32, CPU) is base
    assert cache.load(source(), torch.bfloat16, CPU).model.dtype == torch.bfloat16


def test_a_model_is_dropped_before_the_next_one_is_loaded(monkeypatch):
    cache, load, alive = BaseModelCache(), RandomModel.load, []
    first = weakref.ref(cache.load(source(), FP32, CPU).model)

    def loading(self, *arguments):
        gc.collect()
        alive.append(first() is not None)
        return load(self, *arguments)

    monkeypatch.setattr(RandomModel, "load", loading)
    cache.load(source(), torch.bfloat16, CPU)
    assert alive == [False]


def test_a_cleared_cache_loads_anew():
    cache = BaseModelCache()
    base = cache.load(source(), FP32, CPU)
    cache.clear()
    assert cache.load(source(), FP32, CPU) is not base
